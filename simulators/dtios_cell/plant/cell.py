"""The whole plant: all stations, what feeds them, and one way to move time."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from dtios_cell.arm import Pose
from dtios_cell.layout import CellLayout, LayoutError, PlacedLayout, RobotLayout, StoreLayout, TableLayout, VehicleLayout
from dtios_cell.plant.faults import Kind
from dtios_cell.plant.housing import BORES, COLOURS, Housing
from dtios_cell.plant.places import Place, Shelf
from dtios_cell.plant.processes.dispensing import BEADS, DispensingModel
from dtios_cell.plant.processes.measuring import GaugeModel
from dtios_cell.plant.processes.screwing import ScrewingModel
from dtios_cell.plant.processes.turning import TurningModel
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
from dtios_cell.plant.worker import Worker

__all__ = ["Plant", "build"]


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


def build(layout: CellLayout, truth: Truth | None = None) -> Plant:
    """The plant of a cell, with a raw part in each slot of its stores that is not said to be empty. Raises LayoutError."""
    around = Surroundings(layout.seed, truth=truth or Truth())
    made = _Made(layout, around)
    for name, one in layout.stations.items():
        if isinstance(one, StoreLayout | TableLayout):
            made.keep(name, one)
    for name, one in layout.stations.items():
        if isinstance(one, PlacedLayout):
            made.work(name, one)
        elif isinstance(one, VehicleLayout):
            made.vehicle(name, one)
    for name, one in layout.stations.items():
        if isinstance(one, RobotLayout):
            reached = one.reaches if one.reaches is not None else tuple(made.places)
            made.stations[name] = Robot(name, around, {place: made.places[place] for place in reached})
    ordered = {name: made.stations[name] for name in layout.stations if name in made.stations}
    meter = Meter("meter", around, [one.power for one in ordered.values()])
    return Plant(around.timeline, around.truth, {**ordered, meter.name: meter}, meter)


class _Made:
    """What stands already: stations, the places that robots reach, and the shelves that vehicles come to."""

    def __init__(self, layout: CellLayout, around: Surroundings) -> None:
        self.stations: dict[str, Station] = {}
        self.places: dict[str, tuple[Pose, Place]] = {}
        self._shelves: dict[str, Place] = {}
        self._layout = layout
        self._around = around

    def keep(self, name: str, one: StoreLayout | TableLayout) -> None:
        if isinstance(one, TableLayout):
            table = Shelf(name, one.room)
            self._shelves[name] = table
            self.places[name] = downwards(*one.at), table
            return
        rows = [chr(ord("A") + row) for row in range(one.rows)]
        slots = [(row, column) for row in rows for column in range(1, one.columns + 1)]
        full = set(rows[: max(0, one.rows - one.empty)])
        stock = {f"{row}{column}": _raw(name, n) if row in full else None for n, (row, column) in enumerate(slots)}
        store = Store(name, self._around, stock)
        self.stations[name], self._shelves[name] = store, store.counter

    def work(self, name: str, one: PlacedLayout) -> None:
        station, model = _KINDS[one.kind]
        try:
            figures = model(**one.model) if model is not None else None
        except TypeError:
            known = ", ".join(sorted(getattr(model, "__dataclass_fields__", ())))
            raise LayoutError(f"stations.{name}.model: a {one.kind} has the figures {known}") from None
        if model is None and one.model:
            raise LayoutError(f"stations.{name}.model: a {one.kind} has no figures to set")
        made = station(name, self._around) if figures is None else station(name, self._around, figures)
        self.stations[name], self.places[name] = made, (downwards(*one.at), made)

    def vehicle(self, name: str, one: VehicleLayout) -> None:
        graph = self._layout.graph
        stops = {node: self._shelves[stop] for node, stop in graph.stops.items() if stop in self._shelves}
        vehicle = Vehicle(name, self._around, graph.nodes, graph.edges, one.home, stops)
        self.stations[name], self.places[name] = vehicle, (downwards(*one.at), vehicle.deck)


_KINDS: Final[dict[str, tuple[Callable[..., Worker], Callable[..., object] | None]]] = {
    "turning": (TurningCentre, TurningModel),
    "dispenser": (Dispenser, DispensingModel),
    "screwdriver": (Screwdriver, ScrewingModel),
    "gauge": (Gauge, GaugeModel),
    "mill": (Mill, None),
}


def _raw(store: str, number: int) -> Housing:
    beads = list(BEADS)
    return Housing(
        serial=f"{store}-{number + 1:04d}",
        bore=BORES[number % len(BORES)],
        bead=beads[number % len(beads)],
        screws=(2, 4)[number % 2],
        colour=COLOURS[number % len(COLOURS)],
    )
