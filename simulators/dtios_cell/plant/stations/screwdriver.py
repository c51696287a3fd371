"""The screwdriver: one screw after the other, each with its curve."""

from typing import ClassVar, Final

from dtios_cell.plant.housing import Housing
from dtios_cell.plant.processes.screwing import Screwing, ScrewingModel
from dtios_cell.plant.station import Surroundings
from dtios_cell.plant.worker import Job, Worker

__all__ = ["Screwdriver"]

_SECONDS: Final = 3.5
"""For each screw."""
_WATTS: Final = 240.0


class Screwdriver(Worker):
    kind: ClassVar[str] = "screwdriver"
    standby: ClassVar[float] = 30.0
    verbs: ClassVar[frozenset[str]] = frozenset({"abort", "drive", "reset"})
    levers: ClassVar[frozenset[str]] = frozenset({"Friction"})

    def __init__(self, name: str, around: Surroundings, model: ScrewingModel | None = None) -> None:
        super().__init__(name, around)
        self.process = Screwing(self.chance, model)
        self.tell("State", "Idle")
        self.tell("Part/Present", False)

    def drive(self, job_id: str) -> Job:
        """All screws of the part."""
        screws = self.part.screws if self.part is not None else 0
        return self.run(job_id, _SECONDS * screws, _WATTS, self._drive)

    def _drive(self, part: Housing) -> dict[str, object]:
        self.process.extra = self.lever("Friction")
        driven = [self.process.drive() for _ in range(part.screws)]
        part.preloads = [one.preload for one in driven]
        self.write_down("screws", serial=part.serial, preloads=part.preloads)
        self.tell("Torque", driven[-1].torque)
        self.tell("Angle", driven[-1].angle)
        screws = [{"torque": one.torque, "angle": one.angle, "ok": one.is_ok, "curve": one.curve} for one in driven]
        return {"screws": screws}
