"""What one connection tells beside values: watched while somebody wants it, from session to session."""

from collections.abc import Sequence
from typing import Final, Protocol

import anyio
import structlog

from dtios.model.condition import Condition
from dtios.model.errors import DtiosError, TemporaryError
from dtios.model.event import Event
from dtios.model.gap import Gap, GapCause
from dtios.sdk.adapter import Connection, EventFields
from dtios.sdk.clock import Clock

__all__ = ["EventListener", "EventWatch"]

log = structlog.get_logger("dtios.events")

AGAIN: Final = 10.0
"""Seconds until a machine that could not be watched is asked again in the same session."""


class EventListener(Protocol):
    """Who knows the machines behind the connection."""

    def wanted(self) -> Sequence[EventFields]:
        """The events that are Results of these machines."""
        ...

    def condition(self, source: str, condition: Condition) -> None: ...

    def down(self) -> None: ...

    def refreshed(self) -> None: ...

    def event(self, event: Event) -> None: ...

    def missed(self, gap: Gap) -> None:
        """Results may be missing here."""
        ...


class EventWatch:
    """Of one link. Whoever needs it says `want`, and `release` when it needs it no more."""

    def __init__(self, url: str, clock: Clock) -> None:
        self.listener: EventListener | None = None
        self.error: DtiosError | None = None
        """Why the machine could not be watched; its values come all the same."""
        self._url = url
        self._clock = clock
        self._uses = 0
        self._watching = False
        self._away_since: int | None = None
        self._changed = anyio.Event()
        self._told = anyio.Event()
        self._tried = anyio.Event()

    def want(self) -> None:
        self._uses += 1
        self.reconsider()

    def release(self) -> None:
        """The session keeps what it has; the next one is not asked for it any more."""
        self._uses -= 1

    def reconsider(self) -> None:
        """Perhaps other events are wanted than before."""
        changed, self._changed = self._changed, anyio.Event()
        changed.set()

    async def wait_watched(self, limit: float) -> None:
        """Until it is watched or cannot be, or `limit` seconds."""
        with anyio.move_on_after(limit):
            await self._tried.wait()

    async def wait_told(self, limit: float) -> None:
        """Until all conditions that there are were told, or `limit` seconds. Raises why they cannot be."""
        with anyio.move_on_after(limit):
            await self._told.wait()
        if self.error is not None:
            raise self.error

    async def keep(self, connection: Connection) -> None:
        """For as long as a session stands."""
        asked: list[EventFields] | None = None
        while True:
            changed = self._changed
            wanted = list(self.listener.wanted()) if self._uses and self.listener is not None else asked
            if wanted != asked and wanted is not None:
                await self._watch(connection, wanted)
                asked = wanted
                if isinstance(self.error, TemporaryError):
                    await self._clock.sleep(AGAIN)
                    asked = None
                    continue
            await changed.wait()

    async def _watch(self, connection: Connection, wanted: list[EventFields]) -> None:
        error: DtiosError | None = None
        try:
            await connection.watch_events(wanted)
        except DtiosError as raised:
            error = raised
        except Exception as raised:  # what an adapter does wrong here must not take the values with it
            log.exception("adapter failed", endpoint=self._url)
            error = TemporaryError(f"its adapter failed ({type(raised).__name__}: {raised})", where=self._url)
        if error is not None and self.error is None:
            log.warning("conditions and events are not told", endpoint=self._url, reason=str(error))
        self.error = error
        self._watching = error is None
        self._back()
        self._tried.set()
        if error is not None or type(connection).watch_events is Connection.watch_events:
            self._told.set()  # nothing more will come

    def down(self, since: int) -> None:
        """The session is lost; it was last heard of at `since`."""
        self._told, self._tried = anyio.Event(), anyio.Event()
        if self._watching:
            self._watching = False
            self._away_since = since
        if self.listener is not None:
            self.listener.down()

    def _back(self) -> None:
        if self._away_since is not None:
            since, self._away_since = self._away_since, None
            self._missed(Gap(GapCause.CONNECTION_LOST, receive_from=since, receive_to=self._clock.now()))

    def lost(self, cause: GapCause, since: int, count: int | None) -> None:
        """Some are known to be missing, while the session lives on."""
        self._missed(Gap(cause, receive_from=since, receive_to=self._clock.now(), count=count))

    def _missed(self, gap: Gap) -> None:
        if self.listener is not None:
            self.listener.missed(gap)

    # --- from the connection ---

    def condition(self, source: str, condition: Condition) -> None:
        if self.listener is not None:
            self.listener.condition(source, condition)

    def refreshed(self) -> None:
        if self.listener is not None:
            self.listener.refreshed()
        self._told.set()

    def event(self, event: Event) -> None:
        self._back()  # what was missed stands before it
        if self.listener is not None:
            self.listener.event(event)
