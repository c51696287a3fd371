"""The dispenser of adhesive."""

from typing import ClassVar, Final

from dtios_cell.plant.housing import Housing
from dtios_cell.plant.processes.dispensing import BEADS, Dispensing, DispensingModel
from dtios_cell.plant.station import Refused, Surroundings
from dtios_cell.plant.worker import Job, Worker

__all__ = ["Dispenser"]

_SECONDS: Final = {"line": 6.0, "cross": 9.0, "ring": 12.0, "double-ring": 18.0}
_WATTS: Final = 180.0
_SCALE: Final = 0.003
"""Standard deviation of the weighing, as a share."""


class Dispenser(Worker):
    """`trim`: share by which the dose is raised. The bead is weighed by a cell below the part."""

    kind: ClassVar[str] = "dispenser"
    standby: ClassVar[float] = 45.0
    verbs: ClassVar[frozenset[str]] = frozenset({"abort", "dispense", "reset", "set_trim"})
    levers: ClassVar[frozenset[str]] = frozenset({"Warmth"})

    def __init__(self, name: str, around: Surroundings, model: DispensingModel | None = None) -> None:
        super().__init__(name, around)
        self.process = Dispensing(self.chance, model)
        self.trim = 0.0
        self.fills = 0
        for path, value in (("State", "Idle"), ("Part/Present", False), ("Pot/Fills", 0), ("Dose/Trim", 0.0)):
            self.tell(path, value)
        self.tell("Nozzle/Temperature", self.process.temperature(0.0))

    def set_trim(self, share: float) -> None:
        """Raises Refused out of -0.5 to 4."""
        if not -0.5 <= share <= 4.0:
            raise Refused(f"{self.name} takes a trim from -0.5 to 4, not {share}")
        self.trim = share
        self.tell("Dose/Trim", share)

    def dispense(self, job_id: str) -> Job:
        """The bead that the part was ordered with."""
        now = self.timeline.minutes
        if job_id not in self.jobs and not self.is_busy and self.process.is_over(now):
            self.process.fill(now)
            self.fills += 1
            self.write_down("pot", number=self.fills)
            self.tell("Pot/Fills", self.fills)
        seconds = _SECONDS[self.part.bead] if self.part is not None else 0.0
        return self.run(job_id, seconds, _WATTS, self._bead)

    def _bead(self, part: Housing) -> dict[str, object]:
        now = self.timeline.minutes
        self.process.warmth = self.lever("Warmth")
        mass = self.process.dispense(now, BEADS[part.bead], self.trim)
        part.bead_mass = mass
        self.write_down("bead", serial=part.serial, mass=mass, viscosity=self.process.viscosity(now))
        weighed = mass * (1.0 + self.chance.gauss(0.0, _SCALE))
        self.tell("Nozzle/Temperature", self.process.temperature(now))
        self.tell("Dose/Mass", weighed)
        return {"mass": weighed, "nominal": BEADS[part.bead]}
