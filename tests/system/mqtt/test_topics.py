"""A machine that speaks plain topics irregularly, over a broker of a third party; its own log is the judge."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from dtios.model.errors import TemporaryError
from dtios.model.job import JobOutcome, JobState, JobSubstate
from dtios.model.machine import Machine
from dtios.runtime.configuration.config import RuntimeConfig
from dtios.runtime.core import Runtime
from dtios.runtime.registry import Registry
from dtios.runtime.state import StateDirectory
from dtios.sdk.client import Client
from dtios.sdk.protocol import JobView
from dtios.sdk.running import JobHandle
from dtios_mqtt.session.messages import Outgoing
from tests.brokers import BROKERS, BrokerProcess, Mosquitto, running_broker
from tests.machines.plain_topics import PROFILE
from tests.machines.process import MachineProcess, python_machine, running_machine
from tests.runtimes import client_of
from tests.system.mqtt.test_client import session


@asynccontextmanager
async def reached(folder: Path, broker: BrokerProcess, **settings: Any) -> AsyncIterator[Client]:
    config = RuntimeConfig.model_validate({
        "profiles": [str(PROFILE)],
        "machines": {"press": {"endpoint": broker.url, "machine": "north/press1", "settings": settings}},
    })  # fmt: skip
    async with Runtime(config, StateDirectory(folder / "state"), Registry()) as runtime, client_of(runtime) as client:
        yield client


def press(broker: BrokerProcess, folder: Path) -> Any:
    command = python_machine("tests.machines.plain_topics", "--broker", broker.url, "--version", broker.versions[-1])
    return running_machine(command, folder / "log.jsonl")


DONE = (JobState.ENDED, JobSubstate.COMPLETED)


async def value_of(client: Client, signal: str, wanted: Any = None) -> Any:
    """The first Good value, or the first that is `wanted`."""
    with anyio.fail_after(20):
        async with client.subscribe("press", [signal]) as deliveries:
            async for delivery in deliveries:
                for reading in delivery.changes():
                    if reading.is_good and (wanted is None or reading.value == wanted):
                        return reading.value
    raise AssertionError(f"{signal} never came")


async def identified(client: Client) -> Machine:
    """Its description, once its nameplate and the values that it names itself were heard."""
    with anyio.fail_after(20):
        async with client.follow_machines() as changes:
            async for change in changes:
                machine = change.view.machine
                if machine.identification.serial_number == "P-4711" and any(s.path == "mood" for s in machine.signals):
                    return machine
    raise AssertionError("it was never identified")


async def until(job: JobHandle, state: JobState) -> JobView:
    with anyio.fail_after(20):
        async for view in job:
            if view.state is state:
                return view
    raise AssertionError(f"it ended {job.state}")


async def outcome_of(client: Client, skill: str, job: str, **parameters: Any) -> JobOutcome:
    with anyio.fail_after(20):
        return await (await client.start("press", skill, parameters, job=job)).outcome()


def requests(machine: MachineProcess) -> list[tuple[str, dict[str, Any]]]:
    """What it was sent, without the time in it."""
    told = [(call["method"], dict(call["args"][0])) for call in machine.calls() if call["method"] not in ("ready", "done")]
    assert not any(call.get("retain") for call in machine.calls())
    assert all(call.get("qos", 1) == 1 for call in machine.calls())
    return [(method, {key: value for key, value in message.items() if key != "at"}) for method, message in told]


@pytest.mark.parametrize("kind", BROKERS)
async def test_values_and_a_job(kind: type[BrokerProcess], tmp_path: Path) -> None:
    async with running_broker(kind(tmp_path)) as broker, press(broker, tmp_path) as machine, reached(tmp_path, broker) as client:
        assert await value_of(client, "SetSpeed") == 10.0
        assert await value_of(client, "Action", "Working") == "Working"
        assert await value_of(client, "Pressure") == 2.5
        view = await identified(client)
        assert {"Temperature", "Motor/On", "Motor/Speed", "Count", "mood"} <= {signal.path for signal in view.signals}
        shown = {skill.path: (skill.binding, skill.identity.value, sorted(skill.verbs)) for skill in view.skills}
        assert shown == {"Make": ("topic", "native", ["start", "stop"]), "Call": ("topic", "none", ["start"])}
        outcome = await outcome_of(client, "Make", "j1", count=3)
        assert (outcome.state, outcome.substate, outcome.results) == (*DONE, {"made": 3})
        assert requests(machine) == [("cmd make", {"cmd": "make", "id": "j1", "count": 3})]


async def test_what_a_machine_answers(tmp_path: Path) -> None:
    async with (
        running_broker(Mosquitto(tmp_path)) as broker,
        press(broker, tmp_path) as machine,
        reached(tmp_path, broker) as client,
    ):
        await value_of(client, "SetSpeed")
        refused = await outcome_of(client, "Make", "j1", count=200)
        assert refused.state is JobState.ABORTED
        assert "not more than 100" in refused.reason
        long = await client.start("press", "Make", {"count": 100}, job="j2")
        await until(long, JobState.RUNNING)
        await long.stop()
        stopped = await long.outcome()
        assert (stopped.state, stopped.substate) == (JobState.ENDED, JobSubstate.CLOSED)
        assert 0 < stopped.results["made"] < 100
        mute = await until(await client.start("press", "Make", {"count": 13}, job="j3"), JobState.UNKNOWN)
        assert mute.outcome is not None
        assert mute.outcome.reason == "no answer came within 2 s"
        assert [method for method, _ in requests(machine)] == ["cmd make", "cmd make", "cmd stop", "cmd make"]


async def test_an_answer_by_correlation_data(tmp_path: Path) -> None:
    async with (
        running_broker(Mosquitto(tmp_path)) as broker,
        press(broker, tmp_path) as machine,
        reached(tmp_path, broker) as client,
    ):
        await value_of(client, "SetSpeed")
        answered = await outcome_of(client, "Call", "j1", what="hello")
        assert (answered.state, answered.substate, answered.results) == (*DONE, {"echo": "hello"})
        refused = await outcome_of(client, "Call", "j2", what="trouble")
        assert (refused.state, refused.reason) == (JobState.ABORTED, "I will not")
        await until(await client.start("press", "Call", {"what": "silence"}, job="j3"), JobState.UNKNOWN)
        assert requests(machine) == [("rpc", {"what": what}) for what in ("hello", "trouble", "silence")]


async def test_a_value_is_written_when_it_has_come_back(tmp_path: Path) -> None:
    async with (
        running_broker(Mosquitto(tmp_path)) as broker,
        press(broker, tmp_path) as machine,
        reached(tmp_path, broker) as client,
    ):
        await value_of(client, "SetSpeed")
        await client.write("press", "SetSpeed", 25.0)
        assert await value_of(client, "SetSpeed", 25.0) == 25.0
        with pytest.raises(TemporaryError, match="did not come back"):
            await client.write("press", "SetSpeed", 500.0)  # it keeps below 100 and says nothing of it
        assert requests(machine) == [("set", {"speed": 25.0}), ("set", {"speed": 500.0})]


async def test_a_job_goes_on_while_the_broker_is_away(tmp_path: Path) -> None:
    """Its end is told late, or asked for; no request is sent twice."""
    async with (
        running_broker(Mosquitto(tmp_path)) as broker,
        press(broker, tmp_path) as machine,
        reached(tmp_path, broker) as client,
    ):
        await value_of(client, "SetSpeed")
        job = await client.start("press", "Make", {"count": 50}, job="j1")
        await until(job, JobState.RUNNING)
        await broker.kill()
        with anyio.fail_after(20):
            while not machine.calls("done"):
                await anyio.sleep(0.1)
        await broker.start()
        with anyio.fail_after(30):
            outcome = await job.outcome()
        assert (outcome.state, outcome.substate, outcome.results) == (*DONE, {"made": 50})
        assert [method for method, _ in requests(machine)].count("cmd make") == 1


async def test_what_was_not_understood_is_counted_and_shown(tmp_path: Path) -> None:
    async with running_broker(Mosquitto(tmp_path)) as broker, press(broker, tmp_path), reached(tmp_path, broker) as client:
        await value_of(client, "SetSpeed")
        async with session(broker, "vandal") as vandal:
            for payload in (b'{"temperature": 2', b"\xff", b"[" * 100_000, b'{"ts": 1, "ts": 2}', b'{"temperature": NaN}', b"[]"):
                await vandal.hand_over(Outgoing("plant/north/press1/state", payload, qos=1))
        await client.write("press", "SetSpeed", 42.0)
        assert await value_of(client, "SetSpeed", 42.0) == 42.0
        told = {one.cause: one for one in await client.complaints("press")}
        bad = {"not JSON", "not UTF-8", "nested too deeply", "a key twice", "NaN is no JSON", "none of the profile's values"}
        assert bad <= told.keys()
        assert {told[cause].count for cause in bad} == {1}
        ((where, payload, _),) = told["not JSON"].last
        assert (where, payload) == ("plant/north/press1/state", b'{"temperature": 2')
        assert told["the field 'surprise' is not in the profile"].count > 1
        assert (await client.complaints())[0].machine == "press"
