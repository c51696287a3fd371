"""The plant: a filling machine that follows the PackML state model. No I/O, no clock of its own, seeded.

Time is in simulated seconds and moves only by `advance`, in ticks of `TICK`, so the same seed and the same commands at
the same ticks give the same machine, however the caller slices the time.
"""

import math
import random
from enum import IntEnum, StrEnum
from typing import Final

__all__ = ["COMMANDS", "DESIGN_SPEED", "MAX_ORDER", "TICK", "Mode", "Plant", "PlantRefusal", "Refused", "State"]

TICK: Final = 0.02
DESIGN_SPEED: Final = 240.0
"""Parts per minute."""
MAX_ORDER: Final = 100_000
AMBIENT: Final = 21.0
RAMP: Final = DESIGN_SPEED * 2.0
"""Change of the current speed, parts per minute for each second."""


class State(IntEnum):
    """ISA-TR88.00.02, with its numbers."""

    Clearing = 1
    Stopped = 2
    Starting = 3
    Idle = 4
    Suspended = 5
    Execute = 6
    Stopping = 7
    Aborting = 8
    Aborted = 9
    Holding = 10
    Held = 11
    Unholding = 12
    Suspending = 13
    Unsuspending = 14
    Resetting = 15
    Completing = 16
    Complete = 17


class Mode(IntEnum):
    Invalid = 0
    Produce = 1
    Maintenance = 2
    Manual = 3


class Refused(StrEnum):
    """Why the plant refuses, for the face to put into its protocol's words."""

    STATE = "state"
    RANGE = "range"


class PlantRefusal(Exception):
    """The plant did not do what it was asked; nothing changed."""

    def __init__(self, kind: Refused, message: str) -> None:
        super().__init__(message)
        self.kind = kind


_WAITING: Final = {State.Idle, State.Complete, State.Held, State.Suspended, State.Stopped, State.Aborted}
_STOPPED_SIDE: Final = {State.Stopping, State.Stopped, State.Clearing}
_ABORTED_SIDE: Final = {State.Aborting, State.Aborted}
_RUNNING: Final = set(State) - _STOPPED_SIDE - _ABORTED_SIDE
_HOLDABLE: Final = {
    State.Execute, State.Starting, State.Unholding, State.Suspending, State.Suspended, State.Unsuspending,
}  # fmt: skip

COMMANDS: Final[dict[str, tuple[set[State], State]]] = {
    "Reset": ({State.Complete, State.Stopped}, State.Resetting),
    "Start": ({State.Idle}, State.Starting),
    "Hold": (_HOLDABLE, State.Holding),
    "Unhold": ({State.Held}, State.Unholding),
    "Suspend": ({State.Execute}, State.Suspending),
    "Unsuspend": ({State.Suspended}, State.Unsuspending),
    "ToComplete": ({State.Execute}, State.Completing),
    "Stop": (_RUNNING, State.Stopping),
    "Abort": (_RUNNING | _STOPPED_SIDE, State.Aborting),
    "Clear": ({State.Aborted}, State.Clearing),
}
"""Command -> (states it is taken in, where it leads)."""

_ACTING: Final[dict[State, tuple[float, State]]] = {
    State.Resetting: (0.3, State.Idle),
    State.Starting: (0.5, State.Execute),
    State.Completing: (0.4, State.Complete),
    State.Holding: (0.3, State.Held),
    State.Unholding: (0.3, State.Execute),
    State.Suspending: (0.3, State.Suspended),
    State.Unsuspending: (0.3, State.Execute),
    State.Stopping: (0.4, State.Stopped),
    State.Aborting: (0.1, State.Aborted),
    State.Clearing: (0.3, State.Stopped),
}
"""Acting states: how long they take (s) and where they lead. Execute ends with the order."""

_DRIVEN: Final = {State.Starting, State.Execute, State.Unholding, State.Unsuspending}
"""States in which the drive follows the set speed; in all others it runs down."""


