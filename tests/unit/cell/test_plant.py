"""The plant as a whole: one history for one seed, however time is sliced; faults change what they say; energy adds up."""

import hashlib
import time

import pytest

from dtios_cell.layout import DEFAULT, read_layout
from dtios_cell.plant.cell import Plant, build
from dtios_cell.plant.faults import Kind, Reading
from dtios_cell.plant.station import Refused
from dtios_cell.plant.stations.dispenser import Dispenser
from dtios_cell.plant.stations.gauge import Gauge
from dtios_cell.plant.stations.mill import Mill
from dtios_cell.plant.stations.robot import Robot
from dtios_cell.plant.stations.screwdriver import Screwdriver
from dtios_cell.plant.stations.store import Store
from dtios_cell.plant.stations.turning import TurningCentre
from dtios_cell.plant.stations.vehicle import Vehicle
from dtios_cell.plant.timeline import SECOND
from dtios_cell.plant.worker import JobState, Worker


def housing_cell(seed: int) -> Plant:
    return build(read_layout(DEFAULT).model_copy(update={"seed": seed}))


def _one(plant: Plant, kind: type) -> object:
    return next(one for one in plant.stations.values() if isinstance(one, kind))


class Line:
    """What an app would do, part by part: it waits for a station by looking, as an app does by its signals."""

    def __init__(self, plant: Plant, slice_: int = SECOND // 2) -> None:
        self.plant = plant
        self.slice = slice_
        self.readings: list[tuple[str, Reading]] = []
        for name, station in plant.stations.items():
            station.heard.append(lambda reading, name=name: self.readings.append((name, reading)))  # type: ignore[misc]

    def wait(self, busy: Worker | Robot | Vehicle | Store) -> None:
        while busy.is_busy:
            due = self.plant.timeline.now - self.plant.timeline.now % (SECOND // 2) + SECOND // 2
            while self.plant.timeline.now < due:
                self.plant.advance(min(due, self.plant.timeline.now + self.slice))

    def carry(self, *places: str) -> None:
        robot = _one(self.plant, Robot)
        assert isinstance(robot, Robot)
        for program in places:
            robot.load_program(program)
            robot.start()
            self.wait(robot)
            assert robot.state == "Idle", robot.state

    def make(self, slot: str) -> None:
        stations = self.plant.stations
        store, vehicle = stations["store"], stations["vehicle"]
        turning, dispenser, screwdriver, gauge = (stations[n] for n in ("turning", "dispenser", "screwdriver", "gauge"))
        assert isinstance(store, Store)
        assert isinstance(vehicle, Vehicle)
        assert isinstance(turning, TurningCentre)
        assert isinstance(dispenser, Dispenser)
        assert isinstance(screwdriver, Screwdriver)
        assert isinstance(gauge, Gauge)
        store.fetch(slot)
        self.wait(store)
        vehicle.deck.load(store.counter.unload())
        vehicle.drive(["crossing", "cell"])
        self.wait(vehicle)
        steps = [
            ("turning", turning, turning.turn),
            ("gauge", gauge, gauge.measure),
            ("dispenser", dispenser, dispenser.dispense),
        ]
        self.carry("pick-vehicle")
        for place, station, work in [*steps, ("screwdriver", screwdriver, screwdriver.drive)]:
            self.carry(f"put-{place}")
            job = work(f"{slot}/{place}")
            self.wait(station)
            assert job.state is JobState.ENDED, job
            self.carry(f"pick-{place}")
        self.carry("put-table")
        vehicle.drive(["crossing", "store"])
        self.wait(vehicle)


def _digest(line: Line) -> str:
    readings = repr([(name, one.time, one.path, one.value) for name, one in line.readings])
    return hashlib.sha256((readings + repr(line.plant.truth.entries)).encode()).hexdigest()


def _history(seed: int, slice_: int = SECOND // 2) -> str:
    line = Line(housing_cell(seed), slice_)
    line.plant.inject("gauge", Kind.STEP, at=60.0, signal="Bias", value=3.0)
    line.plant.inject("dispenser", Kind.NOISE, at=1.0, signal="Nozzle/Temperature", value=0.5)
    for slot in ("A1", "A2", "A3"):
        line.make(slot)
    return _digest(line)


def test_the_same_seed_and_commands_are_the_same_history_bit_for_bit() -> None:
    whole = _history(1)
    assert whole == _history(1)
    assert whole == _history(1, slice_=170_000_003), "how time is sliced changes nothing"
    assert whole != _history(2)


def test_a_part_is_made_and_all_of_it_is_true() -> None:
    line = Line(housing_cell(1))
    line.make("A1")
    part = line.plant.truth.of("part", "turning")[0].figures
    assert abs(float(part["error"])) < 60.0  # type: ignore[arg-type]  # a figure
    preloads = line.plant.truth.of("screws")[0].figures["preloads"]
    assert isinstance(preloads, list)
    assert len(preloads) == 2
    assert all(6000 < one < 9000 for one in preloads)
    assert 10 < float(line.plant.truth.of("bead")[0].figures["mass"]) < 40  # type: ignore[arg-type]


def test_a_shift_takes_seconds_and_its_energy_adds_up() -> None:
    plant = housing_cell(3)
    turning = plant.stations["turning"]
    assert isinstance(turning, TurningCentre)
    store = plant.stations["store"]
    assert isinstance(store, Store)
    turning.load(next(part for part in store.slots.values() if part is not None))
    began = time.process_time()
    for number in range(8 * 3600 // 90):
        turning.turn(f"job {number}")
        plant.advance((number + 1) * 90 * SECOND)
    assert time.process_time() - began < 5.0
    summed = sum(one.power.joules for one in plant.stations.values())
    assert plant.meter.joules == pytest.approx(summed, rel=0.001)
    assert turning.made == 320
    assert turning.tool_changes >= 3
    assert turning.power.joules == pytest.approx(320 * (75 * 4200 + 15 * 650))


@pytest.fixture
def plant() -> Plant:
    return housing_cell(5)


def _values(plant: Plant, station: str, path: str, seconds: int) -> list[object]:
    found: list[object] = []
    plant.stations[station].heard.append(lambda one: found.append(one.value) if one.path == path else None)
    plant.advance(plant.timeline.now + seconds * SECOND)
    return found


def test_each_fault_of_a_sensor_changes_what_is_told_and_not_what_is(plant: Plant) -> None:
    assert len(set(_values(plant, "meter", "Power", 3))) == 1
    true = plant.stations["meter"].image["Power"].value
    assert isinstance(true, float)
    plant.inject("meter", Kind.STEP, signal="Power", value=5.0, seconds=2.5)
    assert _values(plant, "meter", "Power", 2) == [true + 5.0] * 2
    plant.advance(plant.timeline.now + SECOND)
    plant.inject("meter", Kind.STUCK, signal="Energy", seconds=2.5)
    assert len(set(_values(plant, "meter", "Energy", 2))) == 1
    plant.advance(plant.timeline.now + SECOND)
    plant.inject("meter", Kind.DROPOUT, signal="Power", seconds=1.5)
    assert _values(plant, "meter", "Power", 2) == [None, true]
    plant.inject("meter", Kind.DUPLICATE, signal="Power", seconds=1.5)
    assert _values(plant, "meter", "Power", 2) == [true] * 3
    plant.inject("meter", Kind.WRONG_UNIT, signal="Power", value=0.001, seconds=1.5)
    assert _values(plant, "meter", "Power", 1) == [true * 0.001]
    plant.advance(plant.timeline.now + SECOND)
    plant.inject("meter", Kind.DELAY, signal="Power", value=0.5, seconds=1.5)
    assert _values(plant, "meter", "Power", 1) == []
    plant.inject("meter", Kind.NOISE, signal="Power", value=2.0)
    assert len(set(_values(plant, "meter", "Power", 5))) >= 5
    kinds = [entry.figures["kind"] for entry in plant.truth.of("fault", "meter")]
    assert kinds == ["step", "stuck", "dropout", "duplicate", "wrong-unit", "delay", "noise"]


def test_a_broken_tool_scraps_the_part_and_stops_the_machine_until_it_is_changed(plant: Plant) -> None:
    turning, store = plant.stations["turning"], plant.stations["store"]
    assert isinstance(turning, TurningCentre)
    assert isinstance(store, Store)
    part = store.slots["A1"]
    assert part is not None
    turning.load(part)
    job = turning.turn("one")
    plant.inject("turning", Kind.TOOL_BREAK)
    plant.advance(90 * SECOND)
    assert job.state is JobState.ABORTED
    assert "tool broken" in part.scrapped
    with pytest.raises(Refused, match="down"):
        turning.turn("two")
    with pytest.raises(Refused, match="change it first"):
        turning.reset()
    turning.change_tool()
    turning.reset()
    assert turning.turn("three").state is JobState.RUNNING
    assert turning.turn("one") is job, "the same id is the same job"


def test_a_dropped_part_and_a_protective_stop(plant: Plant) -> None:
    robot, vehicle, store = plant.stations["robot"], plant.stations["vehicle"], plant.stations["store"]
    assert isinstance(robot, Robot)
    assert isinstance(vehicle, Vehicle)
    assert isinstance(store, Store)
    part = store.slots["B1"]
    assert part is not None
    vehicle.deck.load(part)
    robot.load_program("pick-vehicle")
    robot.start()
    plant.advance(SECOND // 4)
    plant.inject("robot", Kind.PROTECTIVE_STOP, seconds=3.0)
    stands = robot.joints()
    plant.advance(2 * SECOND)
    assert robot.joints() == stands
    assert robot.state == "ProtectiveStop"
    for forbidden in (robot.start, robot.reset):
        with pytest.raises(Refused, match="protective stop"):
            forbidden()
    plant.advance(5 * SECOND)
    robot.reset()
    robot.start()
    plant.advance(15 * SECOND)
    assert robot.held is part
    plant.inject("robot", Kind.GRIP_LOSS, seconds=1.0)
    assert robot.held is None
    assert part.scrapped == "robot: dropped"


def test_a_blocked_edge_holds_the_vehicle_until_it_is_free(plant: Plant) -> None:
    vehicle = plant.stations["vehicle"]
    assert isinstance(vehicle, Vehicle)
    with pytest.raises(Refused, match="cannot drive"):
        vehicle.drive(["cell"])
    vehicle.drive(["crossing", "cell"])
    plant.inject("vehicle", Kind.BLOCKED_EDGE, seconds=20.0)
    plant.advance(10 * SECOND)
    assert (vehicle.state, vehicle.at) == ("Blocked", "crossing")
    plant.advance(60 * SECOND)
    assert (vehicle.state, vehicle.at) == ("Idle", "cell")
    assert vehicle.battery < 100.0 or vehicle.position == (4.0, 3.0)


def test_a_wrong_carrier_is_another_one_than_asked_for(plant: Plant) -> None:
    store = plant.stations["store"]
    assert isinstance(store, Store)
    plant.inject("store", Kind.WRONG_CARRIER)
    store.fetch("A1")
    plant.advance(10 * SECOND)
    assert store.slots["A1"] is not None
    assert store.counter.parts[0].serial != store.slots["A1"].serial
    assert plant.truth.of("fetched")[0].figures["slot"] == "A1"


def test_the_old_mill_works_by_its_bits(plant: Plant) -> None:
    mill, store = plant.stations["mill"], plant.stations["store"]
    assert isinstance(mill, Mill)
    assert isinstance(store, Store)

    def bits() -> dict[str, object]:
        return {name: mill.image[name].value for name in ("Busy", "Done", "Error")}

    mill.set_trigger(True)
    assert bits() == {"Busy": False, "Done": False, "Error": True}, "nothing lies in it"
    mill.set_trigger(False)
    part = store.slots["A2"]
    assert part is not None
    mill.load(part)
    mill.set_trigger(True)
    assert bits() == {"Busy": True, "Done": False, "Error": False}
    plant.advance(30 * SECOND)
    assert bits() == {"Busy": False, "Done": True, "Error": False}
    mill.set_trigger(False)
    assert bits() == {"Busy": False, "Done": False, "Error": False}


def test_a_failed_meter_counts_nothing(plant: Plant) -> None:
    plant.advance(10 * SECOND)
    plant.inject("meter", Kind.METER_FAILURE, seconds=10.0)
    before = plant.meter.joules
    plant.advance(15 * SECOND)
    assert plant.meter.joules == before
    assert plant.stations["meter"].image["Power"].value is None
    plant.advance(30 * SECOND)
    assert plant.meter.joules > before


@pytest.mark.parametrize(
    ("station", "kind", "signal", "reason"),
    [
        ("nobody", Kind.STEP, "", "no station nobody"),
        ("gauge", Kind.TOOL_BREAK, "", "has no tool-break"),
        ("gauge", Kind.STEP, "Speed", "tells no Speed"),
    ],
)
def test_what_cannot_be_broken_is_refused(plant: Plant, station: str, kind: Kind, signal: str, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        plant.inject(station, kind, signal=signal)
