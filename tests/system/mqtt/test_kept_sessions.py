"""Sessions for plain topics that a broker keeps while we are away, and what is listened for when profiles change."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from dtios.mapping.profiles.file import parse_profile
from dtios.mapping.profiles.library import ProfileLibrary
from dtios.model.datatypes import BuiltinType, ValueType
from dtios.sdk.adapter import Connection, MonitoredPoint
from dtios.testing.conformance import Probe, standing
from dtios_mqtt import adapter
from dtios_mqtt.session.messages import Outgoing
from dtios_mqtt.settings import MqttSettings
from tests.brokers import BrokerProcess, Mosquitto, running_broker
from tests.system.mqtt.test_client import session

COUNTER = "topic:counting/m#Counter"


def library(topic: str = "counting/{machine}/numbers") -> ProfileLibrary:
    text = f"""
profile: counting
topics:
  identity: [machine]
  messages:
    - topic: {topic}
      values:
        - {{path: number, name: Counter, type: Int64}}
"""
    return ProfileLibrary([parse_profile(text, "p.yaml")])


def reached(broker: BrokerProcess, **settings: Any) -> Connection:
    made = MqttSettings(**{"listen": 0.0, "client_id": "plant", "persistent": True, **settings})
    connection = adapter.connect(broker.url, made, broker.folder)
    connection.learn(library())
    return connection


@asynccontextmanager
async def following(connection: Connection) -> AsyncIterator[Probe]:
    async with standing(Probe(connection)) as probe:
        await probe.connection.subscribe([MonitoredPoint(1, COUNTER, ValueType(BuiltinType.Int64))])
        yield probe


async def say(broker: BrokerProcess, *numbers: int) -> None:
    async with session(broker, "machine") as machine:
        for number in numbers:
            await machine.hand_over(Outgoing("counting/m/numbers", b'{"number": %d}' % number, qos=1))


def numbers(probe: Probe) -> list[Any]:
    return [reading.value for reading in probe.sink.of(1) if reading.is_good]


@pytest.mark.parametrize("version", ["3.1.1", "5"])
@pytest.mark.parametrize("same", [True, False], ids=["same-runtime", "new-runtime"])
async def test_what_was_said_meanwhile_comes_after(tmp_path: Path, version: str, same: bool) -> None:
    """Through a restart of the broker, each number once and in order, though the points are subscribed a moment after it came."""
    kept = f"persistence true\npersistence_location {tmp_path}/\nuser root"  # root would become another user
    async with running_broker(Mosquitto(tmp_path, kept)) as broker:
        connection = reached(broker, version=version)
        async with following(connection) as probe:
            await say(broker, 1, 2, 3)
            assert await probe.sink.until(1, 3)
        await say(broker, 4, 5)
        await broker.stop()
        await broker.start()
        await say(broker, 6, 7)
        async with standing(Probe(connection if same else reached(broker, version=version))) as probe:
            await anyio.sleep(0.3)
            await probe.connection.subscribe([MonitoredPoint(1, COUNTER, ValueType(BuiltinType.Int64))])
            assert await probe.sink.until(1, 7)
            await say(broker, 8)
            assert await probe.sink.until(1, 8)
            assert numbers(probe) == [4, 5, 6, 7, 8]
            assert not probe.sink.losses


async def test_without_it_the_broker_keeps_nothing(tmp_path: Path) -> None:
    async with running_broker(Mosquitto(tmp_path)) as broker:
        connection = reached(broker, persistent=False)
        async with following(connection) as probe:
            await say(broker, 1)
            assert await probe.sink.until(1, 1)
        await say(broker, 2)
        async with following(connection) as probe:
            await say(broker, 3)
            assert await probe.sink.until(1, 3)
            assert numbers(probe) == [3]


async def test_what_no_profile_wants_any_longer_is_no_longer_sent(tmp_path: Path) -> None:
    async with running_broker(Mosquitto(tmp_path)) as broker:
        connection = reached(broker)
        async with following(connection) as probe:
            await say(broker, 1)
            assert await probe.sink.until(1, 1)
            connection.learn(library("counting/{machine}/others"))
            with anyio.fail_after(10):
                while await stray(broker, connection) or not await heard(broker, probe):
                    pass
            assert numbers(probe)[-1] == 3


async def stray(broker: BrokerProcess, connection: Connection) -> bool:
    """Whether a number on the old topic still comes to the adapter, where no profile knows it."""
    before = sum(one.count for one in connection.misunderstood())
    await say(broker, 2)
    await anyio.sleep(0.1)
    return sum(one.count for one in connection.misunderstood()) > before


async def heard(broker: BrokerProcess, probe: Probe) -> bool:
    """Whether a number on the new topic is delivered."""
    async with session(broker, "other") as machine:
        await machine.hand_over(Outgoing("counting/m/others", b'{"number": 3}', qos=1))
    return await probe.sink.until(1, 3, times=0.1)
