"""PackML skills over scripted points: every state, nested machines, classic PackTags, and loss in the middle."""

import contextlib
from typing import Any

import anyio
import pytest
from mapping_space import value_type
from scripted import Job, ScriptedPoints, settle

from dtios.mapping.bindings import packml
from dtios.mapping.bindings.packml import PackMLBinding
from dtios.mapping.bindings.packml_points import (
    COMMAND_NUMBERS,
    CallPoint,
    Commands,
    PackMLParameter,
    ResultPoint,
    StateLevel,
    StateReader,
    WritePoint,
)
from dtios.mapping.state_names import PACKML_STATES
from dtios.model.datatypes import BuiltinType, ValueType
from dtios.model.errors import OutcomeUnknown, RefusedError, TemporaryError
from dtios.model.job import JobIdentity, JobOutcome, JobState, JobSubstate, JobVerb
from dtios.model.packml import PackMLCommand, PackMLState
from dtios.model.values import DataValue, LocalizedText

INT = value_type("Int32")
DESCRIPTORS = ValueType(BuiltinType.ExtensionObject, "PackMLDescriptorDataType", rank=1)
RUNNING = (JobState.RUNNING, None)
HELD = (JobState.INTERRUPTED, JobSubstate.HELD)
SUSPENDED = (JobState.INTERRUPTED, JobSubstate.SUSPENDED)


def binding(*, without: tuple[str, ...] = (), **more: Any) -> PackMLBinding:
    """The state is a number at `state`, the commands are methods by their names."""
    methods = {c: CallPoint("unit", c.value) for c in PackMLCommand if c.value not in without}
    return PackMLBinding([StateLevel("state", PACKML_STATES)], Commands(methods), **more)


class Unit(ScriptedPoints):
    """A unit whose commands do what `moves` says, at once."""

    def __init__(self, state: PackMLState | int = PackMLState.Idle, **moves: list[PackMLState]) -> None:
        super().__init__(state=int(state))
        for name in PackMLCommand:
            self.on[name.value] = self._move(moves.get(name.value, []))

    def _move(self, states: list[PackMLState]) -> Any:
        async def moved(*_: Any) -> list[Any]:
            self.go(*states)
            return []

        return moved

    def go(self, *states: PackMLState | int) -> None:
        for state in states:
            self.set("state", int(state))

    @property
    def commands(self) -> list[str]:
        return [name for name, _ in self.sent]


_S = PackMLState
WHOLE = [_S.Starting, _S.Execute, _S.Completing, _S.Complete]


async def following(job: Job, tasks: Any, outcome: list[JobOutcome], *, resume: bool = False) -> None:
    async def go() -> None:
        outcome.append(await (job.resume() if resume else job.run()))

    tasks.start_soon(go)
    await settle()


async def test_from_idle_to_complete() -> None:
    unit = Unit(Start=WHOLE)
    job = Job(binding(), unit)
    assert await job.run() == JobOutcome(JobState.ENDED, JobSubstate.COMPLETED)
    assert job.states == [RUNNING]
    assert unit.commands == ["Start"]


async def test_every_state_on_the_way() -> None:
    unit = Unit(Start=[_S.Starting, _S.Execute])
    job, outcome = Job(binding(), unit), list[JobOutcome]()
    async with anyio.create_task_group() as tasks:
        await following(job, tasks, outcome)
        unit.go(_S.Holding, _S.Held, _S.Unholding, _S.Execute, _S.Suspending, _S.Suspended, _S.Unsuspending, _S.Execute)
        unit.go(_S.Suspending, _S.Holding, _S.Held, _S.Stopping, _S.Stopped)
    assert job.states == [RUNNING, HELD, RUNNING, SUSPENDED, RUNNING, HELD]
    assert outcome == [JobOutcome(JobState.ENDED, JobSubstate.CLOSED)]


async def test_aborted() -> None:
    unit = Unit(Start=[_S.Starting, _S.Execute, _S.Aborting, _S.Aborted])
    assert (await Job(binding(), unit).run()).state is JobState.ABORTED


