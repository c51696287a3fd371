"""The turning centre."""

from typing import ClassVar, Final

from dtios_cell.plant.faults import Fault, Kind
from dtios_cell.plant.housing import Housing
from dtios_cell.plant.processes.turning import Turning, TurningModel
from dtios_cell.plant.station import Refused, Surroundings
from dtios_cell.plant.worker import Job, Worker

__all__ = ["TurningCentre"]

_CUT: Final = 60.0
_HANDLED: Final = 7.5
"""Seconds for door and chuck, before and after."""
_CUTTING_WATTS: Final = 4200.0
LIMIT: Final = 200.0
"""Micrometres by which an offset may correct."""


class TurningCentre(Worker):
    """`offset` in micrometres is added to every diameter, as a tool offset is."""

    kind: ClassVar[str] = "turning"
    standby: ClassVar[float] = 650.0
    verbs: ClassVar[frozenset[str]] = frozenset({"abort", "change_tool", "reset", "set_offset", "turn"})
    breaks: ClassVar[frozenset[Kind]] = frozenset({Kind.TOOL_BREAK})
    levers: ClassVar[frozenset[str]] = frozenset({"Fixture"})

    def __init__(self, name: str, around: Surroundings, model: TurningModel | None = None) -> None:
        super().__init__(name, around)
        self.process = Turning(self.chance, model)
        self.offset = 0.0
        self.made = 0
        self.tool_changes = 0
        self._warm_until = 0.0
        for path, value in (("State", "Idle"), ("Part/Present", False), ("Production/Parts", 0), ("Tool/Changes", 0)):
            self.tell(path, value)
        self.tell("Offset", self.offset)
        self.tell("Spindle/Speed", 0.0)

    def set_offset(self, micrometres: float) -> None:
        """Takes effect with the next part. Raises Refused out of its limits, or while it cuts."""
        if not abs(micrometres) <= LIMIT:
            raise Refused(f"{self.name} takes offsets up to {LIMIT:g} um, not {micrometres}")
        if self.is_busy:
            raise Refused(f"{self.name} is busy: an offset is set between two parts")
        self.offset = micrometres
        self.tell("Offset", micrometres)

    def turn(self, job_id: str) -> Job:
        """Bore the part that lies in the chuck."""
        known = self.jobs.get(job_id)
        if known is None and self.process.is_worn and not self.down:
            self.change_tool()
        job = self.run(job_id, _CUT + 2 * _HANDLED, _CUTTING_WATTS, self._cut)
        if known is None:
            self.tell("Spindle/Speed", 2400.0)
        return job

    def change_tool(self) -> None:
        """A new insert, which sits a little differently. Raises Refused while it cuts."""
        if self.is_busy:
            raise Refused(f"{self.name} is busy: the tool is changed between two parts")
        self.process.change_tool()
        self.tool_changes += 1
        tool = self.process.tool
        self.write_down("tool", number=self.tool_changes, pace=tool.pace, seat=tool.seat)
        self.tell("Tool/Changes", self.tool_changes)
        for fault in [one for one in self.faults if one.kind is Kind.TOOL_BREAK]:
            self.clear(fault)

    def reset(self) -> None:
        if self.has(Kind.TOOL_BREAK):
            raise Refused(f"the tool of {self.name} is broken: change it first")
        super().reset()

    def broken(self, fault: Fault) -> None:
        if fault.kind is Kind.TOOL_BREAK and not self.is_busy:
            self.down = "tool broken"
            self.tell("State", "Aborted")

    def _cut(self, part: Housing) -> dict[str, object]:
        self.tell("Spindle/Speed", 0.0)
        cooled = self.timeline.minutes - self._warm_until - self.process.model.cycle
        if cooled > 0.0:
            self.process.rest(cooled)
        self._warm_until = self.timeline.minutes
        self.process.fixture = self.lever("Fixture")
        error = self.process.turn(self.offset)
        if self.has(Kind.TOOL_BREAK):
            self.down = "tool broken"
            part.scrapped = f"{self.name}: tool broken"
        part.bore_error = error
        self.made += 1
        self.write_down("part", serial=part.serial, error=error, wear=self.process.wear, scrapped=part.scrapped)
        self.tell("Production/Parts", self.made)
        return {"parts": self.made}
