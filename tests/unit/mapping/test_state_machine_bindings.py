"""Programs (Part 10) and OpenSMI skills over scripted points: every state, the verbs, Reset, loss, and found again."""

from typing import Any

import anyio
import pytest
from mapping_space import value_type
from scripted import Job, ScriptedPoints, settle

from dtios.mapping.bindings import state_machine
from dtios.mapping.bindings.opensmi import OpenSMIBinding
from dtios.mapping.bindings.program import ProgramBinding
from dtios.mapping.bindings.state_machine import StateMachineNodes
from dtios.mapping.bindings.variables import CallPoint, ResultPoint, WritePoint, Written
from dtios.model.errors import OutcomeUnknown, RefusedError
from dtios.model.job import JobOutcome, JobState, JobSubstate, JobVerb
from dtios.model.values import LocalizedText, NodeId

METHODS = ("Start", "Suspend", "Resume", "Halt", "Reset")
RUNNING = (JobState.RUNNING, None)
SUSPENDED = (JobState.INTERRUPTED, JobSubstate.SUSPENDED)
COMPLETED = JobOutcome(JobState.ENDED, JobSubstate.COMPLETED)


def nodes(*, without: tuple[str, ...] = (), **more: Any) -> StateMachineNodes:
    methods = {name: CallPoint("unit", name) for name in METHODS if name not in without}
    return StateMachineNodes(more.pop("states", ("state",)), methods, **more)


def program(**more: Any) -> ProgramBinding:
    return ProgramBinding(nodes(), **more)


def skill(**more: Any) -> OpenSMIBinding:
    return OpenSMIBinding(nodes(without=("Resume",)), **more)


class Unit(ScriptedPoints):
    """Its methods lead through `moves` at once."""

    def __init__(self, state: str, **moves: list[str]) -> None:
        super().__init__(state=LocalizedText(state, "en"))
        for name in METHODS:
            self.on[name] = self._move(moves.get(name, []))

    def _move(self, states: list[str]) -> Any:
        async def moved(*_: Any) -> list[Any]:
            self.go(*states)
            return []

        return moved

    def go(self, *states: str) -> None:
        for state in states:
            self.set("state", LocalizedText(state, "en"))

    @property
    def called(self) -> list[str]:
        return [name for name, _ in self.sent]


async def going(job: Job, tasks: Any, came: list[JobOutcome], *, resume: bool = False) -> None:
    async def go() -> None:
        came.append(await (job.resume() if resume else job.run()))

    tasks.start_soon(go)
    await settle()


async def test_a_program_that_is_ready_again_is_through() -> None:
    unit = Unit("Ready", Start=["Running", "Suspended", "Running", "Ready"])
    job = Job(program(), unit)
    assert await job.run() == COMPLETED
    assert job.states == [RUNNING, SUSPENDED, RUNNING]
    assert unit.called == ["Start"]


async def test_a_skill_comes_to_completed() -> None:
    unit = Unit(
        "Ready", Start=["Starting", "Running", "Suspending", "Suspended", "Starting", "Running", "Completing", "Completed"]
    )
    job = Job(skill(), unit)
    assert await job.run() == COMPLETED
    assert job.states == [RUNNING, SUSPENDED, RUNNING]


@pytest.mark.parametrize("binding", [program(), skill()])
async def test_halted_is_an_abort(binding: Any) -> None:
    unit = Unit("Ready", Start=["Running", *(["Halting"] if isinstance(binding, OpenSMIBinding) else []), "Halted"])
    outcome = await Job(binding, unit).run()
    assert (outcome.state, "halted, or failed" in outcome.reason) == (JobState.ABORTED, True)


async def test_a_program_that_ends_halted_has_stop_and_no_abort() -> None:
    one = program(ends_halted=True)
    assert one.verbs == {JobVerb.START, JobVerb.PAUSE, JobVerb.RESUME, JobVerb.STOP}
    assert program().verbs == {JobVerb.START, JobVerb.PAUSE, JobVerb.RESUME, JobVerb.ABORT}
    outcome = await Job(one, Unit("Ready", Start=["Running", "Halted"])).run()
    assert (outcome.state, outcome.substate) == (JobState.ENDED, None)
    assert "does not say" in outcome.reason


@pytest.mark.parametrize(("binding", "state"), [
    *((program(), s) for s in ("Running", "Suspended", "Halted")),
    *((skill(), s) for s in ("Halted", "Completed", "Running", "Suspended", "Starting", "Halting", "Completing", "Resetting")),
    (program(), "Läuft"),
])  # fmt: skip
async def test_a_start_needs_ready(binding: Any, state: str) -> None:
    unit = Unit(state)
    with pytest.raises(RefusedError, match=state):
        await Job(binding, unit).run()
    assert unit.sent == []


@pytest.mark.parametrize(("binding", "state"), [
    (program(reset_before_start=True), "Halted"), (skill(reset_before_start=["Completed"]), "Completed"),
    (skill(reset_before_start=["Completed", "Halted"]), "Halted"),
])  # fmt: skip
async def test_reset_first_where_the_profile_says_so(binding: Any, state: str) -> None:
    end = ["Ready"] if isinstance(binding, ProgramBinding) else ["Completed"]
    unit = Unit(state, Reset=["Ready"], Start=["Running", *end])
    assert await Job(binding, unit).run() == COMPLETED
    assert unit.called == ["Reset", "Start"]


