"""Gaps in the making: of values that a queue dropped, and of those it could not keep apart."""

from collections.abc import Iterator

from dtios.model.batch import Batch
from dtios.model.gap import Gap, GapCause
from dtios.model.status import BAD_WAITING_FOR_INITIAL_DATA
from dtios.model.values import NO_TIME

__all__ = ["Losses", "heard_in"]


def heard_in(batch: Batch) -> Iterator[int]:
    """The points of which something was heard: one that still waits for its first value is not back, and no Gap of it ends."""
    rows = zip(batch.handles, batch.statuses, strict=True)
    return (handle for handle, status in rows if status != BAD_WAITING_FOR_INITIAL_DATA)


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

    def gap(self) -> Gap:
        first, last = (self.source[0], self.source[1]) if self.source else (None, None)
        return Gap(GapCause.QUEUE_OVERFLOW, first, last, self.receive[0], self.receive[1], self.count)


class Losses:
    """What one consumer will be told of at the head of its queue: values that were dropped there, and Gaps that stood among
    them. A Gap is never dropped; where there is no room for two of one cause they become one."""

    def __init__(self) -> None:
        self.any = False
        self._missing: dict[int, _Missing] = {}
        self._held: dict[tuple[int, GapCause], Gap] = {}

    def note(self, batch: Batch) -> None:
        """These rows were dropped."""
        self.any = True
        for handle, source in zip(batch.handles, batch.source_times, strict=True):
            missing = self._missing.get(handle)
            if missing is None:
                missing = self._missing[handle] = _Missing()
            missing.add(source, batch.receive_time)

    def hold(self, gaps: list[tuple[int, Gap]]) -> None:
        self.any = True
        for handle, gap in gaps:
            before = self._held.get((handle, gap.cause))
            self._held[handle, gap.cause] = gap if before is None else _widened(before, gap)

    def take(self) -> list[tuple[int, Gap]]:
        gaps = [(handle, gap) for (handle, _), gap in self._held.items()]
        gaps += [(handle, missing.gap()) for handle, missing in self._missing.items()]
        self._held.clear()
        self._missing.clear()
        self.any = False
        return gaps

    def since(self) -> Iterator[int]:
        """Where each begins, by time of receipt."""
        yield from (gap.receive_from for gap in self._held.values() if gap.receive_from is not None)
        yield from (missing.receive[0] for missing in self._missing.values())


def _widened(earlier: Gap, later: Gap) -> Gap:
    """Two gaps of one cause as one, when a queue has no room for both."""
    count = None if earlier.count is None or later.count is None else earlier.count + later.count
    return Gap(later.cause, earlier.source_from, later.source_to, earlier.receive_from, later.receive_to, count)
