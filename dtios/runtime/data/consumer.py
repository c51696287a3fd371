"""One consumer's bounded queue between the router and whoever takes the values, with its policy and its account.

For each signal: received = delivered + conflated + dropped (each with a Gap) + pending. Rows that the runtime made up itself
(Bad on loss, the present value at the start) carry sequence number 0 and are not counted.
"""

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final, Protocol

import anyio

from dtios.model.batch import Batch
from dtios.model.gap import Gap
from dtios.runtime.data.missing import Losses, heard_in
from dtios.runtime.ledger.account import Account, Tally, counted
from dtios.sdk.clock import Clock
from dtios.sdk.protocol import Policy

__all__ = ["BLOCK_LIMIT", "Consumer", "Delivery", "Gaps", "Witness"]

BLOCK_LIMIT: Final = 0.5
"""Seconds a full `block` queue may hold up a machine before it turns into drop-oldest, until it is empty again."""

Gaps = list[tuple[int, Gap]]
"""(handle, Gap)"""


class Witness(Protocol):
    """Who writes down what a consumer was told, and what was left when it ended."""

    def told(self, gaps: Gaps) -> None: ...

    def closed(self, consumer: "Consumer", complete: int) -> None:
        """`complete`: see `Consumer.complete`."""


@dataclass(slots=True)
class Delivery:
    """What a consumer takes at once: gaps first, then rows. It is pending until `Consumer.acknowledge` is told its number."""

    number: int
    gaps: Gaps
    batch: Batch | None


