"""A six-axis arm with parallel axes 2, 3, 4 and a wrist without a common point, by the numbers of Denavit and Hartenberg.

The inverse is exact: up to eight postures bring the tool to a pose. A pose that is out of reach, or at which an axis loses its
effect (a singularity), is refused with the reason: there no posture, or no speed of the joints, is the right one.
"""

import math
from dataclasses import dataclass
from typing import Final, TypeAlias

from dtios_cell.arm.pose import Pose, Vector, about_x, about_z, joint, unit

__all__ = ["UR5E", "Joints", "Links", "Unreachable", "forward", "inverse", "nearest"]

Joints: TypeAlias = tuple[float, float, float, float, float, float]
"""Radians, from the base to the flange."""
_MARGIN: Final = math.radians(1.0)
"""So near to a singularity a posture is refused."""


class Unreachable(Exception):
    """No posture of the arm brings its tool there. The message says why."""


@dataclass(frozen=True, slots=True)
class Links:
    """Denavit-Hartenberg numbers in metres: `d` along z of each joint, `a` along x; the twists are those of this kind of arm."""

    d1: float
    a2: float
    a3: float
    d4: float
    d5: float
    d6: float

    def rows(self) -> tuple[tuple[float, float, float], ...]:
        """(a, twist, d) of each joint."""
        right = math.pi / 2
        return (
            (0.0, right, self.d1),
            (self.a2, 0.0, 0.0),
            (self.a3, 0.0, 0.0),
            (0.0, right, self.d4),
            (0.0, -right, self.d5),
            (0.0, 0.0, self.d6),
        )


UR5E: Final = Links(d1=0.1625, a2=-0.425, a3=-0.3922, d4=0.1333, d5=0.0997, d6=0.0996)


def forward(joints: Joints, links: Links = UR5E) -> Pose:
    """Where the flange is, seen from the base."""
    pose = unit()
    for angle, (a, twist, d) in zip(joints, links.rows(), strict=True):
        pose = pose.then(joint(angle, d, a, twist))
    return pose


def inverse(target: Pose, links: Links = UR5E) -> list[Joints]:
    """All postures that bring the flange to `target`, joints within -pi to pi. Raises Unreachable."""
    found: list[Joints] = []
    reasons: list[str] = []
    for first in _shoulders(target, links):
        for fifth in _wrists(target, links, first, reasons):
            sixth = _last(target, first, fifth)
            found += _elbows(target, links, first, fifth, sixth, reasons)
    if not found:
        raise Unreachable(reasons[0])
    return found


def nearest(target: Pose, now: Joints, links: Links = UR5E) -> Joints:
    """The posture at `target` that takes the least turning from `now`; joints may leave -pi to pi to get there the short way."""

    def from_here(posture: Joints) -> Joints:
        a, b, c, d, e, f = (was + _wrapped(to - was) for was, to in zip(now, posture, strict=True))
        return a, b, c, d, e, f

    return min(map(from_here, inverse(target, links)), key=lambda to: max(abs(a - b) for a, b in zip(to, now, strict=True)))


def _shoulders(target: Pose, links: Links) -> tuple[float, ...]:
    # The plane of the arm stands d4 beside the axis of the base, so the wrist must be farther from that axis than d4.
    x, y, _ = _wrist(target, links)
    away = math.hypot(x, y)
    if away < links.d4 * (1.0 + math.sin(_MARGIN) ** 2):
        raise Unreachable(
            f"the wrist would be {away:.3f} m from the axis of the base: nearer than {links.d4} m the shoulder cannot turn to it"
        )
    aside = math.acos(links.d4 / away)
    towards = math.atan2(y, x) + math.pi / 2
    return _wrapped(towards + aside), _wrapped(towards - aside)


def _wrist(target: Pose, links: Links) -> Vector:
    x, y, z = target.position
    along = target.z
    return x - links.d6 * along[0], y - links.d6 * along[1], z - links.d6 * along[2]


def _wrists(target: Pose, links: Links, first: float, reasons: list[str]) -> tuple[float, ...]:
    s, c = math.sin(first), math.cos(first)
    x, y, _ = target.position
    cosine = (x * s - y * c - links.d4) / links.d6
    if abs(cosine) > math.cos(_MARGIN):
        reasons.append("axes 4 and 6 would be in line: the wrist has no posture of its own there (singularity)")
        return ()
    angle = math.acos(cosine)
    return angle, -angle


def _last(target: Pose, first: float, fifth: float) -> float:
    s, c, sign = math.sin(first), math.cos(first), math.copysign(1.0, math.sin(fifth))
    x, y = target.x, target.y
    return math.atan2((c * y[1] - s * y[0]) * sign, (s * x[0] - c * x[1]) * sign)


def _elbows(target: Pose, links: Links, first: float, fifth: float, sixth: float, reasons: list[str]) -> list[Joints]:
    """What is left is an arm of two links in a plane: from axis 2 to axis 4."""
    right = math.pi / 2
    wrist = about_z(fifth, links.d5).then(about_x(-right)).then(about_z(sixth, links.d6))
    plane = about_z(first, links.d1).then(about_x(right)).inverse().then(target).then(wrist.inverse())
    x, y, _ = plane.move((0.0, -links.d4, 0.0))
    cosine = (x * x + y * y - links.a2**2 - links.a3**2) / (2 * links.a2 * links.a3)
    if abs(cosine) > 1.0:
        far = math.hypot(x, y)
        low, high = abs(links.a2 - links.a3), abs(links.a2 + links.a3)
        reasons.append(
            f"the wrist would be {far:.3f} m from the shoulder: upper and lower arm reach from {low:.3f} to {high:.3f} m"
        )
        return []
    if abs(cosine) > math.cos(_MARGIN):
        reasons.append("the elbow would be stretched or folded: it cannot move the wrist in or out there (singularity)")
        return []
    return [_posture(plane, links, (x, y), (first, elbow, fifth, sixth)) for elbow in (math.acos(cosine), -math.acos(cosine))]


def _posture(plane: Pose, links: Links, wrist: tuple[float, float], known: tuple[float, float, float, float]) -> Joints:
    first, elbow, fifth, sixth = known
    across = links.a2 + links.a3 * math.cos(elbow)
    up = links.a3 * math.sin(elbow)
    second = math.atan2(wrist[1], wrist[0]) - math.atan2(up, across)
    # The turn of axes 2, 3 and 4 together is seen in the plane: they are parallel.
    together = math.atan2(plane.rotation[1][0], plane.rotation[0][0])
    return first, _wrapped(second), elbow, _wrapped(together - second - elbow), fifth, _wrapped(sixth)


def _wrapped(angle: float) -> float:
    return math.remainder(angle, math.tau)
