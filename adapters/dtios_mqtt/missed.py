"""What a broker kept for us while we were away, until the points are subscribed that it belongs to."""

from collections import deque
from collections.abc import Iterable
from typing import Final

__all__ = ["Missed", "Reading"]

Reading = tuple[str, object, int, int]
"""(address, value, status, source time in ns or NO_TIME); a Bad reading has the value None."""
_MOST: Final = 100_000
"""Readings that wait; more, and the oldest are dropped."""


class Missed:
    """For one session that the broker had kept. It sends at once what it has, and points are subscribed a moment later."""

    def __init__(self) -> None:
        self._kept: deque[Reading] = deque(maxlen=_MOST)
        self._dropped: dict[str, int] = {}

    def keep(self, reading: Reading) -> None:
        if len(self._kept) == _MOST:
            oldest = self._kept[0][0]
            self._dropped[oldest] = self._dropped.get(oldest, 0) + 1
        self._kept.append(reading)

    def take(self, addresses: Iterable[str]) -> tuple[dict[str, list[Reading]], dict[str, int]]:
        """Their readings in order, and how many of each were dropped; they are kept no longer."""
        found: dict[str, list[Reading]] = {address: [] for address in addresses}
        rest: deque[Reading] = deque(maxlen=_MOST)
        for reading in self._kept:
            found.get(reading[0], rest).append(reading)
        self._kept = rest
        return found, {address: self._dropped.pop(address) for address in found if address in self._dropped}
