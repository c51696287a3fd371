"""Orders of VDA 5050 over abstract points: a vehicle in memory that shows what it was sent, well or badly."""

import json
from importlib.resources import files
from typing import Any

import anyio
import jsonschema
import pytest

from dtios.mapping.bindings.vda_follow import APPEAR
from dtios.mapping.bindings.vda_order import OrderPlan, Parameter, VdaOrderBinding
from dtios.mapping.points import Publish
from dtios.model.errors import RefusedError, TemporaryError
from dtios.model.job import JobOutcome, JobState, JobSubstate, JobVerb
from tests.unit.mapping.scripted import Job, ScriptedPoints, settle

STATE, ORDER, INSTANT = "v/state", "v/order", "v/instantActions"
DRIVE = VdaOrderBinding(OrderPlan("v"))
PICK = VdaOrderBinding(OrderPlan("v", "pick", parameters=(Parameter("load", "loadType"), Parameter("s", "s", fixed="floor"))))
HEADER = {"headerId": 1, "timestamp": "2026-01-01T00:00:00Z", "version": "2.1.0", "manufacturer": "m", "serialNumber": "s"}


class Vehicle(ScriptedPoints):
    """Takes every order; what becomes of it the test says by `shows`."""

    def __init__(self) -> None:
        super().__init__()
        self.state: dict[str, Any] = {
            "orderId": "", "orderUpdateId": 0, "lastNodeId": "A", "lastNodeSequenceId": 0, "nodeStates": [], "edgeStates": [],
            "actionStates": [], "errors": [], "paused": False, "agvPosition": {"mapId": "hall"},
        }  # fmt: skip
        self.shows()
        self.reacts = {ORDER: self.takes, INSTANT: self.acts}
        self.got: list[tuple[str, dict[str, Any]]] = []
        self.on_publish = self._got

    async def _got(self, message: Publish) -> None:
        body = json.loads(message.payload)
        self.got.append((message.address, body))
        if message.address in self.reacts:
            await self.reacts[message.address](body)

    def shows(self, **changed: Any) -> None:
        self.state |= changed
        self.set(STATE, json.dumps(self.state))

    async def takes(self, order: dict[str, Any]) -> None:
        actions = [action for node in order["nodes"] for action in node["actions"]]
        self.shows(
            orderId=order["orderId"],
            orderUpdateId=order["orderUpdateId"],
            nodeStates=[{k: n[k] for k in ("nodeId", "sequenceId", "released")} for n in order["nodes"][1:]],
            edgeStates=order["edges"],
            actionStates=[{"actionId": a["actionId"], "actionType": a["actionType"], "actionStatus": "WAITING"} for a in actions],
        )

    async def acts(self, message: dict[str, Any]) -> None:
        for action in message["actions"]:
            self.shown(action["actionId"], action["actionType"], "FINISHED")
            if action["actionType"] == "cancelOrder":
                failed = [{**a, "actionStatus": "FAILED"} if a["actionStatus"] == "WAITING" else a for a in self.actions]
                self.shows(nodeStates=[], edgeStates=[], actionStates=failed)

    @property
    def actions(self) -> list[dict[str, Any]]:
        actions: list[dict[str, Any]] = self.state["actionStates"]
        return actions

    def shown(self, id: str, kind: str, status: str) -> None:
        self.shows(actionStates=[*self.actions, {"actionId": id, "actionType": kind, "actionStatus": status}])

    def arrives(self, node: str, sequence: int, **more: Any) -> None:
        self.shows(lastNodeId=node, lastNodeSequenceId=sequence, nodeStates=[], edgeStates=[], **more)

    def orders(self) -> list[dict[str, Any]]:
        """All that was sent, each valid by the standard's schema."""
        text = files("vda5050.validation").joinpath("schemas")
        for address, body in self.got:
            schema = json.loads(text.joinpath(f"{address.partition('/')[2]}.json").read_text("utf-8"))
            jsonschema.Draft202012Validator(schema).validate({**HEADER, **body})
        return [body for address, body in self.got if address == ORDER]


class Running:
    """A job of a vehicle that runs in a task of its own."""

    def __init__(self, tasks: anyio.abc.TaskGroup, job: Job) -> None:
        self.job = job
        self.ended: list[JobOutcome] = []
        tasks.start_soon(self._run)

    async def _run(self) -> None:
        self.ended.append(await self.job.run())

    async def outcome(self) -> JobOutcome:
        await settle()
        (outcome,) = self.ended
        return outcome