@pytest.mark.parametrize("state", [s for s in PackMLState if s is not PackMLState.Idle])
async def test_a_start_needs_idle(state: PackMLState) -> None:
    unit = Unit(state)
    with pytest.raises(RefusedError, match=state.name):
        await Job(binding(), unit).run()
    assert unit.sent == []


@pytest.mark.parametrize("number", [0, 18, 42, -1])
async def test_an_unknown_state_refuses_a_start(number: int) -> None:
    unit = Unit(number)
    with pytest.raises(RefusedError, match=str(number)):
        await Job(binding(reset_before_start=True), unit).run()
    assert unit.sent == []


@pytest.mark.parametrize("state", [_S.Complete, _S.Stopped])
async def test_reset_first_where_the_profile_says_so(state: PackMLState) -> None:
    unit = Unit(state, Reset=[_S.Resetting, _S.Idle], Start=WHOLE)
    outcome = await Job(binding(reset_before_start=True), unit).run()
    assert outcome.substate is JobSubstate.COMPLETED
    assert unit.commands == ["Reset", "Start"]


@pytest.mark.parametrize("state", [_S.Aborted, _S.Execute, _S.Held])
async def test_reset_is_not_for_every_state(state: PackMLState) -> None:
    unit = Unit(state)
    with pytest.raises(RefusedError):
        await Job(binding(reset_before_start=True), unit).run()
    assert unit.sent == []


async def test_a_reset_that_does_not_lead_to_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packml, "APPEAR", 0.05)
    unit = Unit(_S.Complete, Reset=[_S.Resetting])
    with pytest.raises(RefusedError, match="did not come to Idle"):
        await Job(binding(reset_before_start=True), unit).run()
    assert unit.commands == ["Reset"]


async def test_changes_from_before_the_start_are_not_the_jobs() -> None:
    """A run that somebody else made between subscribing and starting must not be taken for this job's."""
    unit = Unit(_S.Execute, Start=[_S.Starting, _S.Execute])
    job, outcome = Job(binding(), unit), list[JobOutcome]()
    original = unit.read

    async def later(addresses: Any) -> list[DataValue]:
        if unit.values["state"].value == int(_S.Execute) and not unit.sent:
            unit.go(_S.Completing, _S.Complete, _S.Resetting, _S.Idle)
        return await original(addresses)

    unit.read = later  # type: ignore[method-assign]  # the test's script
    async with anyio.create_task_group() as tasks:
        await following(job, tasks, outcome)
        assert outcome == []
        unit.go(_S.Stopping, _S.Stopped)
    assert outcome == [JobOutcome(JobState.ENDED, JobSubstate.CLOSED)]


async def test_a_start_that_changes_nothing_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packml, "APPEAR", 0.05)
    outcome = await Job(binding(), Unit()).run()
    assert (outcome.state, outcome.reason) == (JobState.UNKNOWN, "the unit took Start, but never left Idle")


async def test_offline_and_no_answer() -> None:
    unit = Unit()
    unit.online = False
    with pytest.raises(TemporaryError):
        await Job(binding(), unit).run()

    async def broken(*_: Any) -> list[Any]:
        raise OutcomeUnknown("broken")

    unit = Unit()
    unit.on["Start"] = broken
    with pytest.raises(OutcomeUnknown):
        await Job(binding(), unit).run()
    assert unit.commands == ["Start"]


@pytest.mark.parametrize(("back_in", "state", "substate"), [
    (_S.Complete, JobState.ENDED, JobSubstate.COMPLETED),
    (_S.Stopped, JobState.ENDED, JobSubstate.CLOSED),
    (_S.Aborted, JobState.ABORTED, None),
    (_S.Idle, JobState.UNKNOWN, None),
    (_S.Resetting, JobState.UNKNOWN, None),
    (_S.Clearing, JobState.UNKNOWN, None),
])  # fmt: skip
async def test_a_loss_in_the_middle(back_in: PackMLState, state: JobState, substate: Any) -> None:
    unit = Unit(Start=[_S.Starting, _S.Execute])
    job, outcome = Job(binding(), unit), list[JobOutcome]()
    async with anyio.create_task_group() as tasks:
        await following(job, tasks, outcome)
        unit.lose("state")
        await settle()
        assert outcome == []
        unit.recover(state=int(back_in))
    assert (outcome[0].state, outcome[0].substate) == (state, substate)


