"""How far another end's clock is from ours, from measurements of unequal worth. For showing and comparing times only: time-outs,
leases and staleness run on the runtime's own monotonic clock.

A measurement is as good as its round trip was short. It grows worse with age, as clocks drift; so the best one wins until a
newer one is better.
"""

from collections import deque
from typing import Final, NamedTuple

from dtios.sdk.protocol import ClockView

__all__ = ["ClockOffset"]

DRIFT: Final = 100e-6
"""Seconds per second that two clocks are taken to drift apart at most."""
SPAN: Final = 60.0
"""Seconds between the first and the last measurement that a rate is made of, at least."""
_MOST: Final = 64
_NS: Final = 1e9


class _Measurement(NamedTuple):
    at: float
    offset: int
    error: int

    def worth(self, now: float) -> float:
        """The error it has by now, in ns."""
        return self.error + DRIFT * (now - self.at) * _NS


class ClockOffset:
    """Of one endpoint. Times `at` and `now` are on the runtime's monotonic clock."""

    def __init__(self) -> None:
        self._best: _Measurement | None = None
        self._kept: deque[_Measurement] = deque(maxlen=_MOST)
        self._told: ClockView | None = None

    def take(self, offset: int, error: int, at: float) -> bool:
        """A measurement in nanoseconds. True where what is to be shown has changed by more than its error."""
        one = _Measurement(at, offset, error)
        if self._jumped(one):
            self._best = None
            self._kept.clear()
        self._kept.append(one)
        if self._best is None or one.worth(at) <= self._best.worth(at):
            self._best = one
        view = self.view(at)
        told = self._told
        if view is None or (told is not None and abs(view.offset - told.offset) <= max(view.error, told.error, 1_000_000)):
            return False
        self._told = view
        return True

    def _jumped(self, one: _Measurement) -> bool:
        """One of the clocks was set: what was measured before says nothing any more."""
        best = self._best
        return best is not None and abs(one.offset - best.offset) > one.error + best.worth(one.at) + 10_000_000

    def view(self, now: float) -> ClockView | None:
        """None before the first measurement."""
        best = self._best
        return None if best is None else ClockView(best.offset, round(best.worth(now)), self._rate())

    def _rate(self) -> float | None:
        """Parts per million: by how much the other clock is fast. None while it is not known better than it is large."""
        if len(self._kept) < 2 or self._kept[-1].at - self._kept[0].at < SPAN:
            return None
        third = max(1, len(self._kept) // 3)
        kept = list(self._kept)
        first, last = (min(part, key=lambda m: m.error) for part in (kept[:third], kept[-third:]))
        seconds = last.at - first.at
        if seconds <= 0:
            return None
        rate = (last.offset - first.offset) / _NS / seconds * 1e6
        uncertain = (last.error + first.error) / _NS / seconds * 1e6
        return round(rate, 2) if abs(rate) > uncertain else 0.0 if uncertain < 1.0 else None
