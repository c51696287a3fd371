"""One session of a client with an in-memory machine: monitored items with queues, publishing, and answers that may never come."""

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple, NoReturn, TypeGuard

import anyio

from dtios.model.batch import Batch
from dtios.model.condition import Condition
from dtios.model.errors import RefusedError, TemporaryError
from dtios.model.event import Event
from dtios.model.gap import GapCause
from dtios.model.status import OVERFLOW, status_code
from dtios.model.values import NO_TIME, DataValue
from dtios.sdk.adapter import ConnectionSettings, EventFields, Loss, MonitoredPoint, Sink

if TYPE_CHECKING:
    from dtios.testing.server import MemoryServer

__all__ = ["Answer", "Session"]

_QUEUE: Final = 10_000
"""Values kept for an item whose client asks for no length; then the oldest goes and the next carries the overflow bit."""
_MESSAGE: Final = 1_000
"""Values in one notification message at most."""


class _Said(NamedTuple):
    """A condition on its way to the client."""

    source: str
    condition: Condition


class _Refreshed:
    """All conditions that there are were told."""


_Pending = tuple[int, DataValue] | Loss | _Said | _Refreshed | Event


class Answer:
    """What the machine says to a command, some time or never."""

    def __init__(self) -> None:
        self.filled = anyio.Event()
        self.status = 0
        self.outputs: list[Any] = []
        self.error: RefusedError | None = None

    def fill(self, status: int = 0, outputs: list[Any] | None = None, error: RefusedError | None = None) -> None:
        self.status, self.outputs, self.error = status, outputs or [], error
        self.filled.set()


