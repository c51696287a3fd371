"""The whole plant: all stations, what feeds them, and one way to move time."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from dtios_cell.arm import Pose
from dtios_cell.plant.faults import Kind
from dtios_cell.plant.housing import BORES, COLOURS, Housing
from dtios_cell.plant.places import Place, Shelf
from dtios_cell.plant.processes.dispensing import BEADS
from dtios_cell.plant.station import Refused, Station, Surroundings
from dtios_cell.plant.stations.dispenser import Dispenser
from dtios_cell.plant.stations.gauge import Gauge
from dtios_cell.plant.stations.meter import Meter
from dtios_cell.plant.stations.mill import Mill
from dtios_cell.plant.stations.robot import Robot, downwards
from dtios_cell.plant.stations.screwdriver import Screwdriver
from dtios_cell.plant.stations.store import Store
from dtios_cell.plant.stations.turning import TurningCentre
from dtios_cell.plant.stations.vehicle import Vehicle
from dtios_cell.plant.timeline import SECOND, Timeline
from dtios_cell.plant.truth import Truth

__all__ = ["Plant", "housing_cell"]


@dataclass(frozen=True)
class Plant:
    """`stations` by name. Time stands still but for `advance`."""

    timeline: Timeline
    truth: Truth
    stations: Mapping[str, Station]
    meter: Meter

    def advance(self, until: int) -> None:
        """To this plant time, in nanoseconds since the beginning."""
        self.timeline.advance(until)

    def inject(
        self, station: str, kind: Kind, *, at: float | None = None, signal: str = "", value: float | None = None,
        seconds: float | None = None,
    ) -> None:  # fmt: skip
        """Break something now, or `at` so many seconds of plant time. Raises Refused; later, it is written down."""
        if station not in self.stations:
            raise Refused(f"there is no station {station}; there are {', '.join(self.stations)}")
        one = self.stations[station]
        if at is None:
            one.inject(kind, signal=signal, value=value, seconds=seconds)
            return

        def then() -> None:
            try:
                one.inject(kind, signal=signal, value=value, seconds=seconds)
            except Refused as why:
                one.write_down("not-injected", kind=kind.value, reason=str(why))

        self.timeline.at(round(at * SECOND), then)


_NODES: Final = {"store": (0.0, 0.0), "crossing": (4.0, 0.0), "cell": (4.0, 3.0), "charger": (8.0, 0.0)}
_EDGES: Final = (("store", "crossing"), ("crossing", "cell"), ("crossing", "charger"))
_SLOTS: Final = [f"{row}{column}" for row in "ABC" for column in range(1, 9)]


def housing_cell(seed: int, truth: Truth | None = None) -> Plant:
    """One of each station, and a store with a raw part in each slot but those of the last row."""
    around = Surroundings(seed, truth=truth or Truth())
    stations: dict[str, Station] = {}

    def add(station: Station) -> None:
        stations[station.name] = station

    stock = {slot: _raw(number) if slot[0] != "C" else None for number, slot in enumerate(_SLOTS)}
    turning, dispenser, screwdriver = (
        TurningCentre("turning", around),
        Dispenser("dispenser", around),
        Screwdriver("screwdriver", around),
    )
    gauge, mill, vehicle = Gauge("gauge", around), Mill("mill", around), Vehicle("vehicle", around, _NODES, _EDGES, "store")
    table = Shelf("table", room=4)
    places: dict[str, tuple[Pose, Place]] = {
        "vehicle": (downwards(0.55, -0.25, 0.15), vehicle.deck),
        "turning": (downwards(0.10, 0.60, 0.20), turning),
        "dispenser": (downwards(-0.35, 0.45, 0.10), dispenser),
        "screwdriver": (downwards(-0.55, 0.10, 0.10), screwdriver),
        "gauge": (downwards(-0.40, -0.40, 0.12), gauge),
        "mill": (downwards(0.10, -0.60, 0.18), mill),
        "table": (downwards(0.45, 0.30, 0.05), table),
    }
    for one in (
        Store("store", around, stock),
        Robot("robot", around, places),
        turning,
        dispenser,
        screwdriver,
        gauge,
        vehicle,
        mill,
    ):
        add(one)
    meter = Meter("meter", around, [one.power for one in stations.values()])
    add(meter)
    return Plant(around.timeline, around.truth, stations, meter)


def _raw(number: int) -> Housing:
    beads = list(BEADS)
    return Housing(
        serial=f"H{number + 1:04d}",
        bore=BORES[number % len(BORES)],
        bead=beads[number % len(beads)],
        screws=(2, 4)[number % 2],
        colour=COLOURS[number % len(COLOURS)],
    )
