"""Job orders over scripted points: every state, and loss at every point."""

from typing import Any

import anyio
import pytest
from scripted import Job, ScriptedPoints, answer, settle

from dtios.mapping.bindings import job_order_follow
from dtios.mapping.bindings.job_order import JobOrderBinding, ReceiverMethod, ReceiverNodes
from dtios.mapping.bindings.job_order_data import COMMENT, JOB_ORDER_ID, JobParameter, empty, job_order, refusal
from dtios.mapping.bindings.job_order_follow import Responses
from dtios.model.datatypes import BuiltinType, Field, ValueType
from dtios.model.errors import OutcomeUnknown, RefusedError, TemporaryError
from dtios.model.job import JobIdentity, JobOutcome, JobState, JobSubstate, JobVerb
from dtios.model.machine import Unit
from dtios.model.values import LocalizedText, Record

ALL = ("StoreAndStart", "Store", "Start", "Pause", "Resume", "Stop", "Abort", "Cancel", "Update")
OK = 1  # bit 0


def binding(*methods: str, responses: bool = True, **more: Any) -> JobOrderBinding:
    nodes = ReceiverNodes(
        "receiver",
        "list",
        {name: ReceiverMethod(name) for name in methods or ALL},
        Responses("provider", "Request") if responses else None,
    )
    return JobOrderBinding(nodes, **more)


def states(*numbers: int) -> list[Record]:
    return [Record("ISA95StateDataType", {"StateNumber": n, "StateText": LocalizedText("?")}) for n in numbers]


def entry(job: str, *numbers: int) -> Record:
    order = Record("ISA95JobOrderDataType", {"JobOrderID": job})
    return Record("ISA95JobOrderAndStateDataType", {"JobOrder": order, "State": states(*numbers)})


def response(job: str, *numbers: int, **results: Any) -> Record:
    data = [Record("ISA95ParameterDataType", {"ID": name, "Value": value}) for name, value in results.items()]
    return Record("ISA95JobResponseDataType", {"JobOrderID": job, "JobState": states(*numbers), "JobResponseData": data})


def machine(**on: Any) -> ScriptedPoints:
    """It takes every order; its response provider knows nothing yet."""
    points = ScriptedPoints(list=[])
    points.on = {name: answer(OK) for name in ALL} | {"Request": answer(None, 0b10)} | on
    return points


class Started:
    """A job that is being run, with its outcome once it is there."""

    def __init__(self, job: Job, tasks: Any, *, resume: bool = False) -> None:
        self.job = job
        self.outcome: JobOutcome | None = None
        tasks.start_soon(self._go, resume)

    async def _go(self, resume: bool) -> None:
        self.outcome = await (self.job.resume() if resume else self.job.run())

    @property
    def result(self) -> JobOutcome:
        assert self.outcome is not None, "it has not ended"
        return self.outcome


async def test_from_store_and_start_to_completed() -> None:
    points = machine()
    job = Job(binding(), points, WorkMasterID="W1", length=5)
    async with anyio.create_task_group() as tasks:
        run = Started(job, tasks)
        await settle()
        for numbers in ((2, 3), (3,), (3,), (4, 1), (3,), (4, 2), (3,)):
            points.set("list", [entry("other", 6), entry("j1", *numbers)])
        points.on["Request"] = answer(response("j1", 5, 1, weight=1.5, big=2**60), OK)
        points.set("list", [entry("j1", 5, 1)])
    assert job.states == [
        (JobState.ALLOWED_TO_START, JobSubstate.LOADED),
        (JobState.RUNNING, None),
        (JobState.INTERRUPTED, JobSubstate.HELD),
        (JobState.RUNNING, None),
        (JobState.INTERRUPTED, JobSubstate.SUSPENDED),
        (JobState.RUNNING, None),
    ]
    assert run.result == JobOutcome(JobState.ENDED, JobSubstate.COMPLETED, {"weight": 1.5, "big": str(2**60)})
    (order, comment) = points.sent[0][1]
    assert points.sent[0][0] == "StoreAndStart"
    assert comment == []
    assert order["JobOrderID"] == "j1"
    assert [w["ID"] for w in order["WorkMasterID"]] == ["W1"]
    assert [(p["ID"], p["Value"]) for p in order["JobOrderParameters"]] == [("length", 5)]