class Consumer:
    """Bounded by `capacity` values (one larger message is let in when the queue is empty). Owned by one session."""

    def __init__(self, name: str, handles: Iterable[int], policy: Policy, capacity: int, clock: Clock) -> None:
        self.name = name
        self.handles = set(handles)
        self.policy = policy
        self.capacity = capacity
        self.closed = False
        self.witness: Witness | None = None
        self.tally = Tally(policy == "latest")
        self.owed: dict[int, Gap] = {}
        """Gaps that last until the signal is heard of: those of the time before this consumer came back."""
        self._clock = clock
        self._queue: deque[Batch | Gaps] = deque()
        self._door: list[Batch] = []
        self._size = 0
        self._overrun = False
        self._losses = Losses()
        self._latest: dict[int, tuple[Batch, int]] = {}
        self._in_flight: dict[int, Delivery] = {}
        self._number = 0
        self._filled = anyio.Event()
        self._drained = anyio.Event()

    # --- the router's side ---

    def follow(self, handles: Iterable[int]) -> None:
        """Exactly these signals from now on."""
        followed = set(handles)
        self.tally.end(self.handles - followed)
        self.handles = followed
        self.tally.follow(followed)

    @property
    def would_block(self) -> bool:
        return self.policy == "block" and not self._overrun

    def full_for(self, batch: Batch) -> bool:
        return bool(self._size) and self._size + len(batch) > self.capacity

    def expect(self, batch: Batch) -> None:
        """Counted rows that have to wait for room: they are received, and `admit` lets them in."""
        if not self.closed:
            self.tally.take_in(batch)
            self._door.append(batch)

    async def admit(self, batch: Batch) -> None:
        """Wait, at most BLOCK_LIMIT, for room. Who is cancelled here leaves the rows in the queue all the same."""
        try:
            if self.would_block and self.full_for(batch):
                await self._wait_for_room(batch)
        finally:
            self.let_in(batch)

    def let_in(self, batch: Batch) -> None:
        """At once, if it still waits."""
        if batch in self._door:
            self._door.remove(batch)
            self._enter(batch)

    def put_nowait(self, batch: Batch) -> None:
        """Take rows in at once: what does not fit is conflated or dropped, and counted."""
        if self.closed:
            return
        if batch.sequences:
            self.tally.take_in(batch)
        self._enter(batch)

    def _enter(self, batch: Batch) -> None:
        if self.owed and batch.sequences:
            self.settle(heard_in(batch), batch.receive_time)
        if self.policy == "latest":
            self._conflate(batch)
        else:
            room = self.capacity if batch.sequences else 2 * self.capacity
            while self._queue and self._size + len(batch) > room:
                self._drop_oldest()
            self._queue.append(batch)
            self._size += len(batch)
        self._filled.set()

    def put_gaps(self, gaps: Gaps) -> None:
        """A loss before receipt, at this place in the stream."""
        if not gaps or self.closed:
            return
        while len(self._queue) > self.capacity:
            self._drop_oldest()
        self._queue.append(gaps)
        self._filled.set()

    def settle(self, handles: Iterable[int], now: int) -> None:
        """These signals are heard of: the Gaps owed for them end."""
        due = [(h, self.owed.pop(h)) for h in dict.fromkeys(handles) if h in self.owed]
        self.put_gaps([(h, replace(gap, receive_to=max(now, gap.receive_from or now))) for h, gap in due])

    async def _wait_for_room(self, batch: Batch) -> None:
        with anyio.move_on_after(BLOCK_LIMIT) as patience:
            while self.full_for(batch) and not self.closed:
                self._drained = anyio.Event()
                await self._drained.wait()
        if patience.cancelled_caught:
            self._overrun = True

    def _conflate(self, batch: Batch) -> None:
        latest, conflated = self._latest, 0
        for index, handle in enumerate(batch.handles):
            before = latest.pop(handle, None)  # popped so that order among signals is that of their newest values
            if before is not None and before[0].sequences:
                conflated += 1
            latest[handle] = (batch, index)
        if conflated:
            self.tally.conflate(conflated)
        self._size = len(latest)

    def _drop_oldest(self) -> None:
        item = self._queue.popleft()
        if isinstance(item, Batch):
            self._size -= len(item)
            if item.sequences:
                self.tally.drop(item.handles)
                self._losses.note(item)
        else:
            self._losses.hold(item)

    # --- the taker's side ---

    async def take(self) -> Delivery | None:
        """Wait for what comes next; None when the consumer was closed and is empty."""
        while not (self._queue or self._latest or self._losses.any):
            if self.closed:
                return None
            self._filled = anyio.Event()
            await self._filled.wait()
        gaps = self._losses.take() if self._losses.any else []
        while self._queue and isinstance(ahead := self._queue[0], list):
            gaps += ahead
            self._queue.popleft()
        batch = self._take_latest() if self.policy == "latest" else self._take_queued()
        self._number += 1
        delivery = self._in_flight[self._number] = Delivery(self._number, gaps, batch)
        if gaps and self.witness is not None:
            self.witness.told(gaps)
        return delivery

    def _take_queued(self) -> Batch | None:
        if not self._queue:
            self._overrun = False
            return None
        batch = self._queue.popleft()
        assert isinstance(batch, Batch)
        self._size -= len(batch)
        if not self._queue:
            self._overrun = False
        if self._door:
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
        delivery = self._in_flight.pop(number, None)
        if delivery is None:
            return False
        if delivery.batch is not None:
            self.tally.deliver(delivery.batch)
        return True

    def close(self) -> None:
        """Nobody takes any more: what is pending is dropped, and says so in the account."""
        if self.closed:
            return
        self.closed = True
        complete = self.complete(self._clock.now())
        self.tally.drop([handle for batch in self._batches() for handle in counted(batch)])
        self.tally.drop([handle for handle, (batch, _) in self._latest.items() if batch.sequences])
        self.tally.end(self.handles)
        for held in (self._queue, self._door, self._in_flight, self._latest):
            held.clear()
        self._size = 0
        self._filled.set()
        self._drained.set()
        if self.witness is not None:
            self.witness.closed(self, complete)

    # --- the account ---

    def _batches(self) -> Iterator[Batch]:
        """What was received and is not delivered, but for what `latest` keeps."""
        yield from (d.batch for d in self._in_flight.values() if d.batch is not None)
        yield from (item for item in self._queue if isinstance(item, Batch))
        yield from self._door

    def pending(self) -> Mapping[int, int]:
        """How many values of each signal wait to be taken or acknowledged."""
        found: Counter[int] = Counter()
        for batch in self._batches():
            found.update(counted(batch))
        found.update(handle for handle, (batch, _) in self._latest.items() if batch.sequences)
        return found

    def account(self, handle: int) -> Account:
        return self.tally.account(handle, self.pending().get(handle, 0))

    def complete(self, now: int) -> int:
        """All that was received before this time (ns UTC) is delivered, and the Gaps that begin before it are told."""
        since = [now, *self._losses.since()]
        since += [batch.receive_time for batch in self._batches() if batch.sequences]
        since += [batch.receive_time for batch, _ in self._latest.values() if batch.sequences]
        told = [gap for delivery in self._in_flight.values() for _, gap in delivery.gaps]
        told += [gap for item in self._queue if not isinstance(item, Batch) for _, gap in item]
        since += [gap.receive_from for gap in told if gap.receive_from is not None]
        return min(since)
