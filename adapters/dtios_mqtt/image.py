"""The process image: the last reading of every point that was heard of, and the points that are subscribed.

MQTT cannot be asked: what a machine said last is all that is known. While the session is lost the runtime calls it Bad; with a
new session the image begins anew, from births and retained messages.
"""

from collections.abc import Iterable, Sequence
from itertools import repeat
from typing import Any, Final, NamedTuple

import anyio

from dtios.model.batch import Batch
from dtios.model.gap import GapCause
from dtios.model.status import BAD_NODE_ID_UNKNOWN, BAD_WAITING_FOR_INITIAL_DATA, is_bad
from dtios.model.values import NO_TIME, DataValue
from dtios.sdk.adapter import Loss, MonitoredPoint, Sink
from dtios_mqtt.missed import Missed, Reading

__all__ = ["ProcessImage", "Reading", "Readings"]

_MOST: Final = 1_000
"""Readings that are held back for one batch."""
_RECENT: Final = 16
"""Messages that are not entered into the image until it is asked."""
_MOST_GONE: Final = 100_000
"""Points that are known to exist no more; of those before them nothing is known, as of one that was never heard of."""
_UNSAID: Final = (None, BAD_WAITING_FOR_INITIAL_DATA, NO_TIME, None)
_NO_MORE: Final = (None, BAD_NODE_ID_UNKNOWN, NO_TIME, None)


class Readings(NamedTuple):
    """Readings in columns, as many rows in each."""

    addresses: list[str]
    values: list[Any]
    statuses: list[int]
    sources: list[int]