async def test_a_loss_right_after_the_start_and_idle_again_is_unknown() -> None:
    unit = Unit()
    job, outcome = Job(binding(), unit), list[JobOutcome]()
    async with anyio.create_task_group() as tasks:
        await following(job, tasks, outcome)
        unit.lose("state")
        unit.recover(state=int(_S.Idle))
    assert outcome[0].state is JobState.UNKNOWN


async def test_a_loss_and_still_running() -> None:
    unit = Unit(Start=[_S.Starting, _S.Execute])
    job, outcome = Job(binding(), unit), list[JobOutcome]()
    async with anyio.create_task_group() as tasks:
        await following(job, tasks, outcome)
        unit.lose("state")
        unit.recover(state=int(_S.Held))
        unit.go(_S.Unholding, _S.Execute, _S.Completing, _S.Complete)
    assert job.states == [RUNNING, HELD, RUNNING]
    assert outcome[0].substate is JobSubstate.COMPLETED


@pytest.mark.parametrize(("found", "state"), [
    (_S.Complete, JobState.ENDED), (_S.Stopped, JobState.ENDED), (_S.Aborted, JobState.ABORTED), (_S.Idle, JobState.UNKNOWN),
    (_S.Resetting, JobState.UNKNOWN),
])  # fmt: skip
async def test_resume_by_the_state_alone(found: PackMLState, state: JobState) -> None:
    unit = Unit(found)
    assert (await Job(binding(), unit).resume()).state is state
    assert unit.sent == []


async def test_resume_follows_what_runs() -> None:
    unit = Unit(_S.Held)
    job, outcome = Job(binding(), unit), list[JobOutcome]()
    async with anyio.create_task_group() as tasks:
        await following(job, tasks, outcome, resume=True)
        unit.go(_S.Unholding, _S.Execute, _S.Completing, _S.Complete)
    assert job.states == [HELD, RUNNING]
    assert outcome[0].state is JobState.ENDED
    assert unit.sent == []


@pytest.mark.parametrize("state", PackMLState)
@pytest.mark.parametrize("verb", [JobVerb.PAUSE, JobVerb.RESUME, JobVerb.STOP, JobVerb.ABORT])
async def test_every_verb_in_every_state(verb: JobVerb, state: PackMLState) -> None:
    allowed = {
        JobVerb.PAUSE: {"Execute", "Starting", "Suspending", "Suspended", "Unsuspending", "Unholding"},
        JobVerb.RESUME: {"Held", "Suspended"},
        JobVerb.STOP: {s.name for s in PackMLState} - {"Stopping", "Stopped", "Aborting", "Aborted", "Clearing"},
        JobVerb.ABORT: {s.name for s in PackMLState} - {"Aborting", "Aborted"},
    }
    there = {
        JobVerb.PAUSE: {"Holding", "Held"},
        JobVerb.RESUME: {"Unholding", "Execute"},
        JobVerb.STOP: {"Stopping", "Stopped"},
        JobVerb.ABORT: {"Aborting", "Aborted"},
    }
    unit = Unit(state)
    job = Job(binding(), unit)
    if state.name in there[verb]:
        await job.binding.command(verb, job.order, unit)
        assert unit.sent == []
    elif state.name in allowed[verb]:
        await job.binding.command(verb, job.order, unit)
        wanted = {JobVerb.PAUSE: "Hold", JobVerb.STOP: "Stop", JobVerb.ABORT: "Abort"}.get(verb)
        assert unit.commands == [wanted or ("Unhold" if state is _S.Held else "Unsuspend")]
    else:
        with pytest.raises(RefusedError, match=state.name):
            await job.binding.command(verb, job.order, unit)
        assert unit.sent == []


