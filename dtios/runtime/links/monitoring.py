"""The points of one link: which are wanted, which are subscribed in this session, and the difference made good.

A point is wanted for as long as somebody wants it, through any number of sessions. What is subscribed follows: after a
reconnect all of it, and while a session stands (`settle`) what changed, what went and what came back.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import anyio
import structlog

from dtios.mapping.conversion import Conversion
from dtios.model.batch import Batch
from dtios.model.datatypes import ValueType
from dtios.model.errors import DtiosError
from dtios.model.gap import Gap, GapCause
from dtios.model.status import BAD_NO_COMMUNICATION, BAD_NODE_ID_UNKNOWN, is_bad, status_code
from dtios.runtime.data.router import Router
from dtios.sdk.adapter import Connection, DeadBand, MonitoredPoint
from dtios.sdk.clock import Clock

__all__ = ["GONE", "Monitoring"]

log = structlog.get_logger("dtios.link")

GONE: Final = frozenset({status_code("BadNodeIdUnknown"), status_code("BadNodeIdInvalid")})
"""What a server says of a node that is not there (any more)."""
UNSUBSCRIBE_LIMIT: Final = 0.5


class Monitoring:
    """`over` is called with handles of which nothing will be heard: an outage has ended for them."""

    def __init__(
        self, url: str, connection: Connection, router: Router, clock: Clock, over: Callable[[Sequence[int]], None]
    ) -> None:
        self._url = url
        self._connection = connection
        self._router = router
        self._clock = clock
        self._over = over
        self._points: dict[int, MonitoredPoint] = {}
        self._raw: dict[str, int] = {}
        self._wanted: Counter[int] = Counter()
        self._guarded: list[int] = []
        self._subscribed: dict[int, MonitoredPoint] = {}
        self._refused: dict[int, tuple[int, int]] = {}  # handle -> (status, since when)
        self._vanished: set[int] = set()
        self._lost: set[int] = set()
        self._anew: set[int] = set()
        self._retired: set[int] = set()
        self._stands = False
        self._changing = anyio.Lock()

    @property
    def wanted(self) -> list[int]:
        return list(+self._wanted)

    def handle(
        self,
        known: int | None,
        address: str,
        type: ValueType,
        conversion: Conversion | None = None,
        *,
        sampling: float | None = None,
        dead_band: DeadBand | None = None,
    ) -> int:
        """A handle for a point; the known one goes on under what is perhaps a new address. `settle` makes it so."""
        handle = self._router.register(conversion) if known is None else known
        self._retired.discard(handle)
        self._lost.discard(handle)
        if known is not None and self._router.conversion(handle) != conversion:
            self._vanished.add(handle)  # its values are others from now on: that must show
        self._router.convert(handle, conversion)
        self._points[handle] = MonitoredPoint(handle, address, type, sampling, dead_band=dead_band)
        return handle

    def raw(self, address: str, type: ValueType) -> int:
        """A handle for a point as it is on the wire, whether or not it is a signal: for skill bindings."""
        if address not in self._raw:
            self._raw[address] = self.handle(None, address, type)
        return self._raw[address]

    def retire(self, handle: int) -> None:
        """Its path is no longer described: whoever follows it is told Bad, until it is described again."""
        self._retired.add(handle)

    def lose(self, handle: int) -> None:
        """Its node is gone: whoever follows it is told so. What is subscribed stays, for some servers go on with it when the node
        is back; where they do not, it is subscribed anew as soon as it is described again."""
        self._lost.add(handle)
        self._vanished.add(handle)
        if self._stands and self._wanted[handle] > 0:
            self._refuse(handle, BAD_NODE_ID_UNKNOWN)

    def is_used(self, handle: int) -> bool:
        return self._wanted[handle] > 0

    def drop(self, handles: Iterable[int]) -> None:
        """These points, which nobody uses, are known no longer."""
        for handle in handles:
            self._router.release([handle])
            self._points.pop(handle, None)
            for marked in (self._vanished, self._retired, self._lost):
                marked.discard(handle)

    # --- sessions ---

    async def begin(self) -> None:
        """A session came up: all that is wanted is subscribed."""
        async with self._changing:
            self._stands = True
            self._refused.clear()
            self._anew.clear()
            self._vanished.clear()
            self._subscribed.clear()
            self._wanted = +self._wanted
            self._router.forget(self._wanted)  # what was true before, or in a session that never stood, is no reading of now
            await self._subscribe([h for h in self._wanted if h in self._points])

    def end(self) -> None:
        self._stands = False

    @property
    def stands(self) -> bool:
        """A session has come up, and is not lost."""
        return self._stands

    async def settle(self) -> None:
        """Make good what differs. A point that goes on as it was is not touched; one that was refused is asked for again."""
        async with self._changing:
            if not self._stands:
                return
            stale = [h for h, point in self._subscribed.items() if self._is_stale(h, point)]
            since = self._clock.now()
            if stale:
                await self._unsubscribe(stale)
            self._vanished &= self._lost
            self._wanted = +self._wanted
            for handle in stale:
                if handle in self._wanted and handle not in self._refused and handle not in self._retired:
                    self._router.forget([handle])
                    self._missed(handle, since, self._clock.now())
            try:
                await self._subscribe([h for h in self._wanted if h in self._points and h not in self._subscribed])
            except DtiosError as error:  # asked for again by the next session, or the next `settle`
                log.warning("not subscribed anew", endpoint=self._url, reason=str(error))

    def _is_stale(self, handle: int, point: MonitoredPoint) -> bool:
        unused = self._wanted[handle] <= 0 or handle in self._retired
        anew = handle in self._vanished and handle not in self._lost
        return unused or anew or self._points.get(handle) != point

    def notice(self, batch: Batch) -> bool:
        """Look for points whose nodes are gone, and for those that are back; before the batch goes to consumers. True where that
        is news. `settle` asks for those again that are described all the same."""
        if GONE.isdisjoint(batch.statuses) and self._refused.keys().isdisjoint(batch.handles):
            return False
        news = False
        for handle, status in zip(batch.handles, batch.statuses, strict=True):
            if status in GONE:
                news = news or handle not in self._refused
                self._refused.setdefault(handle, (status, batch.receive_time))
                self._vanished.add(handle)
            elif handle in self._refused:
                self._vanished.discard(handle)
                news = news or handle in self._lost
                since = self._refused.pop(handle)[1]
                if handle in self._anew:  # else the machine went on with what was subscribed, and nothing is missing
                    self._anew.discard(handle)
                    self._missed(handle, since, batch.receive_time)
        return news

    def _missed(self, handle: int, since: int, now: int) -> None:
        self._router.miss([handle], Gap(GapCause.SUBSCRIPTION_RECREATED, receive_from=since, receive_to=now))

    # --- who wants what ---

    async def monitor(self, handles: Iterable[int]) -> None:
        """Keep these subscribed until `release`; counted, so that consumers share one monitored item."""
        async with self._changing:
            fresh = [h for h in handles if not self._wanted[h]]
            self._wanted.update(handles)
            if self._stands:
                try:
                    await self._subscribe(fresh)
                except BaseException:
                    self._wanted.subtract(handles)  # its caller never comes to `release` it
                    self._wanted = +self._wanted
                    raise
            else:
                self._router.make_up(fresh, BAD_NO_COMMUNICATION, self._clock.now())
            for handle in handles:
                if handle in self._refused and handle not in fresh:
                    self._router.make_up([handle], self._refused[handle][0], self._clock.now())

    async def release(self, handles: Iterable[int]) -> None:
        """Also when cancelled; a machine that does not answer holds nobody up for longer than UNSUBSCRIBE_LIMIT."""
        self._wanted.subtract(handles)
        with anyio.move_on_after(UNSUBSCRIBE_LIMIT, shield=True):
            async with self._changing:
                unused = [h for h in handles if self._wanted[h] <= 0]
                for handle in unused:
                    del self._wanted[handle]
                    self._refused.pop(handle, None)
                self._router.forget(unused)
                if unused and self._stands:
                    await self._unsubscribe(unused)

    async def guard(self, handles: Sequence[int]) -> None:
        """Keep exactly these subscribed for the gate's interlocks, whether or not a session stands."""
        async with self._changing:
            before, self._guarded = self._guarded, list(handles)
            fresh = [h for h in self._guarded if not self._wanted[h]]
            self._wanted.update(self._guarded)
            self._wanted.subtract(before)
            unused = [h for h in before if self._wanted[h] <= 0]
            self._wanted = +self._wanted
            self._router.forget(unused)
            if self._stands:
                try:
                    await self._subscribe(fresh)
                except DtiosError as error:  # then they have no reading, and the gate refuses
                    log.warning("interlocks are not followed", endpoint=self._url, reason=str(error))
                await self._unsubscribe(unused)

    @property
    def guarded(self) -> tuple[int, ...]:
        return tuple(self._guarded)

    def use(self, connection: Connection) -> None:
        """Over another connection from the next session on."""
        self._connection = connection

    def forget_all(self) -> None:
        """The link has ended: its handles are given back."""
        self._router.release(self._points)
        self._points.clear()
        self._retired.clear()
        self._raw.clear()
        self._wanted.clear()

    # --- at the machine ---

    async def _unsubscribe(self, handles: Sequence[int]) -> None:
        held = [h for h in handles if self._subscribed.pop(h, None) is not None]
        if not held:
            return
        try:
            await self._connection.unsubscribe(held)
        except DtiosError as error:
            log.debug("not unsubscribed", endpoint=self._url, reason=str(error))

    async def _subscribe(self, handles: Sequence[int]) -> None:
        for handle in handles:
            if handle in self._retired:
                self._refuse(handle, BAD_NODE_ID_UNKNOWN)
        known = [h for h in handles if h not in self._retired]
        if not known:
            return
        points = [self._points[h] for h in known]
        self._anew |= self._refused.keys() & set(known)  # before the answer: values may come ahead of it
        try:
            statuses = await self._connection.subscribe(points)
        except DtiosError:
            for handle in known:
                self._subscribed.pop(handle, None)
            raise
        for handle, point, status in zip(known, points, statuses, strict=True):
            self._subscribed[handle] = point
            if is_bad(status):
                self._subscribed.pop(handle, None)
                self._anew.discard(handle)
                self._refuse(handle, status)

    def _refuse(self, handle: int, status: int) -> None:
        """Consumers are told once."""
        now = self._clock.now()
        told, since = self._refused.get(handle, (0, now))
        self._refused[handle] = (status, since)
        self._over([handle])
        if told != status and not {told, status} <= GONE:
            self._router.make_up([handle], status, now)
