"""One consumer's bounded queue between the router and whoever takes the values, with its policy and its account.

For each signal: received = delivered + conflated + dropped (each with a Gap) + pending. Rows that the runtime made up itself
(Bad on loss, the present value at the start) carry sequence number 0 and are not counted.
"""

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import anyio

from dtios.model.batch import Batch
from dtios.model.gap import Gap, GapCause
from dtios.model.values import NO_TIME
from dtios.sdk.clock import Clock
from dtios.sdk.protocol import Policy

__all__ = ["BLOCK_LIMIT", "Account", "Consumer", "Delivery"]

BLOCK_LIMIT: Final = 0.5
"""Seconds a full `block` queue may hold up a machine before it turns into drop-oldest, until it is empty again."""


@dataclass(slots=True)
class Delivery:
    """What a consumer takes at once: gaps first, then rows. It is pending until `Consumer.acknowledge` is told its number."""

    number: int
    gaps: list[tuple[int, Gap]]
    batch: Batch | None


@dataclass(slots=True, frozen=True)
class Account:
    """Promise 1 for one signal and consumer, in values."""

    received: int
    delivered: int
    conflated: int
    dropped: int
    pending: int

    @property
    def balanced(self) -> bool:
        return self.received == self.delivered + self.conflated + self.dropped + self.pending


class _Missing:
    """A Gap being widened while values go on being dropped."""

    __slots__ = ("count", "receive", "source")

    def __init__(self) -> None:
        self.count = 0
        self.source: list[int] = []
        self.receive: list[int] = []

    def add(self, source: int, receive: int) -> None:
        self.count += 1
        self.receive = [self.receive[0] if self.receive else receive, receive]
        if source != NO_TIME:
            self.source = [self.source[0] if self.source else source, source]

    def gap(self, cause: GapCause) -> Gap:
        first, last = (self.source[0], self.source[1]) if self.source else (None, None)
        return Gap(cause, first, last, self.receive[0], self.receive[1], self.count)


def _widened(earlier: Gap, later: Gap) -> Gap:
    """Two gaps of one cause as one, when a queue has no room for both."""
    count = None if earlier.count is None or later.count is None else earlier.count + later.count
    return Gap(later.cause, earlier.source_from, later.source_to, earlier.receive_from, later.receive_to, count)