@pytest.mark.parametrize(("verb", "goes"), [(JobVerb.STOP, True), (JobVerb.ABORT, True), (JobVerb.PAUSE, False)])
async def test_in_an_unknown_state_only_what_leads_to_standing_still(verb: JobVerb, goes: bool) -> None:
    unit = Unit(99)
    job = Job(binding(), unit)
    if not goes:
        with pytest.raises(RefusedError):
            await job.binding.command(verb, job.order, unit)
    else:
        await job.binding.command(verb, job.order, unit)
    assert bool(unit.sent) == goes


def test_it_says_what_it_is() -> None:
    assert binding().identity is JobIdentity.INFERABLE
    assert binding().verbs == {JobVerb.START, JobVerb.PAUSE, JobVerb.RESUME, JobVerb.STOP, JobVerb.ABORT}
    assert binding(without=("Hold", "Unhold", "Abort")).verbs == {JobVerb.START, JobVerb.STOP}
    assert binding().parameters["additionalProperties"] is False


async def test_no_verb_and_no_run_ever_clears() -> None:
    for state in PackMLState:
        for verb in JobVerb:
            unit = Unit(state)
            job = Job(binding(reset_before_start=True), unit)
            with contextlib.suppress(RefusedError):
                await job.binding.command(verb, job.order, unit)
            assert "Clear" not in unit.commands


# --- nested state machines ---------------------------------------------------------------------------------------------------

NESTED = [StateLevel(name, PACKML_STATES) for name in ("base", "machine", "execute")]


@pytest.mark.parametrize(("base", "machine", "execute", "state"), [
    ("Cleared", "Running", "Idle", _S.Idle),
    ("Cleared", "Running", "Execute", _S.Execute),
    ("Cleared", "Stopped", "Execute", _S.Stopped),
    ("Cleared", "Stopping", None, _S.Stopping),
    ("Cleared", "Clearing", "Idle", _S.Clearing),
    ("Aborted", "Running", "Execute", _S.Aborted),
    ("Aborting", None, None, _S.Aborting),
    ("cleared", "RUNNING", " Complete ", _S.Complete),
    ("Abgebrochen", "Running", "Execute", None),
    ("Cleared", "Angehalten", "Execute", None),
    ("Cleared", None, "Execute", None),
    ("Cleared", "Running", None, None),
    (None, "Running", "Execute", None),
])  # fmt: skip
def test_nested_machines(base: Any, machine: Any, execute: Any, state: PackMLState | None) -> None:
    """Text nobody named at an outer level hides the inner one, which may show an older state. None here is BadStateNotActive."""
    reader = StateReader(tuple(NESTED))
    for address, text in zip(("base", "machine", "execute"), (base, machine, execute), strict=True):
        reader.take(address, DataValue(None, 0x80BF0000) if text is None else DataValue(LocalizedText(text, "en")))
    assert reader.state is state


async def test_a_run_over_nested_machines_with_an_inactive_inner_one() -> None:
    points = ScriptedPoints(base=LocalizedText("Cleared"), machine=LocalizedText("Running"), execute=LocalizedText("Idle"))

    async def start(*_: Any) -> list[Any]:
        points.set("execute", LocalizedText("Execute"))
        points.set("machine", LocalizedText("Stopping"))
        points.set("execute", None, 0x80BF0000)
        points.set("machine", LocalizedText("Stopped"))
        return []

    points.on["Start"] = start
    job = Job(PackMLBinding(NESTED, Commands({PackMLCommand.START: CallPoint("e", "Start")})), points)
    assert (await job.run()).substate is JobSubstate.CLOSED
    assert job.states == [RUNNING]


async def test_reset_from_stopped_is_the_outer_machines() -> None:
    points = ScriptedPoints(base="Cleared", machine="Stopped", execute="Idle")
    methods = {PackMLCommand.START: CallPoint("e", "Start"), PackMLCommand.RESET: CallPoint("e", "InnerReset")}
    commands = Commands(methods, reset_stopped=CallPoint("m", "OuterReset"))

    async def reset(*_: Any) -> list[Any]:
        points.set("machine", "Running")
        points.set("execute", "Resetting")
        points.set("execute", "Idle")
        return []

    async def start(*_: Any) -> list[Any]:
        points.set("execute", "Complete")
        return []

    points.on |= {"OuterReset": reset, "Start": start}
    await Job(PackMLBinding(NESTED, commands, reset_before_start=True), points).run()
    assert [name for name, _ in points.sent] == ["OuterReset", "Start"]