class Plant:
    """What the machine is and does. Speeds are parts per minute, temperatures degrees Celsius.

    `ordered` 0 means: no end but ToComplete or Stop. `jam_every` N > 0 jams it about every N parts, by seed, and it holds
    by itself until somebody commands Unhold.
    """

    def __init__(self, seed: int = 1, jam_every: int = 0, state: State = State.Idle) -> None:
        if state not in _WAITING:
            raise ValueError(f"{state.name} is an acting state; a plant begins in a waiting one")
        self._random = random.Random(seed)
        self._ticks = 0
        self._entered = 0
        self._fraction = 0.0
        self._jam_every = jam_every
        self._next_jam = self._draw_jam(0)
        self.state = state
        self.mode = Mode.Produce
        self.set_speed = 120.0
        self.speed = 0.0
        self.ordered = 10
        self.processed = 0
        self.defective = 0
        self.processed_ever = 0
        self.defective_ever = 0
        self.jams = 0
        self.jammed = False
        self.temperature = AMBIENT

    @property
    def time(self) -> float:
        """Simulated seconds since the beginning."""
        return self._ticks * TICK

    def command(self, name: str) -> None:
        """One of COMMANDS. Raises PlantRefusal in a state that does not take it."""
        allowed, to = COMMANDS[name]
        if self.state not in allowed:
            raise PlantRefusal(Refused.STATE, f"{name} is not taken in {self.state.name}")
        if name == "Start" and self.mode is Mode.Maintenance:
            raise PlantRefusal(Refused.STATE, "Start is not taken in mode Maintenance")
        self._enter(to)

    def request_mode(self, mode: int) -> None:
        """Modes change where nothing moves: in Stopped, Idle and Aborted."""
        if mode not in (Mode.Produce, Mode.Maintenance, Mode.Manual):
            raise PlantRefusal(Refused.RANGE, f"there is no mode {mode}")
        if self.state not in (State.Stopped, State.Idle, State.Aborted):
            raise PlantRefusal(Refused.STATE, f"the mode does not change in {self.state.name}")
        self.mode = Mode(mode)

    def request_speed(self, speed: float) -> None:
        """Parts per minute, more than 0 and up to DESIGN_SPEED."""
        if not (math.isfinite(speed) and 0.0 < speed <= DESIGN_SPEED):
            raise PlantRefusal(Refused.RANGE, f"speed {speed} is not within 0 and {DESIGN_SPEED:g} parts per minute")
        self.set_speed = speed

    def request_order(self, parts: int) -> None:
        """How many parts the next run makes. Not while one is running."""
        if not 0 <= parts <= MAX_ORDER:
            raise PlantRefusal(Refused.RANGE, f"an order of {parts} parts is not within 0 and {MAX_ORDER}")
        if self.state in _RUNNING - {State.Idle, State.Complete, State.Resetting}:
            raise PlantRefusal(Refused.STATE, f"the order does not change in {self.state.name}")
        self.ordered = parts

    def advance(self, until: float) -> None:
        """Let time pass up to `until` (simulated seconds since the beginning); a past `until` does nothing."""
        while (self._ticks + 1) * TICK <= until + 1e-9:
            self._tick()

    def _enter(self, state: State) -> None:
        self.state = state
        self._entered = self._ticks
        if state is State.Resetting:
            self.processed = self.defective = 0
            self._fraction = 0.0
        if state is State.Unholding or state in _STOPPED_SIDE | _ABORTED_SIDE:
            self.jammed = False

    def _tick(self) -> None:
        self._ticks += 1
        acting = _ACTING.get(self.state)
        if acting is not None and (self._ticks - self._entered) * TICK >= acting[0] - 1e-9:
            self._enter(acting[1])
        self._drive()
        self._warm()
        if self.state is State.Execute:
            self._produce()

    def _drive(self) -> None:
        target = self.set_speed if self.state in _DRIVEN else 0.0
        step = RAMP * TICK
        self.speed += max(-step, min(step, target - self.speed))

    def _warm(self) -> None:
        goal = AMBIENT + 40.0 * self.speed / DESIGN_SPEED
        self.temperature += (goal - self.temperature) * TICK / 8.0 + self._random.gauss(0.0, 0.01)

    def _produce(self) -> None:
        self._fraction += self.speed / 60.0 * TICK
        while self._fraction >= 1.0 and self.state is State.Execute:
            self._fraction -= 1.0
            self._part()

    def _part(self) -> None:
        self.processed += 1
        self.processed_ever += 1
        if self._random.random() < 0.03:
            self.defective += 1
            self.defective_ever += 1
        if self.ordered and self.processed >= self.ordered:
            self._enter(State.Completing)
        elif self._jam_every and self.processed_ever >= self._next_jam:
            self._jam()

    def _jam(self) -> None:
        self.jams += 1
        self.jammed = True
        self._next_jam = self._draw_jam(self.processed_ever)
        self._enter(State.Holding)

    def _draw_jam(self, parts: int) -> int:
        """The count of parts at which the next jam comes."""
        n = self._jam_every
        return parts + (self._random.randint(max(1, n // 2), max(1, n + n // 2)) if n else 0)
