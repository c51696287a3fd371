"""One supervised connection: connect, describe, subscribe, notice the loss, and again, for ever."""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Literal

import anyio
import structlog
from anyio.abc import TaskStatus

from dtios.mapping.facts import BrowseFacts
from dtios.mapping.profiles.library import ProfileLibrary
from dtios.model.batch import Batch
from dtios.model.condition import Condition
from dtios.model.errors import ConfigurationError, CredentialsError, DtiosError, TemporaryError
from dtios.model.event import Event
from dtios.model.gap import Gap, GapCause
from dtios.model.status import BAD_NO_COMMUNICATION
from dtios.model.values import DataValue
from dtios.runtime.data.missing import heard_in
from dtios.runtime.data.router import Router
from dtios.runtime.links.absences import Absences
from dtios.runtime.links.backoff import Backoff
from dtios.runtime.links.cache import FactsCache
from dtios.runtime.links.description import Description
from dtios.runtime.links.events import EventWatch
from dtios.runtime.links.monitoring import GONE, Monitoring
from dtios.runtime.links.offset import ClockOffset
from dtios.sdk.adapter import (
    Call,
    Complaint,
    ConditionCommand,
    Connection,
    ConnectionSettings,
    LastCheck,
    Loss,
    Progress,
    Publish,
    Write,
)
from dtios.sdk.clock import Clock
from dtios.sdk.protocol import ClockView

__all__ = ["Link", "first_error"]

log = structlog.get_logger("dtios.link")

Health = Literal["connecting", "online", "offline", "failed"]
Described = Callable[["Link", BrowseFacts | None, bool], Awaitable[None]]
"""See `dtios.runtime.links.description.Place`."""

UNVERIFIED: Final = "its description is being checked after a restart"
HEALTHY_AFTER: Final = 1.0
"""Seconds online after which the next loss starts from the shortest wait again."""