# --- parameters, results, classic PackTags -----------------------------------------------------------------------------------


async def test_parameters_are_handed_over_before_the_start_and_results_read_after_it() -> None:
    speed = CallPoint("unit", "SetMachSpeed", (value_type("Float"),))
    recipe = CallPoint("unit", "SetParameter", (DESCRIPTORS,))
    made = binding(
        parameters=[
            PackMLParameter("count", INT, write=WritePoint("ordered", INT), required=True),
            PackMLParameter("speed", value_type("Float"), call=speed),
            PackMLParameter("heat", value_type("Float"), call=recipe, label="Heat", number=4),
            PackMLParameter("dose", value_type("Float"), call=recipe, label="Dose", number=5),
            PackMLParameter("lot", value_type("String"), write=WritePoint("lot", value_type("String")), fixed="L1"),
        ],
        results=[ResultPoint("made", "made", value_type("Int64")), ResultPoint("gone", "gone", INT)],
    )
    assert made.parameters["required"] == ["count"]
    unit = Unit(Start=WHOLE)
    unit.on |= dict.fromkeys(("SetMachSpeed", "SetParameter"), unit._move([]))
    unit.values["made"] = DataValue(7)
    outcome = await Job(made, unit, count=5, speed=1, heat=80, dose=2).run()
    assert unit.commands == ["ordered", "lot", "SetMachSpeed", "SetParameter", "Start"]
    given = dict(unit.sent)
    assert (given["ordered"], given["lot"], given["SetMachSpeed"]) == (5, "L1", [1.0])
    assert [(d["ID"], d["Name"], d["Value"]) for d in given["SetParameter"][0]] == [(4, "Heat", 80.0), (5, "Dose", 2.0)]
    assert outcome.results == {"made": "7"}
    assert "gone" in outcome.reason


async def test_a_parameter_that_does_not_fit_or_is_refused_starts_nothing() -> None:
    made = binding(parameters=[PackMLParameter("count", INT, write=WritePoint("ordered", INT))])
    unit = Unit(Start=WHOLE)
    with pytest.raises(RefusedError):
        await Job(made, unit, count=2**31).run()
    assert unit.sent == []

    async def refuse(_: Any) -> None:
        raise RefusedError("BadOutOfRange")

    unit.on_write["ordered"] = refuse
    with pytest.raises(RefusedError):
        await Job(made, unit, count=2).run()
    assert unit.commands == ["ordered"]


async def test_start_takes_descriptors_of_any_name() -> None:
    methods = {PackMLCommand.START: CallPoint("unit", "Start", (DESCRIPTORS,))}
    made = PackMLBinding([StateLevel("state", PACKML_STATES)], Commands(methods), takes_descriptors=True)
    assert made.parameters["additionalProperties"]["type"] == "number"
    unit = Unit(Start=WHOLE)
    await Job(made, unit, length=5, width=2.5).run()
    (descriptors,) = unit.sent[0][1]
    assert [(d["ID"], d["Name"], d["Value"]) for d in descriptors] == [(1, "length", 5.0), (2, "width", 2.5)]
    unit = Unit(Start=WHOLE)
    await Job(made, unit).run()
    assert unit.sent == [("Start", [[]])]


async def test_classic_pack_tags() -> None:
    commands = Commands({}, WritePoint("cmd", INT), WritePoint("request", value_type("Boolean")))
    made = PackMLBinding([StateLevel("state", PACKML_STATES)], commands)
    unit = Unit()

    async def requested(_: Any) -> None:
        if unit.values["cmd"].value == COMMAND_NUMBERS[PackMLCommand.START]:
            unit.go(*WHOLE)

    unit.on_write["request"] = requested
    job = Job(made, unit)
    assert (await job.run()).substate is JobSubstate.COMPLETED
    assert unit.sent == [("cmd", 2), ("request", True)]
    unit.go(_S.Execute)
    await made.command(JobVerb.PAUSE, job.order, unit)
    assert unit.sent[2:] == [("cmd", 4), ("request", True)]
