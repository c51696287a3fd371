"""Moves from rest to rest in the space of the joints: all axes start and end together, none above speed, acceleration or jerk."""

import math
from dataclasses import dataclass
from typing import Final

from ruckig import InputParameter, Result, Ruckig, Trajectory

from dtios_cell.arm.kinematics import Joints

__all__ = ["LIMITS", "Limits", "Move", "plan"]


@dataclass(frozen=True, slots=True)
class Limits:
    """Of each joint: radians per second, per second squared, per second cubed."""

    speed: Joints
    acceleration: Joints
    jerk: Joints


def _all(value: float) -> Joints:
    return value, value, value, value, value, value


LIMITS: Final = Limits(speed=_all(math.pi), acceleration=_all(math.radians(800.0)), jerk=_all(math.radians(8000.0)))
"""The arm turns each joint by up to 180 degrees a second; acceleration and jerk are what moves gently at that size."""


class Move:
    """A planned move. `seconds` is how long it takes."""

    def __init__(self, trajectory: Trajectory, end: Joints) -> None:
        self._trajectory = trajectory
        self.end = end
        self.seconds: float = trajectory.duration

    def at(self, seconds: float) -> tuple[Joints, Joints, Joints]:
        """Position (rad), speed (rad/s) and acceleration (rad/s2) of the joints so long after the start; then at rest."""
        if seconds >= self.seconds:
            return self.end, _all(0.0), _all(0.0)
        position, speed, acceleration = self._trajectory.at_time(max(0.0, seconds))
        return tuple(position), tuple(speed), tuple(acceleration)


def plan(start: Joints, end: Joints, limits: Limits = LIMITS, override: float = 1.0) -> Move:
    """`override`: share of the speed, 0 to 1 (excluding 0). Raises ValueError for what is no number, or out of that range."""
    if not (0.0 < override <= 1.0) or not all(map(math.isfinite, (*start, *end))):
        raise ValueError(f"no move from {start} to {end} at {override} of the speed")
    asked = InputParameter(6)
    asked.current_position, asked.target_position = list(start), list(end)
    asked.current_velocity = asked.target_velocity = asked.current_acceleration = asked.target_acceleration = [0.0] * 6
    asked.max_velocity = [override * one for one in limits.speed]
    asked.max_acceleration, asked.max_jerk = list(limits.acceleration), list(limits.jerk)
    trajectory = Trajectory(6)
    result = Ruckig(6).calculate(asked, trajectory)
    if result not in (Result.Working, Result.Finished):
        raise ValueError(f"no move from {start} to {end}: {result}")
    return Move(trajectory, end)
