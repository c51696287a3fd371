"""The process image: the last reading of every point that was heard of, and the points that are subscribed.

MQTT cannot be asked: what a machine said last is all that is known. While the session is lost the runtime calls it Bad; with a
new session the image begins anew, from births and retained messages.
"""

from collections.abc import Iterable, Sequence
from typing import Final

import anyio

from dtios.model.batch import Batch
from dtios.model.gap import GapCause
from dtios.model.status import BAD_NODE_ID_UNKNOWN, BAD_WAITING_FOR_INITIAL_DATA, is_bad
from dtios.model.values import NO_TIME, DataValue
from dtios.sdk.adapter import Loss, MonitoredPoint, Sink
from dtios_mqtt.missed import Missed, Reading

__all__ = ["ProcessImage", "Reading"]

_TOGETHER: Final = 20_000_000
"""ns: readings whose times of receipt differ by more are never in one batch, which has one time of receipt."""
_MOST: Final = 1_000


class ProcessImage:
    """One for each session. Readings of one message go to the sink as one batch, and with those of messages that wait behind it
    already, where the speaker says that it may be so: what is handed on costs by the batch."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._turn = anyio.Lock(fast_acquire=True)
        """Of the sink, which is given one batch at a time."""
        self.missed: Missed | None = None
        """While it is there, what is told of points that nobody has subscribed yet is kept for who does."""
        self._last: dict[str, DataValue] = {}
        self._gone: set[str] = set()
        self._handles: dict[str, list[int]] = {}
        self._points: dict[int, str] = {}
        self._held: list[tuple[int, Reading]] = []
        self._held_since = 0
        self._held_until = 0

    def know(self, addresses: Iterable[str]) -> None:
        """These points exist (again), whether or not anything was said of them."""
        self._gone.difference_update(addresses)

    async def forget(self, addresses: Sequence[str], received: int) -> None:
        """These exist no more, until something is said of them: whoever follows or reads them is told BadNodeIdUnknown."""
        await self.tell([(address, None, BAD_NODE_ID_UNKNOWN, NO_TIME) for address in addresses], received)
        self._gone.update(addresses)

    async def tell(self, readings: Sequence[Reading], received: int, *, hold: bool = False) -> None:
        """What a message said, in its order. Returns when the sink has taken it: the back-pressure. `hold`: more is to come at
        once, and `flush` after it; nothing is held for long or in great number."""
        if self._held and received - self._held_since > _TOGETHER:
            await self.flush()
        if not self._held:
            self._held_since = received
        self._held_until = received
        held, known, last, gone, missed = self._held, self._handles, self._last, self._gone, self.missed
        for reading in readings:
            address, value, status, source = reading
            last[address] = DataValue(value, status, None if source == NO_TIME else source, None, received)
            if gone:
                gone.discard(address)
            handles = known.get(address, ())
            for handle in handles:
                held.append((handle, reading))
            if missed is not None and not handles:
                missed.keep(reading)
        if held and (not hold or len(held) >= _MOST):
            await self.flush()

    async def flush(self) -> None:
        """Hand on what is held. To be called before anything is said of these points that is no reading."""
        held, self._held = self._held, []
        if held:
            await self._deliver([handle for handle, _ in held], [row for _, row in held], self._held_until)

    async def _deliver(self, handles: list[int], rows: list[Reading], received: int) -> None:
        async with self._turn:
            await self._sink.deliver(_batch(handles, rows, received))

    async def lose(self, addresses: Iterable[str], status: int, received: int, source: int = NO_TIME) -> None:
        """The machine said goodbye (at `source`, ns, where it says when): these are Bad from now on, not last-known-good."""
        assert is_bad(status)
        await self.tell([(address, None, status, source) for address in addresses], received)

    async def subscribe(self, points: Sequence[MonitoredPoint], now: int) -> list[int]:
        """A StatusCode each; what is known comes first, and BadWaitingForInitialData where nothing was said yet: a machine may
        make itself known at any time. Of a session that the broker had kept, all that was missed comes first."""
        missed, dropped = ({}, {}) if self.missed is None else self.missed.take(point.address for point in points)
        statuses: list[int] = []
        rows: list[tuple[int, Reading]] = []
        for point in points:
            if point.address in self._gone:
                statuses.append(BAD_NODE_ID_UNKNOWN)
                continue
            statuses.append(0)
            self._handles.setdefault(point.address, []).append(point.handle)
            self._points[point.handle] = point.address
            rows += [(point.handle, reading) for reading in missed.get(point.address) or [self._present(point.address)]]
            if point.address in dropped:
                self._sink.lost(Loss(GapCause.QUEUE_OVERFLOW, (point.handle,), dropped[point.address]))
        for at in range(0, len(rows), _MOST):
            await self._deliver([handle for handle, _ in rows[at : at + _MOST]], [r for _, r in rows[at : at + _MOST]], now)
        return statuses

    def _present(self, address: str) -> Reading:
        last = self.read(address)
        return (address, last.value, last.status, NO_TIME if last.source_time is None else last.source_time)

    def unsubscribe(self, handles: Iterable[int]) -> None:
        for handle in handles:
            address = self._points.pop(handle, None)
            if address is not None:
                self._handles[address].remove(handle)

    def read(self, address: str) -> DataValue:
        return self._last.get(address) or DataValue(None, BAD_WAITING_FOR_INITIAL_DATA)

    def handles(self, addresses: Iterable[str]) -> tuple[int, ...]:
        """The subscribed handles of these points, to say which of them lost something."""
        return tuple(handle for address in addresses for handle in self._handles.get(address, ()))


def _batch(handles: list[int], rows: list[Reading], received: int) -> Batch:
    return Batch(
        handles,
        [value for _, value, _, _ in rows],
        [status for _, _, status, _ in rows],
        [source for _, _, _, source in rows],
        [NO_TIME] * len(rows),
        received,
    )
