"""Method skills over scripted points: every way a call can go."""

import anyio
import pytest
from mapping_space import value_type
from scripted import Job, ScriptedPoints, answer, settle

from dtios.mapping.bindings.arguments import Input, Output
from dtios.mapping.bindings.method import MethodBinding
from dtios.model.datatypes import BuiltinType, ValueType
from dtios.model.errors import ConfigurationError, DtiosError, OutcomeUnknown, RefusedError, TemporaryError
from dtios.model.job import JobIdentity, JobState, JobSubstate, JobVerb

GRADE = ValueType(BuiltinType.Int32, "Grade", members=((1, "OK"), (2, "NotOK")))
BINDING = MethodBinding(
    "cell",
    "Press",
    [Input("force", value_type("Float")), Input("parts", value_type("Int64")), Input("mode", value_type("Byte"), fixed=3)],
    [Output("peak", value_type("Double")), Output("grade", GRADE)],
)


async def test_a_call_that_returns() -> None:
    points = ScriptedPoints()
    points.on["Press"] = answer(12.5, 1)
    job = Job(BINDING, points, force=10, parts="5000000000")
    outcome = await job.run()
    assert points.sent == [("Press", [10.0, 5_000_000_000, 3])]
    assert job.states == [(JobState.RUNNING, None)]
    assert (outcome.state, outcome.substate) == (JobState.ENDED, JobSubstate.COMPLETED)
    assert outcome.results == {"peak": 12.5, "grade": {"value": 1, "name": "OK"}}


async def test_it_shows_running_while_the_call_lasts() -> None:
    points, done = ScriptedPoints(), anyio.Event()

    async def slow(*_: object) -> list[object]:
        await done.wait()
        return [1.0, 2]

    points.on["Press"] = slow
    job = Job(BINDING, points, force=1, parts=1)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(job.run)
        await job.until(JobState.RUNNING)
        done.set()


async def raising(error: DtiosError) -> tuple[Job, ScriptedPoints]:
    points = ScriptedPoints()

    async def fail(*_: object) -> list[object]:
        raise error

    points.on["Press"] = fail
    return Job(BINDING, points, force=1, parts=1), points


@pytest.mark.parametrize("text", ["BadNotExecutable", "the grant is missing", "Press answered BadUserAccessDenied"])
async def test_refused_before_it_ran(text: str) -> None:
    job, _ = await raising(RefusedError(text))
    with pytest.raises(RefusedError):
        await job.run()
    assert job.states == []


@pytest.mark.parametrize("text", ["BadDeviceFailure", "the machine answered BadUnexpectedError"])
async def test_failed_while_it_ran(text: str) -> None:
    job, _ = await raising(RefusedError(text))
    outcome = await job.run()
    assert outcome.state is JobState.ABORTED
    assert text in outcome.reason


async def test_no_answer_is_unknown_and_offline_is_temporary() -> None:
    job, _ = await raising(OutcomeUnknown("the connection broke"))
    assert (await job.run()).state is JobState.UNKNOWN
    job, points = await raising(RefusedError("never reached"))
    points.online = False
    with pytest.raises(TemporaryError):
        await job.run()
    assert points.sent == []


@pytest.mark.parametrize(
    ("parameters", "error"),
    [({"force": 1e39, "parts": 1}, RefusedError), ({"force": 1, "parts": 2**63}, RefusedError),
     ({"force": "much", "parts": 1}, ConfigurationError), ({"force": 1}, RefusedError)],
)  # fmt: skip
async def test_what_does_not_fit_is_never_sent(parameters: dict[str, object], error: type[DtiosError]) -> None:
    points = ScriptedPoints()
    with pytest.raises(error):
        await Job(BINDING, points, **parameters).run()
    assert points.sent == []


async def test_nothing_is_found_again() -> None:
    points = ScriptedPoints()
    assert (await Job(BINDING, points).resume()).state is JobState.UNKNOWN
    assert points.sent == []
    with pytest.raises(RefusedError):
        await BINDING.command(JobVerb.STOP, Job(BINDING, points).order, points)


def test_it_says_what_it_is() -> None:
    assert BINDING.verbs == {JobVerb.START}
    assert BINDING.identity is JobIdentity.NONE
    assert BINDING.parameters["required"] == ["force", "parts"]
    assert "mode" not in BINDING.parameters["properties"]


async def test_cancelling_a_run_leaves_nothing_behind() -> None:
    points = ScriptedPoints()

    async def never(*_: object) -> list[object]:
        await anyio.sleep_forever()
        return []

    points.on["Press"] = never
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(Job(BINDING, points, force=1, parts=1).run)
        await settle()
        tasks.cancel_scope.cancel()
    assert len(points.sent) == 1
