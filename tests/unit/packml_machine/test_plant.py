"""The simulated PackML plant against the PackML tables of the model, which it does not import."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dtios.model.packml import ACTING, PackMLCommand, PackMLState, next_state
from dtios_packml.plant import COMMANDS, DESIGN_SPEED, MAX_ORDER, TICK, Mode, Plant, PlantRefusal, Refused, State

WAITING = [State.Idle, State.Complete, State.Held, State.Suspended, State.Stopped, State.Aborted]


def reach(state: State) -> Plant:
    """A plant in `state`, by commands and time alone."""
    plant = Plant(seed=3)
    plant.request_order(0)
    ways = {
        "Idle": [], "Starting": ["Start"], "Execute": ["Start", 1], "Completing": ["Start", 1, "ToComplete"],
        "Complete": ["Start", 1, "ToComplete", 1], "Resetting": ["Start", 1, "ToComplete", 1, "Reset"],
        "Holding": ["Start", 1, "Hold"], "Held": ["Start", 1, "Hold", 1], "Unholding": ["Start", 1, "Hold", 1, "Unhold"],
        "Suspending": ["Start", 1, "Suspend"], "Suspended": ["Start", 1, "Suspend", 1],
        "Unsuspending": ["Start", 1, "Suspend", 1, "Unsuspend"], "Stopping": ["Stop"], "Stopped": ["Stop", 1],
        "Aborting": ["Abort"], "Aborted": ["Abort", 1], "Clearing": ["Abort", 1, "Clear"],
    }  # fmt: skip
    for step in ways[state.name]:
        if isinstance(step, str):
            plant.command(step)
        else:
            plant.advance(plant.time + step)
    assert plant.state is state
    return plant


def test_states_and_commands_are_those_of_the_standard() -> None:
    assert {s.name: s.value for s in State} == {s.name: s.value for s in PackMLState}
    assert set(COMMANDS) == {c.value for c in PackMLCommand}


@pytest.mark.parametrize(("state", "command"), list(itertools.product(State, PackMLCommand)))
def test_each_command_in_each_state(state: State, command: PackMLCommand) -> None:
    plant = reach(state)
    expected = next_state(PackMLState(state.value), command)
    if expected is None:
        with pytest.raises(PlantRefusal) as refusal:
            plant.command(command.value)
        assert refusal.value.kind is Refused.STATE
        assert plant.state is state
    else:
        plant.command(command.value)
        assert plant.state.value == expected.value


@pytest.mark.parametrize("state", [State(s.value) for s in ACTING if s is not PackMLState.Execute])
def test_acting_states_lead_on_by_themselves(state: State) -> None:
    plant = reach(state)
    while plant.state is state:
        plant.advance(plant.time + TICK)
        assert plant.time < 10
    assert plant.state.value == ACTING[PackMLState(state.value)].value


@pytest.mark.parametrize("state", WAITING)
def test_waiting_states_wait(state: State) -> None:
    plant = reach(state)
    plant.advance(plant.time + 60)
    assert plant.state is state
    assert plant.speed == 0


def test_an_order_is_made_exactly_and_counted_afresh() -> None:
    plant = Plant(seed=5)
    for run in (1, 2):
        plant.request_order(25)
        plant.command("Start")
        plant.advance(plant.time + 60)
        assert plant.state is State.Complete
        assert plant.processed == 25
        assert plant.processed_ever == 25 * run
        plant.command("Reset")
        assert plant.processed == 0
        plant.advance(plant.time + 1)
        assert plant.state is State.Idle


def test_speed_ramps_and_a_held_machine_makes_nothing() -> None:
    plant = Plant()
    plant.request_order(0)
    plant.request_speed(240)
    plant.command("Start")
    plant.advance(0.1)
    assert 0 < plant.speed < 240
    plant.advance(5)
    assert plant.speed == 240
    plant.command("Hold")
    plant.advance(6)
    made = plant.processed
    plant.advance(20)
    assert (plant.state, plant.processed, plant.speed) == (State.Held, made, 0)


def test_jams_hold_by_themselves_until_unhold() -> None:
    plant = Plant(seed=7, jam_every=10)
    plant.request_order(60)
    plant.command("Start")
    for _ in range(100):
        plant.advance(plant.time + 60)
        if plant.state is not State.Held:
            break
        assert plant.jammed
        plant.command("Unhold")
        assert not plant.jammed
    assert plant.state is State.Complete
    assert plant.processed == 60
    assert plant.jams >= 3


@given(st.integers(0, 2**32), st.lists(st.floats(0.001, 3.0), max_size=40))
def test_how_time_is_sliced_does_not_matter(seed: int, slices: list[float]) -> None:
    one, two = Plant(seed, jam_every=5), Plant(seed, jam_every=5)
    for plant in (one, two):
        plant.request_order(0)
        plant.command("Start")
    until = math.fsum(slices)
    one.advance(until)
    for share in itertools.accumulate(slices):
        two.advance(min(share, until))
    two.advance(until)
    assert (one.state, one.processed, one.temperature, one.speed) == (two.state, two.processed, two.temperature, two.speed)


@pytest.mark.parametrize("speed", [math.nan, math.inf, -math.inf, 0.0, -1.0, DESIGN_SPEED + 0.001])
def test_speeds_out_of_range_are_refused(speed: float) -> None:
    plant = Plant()
    with pytest.raises(PlantRefusal) as refusal:
        plant.request_speed(speed)
    assert (refusal.value.kind, plant.set_speed) == (Refused.RANGE, 120.0)


@pytest.mark.parametrize(("parts", "kind"), [(-1, Refused.RANGE), (MAX_ORDER + 1, Refused.RANGE), (5, Refused.STATE)])
def test_orders_out_of_range_or_while_running_are_refused(parts: int, kind: Refused) -> None:
    plant = reach(State.Execute)
    with pytest.raises(PlantRefusal) as refusal:
        plant.request_order(parts)
    assert (refusal.value.kind, plant.ordered) == (kind, 0)


@pytest.mark.parametrize("state", list(State))
def test_the_mode_changes_only_where_nothing_moves(state: State) -> None:
    plant = reach(state)
    if state in (State.Stopped, State.Idle, State.Aborted):
        plant.request_mode(2)
        assert plant.mode is Mode.Maintenance
    else:
        with pytest.raises(PlantRefusal):
            plant.request_mode(2)
        assert plant.mode is Mode.Produce


@pytest.mark.parametrize("mode", [-1, 0, 4])
def test_modes_that_do_not_exist_are_refused(mode: int) -> None:
    with pytest.raises(PlantRefusal) as refusal:
        Plant().request_mode(mode)
    assert refusal.value.kind is Refused.RANGE


def test_start_is_refused_in_maintenance() -> None:
    plant = Plant()
    plant.request_mode(2)
    with pytest.raises(PlantRefusal):
        plant.command("Start")
    assert plant.state is State.Idle


def test_a_plant_begins_in_a_waiting_state() -> None:
    with pytest.raises(ValueError, match="acting"):
        Plant(state=State.Execute)
