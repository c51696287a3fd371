"""A virtual vehicle on a third party's VDA 5050 library as a machine. What it was sent and did is told by its own log."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import jsonschema
import pytest

from dtios.model.job import JobState, JobSubstate
from dtios.sdk.client import Client
from dtios.sdk.errors import RefusedError
from dtios.sdk.protocol import MachineView
from tests.brokers import Mosquitto, running_broker
from tests.interop.node_server import running_node_server
from tests.interop.reach import reached
from tests.machines.process import MachineProcess

pytestmark = pytest.mark.interop

B = {"nodeId": "B", "nodePosition": {"x": 2, "y": 0}}
C = {"nodeId": "C", "nodePosition": {"x": 2, "y": 3}}
FAR = {"nodeId": "Far", "nodePosition": {"x": 200, "y": 0}}
EPAL = {"stationType": "floor", "loadType": "EPAL", "duration": 0.2}


@asynccontextmanager
async def cart(tmp_path: Path, *options: str) -> AsyncIterator[tuple[Client, MachineProcess]]:
    """A client that knows the vehicle Cart1 with all its skills, and the vehicle."""
    async with running_broker(Mosquitto(tmp_path)) as broker, reached(tmp_path, broker.url) as client:
        arguments = ("--broker", broker.url, *options)
        async with running_node_server(tmp_path / "vehicle.jsonl", *arguments, script="vehicle") as vehicle:
            with anyio.fail_after(20):
                await known(client, lambda view: "--no-factsheet" in options or "pick" in {s.path for s in view.machine.skills})
                await good(client, "lastNodeId")
            yield client, vehicle


async def known(client: Client, fits: Callable[[MachineView], bool]) -> MachineView:
    async with client.follow_machines() as changes:
        async for change in changes:
            if change.view.machine.name == "Cart1" and fits(change.view):
                return change.view
    raise AssertionError("the runtime stopped telling")


async def good(client: Client, *signals: str) -> dict[str, Any]:
    """Their values, as soon as all are Good."""
    seen: dict[str, Any] = {}
    with anyio.fail_after(15):
        async with client.subscribe("Cart1", list(signals)) as deliveries:
            async for delivery in deliveries:
                for change in delivery.changes():
                    seen[change.signal] = change.value
                    if change.status:
                        del seen[change.signal]
                if seen.keys() == set(signals):
                    return seen
    raise AssertionError("the runtime stopped telling")


async def state_of(client: Client, job: str, wanted: JobState) -> None:
    with anyio.fail_after(15):
        async with client.follow_job("Cart1", job) as changes:
            async for change in changes:
                if change.view.state is wanted:
                    return
                assert not change.view.final, change.view


def sent(vehicle: MachineProcess, kind: str) -> list[dict[str, Any]]:
    """The messages that it got, each of which fits the standard's schema."""
    import vda5050.validation

    text = Path(vda5050.validation.__file__).with_name("schemas").joinpath(f"{kind}.json").read_text("utf-8")
    got = [call["args"][0] for call in vehicle.calls(kind)]
    for message in got:
        jsonschema.Draft202012Validator(json.loads(text)).validate(message)
    return got


def instants(vehicle: MachineProcess) -> list[str]:
    return [action["actionType"] for message in sent(vehicle, "instantActions") for action in message["actions"]]


