"""Sparkplug B 3.0: what a host application must do, and must accept of an edge node. Each test names its rules (`tck-id-...`).

STATE and commands are judged by the bytes that a broker got; the rest by the steps of the pure state machine.
"""

import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import anyio
import pytest

from dtios.model.datatypes import BuiltinType, ValueType
from dtios.sdk.adapter import MonitoredPoint, Write
from dtios.sdk.errors import OutcomeUnknown
from dtios.testing.rig import Probe
from dtios_mqtt import adapter
from dtios_mqtt.settings import MqttSettings
from dtios_mqtt.sparkplug.decoding import decode
from dtios_mqtt.sparkplug.encoding import encode
from dtios_mqtt.sparkplug.host import Host
from dtios_mqtt.sparkplug.mark import MARK
from dtios_mqtt.sparkplug.metric import DataSet, Metric, Payload, Template
from dtios_mqtt.sparkplug.step import Step
from dtios_mqtt.sparkplug.topics import Topic, parse_topic
from tests.conformance.mqtt_wire import DISCONNECT, PUBLISH, SUBSCRIBE, ListeningBroker, listening_broker

F = TypeVar("F", bound=Callable[..., object])

APPLYING = {
    # the session and STATE
    "message-flow-phid-sparkplug-clean-session-311", "message-flow-phid-sparkplug-clean-session-50",
    "message-flow-phid-sparkplug-subscription", "message-flow-phid-sparkplug-state-publish",
    "message-flow-phid-sparkplug-state-publish-payload", "message-flow-phid-sparkplug-state-publish-payload-timestamp",
    "message-flow-hid-sparkplug-state-message-delivered", "host-topic-phid-birth-message", "host-topic-phid-birth-qos",
    "host-topic-phid-birth-retain", "host-topic-phid-birth-topic", "host-topic-phid-birth-sub-required",
    "host-topic-phid-birth-required", "host-topic-phid-birth-payload", "host-topic-phid-birth-payload-timestamp",
    "host-topic-phid-death-qos", "host-topic-phid-death-retain", "host-topic-phid-death-topic", "host-topic-phid-death-required",
    "host-topic-phid-death-payload", "host-topic-phid-death-payload-timestamp-connect",
    "host-topic-phid-death-payload-timestamp-disconnect-clean", "operational-behavior-host-application-connect-will",
    "operational-behavior-host-application-connect-will-topic", "operational-behavior-host-application-connect-will-payload",
    "operational-behavior-host-application-connect-will-qos", "operational-behavior-host-application-connect-will-retained",
    "operational-behavior-host-application-connect-birth", "operational-behavior-host-application-connect-birth-topic",
    "operational-behavior-host-application-connect-birth-payload", "operational-behavior-host-application-connect-birth-qos",
    "operational-behavior-host-application-connect-birth-retained", "operational-behavior-host-application-termination",
    "operational-behavior-host-application-death-topic", "operational-behavior-host-application-death-payload",
    "operational-behavior-host-application-death-qos", "operational-behavior-host-application-death-retained",
    "operational-behavior-host-application-multi-server-timestamp", "payloads-state-will-message",
    "payloads-state-will-message-qos", "payloads-state-will-message-retain", "payloads-state-will-message-payload",
    "payloads-state-subscribe", "payloads-state-birth", "payloads-state-birth-payload", "conformance-primary-host",
    # order and rebirth
    "operational-behavior-host-reordering-param", "operational-behavior-host-reordering-start",
    "operational-behavior-host-reordering-rebirth", "operational-behavior-host-reordering-success",
    "operational-behavior-data-commands-ncmd-rebirth-verb", "operational-behavior-data-commands-ncmd-rebirth-name",
    "operational-behavior-data-commands-ncmd-rebirth-value", "payloads-sequence-num-incrementing",
    # deaths
    "operational-behavior-edge-node-termination-host-action-ndeath-node-offline",
    "operational-behavior-edge-node-termination-host-action-ndeath-node-tags-stale",
    "operational-behavior-edge-node-termination-host-action-ndeath-devices-offline",
    "operational-behavior-edge-node-termination-host-action-ndeath-devices-tags-stale",
    "operational-behavior-edge-node-termination-host-action-ddeath-devices-offline",
    "operational-behavior-edge-node-termination-host-action-ddeath-devices-tags-stale", "payloads-ndeath-bdseq",
    # commands
    "operational-behavior-data-commands-ncmd-verb", "operational-behavior-data-commands-ncmd-metric-value",
    "operational-behavior-data-commands-dcmd-verb", "operational-behavior-data-commands-dcmd-metric-value",
    "payloads-ncmd-timestamp", "payloads-ncmd-seq", "payloads-ncmd-qos", "payloads-ncmd-retain", "payloads-dcmd-timestamp",
    "payloads-dcmd-seq", "payloads-dcmd-qos", "payloads-dcmd-retain", "payloads-name-cmd-requirement",
    "payloads-alias-data-cmd-requirement",
    # what an edge node may send
    "payloads-alias-uniqueness", "payloads-metric-datatype-not-req", "payloads-nbirth-seq", "payloads-nbirth-bdseq",
    "payloads-nbirth-retain", "payloads-template-definition-nbirth-only", "payloads-template-instance-members-data",
    "payloads-propertyset-quality-value-value", "payloads-dataset-types-num", "payloads-propertyset-values-array-size",
    "message-flow-device-birth-publish-nbirth-wait", "topic-structure-namespace-a", "topic-structure-namespace-valid-device-id",
}  # fmt: skip
TESTED: set[str] = set()


