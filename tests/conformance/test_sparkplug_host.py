"""Sparkplug B 3.0: STATE, commands and values of a host application, judged by the bytes that a broker got. Each test names its
rules; what needs no broker is in `test_sparkplug_order`."""

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from dtios.model.datatypes import BuiltinType, ValueType
from dtios.sdk.adapter import MonitoredPoint, Write
from dtios.sdk.errors import OutcomeUnknown
from dtios.testing.conformance import Probe
from dtios_mqtt import adapter
from dtios_mqtt.settings import MqttSettings
from dtios_mqtt.sparkplug.decoding import decode
from dtios_mqtt.sparkplug.encoding import encode
from dtios_mqtt.sparkplug.metric import Metric, Payload
from dtios_mqtt.sparkplug.topics import Topic
from tests.conformance import test_sparkplug_order
from tests.conformance.mqtt_wire import DISCONNECT, PUBLISH, SUBSCRIBE, ListeningBroker, listening_broker
from tests.conformance.sparkplug_rules import APPLYING, TESTED, rules

# --- on the wire ---


@asynccontextmanager
async def host(tmp_path: Path, **settings: Any) -> AsyncIterator[tuple[ListeningBroker, Probe]]:
    """A host application connected to a broker that keeps all bytes."""
    async with listening_broker() as broker:
        made = MqttSettings(**{"host_id": "us", "timeout": 1.0, "listen": 0.0, **settings})
        probe = Probe(adapter.connect(f"mqtt://127.0.0.1:{broker.port}", made, tmp_path))
        async with anyio.create_task_group() as tasks:
            await tasks.start(probe.run)
            assert probe.error is None
            try:
                yield broker, probe
            finally:
                tasks.cancel_scope.cancel()


MS = 1_700_000_000_000


def integer(name: str, value: int, alias: int | None = None) -> Metric:
    return Metric(name, alias, MS, 3, value)


def say(broker: ListeningBroker, kind: str, seq: int | None, *metrics: Metric, device: str = "", retain: bool = False) -> None:
    topic = Topic(kind, "Plant", "Edge", device).text
    broker.say(topic, encode(Payload(MS, seq, list(metrics))), retain=retain)


def birth(broker: ListeningBroker) -> None:
    say(broker, "NBIRTH", 0, Metric("bdSeq", datatype=8, value=7), integer("set", 1), integer("quick", 1, alias=9))
    say(broker, "DBIRTH", 1, integer("x", 1), Metric("q", None, MS, 3, 1, properties={"Quality": 192}), device="Press")


@rules("message-flow-phid-sparkplug-clean-session-311", "message-flow-phid-sparkplug-clean-session-50",
       "operational-behavior-host-application-connect-will", "operational-behavior-host-application-connect-will-topic",
       "operational-behavior-host-application-connect-will-payload", "operational-behavior-host-application-connect-will-qos",
       "operational-behavior-host-application-connect-will-retained", "host-topic-phid-death-qos", "host-topic-phid-death-retain",
       "host-topic-phid-death-topic", "host-topic-phid-death-required", "host-topic-phid-death-payload",
       "host-topic-phid-death-payload-timestamp-connect", "payloads-state-will-message", "payloads-state-will-message-qos",
       "payloads-state-will-message-retain", "payloads-state-will-message-payload", "conformance-primary-host")  # fmt: skip
@pytest.mark.parametrize(("version", "level"), [("3.1.1", 4), ("5", 5)])
async def test_connect(tmp_path: Path, version: str, level: int) -> None:
    before = time.time_ns() // 1_000_000
    async with host(tmp_path, version=version) as (broker, _):
        said = broker.connect
    assert (said.version, said.clean) == (level, True)
    assert said.expiry == (None if level == 4 else 0)
    assert (said.will_topic, said.will_qos, said.will_retain) == ("spBv1.0/STATE/us", 1, True)
    will = json.loads(said.will_payload)
    assert will.keys() == {"online", "timestamp"}
    assert will["online"] is False
    assert before <= will["timestamp"] <= time.time_ns() // 1_000_000


@rules("message-flow-phid-sparkplug-subscription", "message-flow-phid-sparkplug-state-publish",
       "message-flow-phid-sparkplug-state-publish-payload", "message-flow-phid-sparkplug-state-publish-payload-timestamp",
       "host-topic-phid-birth-message", "host-topic-phid-birth-qos", "host-topic-phid-birth-retain",
       "host-topic-phid-birth-topic",
       "host-topic-phid-birth-sub-required", "host-topic-phid-birth-required", "host-topic-phid-birth-payload",
       "host-topic-phid-birth-payload-timestamp", "operational-behavior-host-application-connect-birth",
       "operational-behavior-host-application-connect-birth-topic", "operational-behavior-host-application-connect-birth-payload",
       "operational-behavior-host-application-connect-birth-qos", "operational-behavior-host-application-connect-birth-retained",
       "payloads-state-subscribe", "payloads-state-birth", "payloads-state-birth-payload")  # fmt: skip
