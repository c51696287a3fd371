"""Dispensing a bead of adhesive: its mass follows the viscosity, which follows temperature and the age of what is in the pot.

A warmer adhesive flows better (Arrhenius), an older one worse: it thickens by a factor of two in `doubling`. Masses in
milligrams, times in minutes.
"""

import math
from dataclasses import dataclass
from random import Random
from typing import Final

__all__ = ["BEADS", "Dispensing", "DispensingModel"]

GAS: Final = 8.314
"""J / (mol K)."""
BEADS: Final = {"line": 20.0, "cross": 30.0, "ring": 40.0, "double-ring": 60.0}
"""Nominal masses of the four patterns."""


@dataclass(frozen=True, slots=True)
class DispensingModel:
    """The figures of one dispenser, and of the hall that it stands in."""

    activation: float = 35_000.0
    """J / mol."""
    reference: float = 298.0
    """Kelvin, at which a fresh adhesive has a viscosity of 1."""
    doubling: float = 120.0
    pot_life: float = 120.0
    hall: float = 25.0
    """Degrees Celsius, on average."""
    swing: float = 4.0
    """Up and down by so many degrees in the course of `period`."""
    period: float = 480.0
    noise: float = 0.01
    """Standard deviation of the logarithm of the mass."""


class Dispensing:
    """The pot as it stands. `warmth`: degrees that a fault adds."""

    def __init__(self, chance: Random, model: DispensingModel | None = None) -> None:
        self.model = model or DispensingModel()
        self.warmth = 0.0
        self._chance = chance
        self._phase = chance.uniform(0.0, math.tau)
        self._filled = 0.0

    def temperature(self, now: float) -> float:
        """Degrees Celsius in the nozzle."""
        model = self.model
        return model.hall + self.warmth + model.swing * math.sin(math.tau * now / model.period + self._phase)

    def age(self, now: float) -> float:
        return now - self._filled

    def is_over(self, now: float) -> bool:
        """What is in the pot is too old."""
        return self.age(now) >= self.model.pot_life

    def fill(self, now: float) -> None:
        self._filled = now

    def viscosity(self, now: float) -> float:
        """Beside that of a fresh adhesive at the reference."""
        model = self.model
        kelvin = self.temperature(now) + 273.15
        warm = math.exp(model.activation / GAS * (1.0 / kelvin - 1.0 / model.reference))
        return float(warm * 2.0 ** (self.age(now) / model.doubling))

    def dispense(self, now: float, nominal: float, trim: float = 0.0) -> float:
        """The mass of one bead. `trim`: share by which the dose is raised."""
        chance = math.exp(self._chance.gauss(0.0, self.model.noise))
        return nominal * (1.0 + trim) / self.viscosity(now) * chance