class Link:
    """Owns one Connection and the subscriptions on it. `described` is told when the address space was browsed (anew).

    A subscription outlives sessions: after a reconnect every monitored handle is subscribed again, and every consumer gets a
    Gap for the time between.
    """

    def __init__(
        self,
        url: str,
        connection: Connection,
        router: Router,
        described: Described,
        clock: Clock,
        *,
        user: str | None = None,
        cache: FactsCache | None = None,
    ) -> None:
        """`cache` None: what is known of the address space is not kept on disk."""
        self.url = url
        self.health: Health = "connecting"
        self.detail = ""
        self.error: DtiosError | None = None
        self.progress: set[Progress] = set()
        self.points = Monitoring(url, connection, router, clock, self._over)
        self.description = Description(url, user, connection, cache or FactsCache(None), self._place, clock, self._report)
        self.offset = ClockOffset()
        self._connection = connection
        self._router = router
        self._described = described
        self._clock = clock
        self._doubted: set[str] = set()
        self._heard = clock.monotonic()
        self._heard_at = clock.now()
        self._lost_at: int | None = None
        self._online_since = 0.0
        self._outage: dict[int, int] = {}
        self._ended = False
        self._tried = anyio.Event()
        self._changed = anyio.Event()
        self._hurry = anyio.Event()
        self._listeners: dict[Callable[[], None], None] = {}
        self.absences = Absences()
        self.words = anyio.Lock()
        """Held while a word of bits is read, changed and written."""
        self.holders: Counter[str] = Counter()
        """How many jobs share a lock of the machine, by its address."""
        self._standing = anyio.CancelScope()
        self._replaced = False
        self.events = EventWatch(url, clock)

    # --- health ---

    @property
    def online(self) -> bool:
        return self.health == "online"

    def silence(self) -> float:
        """Seconds on the runtime's clock since anything was heard from the other end."""
        return self._clock.monotonic() - self._heard

    def on_change(self, listener: Callable[[], None]) -> None:
        self._listeners[listener] = None

    async def wait_tried(self) -> None:
        """Until the first attempt is over. Raises what it failed with."""
        while not self._tried.is_set():  # a retry that somebody else asks for takes its place
            await self._tried.wait()
        if not self.online and self.error is not None:
            raise self.error

    async def retry(self) -> None:
        """Somebody asks for it now: do not wait out the back-off. Returns after the next attempt."""
        if self._tried.is_set():  # else one is under way, and others wait for it already
            self._tried = anyio.Event()
        self._hurry.set()

    @property
    def ready(self) -> bool:
        """A session stands, and the description is that of what is there: commands may be given."""
        return self.online and self.description.verified

    def check_verified(self) -> None:
        """Raises TemporaryError: after a restart of its server another thing may stand where a command would go."""
        if self.online and not self.description.verified:
            raise TemporaryError(UNVERIFIED, where=self.url, mend="ask again when that is done")

    async def wait_online(self) -> None:
        """Until commands may be given. Raises TemporaryError when the link was closed for good."""
        while not self.ready:
            if self._ended:
                raise self.error or TemporaryError("its connection was closed", where=self.url)
            await self._changed.wait()

    def _set(self, health: Health, error: DtiosError | None = None) -> None:
        self.health, self.error, self.detail = health, error, "" if error is None else str(error)
        changed, self._changed = self._changed, anyio.Event()
        changed.set()
        self._tell()

    def _tell(self) -> None:
        for listener in tuple(self._listeners):
            listener()

    def clock_view(self) -> ClockView | None:
        return self.offset.view(self._clock.monotonic())

    def session(self) -> Connection:
        """The connection while a session stands. Raises TemporaryError: offline means refused, never queued."""
        if not self.online:
            why = f" ({self.error.message})" if self.error is not None else ""
            raise TemporaryError(f"it is offline{why}", where=self.url, mend="ask again when it is back")
        return self._connection

    def misunderstood(self) -> list[Complaint]:
        return self._connection.misunderstood()

    # --- the supervisor's loop ---

    async def run(self) -> None:
        """Until cancelled. Logs a loss once and a recovery once."""
        backoff = Backoff()
        while True:
            self._replaced = False
            try:
                with anyio.CancelScope() as self._standing:
                    await self._session()
            except Exception as raised:  # noqa: BLE001  # whatever an adapter raises is a lost session here; _judged says which
                error = self._judged(raised)
            else:
                why = "its connection settings were changed" if self._replaced else "the session ended"
                error = TemporaryError(why, where=self.url)
            was_online = self.online
            self._down(error)
            if was_online and self._clock.monotonic() - self._online_since > HEALTHY_AFTER:
                backoff.reset()
            if self._replaced:
                backoff.reset()
            else:
                await self._pause(backoff.next())

    def reconfigure(self, settings: ConnectionSettings) -> None:
        """The connection goes on under settings that it takes as it stands."""
        self._connection.reconfigure(settings)

    def learn(self, profiles: ProfileLibrary) -> None:
        self._connection.learn(profiles)

    def replace(self, connection: Connection, user: str | None) -> None:
        """Go on over another connection, at once: the session that stands ends, and what is subscribed is subscribed again."""
        self._connection = connection
        self.points.use(connection)
        self.description.use(connection, user)  # who else looks may see other nodes
        self._replaced = True
        self._standing.cancel()
        self._hurry.set()

    async def _pause(self, seconds: float) -> None:
        async with anyio.create_task_group() as waiting:

            async def sleep() -> None:
                await self._clock.sleep(seconds)
                waiting.cancel_scope.cancel()

            waiting.start_soon(sleep, name=f"back-off {self.url}")
            await self._hurry.wait()
            waiting.cancel_scope.cancel()
        self._hurry = anyio.Event()

    async def _session(self) -> None:
        async with anyio.create_task_group() as session:
            await session.start(self._serve, name=f"session {self.url}")
            self.alive()
            await self._up()
            session.start_soon(self.events.keep, self._connection, name=f"events {self.url}")
            await self.description.keep(self._checked)

    async def _place(self, facts: BrowseFacts | None, verified: bool) -> None:
        await self._described(self, facts, verified)

    def _checked(self) -> None:
        """The description is that of what is there: who waits for it, or shows it, looks again."""
        if self.detail == UNVERIFIED:
            self._set("online")

    async def _serve(self, *, task_status: TaskStatus[None]) -> None:
        await self._connection.run(self, task_status=task_status)
        raise TemporaryError("the session ended", where=self.url)

    async def _up(self) -> None:
        await self.description.arrive()
        if self._lost_at is not None:
            self._outage = {handle: self._outage.get(handle, self._lost_at) for handle in self.points.wanted}
        await self.points.begin()
        self._router.heard(self.points.wanted, self._clock.now())
        if self._lost_at is not None:
            log.info("connection restored", endpoint=self.url)
        self._lost_at = None
        self._online_since = self._clock.monotonic()
        self._set("online")
        if not self.description.verified:
            self.detail = UNVERIFIED
        self._tried.set()

    def _report(self, what: str, done: int, total: int | None) -> None:
        for listener in tuple(self.progress):
            listener(what, done, total)

    def _judged(self, raised: Exception) -> DtiosError:
        error = first_error(raised)
        if error is None:
            log.error("adapter failed", endpoint=self.url, exc_info=raised)
            return TemporaryError(
                f"its adapter failed ({type(raised).__name__}: {raised})", where=self.url, mend="report it with the log"
            )
        return error

    def _down(self, error: DtiosError) -> None:
        self.points.end()
        if self._lost_at is None and self._tried.is_set() and self.online:
            self._lost_at = self._heard_at
            log.warning("connection lost", endpoint=self.url, reason=error.message)
        elif not self._tried.is_set():
            log.info("not connected", endpoint=self.url, reason=str(error))
        self.events.down(self._heard_at)
        if self.health not in ("offline", "failed"):  # each failed try to reconnect is no news to anybody
            self._router.make_up(self.points.wanted, BAD_NO_COMMUNICATION, self._clock.now())
        lasting = isinstance(error, ConfigurationError | CredentialsError)
        self._set("failed" if lasting else "offline", error)
        self._tried.set()

    # --- Sink, for the connection ---

    async def deliver(self, batch: Batch) -> None:
        self.alive()
        if self._outage:
            self._end_outage(heard_in(batch), batch.receive_time)
        if self.points.notice(batch):
            self.description.doubt()
        await self._router.deliver(batch)
        self.alive()  # waiting for a slow consumer was our doing, not the machine's silence

    def _over(self, handles: Sequence[int]) -> None:
        self._end_outage(handles, self._clock.now())

    def _end_outage(self, handles: Iterable[int], now: int) -> None:
        """Each signal's Gap ends with the first that is heard of it again, and stands before that."""
        back: dict[int, list[int]] = {}
        for handle in dict.fromkeys(handles):
            since = self._outage.pop(handle, None)
            if since is not None:
                back.setdefault(since, []).append(handle)
        for since, some in back.items():
            self._router.miss(some, Gap(GapCause.CONNECTION_LOST, receive_from=since, receive_to=now))

    @property
    def received(self) -> tuple[int, Mapping[int, int]]:
        """Until when (ns UTC) all that came is known to have been received, and the signals that are lost since earlier."""
        return self._heard_at if self._lost_at is None else self._lost_at, self._outage

    def lost(self, loss: Loss) -> None:
        now = self._clock.now()
        handles = self.points.wanted if loss.handles is None else loss.handles
        since = self._heard_at if loss.since is None else min(loss.since, now)
        if loss.events:
            self.events.lost(loss.cause, since, loss.count)
        if not handles:
            return
        if loss.cause is GapCause.CONNECTION_LOST:
            if self.online and loss.since is not None:
                self._outage.update(dict.fromkeys(handles, min(loss.since, now)))
            return
        log.warning("values missed", endpoint=self.url, cause=loss.cause, count=loss.count)
        self._router.miss(handles, Gap(loss.cause, receive_from=since, receive_to=now, count=loss.count))

    def alive(self) -> None:
        self._heard = self._clock.monotonic()
        self._heard_at = self._clock.now()

    def condition(self, source: str, condition: Condition) -> None:
        self.alive()
        self.events.condition(source, condition)

    def conditions_refreshed(self) -> None:
        self.alive()
        self.events.refreshed()

    async def event(self, event: Event) -> None:
        self.alive()
        self.events.event(event)

    def clock(self, offset: int, error: int) -> None:
        self.alive()
        if self.offset.take(offset, error, self._clock.monotonic()):
            self._tell()

    def changed(self) -> None:
        self.alive()
        self.description.doubt()

    def presence(self, addresses: Sequence[str], detail: str) -> None:
        self.absences.tell(addresses, detail)

    # --- signals ---

    def last(self, handle: int) -> DataValue | None:
        return self._router.last(handle)

    def closed(self) -> None:
        """It ends for good: whoever still holds or waits for it is told."""
        self._ended = True
        self._router.make_up(self.points.wanted, BAD_NO_COMMUNICATION, self._clock.now())
        self._set("offline", TemporaryError("its connection was closed", where=self.url, mend="connect to it again"))
        self._tried.set()

    # --- point I/O ---

    async def read(self, addresses: Sequence[str]) -> list[DataValue]:
        readings = await self.session().read(addresses)
        self._notice_gone(addresses, readings)
        now = self._clock.now()
        return [r if r.receive_time is not None else replace(r, receive_time=now) for r in readings]

    def _notice_gone(self, addresses: Sequence[str], readings: Sequence[DataValue]) -> None:
        """A node that answers that it is not there casts a doubt, once until it is there again."""
        gone = {address for address, reading in zip(addresses, readings, strict=True) if reading.status in GONE}
        self._doubted -= set(addresses) - gone
        if not gone <= self._doubted:
            self._doubted |= gone
            self.description.doubt()

    async def write(self, writes: Sequence[Write], last_check: LastCheck) -> list[int]:
        return await self.session().write(writes, last_check)

    async def command_condition(self, command: ConditionCommand, last_check: LastCheck) -> None:
        await self.session().command_condition(command, last_check)

    async def publish(self, message: Publish, last_check: LastCheck) -> None:
        await self.session().publish(message, last_check)

    async def call(self, call: Call, last_check: LastCheck) -> list[Any]:
        return await self.session().call(call, last_check)


def first_error(raised: BaseException) -> DtiosError | None:
    """The first error of our tree in what may be a group; None if it holds only strangers."""
    if isinstance(raised, DtiosError):
        return raised
    if isinstance(raised, BaseExceptionGroup):
        return next((e for e in map(first_error, raised.exceptions) if e is not None), None)
    return None
