"""The arm: the inverse against the forward kinematics, what is refused and why, and that no move leaves the limits."""

import math
import random

import pytest

from dtios_cell.arm import LIMITS, UR5E, Joints, Pose, Unreachable, forward, inverse, nearest, plan


def _random(chance: random.Random) -> Joints:
    a, b, c, d, e, f = (chance.uniform(-math.pi, math.pi) for _ in range(6))
    return a, b, c, d, e, f


def _apart(one: Joints, other: Joints) -> float:
    return max(abs(math.remainder(a - b, math.tau)) for a, b in zip(one, other, strict=True))


def test_each_posture_brings_the_flange_to_the_pose() -> None:
    chance, reached = random.Random(1), 0
    while reached < 10_000:
        posture = _random(chance)
        pose = forward(posture)
        try:
            found = inverse(pose)
        except Unreachable:
            continue
        reached += 1
        back = [forward(one) for one in found]
        assert max(one.distance(pose) for one in back) < 1e-9
        assert max(one.angle(pose) for one in back) < 1e-9


def test_a_posture_far_from_singularities_is_among_those_found() -> None:
    chance, tried = random.Random(2), 0
    while tried < 500:
        posture = _random(chance)
        if abs(math.sin(posture[4])) < 0.1 or abs(math.sin(posture[2])) < 0.1:
            continue
        try:
            found = inverse(forward(posture))
        except Unreachable:
            continue  # the wrist stands over the base
        tried += 1
        assert min(_apart(posture, one) for one in found) < 1e-6
        assert len(found) in (2, 4, 6, 8)
        assert all(abs(angle) <= math.pi for one in found for angle in one)


def test_the_arm_stretched_to_its_side_is_where_its_links_end() -> None:
    pose = forward((0.0, 0.0, 0.0, 0.0, 0.0, 0.0))
    assert pose.position == pytest.approx((UR5E.a2 + UR5E.a3, -UR5E.d4 - UR5E.d6, UR5E.d1 - UR5E.d5))


DOWN = ((1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (0.0, 0.0, -1.0))


@pytest.mark.parametrize(
    ("pose", "reason"),
    [
        (Pose(DOWN, (1.5, 0.0, 0.2)), "arm reach from"),
        (Pose(DOWN, (0.05, 0.05, 0.3)), "axis of the base"),
        (forward((0.3, -1.2, 0.0, -1.0, 1.2, 0.2)), "elbow"),
    ],
)
def test_what_cannot_be_reached_is_refused_with_its_reason(pose: Pose, reason: str) -> None:
    with pytest.raises(Unreachable, match=reason):
        inverse(pose)


def test_a_posture_with_its_wrist_in_line_is_not_offered_but_others_are() -> None:
    in_line = (0.3, -1.2, 1.0, -1.0, 0.001, 0.2)
    found = inverse(forward(in_line))
    assert found
    assert min(_apart(in_line, one) for one in found) > 0.1


def test_the_nearest_posture_turns_least() -> None:
    now = (0.4, -1.3, 1.6, -1.9, -1.5, 3.1)
    near = tuple(angle + 0.05 for angle in now)
    found = nearest(forward(near), now)  # type: ignore[arg-type]  # six of them
    assert found == pytest.approx(near)
    assert found[5] > math.pi, "it goes on over half a turn instead of back the long way"


@pytest.mark.parametrize("override", [1.0, 0.1])
def test_no_move_leaves_the_limits(override: float) -> None:
    chance = random.Random(3)
    for _ in range(50):
        start, end = _random(chance), _random(chance)
        move = plan(start, end, override=override)
        step = 0.004
        before = (0.0,) * 6
        for number in range(math.ceil(move.seconds / step) + 1):
            _, speed, acceleration = move.at(number * step)
            for joint in range(6):
                assert abs(speed[joint]) <= override * LIMITS.speed[joint] * (1 + 1e-9)
                assert abs(acceleration[joint]) <= LIMITS.acceleration[joint] * (1 + 1e-9)
                assert abs(acceleration[joint] - before[joint]) <= LIMITS.jerk[joint] * step * (1 + 1e-6) + 1e-9
            before = acceleration
        assert move.at(0.0)[0] == pytest.approx(start)
        assert move.at(move.seconds)[0] == end


@pytest.mark.parametrize(("end", "override"), [((math.nan,) * 6, 1.0), ((1.0,) * 6, 0.0), ((1.0,) * 6, 1.5)])
def test_a_move_that_makes_no_sense_is_refused(end: Joints, override: float) -> None:
    with pytest.raises(ValueError, match="no move"):
        plan((0.0,) * 6, end, override=override)
