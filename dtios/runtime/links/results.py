"""Results as machines tell them, to who follows them: each follower has a queue, and what does not fit becomes a Gap."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import anyio

from dtios.model.gap import Gap, GapCause
from dtios.model.result import Result
from dtios.runtime.links.machines import LiveMachine

__all__ = ["ResultBoard", "ResultQueue", "Row"]

CAPACITY: Final = 1_000


@dataclass(slots=True)
class Row:
    """A Result, or a Gap that stands before what comes after it."""

    machine: LiveMachine
    result: Result | None
    gap: Gap | None


class ResultQueue:
    """Of one follower. Policy drop-oldest: the oldest result gives way, and its place is taken by a Gap with the count."""

    def __init__(self, name: str, wants: Callable[[LiveMachine], bool], capacity: int = CAPACITY) -> None:
        self.name = name
        self.wants = wants
        self.received: dict[str, int] = {}
        self.delivered: dict[str, int] = {}
        self.dropped: dict[str, int] = {}
        self._capacity = capacity
        self._lost: dict[LiveMachine, int | None] = {}
        self._rows: deque[Row] = deque()
        self._arrived = anyio.Event()

    def put(self, row: Row) -> None:
        if row.result is not None:
            _count(self.received, row.machine)
        self._rows.append(row)
        if len(self._rows) > self._capacity:
            self._drop(self._rows.popleft())
        self._arrived.set()

    def _drop(self, row: Row) -> None:
        if row.result is not None:
            _count(self.dropped, row.machine)
        lost = self._lost.get(row.machine, 0)
        uncounted = row.gap is not None and row.gap.count is None
        more = row.gap.count or 0 if row.gap is not None else 1
        self._lost[row.machine] = None if lost is None or uncounted else lost + more

    async def take(self) -> Row:
        """The next one. What was dropped is older than all that is left: its Gap comes first."""
        while not self._rows:
            self._arrived = anyio.Event()
            await self._arrived.wait()
        if self._lost:
            machine, count = self._lost.popitem()
            return Row(machine, None, Gap(GapCause.QUEUE_OVERFLOW, count=count))
        row = self._rows.popleft()
        if row.result is not None:
            _count(self.delivered, row.machine)
        return row

    def pending(self, machine: str) -> int:
        return sum(row.result is not None and row.machine.name == machine for row in self._rows)


class ResultBoard:
    """Who follows results, and how many came that belong to no machine (`unplaced`)."""

    def __init__(self) -> None:
        self.queues: dict[ResultQueue, None] = {}
        self.unplaced = 0

    def report(self, machine: LiveMachine, result: Result) -> None:
        self._put(Row(machine, result, None))

    def missed(self, machine: LiveMachine, gap: Gap) -> None:
        self._put(Row(machine, None, gap))

    def _put(self, row: Row) -> None:
        for queue in tuple(self.queues):
            if queue.wants(row.machine):
                queue.put(row)

    def attach(self, queue: ResultQueue) -> Callable[[], None]:
        self.queues[queue] = None
        return lambda: self.queues.pop(queue, None) and None


def _count(figures: dict[str, int], machine: LiveMachine) -> None:
    figures[machine.name] = figures.get(machine.name, 0) + 1