@pytest.mark.parametrize("state", ["Halted", "Suspended", "Running"])
async def test_a_reset_after_completed_is_none_for_other_states(state: str) -> None:
    unit = Unit(state)
    with pytest.raises(RefusedError):
        await Job(skill(reset_before_start=["Completed"]), unit).run()
    assert unit.sent == []


async def test_nothing_but_the_number_may_tell() -> None:
    """The text is in a language that nobody named; the Number is Bad, the Id tells."""
    unit = Unit("Bereit", Start=[])
    unit.set("number", None, 0x80320000)
    unit.set("id", NodeId("i=2400"))

    async def started(*_: Any) -> list[Any]:
        unit.set("id", NodeId("i=2402"))
        unit.set("number", 13)
        unit.set("number", 12)
        return []

    unit.on["Start"] = started
    assert await Job(ProgramBinding(nodes(states=("number", "id", "state"))), unit).run() == COMPLETED


async def test_parameters_before_results_after() -> None:
    unit = Unit("Ready", Start=["Running", "Ready"])
    unit.set("Welded", 5)
    kind = value_type("Int32")
    one = ProgramBinding(
        nodes(
            parameters=(Written("count", WritePoint("Count", kind), required=True),),
            results=(ResultPoint("welded", "Welded", kind),),
        )
    )
    assert one.parameters["required"] == ["count"]
    outcome = await Job(one, unit, count=5).run()
    assert outcome.results == {"welded": 5}
    assert unit.sent == [("Count", 5), ("Start", [])]


async def test_a_start_that_changes_nothing_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_machine, "APPEAR", 0.05)
    outcome = await Job(program(), Unit("Ready")).run()
    assert (outcome.state, outcome.reason) == (JobState.UNKNOWN, "the program took Start, but never left Ready")


async def test_no_answer_to_start() -> None:
    async def broken(*_: Any) -> list[Any]:
        raise OutcomeUnknown("broken")

    unit = Unit("Ready")
    unit.on["Start"] = broken
    with pytest.raises(OutcomeUnknown):
        await Job(program(), unit).run()
    assert unit.called == ["Start"]


@pytest.mark.parametrize(("binding", "back", "state"), [
    (program(), "Ready", JobState.UNKNOWN), (program(), "Halted", JobState.ABORTED), (skill(), "Completed", JobState.ENDED),
    (skill(), "Ready", JobState.UNKNOWN), (skill(), "Resetting", JobState.UNKNOWN), (skill(), "Halted", JobState.ABORTED),
])  # fmt: skip
@pytest.mark.parametrize("found_again", [False, True])
async def test_over_when_it_is_seen_again(binding: Any, back: str, state: JobState, found_again: bool) -> None:
    came = list[JobOutcome]()
    if found_again:
        unit = Unit(back)
        assert (await Job(binding, unit).resume()).state is state if back != "Resetting" else True
        assert unit.sent == []
        return
    unit = Unit("Ready", Start=["Running"])
    async with anyio.create_task_group() as tasks:
        await going(Job(binding, unit), tasks, came)
        unit.lose("state")
        unit.recover(state=LocalizedText(back, "en"))
    assert came[0].state is state


async def test_a_loss_survived_does_not_cloud_the_end() -> None:
    unit, came = Unit("Ready", Start=["Running"]), list[JobOutcome]()
    async with anyio.create_task_group() as tasks:
        await going(Job(program(), unit), tasks, came)
        unit.lose("state")
        unit.recover(state=LocalizedText("Running", "en"))
        await settle()
        unit.go("Ready")
    assert came == [COMPLETED]


@pytest.mark.parametrize(("binding", "verb", "state", "called"), [
    (program(), JobVerb.PAUSE, "Running", ["Suspend"]), (program(), JobVerb.PAUSE, "Suspended", []),
    (program(), JobVerb.RESUME, "Suspended", ["Resume"]), (skill(), JobVerb.RESUME, "Suspended", ["Start"]),
    (program(), JobVerb.ABORT, "Running", ["Halt"]), (program(), JobVerb.ABORT, "Halted", []),
    (skill(), JobVerb.ABORT, "Halting", []), (program(), JobVerb.ABORT, "Läuft", ["Halt"]),
])  # fmt: skip
async def test_verbs(binding: Any, verb: JobVerb, state: str, called: list[str]) -> None:
    unit = Unit(state)
    await binding.command(verb, Job(binding, unit).order, unit)
    assert unit.called == called


@pytest.mark.parametrize(("binding", "verb", "state"), [
    (program(), JobVerb.PAUSE, "Ready"), (program(), JobVerb.RESUME, "Ready"), (skill(), JobVerb.RESUME, "Ready"),
    (skill(), JobVerb.RESUME, "Completed"), (program(), JobVerb.PAUSE, "Läuft"), (program(), JobVerb.STOP, "Running"),
])  # fmt: skip
async def test_verbs_that_are_refused(binding: Any, verb: JobVerb, state: str) -> None:
    """Resume is Start for a skill: it must not start one that is Ready."""
    unit = Unit(state)
    with pytest.raises(RefusedError):
        await binding.command(verb, Job(binding, unit).order, unit)
    assert unit.sent == []


def test_a_skill_that_cannot_be_suspended() -> None:
    assert OpenSMIBinding(nodes(without=("Resume", "Suspend"))).verbs == {JobVerb.START, JobVerb.ABORT}