async def test_subscribed_first_then_online(tmp_path: Path) -> None:
    async with host(tmp_path) as (broker, _):
        packets = await broker.until(PUBLISH)
        assert [packet.kind for packet in packets][:3] == [1, SUBSCRIBE, PUBLISH]
        assert broker.subscribed() == ["spBv1.0/#"]
        first = broker.published()[0]
        assert (first.topic, first.qos, first.retain) == ("spBv1.0/STATE/us", 1, True)
        will = json.loads(broker.connect.will_payload)
        assert json.loads(first.payload) == {"online": True, "timestamp": will["timestamp"]}


@rules("message-flow-hid-sparkplug-state-message-delivered")
async def test_who_says_that_we_are_offline_is_corrected(tmp_path: Path) -> None:
    async with host(tmp_path) as (broker, _):
        await broker.until(PUBLISH)
        broker.say("spBv1.0/STATE/another", b'{"online": false, "timestamp": 1}')
        broker.say("spBv1.0/STATE/us", b"not JSON")
        broker.say("spBv1.0/STATE/us", b'{"online": true, "timestamp": 1}')
        broker.say("spBv1.0/STATE/us", b'{"online": false, "timestamp": 1}', retain=True)
        await broker.until(PUBLISH, 2)
        first, second = broker.published()
        assert first == second


@rules("operational-behavior-host-application-termination", "operational-behavior-host-application-death-topic",
       "operational-behavior-host-application-death-payload", "operational-behavior-host-application-death-qos",
       "operational-behavior-host-application-death-retained",
       "host-topic-phid-death-payload-timestamp-disconnect-clean")  # fmt: skip
async def test_a_host_that_leaves_says_so(tmp_path: Path) -> None:
    async with listening_broker() as broker:
        probe = Probe(
            adapter.connect(f"mqtt://127.0.0.1:{broker.port}", MqttSettings(host_id="us", timeout=1.0, listen=0.0), tmp_path),
        )
        async with anyio.create_task_group() as tasks:
            await tasks.start(probe.run)
            await anyio.sleep(0.01)  # so that the time of now is another one than that of the birth
            tasks.cancel_scope.cancel()
        packets = await broker.until(DISCONNECT)
        assert [packet.kind for packet in packets][-2:] == [PUBLISH, DISCONNECT]
        online, last = broker.published()
        assert (last.topic, last.qos, last.retain) == ("spBv1.0/STATE/us", 1, True)
        death = json.loads(last.payload)
        assert death["online"] is False
        assert death["timestamp"] > json.loads(online.payload)["timestamp"]


@rules("operational-behavior-host-application-multi-server-timestamp")
async def test_a_later_session_has_a_later_timestamp(tmp_path: Path) -> None:
    """Also where the clock stands still or is set back: an edge node ignores a STATE that is older than the last one."""
    from dtios_mqtt.speakers.sparkplug import SparkplugSpeaker

    speaker = SparkplugSpeaker("us", 1.0)
    stamps = [json.loads(speaker.will().payload)["timestamp"] for _ in range(5)]
    assert stamps == sorted(set(stamps))


@rules("operational-behavior-data-commands-ncmd-rebirth-verb", "operational-behavior-data-commands-ncmd-rebirth-name",
       "operational-behavior-data-commands-ncmd-rebirth-value", "payloads-ncmd-timestamp", "payloads-ncmd-seq",
       "payloads-ncmd-qos", "payloads-ncmd-retain")  # fmt: skip