async def test_it_is_described_by_its_factsheet_and_its_state(tmp_path: Path) -> None:
    async with cart(tmp_path) as (client, vehicle):
        view = await client.describe("Cart1")
        machine = view.machine
        assert (machine.identification.manufacturer, machine.identification.serial_number) == ("Interop", "Cart1")
        assert (machine.identification.model, machine.identification.device_class) == ("Virtual", "FORKLIFT")
        skills = {skill.path: skill for skill in machine.skills}
        assert set(skills) == {"drive", "pick", "drop", "noop", "startCharging", "stopCharging"}, machine.notes
        assert {"stationType", "loadType"} <= set(skills["pick"].parameters["required"])
        values = await good(
            client, "agvPosition/x", "agvPosition/mapId", "batteryState/batteryCharge", "operatingMode", "driving"
        )
        assert values["agvPosition/mapId"] == "hall"
        assert (values["operatingMode"], values["driving"]) == ("AUTOMATIC", False)
        units = {signal.path: signal.unit.code for signal in machine.signals if signal.unit is not None}
        assert (units["agvPosition/theta"], units["velocity/vx"], units["batteryState/batteryCharge"]) == ("C81", "MTS", "P1")
        assert "factsheetRequest" in instants(vehicle)


async def test_it_drives_over_nodes_and_picks_and_drops(tmp_path: Path) -> None:
    async with cart(tmp_path) as (client, vehicle):
        drive = await client.start("Cart1", "drive", {"nodes": [B], **C}, job="d1")
        outcome = await drive.outcome()
        assert (outcome.state, outcome.substate, outcome.results["lastNodeId"]) == (JobState.ENDED, JobSubstate.COMPLETED, "C"), (
            outcome
        )
        pick = await (await client.start("Cart1", "pick", {**B, **EPAL}, job="p1")).outcome()
        assert pick.state is JobState.ENDED, pick
        assert pick.results["lastNodeId"] == "B", pick
        assert vehicle.calls("state")[-1]["load"], "its own log says that it carries a load"
        drop = await (await client.start("Cart1", "drop", EPAL, job="p2")).outcome()
        assert drop.state is JobState.ENDED, drop
        assert not vehicle.calls("state")[-1]["load"], drop
        orders = sent(vehicle, "order")
        assert [order["orderId"] for order in orders] == ["d1", "p1", "p2"]
        assert [node["nodeId"] for node in orders[0]["nodes"]] == ["A", "B", "C"]
        assert [node["sequenceId"] for node in orders[0]["nodes"]] == [0, 2, 4]
        assert [edge["sequenceId"] for edge in orders[0]["edges"]] == [1, 3]
        assert [order["headerId"] for order in orders] == [0, 1, 2]


async def test_it_is_paused_goes_on_and_is_stopped(tmp_path: Path) -> None:
    async with cart(tmp_path) as (client, vehicle):
        job = await client.start("Cart1", "drive", FAR, job="long")
        await state_of(client, "long", JobState.RUNNING)
        await job.pause()
        await state_of(client, "long", JobState.INTERRUPTED)
        await job.resume()
        await state_of(client, "long", JobState.RUNNING)
        second = await (await client.start("Cart1", "drop", EPAL, job="second")).outcome()
        assert second.state is JobState.ABORTED, second
        assert "another order" in second.reason
        await job.stop()
        outcome = await job.outcome()
        assert (outcome.state, outcome.substate) == (JobState.ENDED, JobSubstate.CLOSED), outcome
        assert [order["orderId"] for order in sent(vehicle, "order")] == ["long"]
        assert [kind for kind in instants(vehicle) if "Request" not in kind] == ["startPause", "stopPause", "cancelOrder"]
        assert (await good(client, "driving"))["driving"] is False


async def test_a_running_drive_is_extended(tmp_path: Path) -> None:
    async with cart(tmp_path, "--speed", "1") as (client, vehicle):
        job = await client.start("Cart1", "drive", {**B, "horizon": [C]}, job="long")
        await state_of(client, "long", JobState.RUNNING)
        await job.update(C)
        outcome = await job.outcome()
        assert (outcome.state, outcome.results["lastNodeId"]) == (JobState.ENDED, "C"), outcome
        first, more = sent(vehicle, "order")
        assert [node["released"] for node in first["nodes"]] == [True, True, False]
        assert (more["orderId"], more["orderUpdateId"]) == ("long", 1)
        assert [(node["nodeId"], node["sequenceId"]) for node in more["nodes"]] == [("B", 2), ("C", 4)]