class Session:
    """Policy of each item's queue: drop-oldest, told by the overflow bit of the value that follows (Part 4, 5.13.1.5)."""

    def __init__(self, server: "MemoryServer", settings: ConnectionSettings) -> None:
        self._server = server
        self.settings = settings
        self._points: dict[int, MonitoredPoint] = {}
        self._handles: dict[str, list[int]] = {}
        self._pending: deque[_Pending] = deque()
        self._waiting: dict[int, int] = {}
        self._wake = anyio.Event()
        self._ended = anyio.Event()
        self._reason = ""
        self._sink: Sink | None = None
        self._watched: tuple[EventFields, ...] | None = None

    # --- the machine's side -------------------------------------------------------------------------------------------

    def changed(self, address: str, reading: DataValue) -> None:
        for handle in self._handles.get(address, ()):
            self._enqueue(handle, reading)

    def lose(self, addresses: Sequence[str] | None, cause: GapCause, count: int | None) -> None:
        handles = None if addresses is None else tuple(h for a in addresses for h in self._handles.get(a, ()))
        self._pending.append(Loss(cause, handles, count))
        self.wake()

    def vanished(self, addresses: Sequence[str]) -> None:
        """These nodes are gone; their items say so, and nothing more."""
        reading = DataValue(None, status_code("BadNodeIdUnknown"))
        for address in addresses:
            for handle in self._handles.pop(address, ()):
                self._enqueue(handle, reading)

    def space_changed(self) -> None:
        if self._sink is not None:
            self._sink.changed()

    def condition(self, source: str, condition: Condition) -> None:
        if self._watched is not None:
            self._pending.append(_Said(source, condition))
            self.wake()

    def refreshed(self) -> None:
        self._pending.append(_Refreshed())
        self.wake()

    def event(self, event: Event) -> None:
        """Only the fields that were asked for go out (Part 4, 7.22.3)."""
        asked = [one for one in self._watched or () if one.type in event.types]
        if asked:
            fields = {path for one in asked for path in one.fields}
            self._pending.append(replace(event, fields={p: v for p, v in event.fields.items() if p in fields}))
            self.wake()

    def end(self, reason: str) -> None:
        if not self._ended.is_set():
            self._reason = reason
            self._ended.set()

    def wake(self) -> None:
        self._wake.set()

    def _enqueue(self, handle: int, reading: DataValue) -> None:
        length = self._points[handle].queue or _QUEUE
        self._pending.append((handle, reading))
        self._waiting[handle] = self._waiting.get(handle, 0) + 1
        if self._waiting[handle] > length:
            self._drop_oldest(handle)
        self.wake()

    def _drop_oldest(self, handle: int) -> None:
        places = (i for i, item in enumerate(self._pending) if _is_value(item) and item[0] == handle)
        del self._pending[next(places)]
        self._waiting[handle] -= 1
        for index, item in enumerate(self._pending):
            if _is_value(item) and item[0] == handle:
                old = item[1]
                marked = DataValue(old.value, old.status | OVERFLOW, old.source_time, old.server_time)
                self._pending[index] = (handle, marked)
                return

    # --- the client's side ----------------------------------------------------------------------------------------------

    async def serve(self, sink: Sink) -> NoReturn:
        """Publish until the session is lost; raises TemporaryError with the reason."""
        self._sink = sink
        if self._server.tells_clock:
            sink.clock(self._server.skew, 1_000_000)
        async with anyio.create_task_group() as group:
            group.start_soon(self._publish, sink, name=f"{self._server.url} publish")
            group.start_soon(self._keep_alive, sink, name=f"{self._server.url} keep-alive")
            await self._ended.wait()
            group.cancel_scope.cancel()
        raise self._lost()

    async def _publish(self, sink: Sink) -> None:
        while True:
            await self._server.answering.wait()
            if not self._pending:
                self._wake = anyio.Event()
                await self._wake.wait()
                continue
            if self._server.latency:
                await self._server.clock.sleep(self._server.latency)
            first = self._pending[0]
            if _is_value(first):
                sink.alive()
                await sink.deliver(self._message())
                continue
            self._pending.popleft()
            if isinstance(first, Loss):
                sink.lost(first)
            elif isinstance(first, _Said):
                sink.condition(first.source, first.condition)
            elif isinstance(first, _Refreshed):
                sink.conditions_refreshed()
            elif isinstance(first, Event):
                await sink.event(first)

    def _message(self) -> Batch:
        batch = Batch([], [], [], [], [], self._server.clock.now())
        while self._pending and len(batch) < _MESSAGE and _is_value(first := self._pending[0]):
            self._pending.popleft()
            handle, reading = first
            self._waiting[handle] -= 1
            batch.handles.append(handle)
            batch.values.append(reading.value)
            batch.statuses.append(reading.status)
            batch.source_times.append(NO_TIME if reading.source_time is None else reading.source_time)
            batch.server_times.append(NO_TIME if reading.server_time is None else reading.server_time)
        return batch

    async def _keep_alive(self, sink: Sink) -> None:
        clock, limit = self._server.clock, self.settings.keep_alive
        heard = clock.monotonic()
        while True:
            await clock.sleep(limit / 4)
            if not self._server.frozen:
                heard = clock.monotonic()
                sink.alive()
            elif clock.monotonic() - heard > limit * 0.99:
                self.end(f"nothing was heard for {limit:g} s")
                return

    async def subscribe(self, points: Sequence[MonitoredPoint]) -> list[int]:
        await self.answer()
        statuses = [self._monitor(point) for point in points]
        return statuses

    def _monitor(self, point: MonitoredPoint) -> int:
        reading = self._server.reading(point.address)
        # A node that is there but whose value is Bad is monitored all the same (Part 4, 5.13.2).
        refusals = {status_code(s) for s in ("BadNodeIdUnknown", "BadAttributeIdInvalid", "BadNotReadable")}
        if reading.status in refusals:
            return reading.status
        self._server.monitored[point.address] += 1
        self._points[point.handle] = point
        self._handles.setdefault(point.address, []).append(point.handle)
        self._enqueue(point.handle, reading)
        return 0

    async def watch_events(self, wanted: Sequence[EventFields]) -> None:
        await self.answer()
        self._watched = tuple(wanted)
        self._server.alarms.refresh(self)

    async def unsubscribe(self, handles: Sequence[int]) -> None:
        await self.answer()
        gone = set(handles)
        for handle in gone & self._points.keys():
            point = self._points.pop(handle)
            watching = self._handles.get(point.address, [])
            if handle in watching:
                watching.remove(handle)
            self._waiting.pop(handle, None)
        self._pending = deque(i for i in self._pending if not _is_value(i) or i[0] not in gone)

    async def answer(self) -> None:
        """Wait for the machine to answer a question that changes nothing. Raises TemporaryError if it does not in time."""
        if self._ended.is_set():
            raise self._lost()
        if self._server.latency:
            await self._server.clock.sleep(self._server.latency)
        if not self._server.frozen:
            return
        if not await self._came(self._server.answering, self.settings.timeout):
            raise self._lost() if self._ended.is_set() else self._silent()

    async def answered(self, answer: Answer, timeout: float | None) -> bool:
        """Wait for the answer to a command that was handed over: False if it will never come."""
        return await self._came(answer.filled, timeout)

    @property
    def ended(self) -> bool:
        return self._ended.is_set()

    async def _came(self, event: anyio.Event, timeout: float | None) -> bool:
        if event.is_set():
            return True
        waits: list[Callable[[], Awaitable[Any]]] = [event.wait, self._ended.wait]
        if timeout is not None:
            waits.append(lambda: self._server.clock.sleep(timeout))
        return await _first(waits) == 0

    def _lost(self) -> TemporaryError:
        return TemporaryError(
            f"the connection is lost: {self._reason or 'it was closed'}",
            where=self._server.url,
            mend="it is tried again by itself",
        )

    def _silent(self) -> TemporaryError:
        return TemporaryError(
            f"no answer within {self.settings.timeout:g} s", where=self._server.url, mend="it is tried again by itself"
        )


def _is_value(item: _Pending) -> TypeGuard[tuple[int, DataValue]]:
    return type(item) is tuple


async def _first(waits: Sequence[Callable[[], Awaitable[Any]]]) -> int:
    """The index of the wait that ended first."""
    winners: list[int] = []

    async def wait(index: int) -> None:
        await waits[index]()
        winners.append(index)
        group.cancel_scope.cancel()

    async with anyio.create_task_group() as group:
        for index in range(len(waits)):
            group.start_soon(wait, index, name="first answer")
    return winners[0]
