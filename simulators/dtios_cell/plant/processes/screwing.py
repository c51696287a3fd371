"""Driving a screw: torque over angle, and the preload that nobody sees.

The short form of the torque equation, T = K F d: the same torque gives less preload where friction is higher. A driver sees
torque and angle alone. Torque in newton metres, force in newtons, lengths in metres, angles in degrees.
"""

from dataclasses import dataclass
from random import Random

__all__ = ["Driven", "Screwing", "ScrewingModel"]


@dataclass(frozen=True, slots=True)
class ScrewingModel:
    """An M6 screw in a housing."""

    diameter: float = 0.006
    target: float = 9.0
    friction: float = 0.20
    """The nut factor K of a screw as delivered."""
    spread: float = 0.008
    rundown: float = 720.0
    """Until the head touches."""
    stiffness: float = 110.0
    """Newtons for each degree after that."""
    prevailing: float = 0.35
    """Torque while it runs down."""
    noise: float = 0.03
    step: float = 4.0
    """Degrees between two points of the curve."""


@dataclass(frozen=True, slots=True)
class Driven:
    """One screw. `preload` and `friction` are the truth; the rest is what the driver sees."""

    torque: float
    angle: float
    curve: tuple[tuple[float, float], ...]
    """(angle, torque)."""
    preload: float
    friction: float
    is_ok: bool


class Screwing:
    """`extra`: what a fault adds to the friction (dry or dirty screws)."""

    def __init__(self, chance: Random, model: ScrewingModel | None = None) -> None:
        self.model = model or ScrewingModel()
        self.extra = 0.0
        self._chance = chance

    def drive(self, *, jammed: bool = False) -> Driven:
        """To the target torque. `jammed`: the thread seizes on the way down, and the angle tells."""
        model = self.model
        friction = max(0.05, self._chance.gauss(model.friction + self.extra, model.spread))
        preload = model.target / (friction * model.diameter)
        seat = model.rundown * (0.4 if jammed else 1.0)
        angle = seat + preload / model.stiffness
        curve = tuple(self._curve(seat, angle, friction))
        reached = curve[-1][1]
        return Driven(reached, angle, curve, 0.0 if jammed else preload, friction, not jammed)

    def _curve(self, seat: float, end: float, friction: float) -> list[tuple[float, float]]:
        model = self.model
        points = []
        for number in range(int(end / model.step) + 1):
            angle = number * model.step
            force = max(0.0, angle - seat) * (model.target / (friction * model.diameter)) / (end - seat)
            torque = max(model.prevailing, friction * force * model.diameter) + self._chance.gauss(0.0, model.noise)
            points.append((angle, torque))
        points.append((end, model.target + self._chance.gauss(0.0, model.noise)))
        return points
