"""What can be broken on purpose, and how a sensor's fault changes what is told.

A fault of a **sensor** changes what a station tells, never what is. A fault of the **process** changes what is. A fault of the
**connection** concerns whoever speaks for the station; the plant only writes it down.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Final

__all__ = ["CONNECTION", "SENSOR", "Fault", "Kind", "Reading", "Told", "distorted"]


class Kind(StrEnum):
    """The words of `--fault`."""

    STEP = "step"
    RAMP = "ramp"
    NOISE = "noise"
    STUCK = "stuck"
    DROPOUT = "dropout"
    DELAY = "delay"
    DUPLICATE = "duplicate"
    WRONG_UNIT = "wrong-unit"
    TOOL_BREAK = "tool-break"
    GRIP_LOSS = "grip-loss"
    PROTECTIVE_STOP = "protective-stop"
    WRONG_CARRIER = "wrong-carrier"
    BLOCKED_EDGE = "blocked-edge"
    METER_FAILURE = "meter-failure"
    CLOCK_SKEW = "clock-skew"
    RENAMED_NODE = "renamed-node"
    CONNECTION_LOST = "connection-lost"
    CRASH = "crash"


SENSOR: Final = frozenset(
    {Kind.STEP, Kind.RAMP, Kind.NOISE, Kind.STUCK, Kind.DROPOUT, Kind.DELAY, Kind.DUPLICATE, Kind.WRONG_UNIT}
)
CONNECTION: Final = frozenset({Kind.CLOCK_SKEW, Kind.RENAMED_NODE, Kind.CONNECTION_LOST, Kind.CRASH})


@dataclass(frozen=True, slots=True)
class Fault:
    """`signal`: which one, for a fault of a sensor. `value`: how much (step and noise in the signal's unit, ramp in it for each
    minute, delay in seconds, wrong-unit as a factor); `since` in nanoseconds; `seconds`: how long, None for ever."""

    kind: Kind
    signal: str = ""
    value: float | None = None
    since: int = 0
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """What a station tells of one signal. `value` is None where it has none to tell (Bad)."""

    time: int
    path: str
    value: object


@dataclass(frozen=True, slots=True)
class Told:
    """A reading that goes out `late` seconds after its time."""

    reading: Reading
    late: float = 0.0


_INCH: Final = 1 / 25.4


def distorted(reading: Reading, faults: list[Fault], last: object, chance: Random) -> Iterator[Told]:
    """What is told instead of `reading`, by all `faults` of its signal in their order; `last` is what was told before them."""
    value, late, copies = reading.value, 0.0, 1
    for fault in faults:
        match fault.kind:
            case Kind.DROPOUT:
                value = None
            case Kind.STUCK:
                value = last
            case Kind.DELAY:
                late += fault.value or 0.0
            case Kind.DUPLICATE:
                copies += 1
            case _ if isinstance(value, float):
                value = _shifted(value, fault, reading.time, chance)
            case _:
                pass
    for _ in range(copies):
        yield Told(Reading(reading.time, reading.path, value), late)


def _shifted(value: float, fault: Fault, now: int, chance: Random) -> float:
    amount = fault.value or 0.0
    match fault.kind:
        case Kind.STEP:
            return value + amount
        case Kind.RAMP:
            return value + amount * (now - fault.since) / 60e9
        case Kind.NOISE:
            return value + chance.gauss(0.0, amount)
        case Kind.WRONG_UNIT:
            return value * (_INCH if fault.value is None else fault.value)
        case _:
            return value
