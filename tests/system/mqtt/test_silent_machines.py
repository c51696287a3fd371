"""A machine of plain topics that falls silent: its values are Bad, those of its neighbour are not, and they come back."""

import json
from pathlib import Path

import anyio
import pytest

from dtios.mapping.profiles.file import parse_profile
from dtios.model.errors import ConfigurationError
from dtios.model.gap import GapCause
from dtios.model.status import BAD_NO_COMMUNICATION
from dtios.runtime.configuration.config import RuntimeConfig
from dtios.runtime.core import Runtime
from dtios.runtime.registry import Registry
from dtios.runtime.state import StateDirectory
from dtios_mqtt.session.client import MqttClient
from dtios_mqtt.session.messages import Outgoing
from tests.brokers import Mosquitto, running_broker
from tests.runtimes import client_of
from tests.system.mqtt.test_client import session

PROFILE = """
profile: plant
topics:
  identity: [machine]
  silent_after: 0.6
  known: [{machine: p1}, {machine: p2}]
  messages: [{topic: "plant/{machine}/state", values: [{path: a, name: A}]}]
"""


async def say(client: MqttClient, machine: str, value: int) -> None:
    await client.hand_over(Outgoing(f"plant/{machine}/state", json.dumps({"a": value}).encode(), qos=1))


async def test_silence(tmp_path: Path) -> None:
    (tmp_path / "plant.yaml").write_text(PROFILE)
    async with running_broker(Mosquitto(tmp_path)) as broker, session(broker) as machines:
        endpoints = {name: {"endpoint": broker.url, "machine": name} for name in ("p1", "p2")}
        config = RuntimeConfig.model_validate({"profiles": [str(tmp_path / "plant.yaml")], "machines": endpoints})
        async with Runtime(config, StateDirectory(tmp_path / "state"), Registry()) as runtime, client_of(runtime) as client:
            seen: dict[str, list[object]] = {"p1": [], "p2": []}
            gaps: dict[str, list[GapCause]] = {"p1": [], "p2": []}
            news = anyio.Event()

            async def follow(name: str) -> None:
                nonlocal news
                async with client.subscribe(name, ["A"]) as deliveries:
                    async for delivery in deliveries:
                        gaps[name] += [gap.cause for _, gap in delivery.gaps]
                        for reading in delivery.changes():
                            seen[name].append(reading.value if reading.is_good else reading.status)
                        news.set()
                        news = anyio.Event()

            async def until(name: str, wanted: object) -> None:
                while wanted not in seen[name]:
                    await news.wait()

            async def neighbour() -> None:
                for number in range(10_000):
                    await say(machines, "p2", number)
                    await anyio.sleep(0.1)

            with anyio.fail_after(20):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(follow, "p1", name="follow p1")
                    tasks.start_soon(follow, "p2", name="follow p2")
                    tasks.start_soon(neighbour, name="the neighbour speaks")
                    await until("p2", 2)
                    await say(machines, "p1", 1_000)
                    await until("p1", 1_000)
                    await until("p1", BAD_NO_COMMUNICATION)
                    await say(machines, "p1", 1_001)
                    await until("p1", 1_001)
                    tasks.cancel_scope.cancel()
            good = [value for value in seen["p1"] if value in (1_000, BAD_NO_COMMUNICATION, 1_001)]
            assert good == [1_000, BAD_NO_COMMUNICATION, 1_001]
            assert BAD_NO_COMMUNICATION not in seen["p2"]
            assert gaps == {"p1": [GapCause.CONNECTION_LOST], "p2": []}


@pytest.mark.parametrize("seconds", ["0", "-1", ".nan", ".inf", "soon"])
def test_what_is_no_time(seconds: str) -> None:
    with pytest.raises(ConfigurationError, match="silent_after"):
        parse_profile(PROFILE.replace("0.6", seconds), "plant.yaml")