@pytest.mark.parametrize(("numbers", "state", "substate"), [
    ((5, 1), JobState.ENDED, JobSubstate.COMPLETED),
    ((5, 2), JobState.ENDED, JobSubstate.CLOSED),
    ((5,), JobState.ENDED, None),
    ((6,), JobState.ABORTED, None),
])  # fmt: skip
async def test_how_it_ends_without_a_response_provider(numbers: Any, state: JobState, substate: Any) -> None:
    points = machine()
    async with anyio.create_task_group() as tasks:
        run = Started(Job(binding(responses=False), points), tasks)
        await settle()
        points.set("list", [entry("j1", *numbers)])
    assert run.result == JobOutcome(state, substate)


async def test_it_left_the_list_before_anybody_saw_it() -> None:
    points = machine(Request=answer(response("j1", 5, 1, n=3), OK))
    run = await Job(binding(), points).run()
    assert (run.state, run.results) == (JobState.ENDED, {"n": 3})


async def test_store_and_start_apart_and_a_start_that_is_refused_is_taken_back() -> None:
    points = machine(Start=answer(0b1000))
    with pytest.raises(RefusedError, match="state does not allow"):
        await Job(binding("Store", "Start", "Cancel"), points).run()
    assert [name for name, _ in points.sent] == ["Store", "Start", "Cancel"]


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (0b10, "does not know"),
        (0b10000, "cannot accept"),
        (1 << 32, "invalid"),
        (1 << 40, "reason 40"),
        (0b10010, "does not know this job order and it cannot"),
    ],
)
async def test_a_return_status_that_refuses(status: int, words: str) -> None:
    points = machine(StoreAndStart=answer(status))
    job = Job(binding(), points)
    with pytest.raises(RefusedError, match=words):
        await job.run()
    assert job.states == []


@pytest.mark.parametrize("status", [0, 1, None])
def test_a_return_status_that_does_not(status: Any) -> None:
    assert refusal(status) is None


async def test_offline_sends_nothing_and_no_answer_is_not_repeated() -> None:
    points = machine()
    points.online = False
    with pytest.raises(TemporaryError):
        await Job(binding(), points).run()
    assert points.sent == []

    async def broken(*_: Any) -> list[Any]:
        raise OutcomeUnknown("the connection broke")

    points = machine(StoreAndStart=broken)
    with pytest.raises(OutcomeUnknown):
        await Job(binding(), points).run()
    assert len(points.sent) == 1


async def test_a_loss_in_the_middle_is_waited_out() -> None:
    points = machine()
    job = Job(binding(), points)
    async with anyio.create_task_group() as tasks:
        run = Started(job, tasks)
        await settle()
        points.set("list", [entry("j1", 3)])
        await job.until(JobState.RUNNING)
        points.lose("list")
        await settle()
        assert run.outcome is None
        points.on["Request"] = answer(response("j1", 5, 2, n=1), OK)
        points.recover(list=[])
    assert (run.result.state, run.result.substate, run.result.results) == (JobState.ENDED, JobSubstate.CLOSED, {"n": 1})


async def test_gone_from_the_list_with_no_response_is_unknown() -> None:
    points = machine()
    job = Job(binding(responses=False), points)
    async with anyio.create_task_group() as tasks:
        run = Started(job, tasks)
        await settle()
        points.set("list", [entry("j1", 3)])
        points.set("list", [])
    assert run.result.state is JobState.UNKNOWN


async def test_cancelled_while_it_waited() -> None:
    points = machine()
    job = Job(binding(), points)
    async with anyio.create_task_group() as tasks:
        run = Started(job, tasks)
        await settle()
        points.set("list", [entry("j1", 2, 1)])
        await job.until(JobState.ALLOWED_TO_START, JobSubstate.WAITING)
        await job.binding.command(JobVerb.CANCEL, job.order, points)
        points.set("list", [])
    assert run.result.state is JobState.ABORTED
    assert "before it started" in run.result.reason


async def test_accepted_and_never_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_order_follow, "APPEAR", 0.05)
    outcome = await Job(binding(), machine()).run()
    assert outcome.state is JobState.UNKNOWN
    assert "never listed" in outcome.reason


async def test_a_state_number_nobody_named_is_waited_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_order_follow, "APPEAR", 0.3)
    points = machine()
    job = Job(binding(responses=False), points)
    async with anyio.create_task_group() as tasks:
        run = Started(job, tasks)
        await settle()
        points.set("list", [entry("j1", 77)])
        await anyio.sleep(0.4)
        assert run.outcome is None
        points.set("list", [entry("j1", 6)])
    assert run.result.state is JobState.ABORTED