async def test_a_drive_is_done_when_nothing_is_left_of_it() -> None:
    vehicle = Vehicle()
    async with anyio.create_task_group() as tasks:
        job = Job(DRIVE, vehicle, nodes=[{"nodeId": "B", "edgeId": "e"}], nodeId="C", maxSpeed=0.5)
        running = Running(tasks, job)
        await job.until(JobState.RUNNING)
        vehicle.shows(lastNodeId="B", lastNodeSequenceId=2)
        vehicle.arrives("C", 4)
        outcome = await running.outcome()
    assert (outcome.state, outcome.substate, outcome.results["lastNodeId"]) == (JobState.ENDED, JobSubstate.COMPLETED, "C")
    (order,) = vehicle.orders()
    assert [(n["nodeId"], n["sequenceId"], n["released"]) for n in order["nodes"]] == [
        ("A", 0, True),
        ("B", 2, True),
        ("C", 4, True),
    ]
    assert [(e["edgeId"], e["sequenceId"]) for e in order["edges"]] == [("e", 1), ("B-C", 3)]
    assert order["edges"][1]["maxSpeed"] == 0.5


async def test_an_action_that_fails_ends_the_order_and_what_is_left_is_cancelled() -> None:
    vehicle = Vehicle()
    async with anyio.create_task_group() as tasks:
        running = Running(tasks, Job(PICK, vehicle, load="EPAL", nodeId="B"))
        await settle()
        (action,) = vehicle.actions
        vehicle.shows(actionStates=[{**action, "actionStatus": "FAILED", "resultDescription": "nothing there"}])
        outcome = await running.outcome()
    assert outcome.state is JobState.ABORTED
    assert "pick failed (nothing there)" in outcome.reason
    (order,) = vehicle.orders()
    (sent,) = order["nodes"][-1]["actions"]
    assert sent["actionParameters"] == [{"key": "loadType", "value": "EPAL"}, {"key": "s", "value": "floor"}]
    assert [body["actions"][0]["actionType"] for address, body in vehicle.got if address == INSTANT] == ["cancelOrder"]


async def test_a_refused_order_ends_with_the_vehicles_words() -> None:
    vehicle = Vehicle()

    async def refuses(order: dict[str, Any]) -> None:
        reference = {"referenceKey": "orderId", "referenceValue": order["orderId"]}
        error = {
            "errorType": "noRouteError",
            "errorLevel": "WARNING",
            "errorDescription": "no way",
            "errorReferences": [reference],
        }
        vehicle.shows(errors=[error])

    vehicle.reacts[ORDER] = refuses
    with pytest.raises(RefusedError, match="noRouteError: no way"):
        await Job(DRIVE, vehicle, nodeId="B").run()


async def test_an_error_that_was_there_before_refuses_nothing() -> None:
    vehicle = Vehicle()
    vehicle.shows(errors=[{"errorType": "orderError", "errorLevel": "WARNING", "errorReferences": []}])
    async with anyio.create_task_group() as tasks:
        running = Running(tasks, Job(DRIVE, vehicle, nodeId="B"))
        await settle()
        vehicle.arrives("B", 2)
        assert (await running.outcome()).state is JobState.ENDED


async def test_a_vehicle_that_is_busy_is_sent_nothing() -> None:
    vehicle = Vehicle()
    vehicle.shows(orderId="theirs", nodeStates=[{"nodeId": "X", "sequenceId": 2, "released": True}])
    with pytest.raises(RefusedError, match="busy with the order theirs"):
        await Job(DRIVE, vehicle, nodeId="B").run()
    assert vehicle.got == []


async def test_a_second_order_before_the_first_shows_is_refused() -> None:
    vehicle = Vehicle()
    del vehicle.reacts[ORDER]
    async with anyio.create_task_group() as tasks:
        Running(tasks, Job(DRIVE, vehicle, nodeId="B"))
        await settle()
        with pytest.raises(RefusedError, match="another order of ours"):
            await Job(PICK, vehicle, "j2", load="EPAL").run()
        tasks.cancel_scope.cancel()
    assert len(vehicle.orders()) == 1
    assert not vehicle.holders["v"]


@pytest.mark.parametrize(("verb", "ended"), [(JobVerb.STOP, JobState.ENDED), (JobVerb.ABORT, JobState.ABORTED)])
async def test_a_cancelled_order_ends_as_it_was_asked(verb: JobVerb, ended: JobState) -> None:
    vehicle = Vehicle()
    async with anyio.create_task_group() as tasks:
        job = Job(PICK, vehicle, load="EPAL", nodeId="B")
        running = Running(tasks, job)
        await job.until(JobState.RUNNING)
        await PICK.command(verb, job.order, vehicle)
        assert (await running.outcome()).state is ended
    assert len(vehicle.orders()) == 1


