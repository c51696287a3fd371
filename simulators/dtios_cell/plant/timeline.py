"""What happens when, in plant time: whole nanoseconds since the cell began.

Nothing else moves it, and how far it is moved at a time changes nothing: what is due happens in the order of its time, and of
its booking where times are the same.
"""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

__all__ = ["SECOND", "Timeline", "Timer"]

SECOND: Final = 1_000_000_000
"""Nanoseconds."""


@dataclass(order=True, slots=True)
class Timer:
    """Something booked. It can be called off until it has happened."""

    due: int
    number: int
    act: Callable[[], None] | None = field(compare=False)

    def cancel(self) -> None:
        self.act = None


class Timeline:
    """`now` in nanoseconds."""

    def __init__(self) -> None:
        self.now = 0
        self._booked: list[Timer] = []
        self._number = 0

    @property
    def minutes(self) -> float:
        return self.now / (60 * SECOND)

    def at(self, due: int, act: Callable[[], None]) -> Timer:
        """Book something for a time that is not over. Raises ValueError."""
        if due < self.now:
            raise ValueError(f"{due} ns is over: it is {self.now} ns")
        self._number += 1
        timer = Timer(due, self._number, act)
        heapq.heappush(self._booked, timer)
        return timer

    def after(self, seconds: float, act: Callable[[], None]) -> Timer:
        return self.at(self.now + round(seconds * SECOND), act)

    def advance(self, until: int) -> None:
        """All that is due up to and at `until` happens; then it is `until`. Raises ValueError where that is over."""
        if until < self.now:
            raise ValueError(f"{until} ns is over: it is {self.now} ns")
        while self._booked and self._booked[0].due <= until:
            timer = heapq.heappop(self._booked)
            if timer.act is not None:
                self.now = timer.due
                timer.act()
        self.now = until
