"""The arm: where its tool is for given joints, which joints bring the tool to a pose, and how it moves between them."""

from dtios_cell.arm.kinematics import UR5E, Joints, Links, Unreachable, forward, inverse, nearest
from dtios_cell.arm.motion import LIMITS, Limits, Move, plan
from dtios_cell.arm.pose import Pose, Vector

__all__ = [
    "LIMITS",
    "UR5E",
    "Joints",
    "Limits",
    "Links",
    "Move",
    "Pose",
    "Unreachable",
    "Vector",
    "forward",
    "inverse",
    "nearest",
    "plan",
]