async def test_resume_finds_it_by_its_id_and_never_starts_it() -> None:
    points = machine()
    points.set("list", [entry("j0", 3), entry("j1", 4, 1)])
    job = Job(binding(), points)
    async with anyio.create_task_group() as tasks:
        run = Started(job, tasks, resume=True)
        await job.until(JobState.INTERRUPTED, JobSubstate.HELD)
        points.on["Request"] = answer(response("j1", 5, 1), OK)
        points.set("list", [entry("j1", 5, 1)])
    assert run.result.state is JobState.ENDED
    assert {name for name, _ in points.sent} == {"Request"}


async def test_resume_of_what_ended_meanwhile_of_what_never_was_and_of_what_nobody_can_tell() -> None:
    ended = machine(Request=answer(response("j1", 6), OK))
    assert (await Job(binding(), ended).resume()).state is JobState.ABORTED
    never = await Job(binding(), machine()).resume()
    assert (never.state, never.reason) == (JobState.ABORTED, "never started")
    assert (await Job(binding(responses=False), machine()).resume()).state is JobState.UNKNOWN
    silent = machine(Request=answer(None, 1 << 32))
    assert (await Job(binding(), silent).resume()).state is JobState.UNKNOWN


@pytest.mark.parametrize("verb", [v for v in JobVerb if v not in (JobVerb.STORE, JobVerb.START)])
async def test_every_verb_is_its_method(verb: JobVerb) -> None:
    points = machine()
    job = Job(binding(), points, a=1)
    await job.binding.command(verb, job.order, points)
    name, (first, comment) = points.sent[0]
    assert (name, comment) == (verb.value.capitalize(), [])
    assert (first["JobOrderID"] if verb is JobVerb.UPDATE else first) == "j1"
    points.on[name] = answer(0b1000)
    with pytest.raises(RefusedError):
        await job.binding.command(verb, job.order, points)


async def test_verbs_are_those_whose_methods_exist() -> None:
    some = binding("StoreAndStart", "Stop")
    assert some.verbs == {JobVerb.START, JobVerb.STOP}
    assert some.identity is JobIdentity.NATIVE
    with pytest.raises(RefusedError, match="no Pause"):
        await some.command(JobVerb.PAUSE, Job(some, machine()).order, machine())
    with pytest.raises(RefusedError):
        await some.command(JobVerb.START, Job(some, machine()).order, machine())


async def test_named_parameters_units_and_renamed_results() -> None:
    known = [
        JobParameter("speed", "SPD", ValueType(BuiltinType.Double, "Double"), unit=Unit("MTS", "m/s"), required=True),
        JobParameter("program", "PRG", fixed="P7"),
    ]
    made = binding(known=known, work_master="W9", results={"weight": "WGT"})
    assert made.parameters["required"] == ["speed"]
    assert set(made.parameters["properties"]) == {"speed"}
    points = machine(Request=answer(response("j1", 5, 1, WGT=2.0, more=1), OK))
    outcome = await Job(made, points, speed=3).run()
    order = points.sent[0][1][0]
    speed, program = order["JobOrderParameters"]
    assert (speed["ID"], speed["Value"], speed["EngineeringUnits"]["UnitId"]) == ("SPD", 3.0, 5067859)
    assert (program["ID"], program["Value"]) == ("PRG", "P7")
    assert order["WorkMasterID"][0]["ID"] == "W9"
    assert outcome.results == {"weight": 2.0, "more": 1}


def test_fields_that_a_machines_own_type_demands_are_there_and_empty() -> None:
    text = ValueType(BuiltinType.LocalizedText, rank=1)
    own = ValueType(
        BuiltinType.ExtensionObject,
        "OwnOrder",
        fields=(
            Field("Description", text),
            Field("JobOrderID", ValueType(BuiltinType.String)),
            Field("Priority", ValueType(BuiltinType.Int16)),
            Field("StartTime", ValueType(BuiltinType.DateTime), optional=True),
        ),
    )
    record = job_order("j", [], {}, [], own)
    assert (record.type, record.fields) == ("OwnOrder", {"Description": [], "JobOrderID": "j", "Priority": 0})
    assert empty(COMMENT) == []
    assert empty(JOB_ORDER_ID) is None
