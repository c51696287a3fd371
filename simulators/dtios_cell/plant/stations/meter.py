"""The meter at the cell's supply."""

from collections.abc import Sequence
from typing import ClassVar, Final

from dtios_cell.plant.faults import Fault, Kind
from dtios_cell.plant.power import Power
from dtios_cell.plant.station import Station, Surroundings

__all__ = ["Meter"]

_CLASS: Final = 0.0005
"""Largest error of the meter, as a share."""


class Meter(Station):
    """It tells watts and joules of all `supplied` once in `every` seconds. While it has failed it counts nothing."""

    kind: ClassVar[str] = "meter"
    standby: ClassVar[float] = 0.0
    breaks: ClassVar[frozenset[Kind]] = frozenset({Kind.METER_FAILURE})

    def __init__(self, name: str, around: Surroundings, supplied: Sequence[Power], every: float = 1.0) -> None:
        super().__init__(name, around)
        self._supplied = list(supplied)
        self._every = every
        self._gain = 1.0 + self.chance.uniform(-_CLASS, _CLASS)
        self._counted = 0.0
        self._last = self._drawn()
        self._look()

    @property
    def joules(self) -> float:
        return self._counted + (0.0 if self.has(Kind.METER_FAILURE) else self._gain * (self._drawn() - self._last))

    def broken(self, fault: Fault) -> None:
        if fault.kind is Kind.METER_FAILURE:
            self._counted += self._gain * (self._drawn() - self._last)

    def mended(self, fault: Fault) -> None:
        if fault.kind is Kind.METER_FAILURE:
            self._last = self._drawn()

    def _drawn(self) -> float:
        return sum(one.joules for one in self._supplied)

    def _look(self) -> None:
        failed = self.has(Kind.METER_FAILURE)
        self.tell("Power", None if failed else self._gain * sum(one.watts for one in self._supplied))
        self.tell("Energy", None if failed else self.joules)
        self.timeline.after(self._every, self._look)
