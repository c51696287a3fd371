"""The process image: the last reading of every point that was heard of, and the points that are subscribed.

MQTT cannot be asked: what a machine said last is all that is known. While the session is lost the runtime calls it Bad; with a
new session the image begins anew, from births and retained messages.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from dtios.model.batch import Batch
from dtios.model.status import BAD_NODE_ID_UNKNOWN, BAD_WAITING_FOR_INITIAL_DATA, is_bad
from dtios.model.values import NO_TIME, DataValue
from dtios.sdk.adapter import MonitoredPoint, Sink

__all__ = ["ProcessImage", "Reading"]

_TOGETHER: Final = 20_000_000
"""ns: readings whose times of receipt differ by more are never in one batch, which has one time of receipt."""
_MOST: Final = 1_000

Reading = tuple[str, object, int, int]
"""(address, value, status, source time in ns or NO_TIME); a Bad reading has the value None."""


class ProcessImage:
    """One for each session. Readings of one message go to the sink as one batch, and with those of messages that wait behind it
    already, where the speaker says that it may be so: what is handed on costs by the batch."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
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
        held, known, last, gone = self._held, self._handles, self._last, self._gone
        for reading in readings:
            address, value, status, source = reading
            last[address] = DataValue(value, status, None if source == NO_TIME else source, None, received)
            if gone:
                gone.discard(address)
            for handle in known.get(address, ()):
                held.append((handle, reading))
        if held and (not hold or len(held) >= _MOST):
            await self.flush()

    async def flush(self) -> None:
        """Hand on what is held. To be called before anything is said of these points that is no reading."""
        held, self._held = self._held, []
        if held:
            await self._sink.deliver(_batch([handle for handle, _ in held], [row for _, row in held], self._held_until))

    async def lose(self, addresses: Iterable[str], status: int, received: int, source: int = NO_TIME) -> None:
        """The machine said goodbye (at `source`, ns, where it says when): these are Bad from now on, not last-known-good."""
        assert is_bad(status)
        await self.tell([(address, None, status, source) for address in addresses], received)

    async def subscribe(self, points: Sequence[MonitoredPoint], now: int) -> list[int]:
        """A StatusCode each; what is known comes first, and BadWaitingForInitialData where nothing was said yet: a machine may
        make itself known at any time."""
        statuses: list[int] = []
        handles: list[int] = []
        rows: list[Reading] = []
        for point in points:
            if point.address in self._gone:
                statuses.append(BAD_NODE_ID_UNKNOWN)
                continue
            statuses.append(0)
            self._handles.setdefault(point.address, []).append(point.handle)
            self._points[point.handle] = point.address
            last = self._last.get(point.address) or DataValue(None, BAD_WAITING_FOR_INITIAL_DATA)
            handles.append(point.handle)
            rows.append((point.address, last.value, last.status, NO_TIME if last.source_time is None else last.source_time))
        if handles:
            await self._sink.deliver(_batch(handles, rows, now))
        return statuses

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