async def test_what_somebody_else_cancels_is_aborted() -> None:
    vehicle = Vehicle()
    vehicle.shown("old", "cancelOrder", "FINISHED")
    async with anyio.create_task_group() as tasks:
        running = Running(tasks, Job(DRIVE, vehicle, nodeId="B"))
        await settle()
        vehicle.shown("theirs", "cancelOrder", "RUNNING")
        vehicle.shows(nodeStates=[], edgeStates=[])
        await settle()
        assert running.ended == []
        vehicle.shows(actionStates=[{"actionId": "theirs", "actionType": "cancelOrder", "actionStatus": "FINISHED"}])
        assert (await running.outcome()).reason == "somebody else cancelled the order"


async def test_an_update_begins_at_the_end_of_the_base() -> None:
    vehicle = Vehicle()
    async with anyio.create_task_group() as tasks:
        job = Job(DRIVE, vehicle, nodeId="B", horizon=[{"nodeId": "C"}])
        running = Running(tasks, job)
        await job.until(JobState.RUNNING)
        await DRIVE.command(JobVerb.UPDATE, Job(DRIVE, vehicle, nodeId="D").order, vehicle)
        vehicle.arrives("D", 4)
        assert (await running.outcome()).state is JobState.ENDED
    _, more = vehicle.orders()
    assert (more["orderId"], more["orderUpdateId"]) == ("j1", 1)
    assert [(n["nodeId"], n["sequenceId"]) for n in more["nodes"]] == [("B", 2), ("D", 4)]


async def test_it_is_found_again_by_its_order_and_never_sent_again() -> None:
    vehicle = Vehicle()
    vehicle.only_settling = True
    vehicle.shows(orderId="j1")
    vehicle.arrives("B", 2)
    outcome = await Job(DRIVE, vehicle, nodeId="B").resume()
    assert (outcome.state, outcome.substate) == (JobState.ENDED, JobSubstate.COMPLETED)
    assert vehicle.got == []


async def test_another_order_after_this_one_is_unknown() -> None:
    vehicle = Vehicle()
    async with anyio.create_task_group() as tasks:
        running = Running(tasks, Job(DRIVE, vehicle, nodeId="B"))
        await settle()
        vehicle.lose(STATE)
        await settle()
        vehicle.recover()
        vehicle.shows(orderId="")
        assert (await running.outcome()).state is JobState.UNKNOWN


async def test_an_order_that_never_shows_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dtios.mapping.bindings.vda_follow.APPEAR", APPEAR / 50)
    vehicle = Vehicle()
    del vehicle.reacts[ORDER]
    outcome = await Job(DRIVE, vehicle, nodeId="B").run()
    assert outcome.state is JobState.UNKNOWN
    assert len(vehicle.orders()) == 1


async def test_nothing_is_kept_for_a_vehicle_that_is_away() -> None:
    vehicle = Vehicle()
    vehicle.set(STATE, None, 0x80310000)
    with pytest.raises(TemporaryError, match="does not tell its state"):
        await Job(DRIVE, vehicle, nodeId="B").run()
    assert vehicle.got == []
    assert not vehicle.holders["v"]


async def test_a_vehicle_that_does_not_tell_that_it_is_paused() -> None:
    vehicle = Vehicle()
    del vehicle.state["paused"]
    async with anyio.create_task_group() as tasks:
        job = Job(DRIVE, vehicle, nodeId="B")
        running = Running(tasks, job)
        await settle()
        assert job.states == [(JobState.RUNNING, None)]
        await DRIVE.command(JobVerb.PAUSE, job.order, vehicle)
        await job.until(JobState.INTERRUPTED, JobSubstate.HELD)
        await DRIVE.command(JobVerb.RESUME, job.order, vehicle)
        await settle()
        assert job.states[-1] == (JobState.RUNNING, None)
        vehicle.arrives("B", 2)
        assert (await running.outcome()).state is JobState.ENDED


async def test_where_it_stands_is_enough_for_an_action() -> None:
    vehicle = Vehicle()
    async with anyio.create_task_group() as tasks:
        running = Running(tasks, Job(PICK, vehicle, load="EPAL"))
        await settle()
        (action,) = vehicle.actions
        vehicle.shows(actionStates=[{**action, "actionStatus": "FINISHED", "resultDescription": "has it"}])
        outcome = await running.outcome()
    assert (outcome.state, outcome.results["resultDescription"]) == (JobState.ENDED, "has it")
    (order,) = vehicle.orders()
    assert [n["nodeId"] for n in order["nodes"]] == ["A"]
    assert order["edges"] == []