async def test_what_it_refuses_ends_with_its_words(tmp_path: Path) -> None:
    async with cart(tmp_path) as (client, vehicle):
        nowhere = await (await client.start("Cart1", "drive", {"nodeId": "Nowhere"}, job="n")).outcome()
        assert nowhere.state is JobState.ABORTED, nowhere
        assert "noRouteError" in nowhere.reason, nowhere
        wrong = await (await client.start("Cart1", "pick", {**EPAL, "loadType": "Piano"}, job="w")).outcome()
        assert wrong.state is JobState.ABORTED, wrong
        assert "orderError" in wrong.reason, wrong
        failed = await (await client.start("Cart1", "drop", EPAL, job="f")).outcome()
        assert failed.state is JobState.ABORTED, failed
        assert "no load to drop" in failed.reason, failed
        charged = await (await client.start("Cart1", "stopCharging", {}, job="c")).outcome()
        assert charged.state is JobState.ABORTED, charged
        assert "charging not in progress" in charged.reason, charged
        with pytest.raises(RefusedError):
            await (await client.job("f", "Cart1")).stop()
        assert len(sent(vehicle, "order")) == 3


async def test_its_errors_and_its_emergency_stop_are_conditions(tmp_path: Path) -> None:
    async with cart(tmp_path) as (client, vehicle), client.follow_conditions("Cart1") as changes:
        error = {"errorType": "lowOil", "errorLevel": "WARNING", "errorDescription": "oil is low", "errorReferences": []}
        tell(vehicle, {"do": "error", "error": error})
        tell(vehicle, {"do": "eStop", "value": "MANUAL"})
        tell(vehicle, {"do": "clear", "error": error})
        told = []
        with anyio.fail_after(15):
            async for change in changes:
                condition = change.condition
                told.append((condition["name"], condition["severity"], condition["active"]))
                if len(told) == 3:
                    break
        assert told == [("lowOil", 500, True), ("eStop", 1000, True), ("lowOil", 500, False)]
        assert (await good(client, "safetyState/eStop", "warnings")) == {"safetyState/eStop": "MANUAL", "warnings": 0}


def tell(vehicle: MachineProcess, order: dict[str, Any]) -> None:
    assert vehicle.process.stdin is not None
    vehicle.process.stdin.write(json.dumps(order).encode() + b"\n")
    vehicle.process.stdin.flush()


async def test_killed_its_values_are_bad_and_its_order_is_never_sent_again(tmp_path: Path) -> None:
    async with cart(tmp_path) as (client, vehicle):
        job = await client.start("Cart1", "drive", FAR, job="long")
        await state_of(client, "long", JobState.RUNNING)
        vehicle.kill()
        with anyio.fail_after(15):
            async with client.subscribe("Cart1", ["driving", "connectionState"]) as deliveries:
                seen: dict[str, tuple[Any, str]] = {}
                async for delivery in deliveries:
                    seen |= {change.signal: (change.value, change.status_name) for change in delivery.changes()}
                    if seen.get("connectionState", ("",))[0] == "CONNECTIONBROKEN":
                        break
        with anyio.fail_after(5):
            while (reading := dict(await client.read("Cart1", ["driving"]))["driving"]).is_good:
                await anyio.sleep(0.05)
        assert reading.status_name == "BadNoCommunication"
        assert len(sent(vehicle, "order")) == 1
        view = await client.describe("Cart1")
        assert (view.health, view.detail) == ("offline", "its connection to the broker broke")
        options = ("--broker", vehicle.endpoint)
        async with running_node_server(tmp_path / "again.jsonl", *options, script="vehicle") as again:
            with anyio.fail_after(20):
                while (record := (await client.show_job("long", "Cart1")).view).state is JobState.RUNNING:
                    await anyio.sleep(0.05)
            assert record.state is JobState.UNKNOWN
            assert (await client.describe("Cart1")).health == "online"
            assert sent(again, "order") == []
        assert job.id == "long"
