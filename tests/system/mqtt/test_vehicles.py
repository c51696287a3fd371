"""Vehicles that are silent, deaf or talk nonsense, over brokers of third parties; the vehicle's own log is the judge."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from dtios.model.job import JobState
from dtios.runtime.configuration.config import RuntimeConfig
from dtios.runtime.core import Runtime
from dtios.runtime.registry import Registry
from dtios.runtime.state import StateDirectory
from dtios.sdk.client import Client
from dtios.sdk.protocol import JobView, MachineView
from tests.brokers import BROKERS, BrokerProcess, Mosquitto, running_broker
from tests.machines.process import MachineProcess, python_machine, running_machine
from tests.runtimes import client_of


@asynccontextmanager
async def cart(folder: Path, broker: BrokerProcess, *options: str, **more: Any) -> AsyncIterator[tuple[Client, MachineProcess]]:
    """A client that knows the vehicle `cart`, and the vehicle."""
    named = {"machines": {"cart": {"endpoint": broker.url, "machine": "Agv1", "settings": {"listen": 1.0}}}, **more}
    command = python_machine("tests.machines.agv", "--broker", broker.url, *options)
    async with running_machine(command, folder / "log.jsonl") as vehicle:
        runtime = Runtime(RuntimeConfig.model_validate(named), StateDirectory(folder / "state"), Registry())
        async with runtime, client_of(runtime) as client:
            await until(client, "online", "pick")
            yield client, vehicle


async def until(client: Client, health: str, skill: str = "drive") -> MachineView:
    with anyio.fail_after(20):
        async with client.follow_machines() as changes:
            async for change in changes:
                view = change.view
                if view.health == health and skill in {s.path for s in view.machine.skills}:
                    return view
    raise AssertionError("the runtime stopped telling")


async def until_job(client: Client, job: str, wanted: JobState) -> JobView:
    with anyio.fail_after(30):
        async with client.follow_job("cart", job) as changes:
            async for change in changes:
                if change.view.state is wanted:
                    return change.view
                assert not change.view.final, change.view
    raise AssertionError("the runtime stopped telling")


async def until_value(client: Client, signal: str, wanted: Any) -> None:
    """A Good value, or the name of a status."""
    with anyio.fail_after(20):
        async with client.subscribe("cart", [signal]) as deliveries:
            async for delivery in deliveries:
                for change in delivery.changes():
                    if wanted in (change.value, change.status_name):
                        return


def tell(vehicle: MachineProcess, **order: Any) -> None:
    assert vehicle.process.stdin is not None
    vehicle.process.stdin.write(json.dumps(order).encode() + b"\n")
    vehicle.process.stdin.flush()


@pytest.mark.parametrize("kind", BROKERS)
async def test_an_order_is_sent_once_and_never_retained(kind: type[BrokerProcess], tmp_path: Path) -> None:
    async with running_broker(kind(tmp_path)) as broker, cart(tmp_path, broker) as (client, vehicle):
        outcome = await (await client.start("cart", "pick", {"nodeId": "B"}, job="one")).outcome()
        assert outcome.state is JobState.ENDED, outcome
        (order,) = vehicle.calls("order")
        assert (order["args"]["orderId"], order["args"]["version"]) == ("one", "2.1.0")
        assert (order["qos"], order["retain"]) == (0, False)
        asked = vehicle.calls("instantActions")[-1]
        assert (asked["qos"], asked["retain"]) == (0, False)
        assert "instantActions" not in asked["args"], "2.1 calls them actions only"


async def test_a_silent_vehicle_is_asked_and_then_offline_and_back_when_it_talks(tmp_path: Path) -> None:
    async with running_broker(Mosquitto(tmp_path)) as broker, cart(tmp_path, broker, "--pace", "0.5") as (client, vehicle):
        job = await client.start("cart", "drive", {"nodes": [{"nodeId": n} for n in "BCDE"], "nodeId": "F"}, job="long")
        await until_job(client, "long", JobState.RUNNING)
        tell(vehicle, do="silent")
        view = await until(client, "offline")
        assert "not told its state" in view.detail
        await until_value(client, "driving", "BadNoCommunication")
        asked = [action["actionType"] for call in vehicle.calls("instantActions") for action in call["args"]["actions"]]
        assert asked[-1] == "stateRequest"
        tell(vehicle, do="talk")
        await until(client, "online")
        assert (await job.outcome()).state is JobState.ENDED
        assert len(vehicle.calls("order")) == 1


async def test_a_vehicle_that_never_says_how_it_is_connected(tmp_path: Path) -> None:
    async with running_broker(Mosquitto(tmp_path)) as broker, cart(tmp_path, broker, "--no-connection") as (client, vehicle):
        assert (await (await client.start("cart", "drive", {"nodeId": "B"})).outcome()).state is JobState.ENDED
        tell(vehicle, do="silent")
        await until(client, "offline")


async def test_a_deaf_vehicle_leaves_the_job_unknown_and_it_is_not_sent_again(tmp_path: Path) -> None:
    async with running_broker(Mosquitto(tmp_path)) as broker, cart(tmp_path, broker) as (client, vehicle):
        tell(vehicle, do="deaf")
        await client.start("cart", "drive", {"nodeId": "B"}, job="lost")
        view = await until_job(client, "lost", JobState.UNKNOWN)
        assert len(vehicle.calls("order")) == 1
        assert view.state is JobState.UNKNOWN


async def test_nonsense_spoils_nothing_else(tmp_path: Path) -> None:
    async with running_broker(Mosquitto(tmp_path)) as broker, cart(tmp_path, broker) as (client, vehicle):
        for text in ("", "[]", "{" * 5_000, "\u0000", '{"errors": 5, "orderId": []}', json.dumps({"driving": "x" * 100_000})):
            for kind in ("state", "connection", "visualization", "factsheet"):
                tell(vehicle, do="raw", kind=kind, text=text)
        tell(vehicle, do="raw", kind="state", text=json.dumps({"zoneSetId": "then"}), retain=True)
        tell(vehicle, do="state", more={"zoneSetId": "now"})
        await until_value(client, "zoneSetId", "now")
        assert (await (await client.start("cart", "drive", {"nodeId": "B"})).outcome()).state is JobState.ENDED
        assert (await until(client, "online")).machine.identification.manufacturer == "Tests"


async def test_what_was_wrong_before_we_came_is_told(tmp_path: Path) -> None:
    """The conditions come with the first state, before there is a machine that they belong to."""
    async with running_broker(Mosquitto(tmp_path)) as broker:
        command = python_machine("tests.machines.agv", "--broker", broker.url, "--interval", "0.5")
        async with running_machine(command, tmp_path / "log.jsonl") as vehicle:
            error = {"errorType": "worn", "errorLevel": "FATAL", "errorDescription": "a wheel is worn"}
            tell(vehicle, do="state", more={"errors": [error]})
            named = {"machines": {"cart": {"endpoint": broker.url, "machine": "Agv1"}}}
            runtime = Runtime(RuntimeConfig.model_validate(named), StateDirectory(tmp_path / "state"), Registry())
            async with runtime, client_of(runtime) as client, client.follow_conditions() as changes:
                with anyio.fail_after(15):
                    condition = (await anext(changes.__aiter__())).condition
    assert (condition["machine"], condition["message"], condition["severity"]) == ("cart", "a wheel is worn", 900)


PICKS = """\
profile: picks
extends: vda5050
skills:
  - binding: vda_order
    action: pick
    capability: urn:dtios:capability:produce
    parameters:
      count: {type: UInt32, id: pieces, low: 1, required: true}
      nodeId: {value: Shelf}
"""


async def test_the_counter_app_unchanged_works_with_a_vehicle(tmp_path: Path) -> None:
    (tmp_path / "picks.yaml").write_text(PICKS)
    app = {
        "config": {"parts": 3},
        "machines": {"press": "cart"},
        "grants": [{"machine": "cart", "run": ["**"]}],
        "isolation": "inline",
    }
    more = {"profiles": [str(tmp_path / "picks.yaml")], "apps": {"counter": app}}
    async with running_broker(Mosquitto(tmp_path)) as broker, cart(tmp_path, broker, **more) as (client, vehicle):
        with anyio.fail_after(30):
            while not (jobs := await client.jobs()) or not jobs[0].final:
                await anyio.sleep(0.05)
        assert (jobs[0].principal, jobs[0].state) == ("counter", JobState.ENDED), jobs[0]
        (order,) = vehicle.calls("order")
        last = order["args"]["nodes"][-1]
        assert last["nodeId"] == "Shelf"
        assert last["actions"][0]["actionParameters"] == [{"key": "pieces", "value": 3}]
