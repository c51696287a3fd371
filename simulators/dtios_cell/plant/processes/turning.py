"""Turning a bore: how far its diameter is off, by tool wear, the warmth of the machine, the seat of tool and fixture, and chance.

Lengths in micrometres, times in minutes. A worn tool makes the part too big; a warm machine makes it too small. Flank wear runs
in quickly and then grows with the cutting time until the tool's life by Taylor's equation is over (ISO 3685); the growth by
warmth follows an exponential of its own (ISO 230-3). Nothing outside sees wear or warmth: a machine shows its parts, and its
tool changes.
"""

import math
from dataclasses import dataclass
from random import Random

__all__ = ["Insert", "Turning", "TurningModel"]


@dataclass(frozen=True, slots=True)
class TurningModel:
    """The figures of one machine and its work."""

    cycle: float = 1.5
    cutting: float = 1.0
    """Of each cycle, minutes in which the tool cuts."""
    cutting_speed: float = 120.0
    """Metres a minute."""
    taylor_constant: float = 350.0
    taylor_exponent: float = 0.25
    life_spread: float = 0.15
    """Sigma of the logarithm of how fast a tool wears."""
    run_in: float = 60.0
    run_in_time: float = 3.0
    steady_wear: float = 240.0
    """Flank wear over the whole life of a tool, beside what it runs in."""
    wear_limit: float = 300.0
    relief: float = math.radians(6.0)
    seat: float = 4.0
    """Standard deviation of where a new tool sits."""
    warmth: float = 22.0
    """How much smaller a part gets when the machine is warm through."""
    warming: float = 25.0
    """Time constant."""
    noise: float = 2.0

    @property
    def life(self) -> float:
        """Cutting minutes of a tool, by Taylor: (C / v) ^ (1 / n)."""
        return math.pow(self.taylor_constant / self.cutting_speed, 1.0 / self.taylor_exponent)

    def wear(self, cut: float) -> float:
        """Flank wear after so many cutting minutes."""
        return self.run_in * (1.0 - math.exp(-cut / self.run_in_time)) + self.steady_wear * cut / self.life


@dataclass(slots=True)
class Insert:
    """The tool that is in: `pace`, how fast it wears beside others; `seat`, how it sits; `cut`, its minutes times its pace."""

    pace: float
    seat: float
    cut: float = 0.0


class Turning:
    """The process as it stands. `fixture`: an offset that a badly seated fixture adds; `factor`: how much chance there is."""

    def __init__(self, chance: Random, model: TurningModel | None = None) -> None:
        self.model = model or TurningModel()
        self.fixture = 0.0
        self.factor = 1.0
        self._chance = chance
        self._growth = 0.0
        self.tool = self._new_tool()

    @property
    def wear(self) -> float:
        return self.model.wear(self.tool.cut)

    @property
    def is_worn(self) -> bool:
        """The tool is to be changed before the next part."""
        return self.wear >= self.model.wear_limit

    def change_tool(self) -> None:
        self.tool = self._new_tool()

    def rest(self, minutes: float) -> None:
        """Nothing is cut, and the machine cools."""
        self._growth *= math.exp(-minutes / self.model.warming)

    def turn(self, correction: float = 0.0) -> float:
        """One part, in one cycle: how much too big its bore is. `correction` is what the control adds to the diameter."""
        model = self.model
        self._growth += (model.warmth - self._growth) * (1.0 - math.exp(-model.cycle / model.warming))
        self.tool.cut += model.cutting * self.tool.pace
        worn = 2.0 * self.wear * math.tan(model.relief)
        off = worn - self._growth + self.tool.seat + self.fixture + correction
        return off + self.factor * self._chance.gauss(0.0, model.noise)

    def _new_tool(self) -> Insert:
        pace = self._chance.lognormvariate(0.0, self.model.life_spread)
        return Insert(pace, self._chance.gauss(0.0, self.model.seat))
