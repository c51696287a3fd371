"""What a station draws: watts that follow what it does, and their exact integral."""

from dtios_cell.plant.timeline import SECOND, Timeline

__all__ = ["Power"]


class Power:
    """`watts` stay what they are until they are set anew, so the energy is a sum of rectangles and not of samples."""

    def __init__(self, timeline: Timeline, watts: float) -> None:
        self._timeline = timeline
        self._watts = watts
        self._joules = 0.0
        self._since = timeline.now

    @property
    def watts(self) -> float:
        return self._watts

    @watts.setter
    def watts(self, watts: float) -> None:
        self._joules = self.joules
        self._since = self._timeline.now
        self._watts = watts

    @property
    def joules(self) -> float:
        """Drawn since the beginning."""
        return self._joules + self._watts * (self._timeline.now - self._since) / SECOND
