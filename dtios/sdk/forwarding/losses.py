"""Gaps in the making: of parcels for which the store had no room any more."""

from collections.abc import Iterable

from dtios.model.gap import Gap, GapCause
from dtios.model.values import NO_TIME
from dtios.sdk.delivery import Delivery

__all__ = ["Losses"]


class Losses:
    """Of one machine. A Gap is never dropped: those in the dropped parcels are held, and where there are two of one cause and
    signal they become one that spans both. Parcels are given oldest first."""

    def __init__(self) -> None:
        self.values = 0
        self._gaps: dict[tuple[str, GapCause], Gap] = {}

    def drop(self, deliveries: Iterable[Delivery]) -> None:
        for delivery in deliveries:
            for path, gap in delivery.gaps:
                self._hold(path, gap)
            if delivery.batch is None:
                continue
            self.values += len(delivery.batch)
            received = delivery.batch.receive_time
            for handle, source in zip(delivery.batch.handles, delivery.batch.source_times, strict=True):
                at = None if source == NO_TIME else source
                lost = Gap(GapCause.STORE_OVERFLOW, at, at, received, received, 1)
                self._hold(delivery.paths.get(handle, ""), lost)

    def _hold(self, path: str, gap: Gap) -> None:
        before = self._gaps.get((path, gap.cause))
        self._gaps[path, gap.cause] = gap if before is None else _spanning(before, gap)

    def gaps(self) -> list[tuple[str, Gap]]:
        return [(path, gap) for (path, _), gap in self._gaps.items()]


def _spanning(one: Gap, other: Gap) -> Gap:
    count = None if one.count is None or other.count is None else one.count + other.count
    return Gap(
        one.cause,
        _least(one.source_from, other.source_from),
        _most(one.source_to, other.source_to),
        _least(one.receive_from, other.receive_from),
        _most(one.receive_to, other.receive_to),
        count,
    )


def _least(one: int | None, other: int | None) -> int | None:
    return other if one is None else one if other is None else min(one, other)


def _most(one: int | None, other: int | None) -> int | None:
    return other if one is None else one if other is None else max(one, other)
