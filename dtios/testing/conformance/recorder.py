"""A sink that keeps everything that an adapter delivers."""

from collections.abc import Sequence
from typing import Any

import anyio

from dtios.model.batch import Batch
from dtios.model.condition import Condition
from dtios.model.event import Event
from dtios.model.values import DataValue
from dtios.sdk.adapter import Loss

__all__ = ["Recorder"]


class Recorder:
    """A sink that keeps everything. While `open` is cleared it takes nothing."""

    def __init__(self, patience: float = 5.0) -> None:
        """`patience`: seconds that `until` waits."""
        self.patience = patience
        self.rows: list[tuple[int, DataValue]] = []
        self.losses: list[Loss] = []
        self.events: list[Event] = []
        self.conditions: list[tuple[str, Condition]] = []
        self.clocks: list[tuple[int, int]] = []
        self.refreshed = 0
        self.changes = 0
        self.absent: set[str] = set()
        self.open = anyio.Event()
        self.open.set()
        self.inside = 0
        self.most_inside = 0
        self._changed = anyio.Event()

    async def deliver(self, batch: Batch) -> None:
        self.inside += 1
        self.most_inside = max(self.inside, self.most_inside)
        try:
            await self.open.wait()
            self.rows += batch.rows()
        finally:
            self.inside -= 1
        self._changed.set()

    def lost(self, loss: Loss) -> None:
        self.losses.append(loss)

    def conditions_refreshed(self) -> None:
        self.refreshed += 1
        self._changed.set()

    async def event(self, event: Event) -> None:
        self.events.append(event)
        self._changed.set()

    def clock(self, offset: int, error: int) -> None:
        self.clocks.append((offset, error))

    def changed(self) -> None:
        self.changes += 1
        self._changed.set()

    def presence(self, addresses: Sequence[str], detail: str) -> None:
        self.absent.difference_update(addresses)
        self.absent.update(addresses if detail else ())
        self._changed.set()

    def alive(self) -> None:
        """Nothing to keep: whether silence is noticed is seen by the error."""

    def condition(self, source: str, condition: Condition) -> None:
        self.conditions.append((source, condition))
        self._changed.set()

    async def change(self) -> None:
        """Until something more has come."""
        self._changed = anyio.Event()
        await self._changed.wait()

    def close(self) -> None:
        self.open = anyio.Event()

    def of(self, handle: int) -> list[DataValue]:
        return [reading for known, reading in self.rows if known == handle]

    async def until(self, handle: int, value: Any, times: float = 1.0) -> bool:
        """Whether this value comes in `times` the patience."""
        with anyio.move_on_after(self.patience * times):
            while not any(reading.value == value for reading in self.of(handle)):
                self._changed = anyio.Event()
                await self._changed.wait()
            return True
        return False