def rules(*ids: str) -> Callable[[F], F]:
    TESTED.update(ids)
    return lambda test: test


# --- a host, and one edge node of it ---

NODE = Topic("NBIRTH", "Plant", "Edge")
MS = 1_700_000_000_000


class Bench:
    """Messages in, steps out; the clock is turned by hand."""

    def __init__(self, reorder: float = 2.0) -> None:
        self.host = Host("us", reorder)
        self.now = 100.0

    def take(self, kind: str, seq: int | None, *metrics: Metric, device: str = "", timestamp: int = MS) -> list[Step]:
        topic = Topic(kind, "Plant", "Edge", device)
        received = int(self.now * 1e9)
        return list(self.host.take(topic, encode(Payload(timestamp, seq, list(metrics))), self.now, received))

    def tick(self, seconds: float) -> list[Step]:
        self.now += seconds
        return list(self.host.tick(self.now))

    def born(self, *metrics: Metric, seq: int = 0, bd_seq: int = 7) -> list[Step]:
        return self.take("NBIRTH", seq, Metric("bdSeq", datatype=8, value=bd_seq), *metrics)


def kinds(steps: list[Step]) -> list[str]:
    return [step.kind for step in steps]


def told(steps: list[Step]) -> list[tuple[str, Any]]:
    return [(name, metric.value) for step in steps if step.kind == "readings" for name, metric in step.metrics]


def integer(name: str, value: int, alias: int | None = None) -> Metric:
    return Metric(name, alias, MS, 3, value)


@pytest.fixture
def bench() -> Bench:
    made = Bench()
    made.born(integer("a", 1), integer("b", 2, alias=5))
    made.take("DBIRTH", 1, integer("x", 0), integer("y", 0, alias=6), device="Press")
    return made


# --- order and rebirth ---


@rules("payloads-sequence-num-incrementing", "payloads-nbirth-seq")
def test_numbers_run_to_255_and_begin_anew() -> None:
    bench = Bench()
    bench.born(integer("a", 0), seq=254)
    assert told(bench.take("NDATA", 255, integer("a", 1))) == [("a", 1)]
    assert told(bench.take("NDATA", 0, integer("a", 2))) == [("a", 2)]
    assert kinds(bench.take("NDATA", 300, integer("a", 3))) == ["complaint"]


@rules("operational-behavior-host-reordering-param", "operational-behavior-host-reordering-start",
       "operational-behavior-host-reordering-success")  # fmt: skip
def test_a_message_that_comes_late_is_put_in_order(bench: Bench) -> None:
    assert MqttSettings(reorder_timeout=7.5).reorder_timeout == 7.5
    assert bench.take("NDATA", 3, integer("a", 3)) == []
    assert bench.tick(1.9) == []
    assert told(bench.take("NDATA", 2, integer("a", 2))) == [("a", 2), ("a", 3)]
    assert bench.tick(60) == []


@rules("operational-behavior-host-reordering-rebirth")
def test_a_message_that_never_comes_is_missed_and_a_rebirth_asked_for(bench: Bench) -> None:
    since = int(bench.now * 1e9)
    bench.now += 5
    bench.take("NDATA", 3, integer("a", 3))
    steps = bench.tick(2.0)
    assert kinds(steps) == ["missed", "readings", "rebirth"]
    assert steps[0].since == since
    assert told(steps) == [("a", 3)]


