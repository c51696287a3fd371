"""Gauge and camera: what they find is known one part later."""

from typing import ClassVar, Final

from dtios_cell.plant.housing import Housing
from dtios_cell.plant.processes.measuring import GaugeModel, Measuring
from dtios_cell.plant.station import Surroundings
from dtios_cell.plant.worker import Job, Worker

__all__ = ["Gauge"]

_SECONDS: Final = 5.0
_WATTS: Final = 60.0


class Gauge(Worker):
    """It counts a part's result out when the next part is measured, as a gauge behind a wash or a cooling track does."""

    kind: ClassVar[str] = "gauge"
    standby: ClassVar[float] = 25.0
    verbs: ClassVar[frozenset[str]] = frozenset({"abort", "measure", "reset"})
    levers: ClassVar[frozenset[str]] = frozenset({"Bias"})

    def __init__(self, name: str, around: Surroundings, model: GaugeModel | None = None) -> None:
        super().__init__(name, around)
        self.process = Measuring(self.chance, model)
        self._waiting: tuple[str, float] | None = None
        self.tell("State", "Idle")
        self.tell("Part/Present", False)

    def measure(self, job_id: str) -> Job:
        """The bore of the part that lies in it. The job's result is that of the part before."""
        return self.run(job_id, _SECONDS, _WATTS, self._measure)

    def _measure(self, part: Housing) -> dict[str, object]:
        told, self._waiting = self._waiting, (part.serial, self.process.measure(part.bore_error or 0.0) + self.lever("Bias"))
        self.write_down("measured", serial=part.serial, found=self._waiting[1], true=part.bore_error)
        if told is None:
            return {}
        self.tell("Bore/Serial", told[0])
        self.tell("Bore/Error", told[1])
        # What a faulty sensor told is what the station knows.
        return {"serial": told[0], "error": self.image["Bore/Error"].value}
