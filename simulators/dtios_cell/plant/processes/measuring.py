"""Measuring: noise and bias of a gauge. Lengths in micrometres."""

from dataclasses import dataclass
from random import Random

__all__ = ["GaugeModel", "Measuring"]


@dataclass(frozen=True, slots=True)
class GaugeModel:
    noise: float = 0.8
    bias: float = 0.0


class Measuring:
    """One gauge."""

    def __init__(self, chance: Random, model: GaugeModel | None = None) -> None:
        self.model = model or GaugeModel()
        self._chance = chance

    def measure(self, true: float) -> float:
        return true + self.model.bias + self._chance.gauss(0.0, self.model.noise)
