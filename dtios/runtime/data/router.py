"""The router: every value received passes here once, gets its sequence number, and goes to the consumers that want it."""

from collections.abc import Iterable
from itertools import count, repeat
from typing import Any, Final

import anyio

from dtios.mapping.conversion import Conversion
from dtios.model.batch import Batch
from dtios.model.gap import Gap
from dtios.model.status import BAD_NO_COMMUNICATION, BAD_WAITING_FOR_INITIAL_DATA, is_bad
from dtios.model.values import NO_TIME, DataValue
from dtios.runtime.data.consumer import Consumer
from dtios.sdk.clock import Clock

__all__ = ["Router"]

_Row = tuple[Any, int, int, int, int]  # value, status, source, server and receive time

_UNHEARD: Final = frozenset({BAD_NO_COMMUNICATION, BAD_WAITING_FOR_INITIAL_DATA})
"""Of a point whose last reading is this nothing is heard now: a Gap that is owed for it goes on."""


class Router:
    """Hands out signal handles, numbers what arrives, remembers each signal's last reading, and feeds consumers.

    Order holds for each signal: a connection awaits `deliver` before it hands over its next message.
    """

    def __init__(self, clock: Clock, epoch: int) -> None:
        self.epoch = epoch
        self._clock = clock
        self._numbers = count(1)
        self._conversions: dict[int, Conversion] = {}
        self._sequences: dict[int, int] = {}
        self._last: dict[int, _Row] = {}
        self._consumers: dict[Consumer, None] = {}
        self._held: list[int] = []

    # --- handles ---

    def register(self, conversion: Conversion | None = None) -> int:
        """A handle for one signal, for as long as it is known; its values pass `conversion`."""
        handle = next(self._numbers)
        self._sequences[handle] = 0
        self.convert(handle, conversion)
        return handle

    def conversion(self, handle: int) -> Conversion | None:
        return self._conversions.get(handle)

    def convert(self, handle: int, conversion: Conversion | None) -> None:
        """Change what a handle's values pass through (its machine was described anew)."""
        if conversion is None:
            self._conversions.pop(handle, None)
        else:
            self._conversions[handle] = conversion

    def release(self, handles: Iterable[int]) -> None:
        released = set(handles)
        for consumer in self._consumers:
            consumer.tally.end(released)
        for handle in released:
            self._sequences.pop(handle, None)
            self._conversions.pop(handle, None)
            self._last.pop(handle, None)

    def forget(self, handles: Iterable[int]) -> None:
        """Nobody is subscribed any more: the last reading grows old and must not be taken for the present one."""
        for handle in handles:
            self._last.pop(handle, None)

    def last(self, handle: int) -> DataValue | None:
        """The last reading, None if there was none yet."""
        row = self._last.get(handle)
        if row is None:
            return None
        value, status, source, server, received = row
        return DataValue(value, status, None if source == NO_TIME else source, None if server == NO_TIME else server, received)

    # --- consumers ---

    def attach(self, consumer: Consumer) -> None:
        """From now on the consumer gets its signals; the present readings, where known, come first."""
        self._consumers[consumer] = None
        consumer.tally.begin(self._sequences, consumer.handles)
        known = [(h, self._last[h]) for h in consumer.handles if h in self._last]
        if known:
            consumer.settle([h for h, row in known if row[1] not in _UNHEARD], self._clock.now())
            consumer.put_nowait(
                Batch(
                    [h for h, _ in known],
                    [row[0] for _, row in known],
                    [row[1] for _, row in known],
                    [row[2] for _, row in known],
                    [row[3] for _, row in known],
                    max(row[4] for _, row in known),
                    self.epoch,
                )
            )

    def detach(self, consumer: Consumer) -> None:
        self._consumers.pop(consumer, None)
        consumer.close()

    @property
    def consumers(self) -> tuple[Consumer, ...]:
        return tuple(self._consumers)

    # --- the way up ---

    async def deliver(self, batch: Batch) -> None:
        """Number the rows, convert, remember, and give them to all who want them; waits as long as a `block` queue does."""
        self._stamp(batch)
        if not batch.handles:
            return
        if self._conversions:
            self._apply_conversions(batch)
        self._remember(batch)
        waiting = [(c, part) for c, part in self._shares(batch) if not self._gave_at_once(c, part)]
        if waiting:
            await self._wait(waiting, batch.receive_time)

    async def _wait(self, waiting: list[tuple[Consumer, Batch]], received: int) -> None:
        """For room at each of these; meanwhile the connection holds what comes after."""
        self._held.append(received)
        try:
            if len(waiting) == 1:
                consumer, part = waiting[0]
                await consumer.admit(part)
                return
            async with anyio.create_task_group() as together:
                for consumer, part in waiting:
                    together.start_soon(consumer.admit, part, name=f"wait for room: {consumer.name}")
        finally:
            self._held.remove(received)
            for consumer, part in waiting:
                consumer.let_in(part)  # who was cancelled before it began to wait

    @property
    def held_since(self) -> int | None:
        """When the oldest of what connections hold back may have been received; None where nothing is held up."""
        return min(self._held, default=None)

    def make_up(self, handles: Iterable[int], status: int, receive_time: int) -> None:
        """Rows that no machine sent (Bad on loss): not numbered, not counted, never waited for."""
        known = [h for h in handles if h in self._sequences]
        if not known:
            return
        size = len(known)
        batch = Batch(known, [None] * size, [status] * size, [NO_TIME] * size, [NO_TIME] * size, receive_time, self.epoch)
        self._remember(batch)
        for consumer, part in self._shares(batch):
            consumer.put_nowait(part)

    def miss(self, handles: Iterable[int], gap: Gap) -> None:
        """A loss before receipt: every consumer of these signals learns of it at this place in its stream."""
        missing = list(handles)
        for consumer in self._consumers:
            consumer.put_gaps([(h, gap) for h in missing if h in consumer.handles])

    def heard(self, handles: Iterable[int], now: int) -> None:
        """These are subscribed: what a consumer is owed for the time before ends here, but for points of which the adapter says
        that they wait: what they say until they are there (data before a birth) is not understood."""
        there = [h for h in handles if h not in self._last or self._last[h][1] != BAD_WAITING_FOR_INITIAL_DATA]
        for consumer in self._consumers:
            if consumer.owed:
                consumer.settle(there, now)

    def _gave_at_once(self, consumer: Consumer, part: Batch) -> bool:
        if consumer.would_block and consumer.full_for(part):
            consumer.expect(part)
            return False
        consumer.put_nowait(part)
        return True

    def _shares(self, batch: Batch) -> list[tuple[Consumer, Batch]]:
        shares = []
        for consumer in self._consumers:
            wanted = consumer.handles
            if wanted.issuperset(batch.handles):
                shares.append((consumer, batch))
            elif not wanted.isdisjoint(batch.handles):
                shares.append((consumer, batch.select([i for i, h in enumerate(batch.handles) if h in wanted])))
        return shares

    def _stamp(self, batch: Batch) -> None:
        batch.epoch = self.epoch
        sequences = self._sequences
        numbers = []
        try:
            for handle in batch.handles:
                number = sequences[handle] = sequences[handle] + 1
                numbers.append(number)
        except KeyError:
            self._keep_known(batch)
            for handle in batch.handles[len(numbers) :]:
                number = sequences[handle] = sequences[handle] + 1
                numbers.append(number)
        batch.sequences = numbers

    def _keep_known(self, batch: Batch) -> None:
        """A machine may still send what was unsubscribed a moment ago."""
        known = batch.select([i for i, h in enumerate(batch.handles) if h in self._sequences])
        for column in ("handles", "values", "statuses", "source_times", "server_times"):
            setattr(batch, column, getattr(known, column))

    def _apply_conversions(self, batch: Batch) -> None:
        conversions, values, statuses = self._conversions, batch.values, batch.statuses
        for index, handle in enumerate(batch.handles):
            conversion = conversions.get(handle)
            if conversion is not None and not is_bad(statuses[index]):
                values[index] = conversion.up(values[index])

    def _remember(self, batch: Batch) -> None:
        columns = zip(
            batch.values, batch.statuses, batch.source_times, batch.server_times, repeat(batch.receive_time), strict=False
        )
        self._last.update(zip(batch.handles, columns, strict=False))

    def waiting(self, handles: Iterable[int], receive_time: int) -> None:
        """Subscribed, but nothing came yet."""
        self.make_up([h for h in handles if h not in self._last], BAD_WAITING_FOR_INITIAL_DATA, receive_time)
