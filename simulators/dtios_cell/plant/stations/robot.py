"""The robot: it carries parts between places, by programs `pick-PLACE` and `put-PLACE`."""

import math
from collections.abc import Mapping
from typing import ClassVar, Final

from dtios_cell.arm import Joints, Move, Pose, Unreachable, nearest, plan
from dtios_cell.plant.faults import Fault, Kind
from dtios_cell.plant.housing import Housing
from dtios_cell.plant.places import Place
from dtios_cell.plant.station import Refused, Station, Surroundings
from dtios_cell.plant.timeline import SECOND

__all__ = ["HOME", "Robot", "downwards"]

HOME: Final[Joints] = (0.0, -math.pi / 2, math.pi / 2, -math.pi / 2, -math.pi / 2, 0.0)
_ABOVE: Final = 0.12
"""Metres over a place at which the hand comes and goes."""
_GRIP: Final = 0.4
"""Seconds that the gripper takes."""
_WATTS: Final = 330.0
_HOLDING_WATTS: Final = 210.0


def downwards(x: float, y: float, z: float) -> Pose:
    """The hand at a point, in metres from the base, pointing down."""
    return Pose(((1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (0.0, 0.0, -1.0)), (x, y, z))


class Robot(Station):
    """`places` by name: where it is, and what can lie there. A program that cannot be run is refused when it is loaded."""

    kind: ClassVar[str] = "robot"
    standby: ClassVar[float] = 105.0
    verbs: ClassVar[frozenset[str]] = frozenset({"joints", "load_program", "reset", "start", "stop"})
    breaks: ClassVar[frozenset[Kind]] = frozenset({Kind.GRIP_LOSS, Kind.PROTECTIVE_STOP})

    def __init__(self, name: str, around: Surroundings, places: Mapping[str, tuple[Pose, Place]]) -> None:
        super().__init__(name, around)
        self.held: Housing | None = None
        self.program = ""
        self.state = "Idle"
        self.override = 1.0
        self.done = 0
        self._places = dict(places)
        self._postures: dict[str, tuple[Joints, Joints]] = {}
        self._rest: Joints = HOME
        self._move: tuple[int, Move] | None = None
        self._left: list[tuple[str, Joints | None]] = []
        for path, value in (("State", "Idle"), ("Program", ""), ("Gripper/Closed", False), ("Part/Present", False)):
            self.tell(path, value)
        self.tell("Safety/ProtectiveStop", False)
        self.tell("Programs/Done", 0)

    @property
    def programs(self) -> list[str]:
        return [f"{verb}-{place}" for place in self._places for verb in ("pick", "put")]

    def joints(self) -> tuple[Joints, Joints]:
        """Position and speed of the joints now, in radians and radians a second."""
        if self._move is None:
            return self._rest, (0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
        began, move = self._move
        position, speed, _ = move.at((self.timeline.now - began) / SECOND)
        return position, speed

    def load_program(self, name: str) -> None:
        """Raises Refused: no such program, out of reach, or at work."""
        if self.is_busy:
            raise Refused(f"{self.name} runs {self.program}: stop it first")
        verb, _, place = name.partition("-")
        if verb not in ("pick", "put") or place not in self._places:
            raise Refused(f"{self.name} has no program {name}; it has {', '.join(self.programs)}")
        try:
            self._posture(place)
        except Unreachable as why:
            raise Refused(f"{self.name} cannot reach {place}: {why}") from None
        self.program = name
        self.tell("Program", name)

    def start(self) -> None:
        """Run the program that is loaded. Raises Refused."""
        if self.state == "ProtectiveStop":
            raise Refused(f"{self.name} is in a protective stop: reset it first")
        if not self.program:
            raise Refused(f"{self.name} has no program: load one first")
        if self.is_busy:
            raise Refused(f"{self.name} runs {self.program} already")
        verb, _, place = self.program.partition("-")
        if (verb == "pick") == (self.held is not None):
            raise Refused(f"the hand of {self.name} is {'full' if self.held else 'empty'}")
        above, at = self._posture(place)
        self._left = [("move", above), ("move", at), (verb, None), ("move", above)]
        self._become("Execute")
        self._next()

    def stop(self) -> None:
        """Stand still where it is; the program is over. Nothing happens where none runs."""
        if self._halt():
            self._become("Stopped")

    def reset(self) -> None:
        """After a stop. Raises Refused while what stopped it lasts."""
        if self.has(Kind.PROTECTIVE_STOP):
            raise Refused(f"{self.name} is still in a protective stop")
        if not self.is_busy:
            self.tell("Safety/ProtectiveStop", False)
            self._become("Idle")

    def broken(self, fault: Fault) -> None:
        if fault.kind is Kind.PROTECTIVE_STOP:
            self._halt()
            self.tell("Safety/ProtectiveStop", True)
            self._become("ProtectiveStop")
        elif fault.kind is Kind.GRIP_LOSS and self.held is not None:
            self._drop()

    def _halt(self) -> bool:
        if not self.break_off():
            return False
        self._rest = self.joints()[0]
        self._move, self._left = None, []
        return True

    def _next(self) -> None:
        if self._move is not None:
            self._rest, self._move = self._move[1].end, None
        if not self._left:
            self.done += 1
            self.tell("Programs/Done", self.done)
            self._become("Idle")
            return
        what, to = self._left.pop(0)
        if to is None:
            self.begin(_GRIP, _HOLDING_WATTS, lambda: self._grip(what))
            return
        move = plan(self._rest, to, override=self.override)
        self.begin(move.seconds, _WATTS, self._next)
        self._move = (self.timeline.now, move)

    def _grip(self, verb: str) -> None:
        place = self._places[self.program.partition("-")[2]][1]
        try:
            if verb == "pick":
                self.held = place.unload()
            elif self.held is not None:
                place.load(self.held)
                self.held = None
        except Refused as why:
            self.write_down("collision", program=self.program, reason=str(why))
            self._left = []
            self._become(f"Aborted: {why}")
            return
        self._say_grip()
        self.write_down("moved", program=self.program, serial=self.held.serial if self.held else None)
        if self.held is not None and self.has(Kind.GRIP_LOSS):
            self._drop()
        self._next()

    def _drop(self) -> None:
        assert self.held is not None
        self.held.scrapped = f"{self.name}: dropped"
        self.write_down("dropped", serial=self.held.serial)
        self.held = None
        self._say_grip()

    def _say_grip(self) -> None:
        self.tell("Gripper/Closed", self.held is not None)
        self.tell("Part/Present", self.held is not None)

    def _posture(self, place: str) -> tuple[Joints, Joints]:
        """Above a place and at it."""
        if place not in self._postures:
            at = self._places[place][0]
            x, y, z = at.position
            above = nearest(Pose(at.rotation, (x, y, z + _ABOVE)), HOME)
            self._postures[place] = above, nearest(at, above)
        return self._postures[place]

    def _become(self, state: str) -> None:
        self.state = state
        self.tell("State", state.partition(":")[0])