class Consumer:
    """Bounded by `capacity` values (one larger message is let in when the queue is empty). Owned by one session."""

    def __init__(self, name: str, handles: Iterable[int], policy: Policy, capacity: int, clock: Clock) -> None:
        self.name = name
        self.handles = set(handles)
        self.policy = policy
        self.capacity = capacity
        self.closed = False
        self._clock = clock
        self._queue: deque[Batch | list[tuple[int, Gap]]] = deque()
        self._size = 0
        self._overrun = False
        self._missing: dict[int, _Missing] = {}
        self._held: dict[tuple[int, GapCause], Gap] = {}
        self._latest: dict[int, tuple[Batch, int]] = {}
        self._in_flight: dict[int, list[int]] = {}
        self._number = 0
        self._filled = anyio.Event()
        self._drained = anyio.Event()
        self._received: Counter[int] = Counter()
        self._delivered: Counter[int] = Counter()
        self._conflated: Counter[int] = Counter()
        self._dropped: Counter[int] = Counter()

    # --- the router's side ---

    @property
    def would_block(self) -> bool:
        return self.policy == "block" and not self._overrun

    def full_for(self, batch: Batch) -> bool:
        return bool(self._size) and self._size + len(batch) > self.capacity

    async def put(self, batch: Batch) -> None:
        """Take rows in. With policy `block` this waits, at most BLOCK_LIMIT, for room."""
        if self.would_block and self.full_for(batch):
            await self._wait_for_room(batch)
        self.put_nowait(batch)

    def put_nowait(self, batch: Batch) -> None:
        """Take rows in at once: what does not fit is conflated or dropped, and counted."""
        if self.closed:
            return
        if batch.sequences:
            self._received.update(batch.handles)
        if self.policy == "latest":
            self._conflate(batch)
        else:
            room = self.capacity if batch.sequences else 2 * self.capacity
            while self._queue and self._size + len(batch) > room:
                self._drop_oldest()
            self._queue.append(batch)
            self._size += len(batch)
        self._filled.set()

    def put_gaps(self, gaps: list[tuple[int, Gap]]) -> None:
        """A loss before receipt, at this place in the stream."""
        if not gaps or self.closed:
            return
        while len(self._queue) > self.capacity:
            self._drop_oldest()
        self._queue.append(gaps)
        self._filled.set()

    async def _wait_for_room(self, batch: Batch) -> None:
        with anyio.move_on_after(BLOCK_LIMIT) as patience:
            while self.full_for(batch) and not self.closed:
                self._drained = anyio.Event()
                await self._drained.wait()
        if patience.cancelled_caught:
            self._overrun = True

    def _conflate(self, batch: Batch) -> None:
        latest = self._latest
        for index, handle in enumerate(batch.handles):
            before = latest.pop(handle, None)  # popped so that order among signals is that of their newest values
            if before is not None and before[0].sequences:
                self._conflated[handle] += 1
            latest[handle] = (batch, index)
        self._size = len(latest)

    def _drop_oldest(self) -> None:
        item = self._queue.popleft()
        if isinstance(item, Batch):
            self._size -= len(item)
            if item.sequences:
                self._note_dropped(item)
        else:
            for handle, gap in item:  # a Gap is never dropped: it waits at the queue's head, widened
                before = self._held.get((handle, gap.cause))
                self._held[handle, gap.cause] = gap if before is None else _widened(before, gap)

    def _note_dropped(self, batch: Batch) -> None:
        self._dropped.update(batch.handles)
        for handle, source in zip(batch.handles, batch.source_times, strict=True):
            missing = self._missing.get(handle)
            if missing is None:
                missing = self._missing[handle] = _Missing()
            missing.add(source, batch.receive_time)

    # --- the taker's side ---

    async def take(self) -> Delivery | None:
        """Wait for what comes next; None when the consumer was closed and is empty."""
        while not (self._queue or self._latest or self._missing or self._held):
            if self.closed:
                return None
            self._filled = anyio.Event()
            await self._filled.wait()
        gaps = [(handle, gap) for (handle, _), gap in self._held.items()]
        gaps += [(handle, missing.gap(GapCause.QUEUE_OVERFLOW)) for handle, missing in self._missing.items()]
        self._held.clear()
        self._missing.clear()
        while self._queue and isinstance(ahead := self._queue[0], list):
            gaps += ahead
            self._queue.popleft()
        batch = self._take_latest() if self.policy == "latest" else self._take_queued()
        self._number += 1
        self._in_flight[self._number] = [] if batch is None else _counted(batch)
        return Delivery(self._number, gaps, batch)

    def _take_queued(self) -> Batch | None:
        if not self._queue:
            self._overrun = False
            return None
        batch = self._queue.popleft()
        assert isinstance(batch, Batch)
        self._size -= len(batch)
        if not self._queue:
            self._overrun = False
        self._drained.set()
        return batch

    def _take_latest(self) -> Batch | None:
        rows, self._latest, self._size = list(self._latest.values()), {}, 0
        if not rows:
            return None
        first = rows[0][0]
        return Batch(
            [b.handles[i] for b, i in rows],
            [b.values[i] for b, i in rows],
            [b.statuses[i] for b, i in rows],
            [b.source_times[i] for b, i in rows],
            [b.server_times[i] for b, i in rows],
            max(b.receive_time for b, _ in rows),
            first.epoch,
            [b.sequences[i] if b.sequences else 0 for b, i in rows],
        )

    def acknowledge(self, number: int) -> bool:
        """The handler of that delivery returned: its values are delivered. False for a number that is not under way."""
        handles = self._in_flight.pop(number, None)
        if handles is None:
            return False
        self._delivered.update(handles)
        return True

    def close(self) -> None:
        """Nobody takes any more: what is pending is dropped, and says so in the account."""
        self.closed = True
        for item in self._queue:
            if isinstance(item, Batch):
                self._dropped.update(_counted(item))
        for handles in self._in_flight.values():
            self._dropped.update(handles)
        self._dropped.update(handle for handle, (batch, _) in self._latest.items() if batch.sequences)
        self._queue.clear()
        self._in_flight.clear()
        self._latest.clear()
        self._size = 0
        self._filled.set()
        self._drained.set()

    # --- the account ---

    def account(self, handle: int) -> Account:
        pending = sum(handles.count(handle) for handles in self._in_flight.values())
        pending += sum(_counted(b).count(handle) for b in self._queue if isinstance(b, Batch))
        if handle in self._latest and self._latest[handle][0].sequences:
            pending += 1
        return Account(self._received[handle], self._delivered[handle], self._conflated[handle], self._dropped[handle], pending)


def _counted(batch: Batch) -> list[int]:
    """The handles of rows that count: those with a sequence number."""
    if not batch.sequences:
        return []
    if 0 in batch.sequences:
        return [h for h, n in zip(batch.handles, batch.sequences, strict=True) if n]
    return batch.handles
