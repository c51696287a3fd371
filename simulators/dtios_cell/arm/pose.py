"""Where a frame stands in another: a rotation and a translation."""

import math
from dataclasses import dataclass
from typing import TypeAlias

__all__ = ["Pose", "Vector", "about_x", "about_z", "joint", "unit"]

Vector: TypeAlias = tuple[float, float, float]
Rows: TypeAlias = tuple[Vector, Vector, Vector]


@dataclass(frozen=True, slots=True)
class Pose:
    """`rotation`: the rows of a proper rotation matrix; `position` in metres."""

    rotation: Rows
    position: Vector

    @property
    def x(self) -> Vector:
        return self._column(0)

    @property
    def y(self) -> Vector:
        return self._column(1)

    @property
    def z(self) -> Vector:
        """The axis along which a tool points."""
        return self._column(2)

    def _column(self, number: int) -> Vector:
        first, second, third = self.rotation
        return first[number], second[number], third[number]

    def turn(self, vector: Vector) -> Vector:
        (a, b, c), (d, e, f), (g, h, i) = self.rotation
        x, y, z = vector
        return a * x + b * y + c * z, d * x + e * y + f * z, g * x + h * y + i * z

    def move(self, point: Vector) -> Vector:
        x, y, z = self.turn(point)
        return x + self.position[0], y + self.position[1], z + self.position[2]

    def then(self, inner: "Pose") -> "Pose":
        """A frame that stands at `inner` in this frame, seen from outside of this frame."""
        (a, b, c), (d, e, f), (g, h, i) = (self.turn(inner.x), self.turn(inner.y), self.turn(inner.z))
        return Pose(((a, d, g), (b, e, h), (c, f, i)), self.move(inner.position))

    def inverse(self) -> "Pose":
        turned = Pose((self.x, self.y, self.z), (0.0, 0.0, 0.0))
        x, y, z = turned.turn(self.position)
        return Pose(turned.rotation, (-x, -y, -z))

    def distance(self, other: "Pose") -> float:
        """In metres."""
        return math.dist(self.position, other.position)

    def angle(self, other: "Pose") -> float:
        """Of the turn from one to the other, in radians, 0 to pi; exact also where it is tiny."""
        chord = math.sqrt(sum(math.dist(a, b) ** 2 for a, b in zip(self.rotation, other.rotation, strict=True)))
        return 2.0 * math.asin(min(1.0, chord / (2.0 * math.sqrt(2.0))))


def unit() -> Pose:
    return Pose(((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)), (0.0, 0.0, 0.0))


def about_z(angle: float, rise: float = 0.0) -> Pose:
    """A turn about z, with a shift along it."""
    c, s = math.cos(angle), math.sin(angle)
    return Pose(((c, -s, 0.0), (s, c, 0.0), (0.0, 0.0, 1.0)), (0.0, 0.0, rise))


def about_x(angle: float, shift: float = 0.0) -> Pose:
    """A turn about x, with a shift along it."""
    c, s = math.cos(angle), math.sin(angle)
    return Pose(((1.0, 0.0, 0.0), (0.0, c, -s), (0.0, s, c)), (shift, 0.0, 0.0))


def joint(angle: float, rise: float, shift: float, twist: float) -> Pose:
    """A turn about z with a rise along it, then a shift along x with a twist about it: one joint of Denavit and Hartenberg."""
    c, s, ct, st = math.cos(angle), math.sin(angle), math.cos(twist), math.sin(twist)
    return Pose(((c, -s * ct, s * st), (s, c * ct, -c * st), (0.0, st, ct)), (shift * c, shift * s, rise))