def test_what_waits_is_bounded(bench: Bench) -> None:
    steps: list[Step] = []
    for seq in range(3, 100):
        steps += bench.take("NDATA", seq, integer("a", seq))
    assert kinds(steps)[:1] == ["missed"]
    assert told(steps) == [("a", seq) for seq in range(3, 100)]


def test_rebirths_are_asked_for_more_and_more_rarely() -> None:
    bench = Bench()
    asked = []
    for second in range(200):
        bench.now = 1000.0 + second
        steps = bench.take("NDATA", 0, integer("a", 1))
        asked += [second for step in steps if step.kind == "rebirth"]
        asked += [second for step in bench.tick(0) if step.kind == "rebirth"]
    assert asked == [0, 5, 15, 35, 75, 135, 195]


def test_an_edge_node_whose_births_lack_a_metric_is_not_asked_for_ever(bench: Bench) -> None:
    asked = 0
    for second in range(60):
        bench.now += 1
        bench.born(integer("a", 1))
        asked += kinds(bench.take("NDATA", 1, integer("unknown", second))).count("rebirth")
    assert asked <= 5


# --- births ---


@rules("payloads-nbirth-bdseq")
def test_a_birth_without_bd_seq_is_none() -> None:
    bench = Bench()
    assert kinds(bench.take("NBIRTH", 0, integer("a", 1))) == ["complaint"]
    assert kinds(bench.take("NDATA", 1, integer("a", 1))) == ["rebirth"]


@rules("message-flow-device-birth-publish-nbirth-wait")
def test_a_device_before_its_node_is_no_birth() -> None:
    bench = Bench()
    assert kinds(bench.take("DBIRTH", 1, integer("x", 1), device="Press")) == ["rebirth"]
    assert kinds(bench.born()) == ["described", "born", "readings"]
    assert kinds(bench.take("DBIRTH", 1, integer("x", 1), device="Press")) == ["described", "born", "readings"]


@rules("payloads-alias-uniqueness")
def test_an_alias_given_twice_is_a_complaint(bench: Bench) -> None:
    assert kinds(bench.take("DBIRTH", 2, integer("x", 1, alias=5), device="Other")) == ["complaint"]
    assert told(bench.take("NDATA", 3, Metric(alias=5, datatype=3, value=9))) == [("b", 9)]


def test_a_rebirth_in_the_same_session_makes_nobody_dead(bench: Bench) -> None:
    assert kinds(bench.born(integer("a", 1), integer("b", 2, alias=5))) == ["readings"]
    assert kinds(bench.take("DBIRTH", 1, integer("x", 0), integer("y", 0, alias=6), device="Press")) == ["readings"]
    assert bench.tick(60) == []


def test_a_device_that_is_not_born_again_is_dead(bench: Bench) -> None:
    bench.born(integer("a", 1), integer("b", 2, alias=5))
    assert bench.tick(4.9) == []
    (step,) = bench.tick(0.2)
    assert (step.kind, step.parts) == ("died", ["Press"])


def test_another_session_of_the_node_was_a_death(bench: Bench) -> None:
    steps = bench.born(integer("a", 1), integer("b", 2, alias=5), bd_seq=8)
    assert kinds(steps) == ["died", "born", "readings"]
    assert steps[0].parts == ["", "Press"]
    assert steps[1].since == 100 * 10**9


def test_our_own_edge_nodes_are_left_out_and_those_of_others_are_not() -> None:
    bench = Bench()
    bench.host.own = "me"
    assert bench.born(Metric(MARK, datatype=12, value="me")) == []
    assert bench.take("NDATA", 1, integer("a", 1)) == []
    assert bench.take("DBIRTH", 2, integer("a", 1), device="Press") == []
    assert bench.host.nodes == {}
    assert "born" in kinds(bench.born(Metric(MARK, datatype=12, value="another")))


# --- deaths ---


@rules("operational-behavior-edge-node-termination-host-action-ndeath-node-offline",
       "operational-behavior-edge-node-termination-host-action-ndeath-devices-offline", "payloads-ndeath-bdseq")  # fmt: skip