async def test_the_request_for_a_rebirth(tmp_path: Path) -> None:
    async with host(tmp_path) as (broker, _):
        await broker.until(PUBLISH)
        say(broker, "NDATA", 4, integer("set", 1))
        await broker.until(PUBLISH, 2)
        asked = broker.published()[1]
        assert (asked.topic, asked.qos, asked.retain) == ("spBv1.0/Plant/NCMD/Edge", 0, False)
        payload = decode(asked.payload)
        (metric,) = payload.metrics
        assert (metric.name, metric.datatype, metric.value) == ("Node Control/Rebirth", 11, True)
        assert payload.seq is None
        assert payload.timestamp is not None
        assert abs(payload.timestamp - time.time_ns() // 1_000_000) < 60_000


@rules("operational-behavior-data-commands-ncmd-verb", "operational-behavior-data-commands-ncmd-metric-value",
       "operational-behavior-data-commands-dcmd-verb", "operational-behavior-data-commands-dcmd-metric-value",
       "payloads-dcmd-timestamp", "payloads-dcmd-seq", "payloads-dcmd-qos", "payloads-dcmd-retain",
       "payloads-name-cmd-requirement", "payloads-alias-data-cmd-requirement")  # fmt: skip
@pytest.mark.parametrize(("address", "topic", "sent"), [
    ("spb:Plant/Edge//set", "spBv1.0/Plant/NCMD/Edge", ("set", None)),
    ("spb:Plant/Edge//quick", "spBv1.0/Plant/NCMD/Edge", ("", 9)),
    ("spb:Plant/Edge/Press/x", "spBv1.0/Plant/DCMD/Edge/Press", ("x", None)),
])  # fmt: skip
async def test_commands(tmp_path: Path, address: str, topic: str, sent: tuple[str, int | None]) -> None:
    async with host(tmp_path) as (broker, probe):
        birth(broker)
        with anyio.fail_after(5):
            while not (await probe.connection.read([address]))[0].is_good:
                await anyio.sleep(0.01)
        with pytest.raises(OutcomeUnknown):  # the metric does not come back
            await probe.connection.write([Write(address, 44, ValueType(BuiltinType.Int32))], lambda: None)
        command = broker.published()[-1]
        assert (command.topic, command.qos, command.retain) == (topic, 0, False)
        payload = decode(command.payload)
        (metric,) = payload.metrics
        assert (metric.name, metric.alias, metric.datatype, metric.value) == (*sent, 3, 44)
        assert payload.seq is None
        assert payload.timestamp is not None


@rules("operational-behavior-edge-node-termination-host-action-ndeath-node-tags-stale",
       "operational-behavior-edge-node-termination-host-action-ndeath-devices-tags-stale",
       "operational-behavior-edge-node-termination-host-action-ddeath-devices-tags-stale", "payloads-nbirth-retain",
       "payloads-propertyset-quality-value-value")  # fmt: skip
async def test_values_of_the_dead_are_bad_at_once(tmp_path: Path) -> None:
    async with host(tmp_path) as (broker, probe):
        addresses = ["spb:Plant/Edge//set", "spb:Plant/Edge/Press/x", "spb:Plant/Edge/Press/q"]
        points = [MonitoredPoint(n, at, ValueType(BuiltinType.Int32)) for n, at in enumerate(addresses)]
        assert await probe.connection.subscribe(points) == [0, 0, 0]
        say(broker, "NBIRTH", 0, Metric("bdSeq", datatype=8, value=7), integer("set", 99), retain=True)  # retained: not of now
        birth(broker)
        assert await probe.sink.until(2, 1)
        assert not any(reading.value == 99 for reading in probe.sink.of(0))
        say(broker, "DDATA", 2, Metric("q", None, MS, 3, 5, properties={"Quality": 500}), device="Press")
        say(broker, "DDATA", 3, Metric("q", None, MS, 3, 6, properties={"Quality": 0}), device="Press")
        say(broker, "DDATA", 4, Metric("q", None, MS, 3, is_null=True), device="Press")
        say(broker, "DDATA", 5, integer("x", 2), device="Press")
        assert await probe.sink.until(1, 2)
        assert [r.status_name for r in probe.sink.of(2)][-3:] == ["UncertainLastUsableValue", "BadSensorFailure", "BadNoData"]
        say(broker, "DDEATH", 6, device="Press")
        say(broker, "NDATA", 7, integer("set", 3))
        assert await probe.sink.until(0, 3)
        device = probe.sink.of(1)[-1]
        assert (device.status_name, device.source_time) == ("BadNoCommunication", MS * 1_000_000)
        assert probe.sink.absent == {"spb:Plant/Edge/Press"}
        say(broker, "NDEATH", None, Metric("bdSeq", datatype=8, value=7))
        with anyio.fail_after(5):
            while "spb:Plant/Edge/" not in probe.sink.absent:
                await anyio.sleep(0.01)
        assert probe.sink.of(0)[-1].status_name == "BadNoCommunication"
        assert [loss.handles for loss in probe.sink.losses] == []  # told when they are born again


def test_each_rule_that_applies_is_tested() -> None:
    assert test_sparkplug_order.__name__
    assert APPLYING == TESTED