class ProcessImage:
    """One for each session. Readings of one message go to the sink as one batch, and with those of messages that came with it and
    wait behind it already, where the speaker says that it may be so: what is handed on costs by the batch."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._turn = anyio.Lock(fast_acquire=True)
        """Of the sink, which is given one batch at a time."""
        self.missed: Missed | None = None
        """While it is there, what is told of points that nobody has subscribed yet is kept for who does."""
        self._last: dict[str, tuple[Any, int, int, int]] = {}
        """Value, status, source and receive time: but for what is `_recent`."""
        self._recent: list[tuple[Readings, int]] = []
        self._gone: dict[str, None] = {}
        self._followers: dict[str, list[int]] = {}
        self._single: dict[str, int] = {}
        """The handle of each point that one alone follows, as most are."""
        self._points: dict[int, str] = {}
        self._held = Batch([], [], [], [], [], 0)

    def know(self, addresses: Iterable[str]) -> None:
        """These points exist (again), whether or not anything was said of them."""
        for address in addresses if self._gone else ():
            self._gone.pop(address, None)

    async def forget(self, addresses: Sequence[str], received: int) -> None:
        """These exist no more, until something is said of them: whoever follows or reads them is told BadNodeIdUnknown."""
        await self.tell([(address, None, BAD_NODE_ID_UNKNOWN, NO_TIME) for address in addresses], received)
        self._catch_up()
        for address in addresses:
            self._last.pop(address, None)
            self._gone.pop(address, None)  # to be the newest
            self._gone[address] = None
        while len(self._gone) > _MOST_GONE:
            del self._gone[next(iter(self._gone))]

    async def tell(self, readings: Sequence[Reading], received: int, *, hold: bool = False) -> None:
        """As `tell_columns`."""
        if readings:
            await self.tell_columns(Readings(*map(list, zip(*readings, strict=True))), received, hold=hold)

    async def tell_columns(self, readings: Readings, received: int, *, hold: bool = False) -> None:
        """What a message said, in its order. Returns when the sink has taken it: the back-pressure. `hold`: more is to come at
        once, and `flush` after it; nothing is held for long or in great number, and only what was received at one time is held
        together, for a batch has one time of receipt."""
        addresses = readings.addresses
        if self._held.handles and self._held.receive_time != received:
            await self.flush()
        self._held.receive_time = received
        self._recent.append((readings, received))
        if len(self._recent) >= _RECENT:
            self._catch_up()
        if self._gone:
            self.know(addresses)
        self._add(readings)
        if self._held.handles and (not hold or len(self._held.handles) >= _MOST):
            await self.flush()

    def _catch_up(self) -> None:
        """Machines say the same points again and again, and are seldom asked in between: of what has the very same column of
        addresses the newest is enough."""
        newest: dict[int, tuple[Readings, int]] = {}
        for told in self._recent:
            newest.pop(id(told[0].addresses), None)
            newest[id(told[0].addresses)] = told
        for (addresses, *columns), received in newest.values():
            self._last.update(zip(addresses, zip(*columns, repeat(received), strict=False), strict=True))
        self._recent.clear()

    def _add(self, readings: Readings) -> None:
        """To what is held, for all who follow."""
        held = self._held
        handles: list[Any] = list(map(self._single.get, readings.addresses))
        if None not in handles:
            held.handles += handles
            held.values += readings.values
            held.statuses += readings.statuses
            held.source_times += readings.sources
            return
        for address, value, status, source in zip(*readings, strict=True):
            followers = self._followers.get(address, ())
            for handle in followers:
                _append(held, handle, value, status, source)
            if self.missed is not None and not followers:
                self.missed.keep((address, value, status, source))

    async def flush(self) -> None:
        """Hand on what is held. To be called before anything is said of these points that is no reading."""
        held = self._held
        if held.handles:
            self._held = Batch([], [], [], [], [], 0)
            await self._deliver(held)

    async def _deliver(self, batch: Batch) -> None:
        batch.server_times = [NO_TIME] * len(batch.handles)
        async with self._turn:
            await self._sink.deliver(batch)

    async def lose(self, addresses: Iterable[str], status: int, received: int, source: int = NO_TIME) -> None:
        """The machine said goodbye (at `source`, ns, where it says when): these are Bad from now on, not last-known-good."""
        assert is_bad(status)
        await self.tell([(address, None, status, source) for address in addresses], received)

    async def subscribe(self, points: Sequence[MonitoredPoint], now: int) -> list[int]:
        """A StatusCode each; what is known comes first, and BadWaitingForInitialData where nothing was said yet: a machine may
        make itself known at any time. Of a session that the broker had kept, all that was missed comes first."""
        missed, dropped = ({}, {}) if self.missed is None else self.missed.take(point.address for point in points)
        self._catch_up()
        statuses: list[int] = []
        batches: list[Batch] = []
        for point in points:
            if point.address in self._gone:
                statuses.append(BAD_NODE_ID_UNKNOWN)
                continue
            statuses.append(0)
            self._points[point.handle] = point.address
            self._follow(point.address, [*self._followers.get(point.address, ()), point.handle])
            for _, value, status, source in missed.get(point.address) or [(point.address, *self._present(point.address)[:3])]:
                if not batches or len(batches[-1].handles) >= _MOST:
                    batches.append(Batch([], [], [], [], [], now))
                _append(batches[-1], point.handle, value, status, source)
            if point.address in dropped:
                self._sink.lost(Loss(GapCause.QUEUE_OVERFLOW, (point.handle,), dropped[point.address]))
        for batch in batches:
            await self._deliver(batch)
        return statuses

    def _present(self, address: str) -> tuple[Any, int, int, int | None]:
        return self._last.get(address) or (_NO_MORE if address in self._gone else _UNSAID)

    def unsubscribe(self, handles: Iterable[int]) -> None:
        for handle in handles:
            address = self._points.pop(handle, None)
            if address is not None:
                self._follow(address, [one for one in self._followers[address] if one != handle])

    def _follow(self, address: str, handles: list[int]) -> None:
        self._followers[address] = handles
        self._single.pop(address, None)
        if len(handles) == 1:
            self._single[address] = handles[0]
        elif not handles:
            del self._followers[address]

    def read(self, address: str) -> DataValue:
        self._catch_up()
        value, status, source, received = self._present(address)
        return DataValue(value, status, None if source == NO_TIME else source, None, received)

    def handles(self, addresses: Iterable[str]) -> tuple[int, ...]:
        """The subscribed handles of these points, to say which of them lost something."""
        return tuple(handle for address in addresses for handle in self._followers.get(address, ()))


def _append(batch: Batch, handle: int, value: Any, status: int, source: int) -> None:
    batch.handles.append(handle)
    batch.values.append(value)
    batch.statuses.append(status)
    batch.source_times.append(source)