def test_the_death_of_a_node_is_that_of_its_devices(bench: Bench) -> None:
    assert bench.take("NDEATH", None, Metric("bdSeq", datatype=8, value=6)) == []  # a stale will
    (step,) = bench.take("NDEATH", None, Metric("bdSeq", datatype=8, value=7))
    assert (step.kind, step.parts, step.timestamp) == ("died", ["", "Press"], None)
    assert kinds(bench.take("DDATA", 2, integer("x", 1), device="Press")) == ["rebirth"]


@rules("operational-behavior-edge-node-termination-host-action-ddeath-devices-offline")
def test_the_death_of_a_device_is_its_own(bench: Bench) -> None:
    (step,) = bench.take("DDEATH", 2, device="Press", timestamp=MS + 5)
    assert (step.kind, step.parts, step.timestamp) == ("died", ["Press"], MS + 5)
    assert told(bench.take("NDATA", 3, integer("a", 4))) == [("a", 4)]
    steps = bench.take("DBIRTH", 4, integer("x", 0), integer("y", 0, alias=6), device="Press")
    assert kinds(steps) == ["born", "readings"]
    assert steps[0].since == 100 * 10**9


# --- payloads ---


@rules("payloads-metric-datatype-not-req", "payloads-alias-data-cmd-requirement")
def test_data_by_alias_and_without_type(bench: Bench) -> None:
    raw = encode(Payload(MS, 2, [Metric(alias=6, datatype=3, value=-4)]))
    assert decode(raw).metrics[0].name == ""
    steps = bench.take("DDATA", 2, Metric(alias=6, datatype=3, value=-4), device="Press")
    assert told(steps) == [("y", -4)]
    untyped = Metric(alias=6, value=2**32 - 4)  # the two's complement of -4, as it travels
    known, got = bench.host.nodes["Plant", "Edge"].resolve("Press", untyped)
    assert (known, got.value) == ("y", -4)
    wrong = bench.take("DDATA", 3, Metric("x", datatype=12, value="text"), device="Press")
    assert kinds(wrong) == ["complaint", "undecodable"]


@rules("payloads-template-definition-nbirth-only", "payloads-template-instance-members-data")
def test_templates_are_told_by_member(bench: Bench) -> None:
    definition = Template("", "1", True, [Metric("speed", datatype=10), Metric("hot", datatype=11)])
    whole = Template("Motor", "1", False, [Metric("speed", datatype=10, value=1.5), Metric("hot", datatype=11, value=False)])
    bench.born(Metric("Motor", datatype=19, value=definition), Metric("M1", datatype=19, value=whole))
    part = Template("Motor", "1", False, [Metric("hot", value=True, datatype=11)])
    (step,) = bench.take("NDATA", 1, Metric("M1", datatype=19, value=part))
    ((name, metric),) = step.metrics
    assert (name, [(m.name, m.value) for m in metric.value.metrics]) == ("M1", [("hot", True)])
    odd = Template("Motor", "1", False, [Metric("unknown", value=True, datatype=11)])
    assert kinds(bench.take("NDATA", 2, Metric("M1", datatype=19, value=odd))) == ["rebirth"]


@rules("payloads-dataset-types-num", "payloads-propertyset-values-array-size")
def test_what_contradicts_itself_is_a_complaint(bench: Bench) -> None:
    steps = bench.take("NDATA", 2, Metric("a", datatype=16, value=DataSet(("one",), (3, 3))))
    assert kinds(steps) == ["complaint"]
    truncated = encode(Payload(MS, 2, [integer("a", 1)]))[:-2]
    assert kinds(list(bench.host.take(NODE, truncated, bench.now, 0))) == ["complaint"]


@rules("topic-structure-namespace-a", "topic-structure-namespace-valid-device-id")
def test_topics() -> None:
    assert parse_topic("spBv1.0/G/DDATA/N/D") == Topic("DDATA", "G", "N", "D")
    for wrong in ("spAv1.0/G/NDATA/N", "spBv1.0/G/DDATA/N", "spBv1.0/G/NDATA/N/D", "spBv1.0/G/XDATA/N", "spBv1.0/G/DDATA/N/D/E",
                  "spBv1.0//NDATA/N"):  # fmt: skip
        assert parse_topic(wrong) is None


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
            adapter.connect(f"mqtt://127.0.0.1:{broker.port}", MqttSettings(host_id="us", timeout=1.0, listen=0.0), tmp_path)
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
    assert APPLYING == TESTED
