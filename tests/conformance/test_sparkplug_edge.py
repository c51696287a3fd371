"""Sparkplug B 3.0: the runtime as an edge node, judged by the bytes that a broker got. Each test names its rules."""

import itertools
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from dtios.runtime.configuration.config import RuntimeConfig
from dtios.runtime.core import Runtime
from dtios.runtime.registry import Registry
from dtios.runtime.state import StateDirectory
from dtios.sdk.clock import SystemClock
from dtios.sdk.errors import TemporaryError
from dtios.testing import METHOD_PROFILE, MemoryAdapter, method_machine
from dtios_mqtt.north.edge.node import ORDER, REBIRTH, SEQUENCE
from dtios_mqtt.session.client import MqttClient
from dtios_mqtt.session.messages import Will
from dtios_mqtt.settings import parse_url
from dtios_mqtt.sparkplug.decoding import decode
from dtios_mqtt.sparkplug.encoding import encode
from dtios_mqtt.sparkplug.mark import MARK
from dtios_mqtt.sparkplug.metric import Metric, Payload
from dtios_mqtt.sparkplug.schema import PayloadMessage
from dtios_mqtt.sparkplug.topics import Topic, parse_topic
from tests.brokers import free_port
from tests.conformance.mqtt_wire import DISCONNECT, PUBLISH, SUBSCRIBE, ListeningBroker, listening_broker
from tests.conformance.sparkplug_edge_rules import APPLYING, TESTED, edge_rules


@dataclass
class Said:
    """One message of the edge node."""

    topic: Topic
    payload: Payload
    qos: int
    retain: bool

    @property
    def kind(self) -> str:
        return self.topic.kind

    def metric(self, name: str) -> Metric:
        return next(one for one in self.payload.metrics if one.name == name)


@dataclass
class Stage:
    runtime: Runtime
    broker: ListeningBroker
    machine: Any
    address: str

    @property
    def said(self) -> list[Said]:
        found = []
        for one in self.broker.published():
            topic = parse_topic(one.topic)
            assert topic is not None, one.topic
            found.append(Said(topic, decode(one.payload), one.qos, one.retain))
        return found

    async def until(self, *kinds: str) -> list[Said]:
        """Until the last messages are of these kinds, or some after them."""
        with anyio.fail_after(10):
            while not _within(kinds, [one.kind for one in self.said]):
                await anyio.sleep(0.02)
        return self.said

    async def data(self, value: float) -> Said:
        """The DDATA with a new value."""
        since = len(self.said)
        self.machine.set(self.address, value)
        with anyio.fail_after(10):
            while True:
                for one in self.said[since:]:
                    if one.kind == "DDATA" and any(metric.value == value for metric in one.payload.metrics):
                        return one
                await anyio.sleep(0.02)

    def broker_says(self, state: bytes) -> None:
        self.broker.say("spBv1.0/STATE/scada", state, retain=True)

    def command(self, kind: str, *metrics: Metric, device: str = "", node: str = "Edge") -> None:
        self.broker.say(Topic(kind, "Plant", node, device).text, encode(Payload(1, None, list(metrics))))


def _within(kinds: tuple[str, ...], said: list[str]) -> bool:
    rest = iter(said)
    return all(kind in rest for kind in kinds)


@asynccontextmanager
async def stage(folder: Path, name: str = "m", **config: Any) -> AsyncIterator[Stage]:
    machine = method_machine(name, clock=SystemClock())
    (folder / "profile.yaml").write_text(METHOD_PROFILE)
    async with listening_broker() as broker:
        publisher = {"url": f"mqtt://127.0.0.1:{broker.port}", "group": "Plant", "node": "Edge", "interval": 0, **config}
        written = {
            "profiles": [str(folder / "profile.yaml")],
            "machines": {name: {"endpoint": machine.url}},
            "publishers": {"sparkplug": {"isolation": "inline", "config": publisher}},
        }
        config_ = RuntimeConfig.model_validate(written)
        registry = Registry(adapters=[MemoryAdapter(machine)])
        async with machine, Runtime(config_, StateDirectory(folder / "state"), registry) as runtime:
            yield Stage(runtime, broker, machine, machine.find(f"Machines/{name}/Speed").address)


def in_order(said: list[Said]) -> None:
    numbers = [one.payload.seq for one in said if one.kind != "NDEATH"]
    assert numbers[0] == 0
    for before, after in itertools.pairwise(numbers):
        assert before is not None
        assert after in ((before + 1) % 256, 0), numbers


@edge_rules(
    "principles-persistence-clean-session-311", "principles-persistence-clean-session-50",
    "message-flow-edge-node-birth-publish-connect", "message-flow-edge-node-birth-publish-will-message",
    "message-flow-edge-node-birth-publish-will-message-topic", "message-flow-edge-node-birth-publish-will-message-payload",
    "message-flow-edge-node-birth-publish-will-message-payload-bdSeq", "message-flow-edge-node-birth-publish-will-message-qos",
    "message-flow-edge-node-birth-publish-will-message-will-retained", "payloads-ndeath-will-message",
    "payloads-ndeath-will-message-qos", "payloads-ndeath-will-message-retain", "payloads-ndeath-seq", "payloads-ndeath-bdseq",
    "topics-ndeath-topic", "topics-ndeath-payload", "topics-ndeath-seq", "message-flow-edge-node-ncmd-subscribe",
    "message-flow-device-dcmd-subscribe", "topics-nbirth-bdseq-included", "topics-nbirth-bdseq-matching",
    "message-flow-edge-node-birth-publish-nbirth-payload-bdSeq", "payloads-nbirth-bdseq",
)  # fmt: skip
@pytest.mark.parametrize(("version", "level"), [("3.1.1", 4), ("5", 5)])
async def test_connect(tmp_path: Path, version: str, level: int) -> None:
    async with stage(tmp_path, version=version) as on:
        said = await on.until("NBIRTH", "DBIRTH")
        connect = on.broker.connect
        assert (connect.version, connect.clean) == (level, True)
        assert connect.expiry == (None if level == 4 else 0)
        assert (connect.will_topic, connect.will_qos, connect.will_retain) == ("spBv1.0/Plant/NDEATH/Edge", 1, False)
        will = decode(connect.will_payload)
        assert will.seq is None
        assert [(one.name, one.datatype) for one in will.metrics] == [("bdSeq", 4)]
        assert said[0].kind == "NBIRTH"
        assert said[0].metric("bdSeq").value == will.metrics[0].value == 0
        kinds = [packet.kind for packet in on.broker.packets]
        assert kinds.index(SUBSCRIBE) < kinds.index(PUBLISH)
        assert on.broker.subscribed() == ["spBv1.0/Plant/NCMD/Edge"], "the first filter of the one SUBSCRIBE"
        subscribe = next(packet for packet in on.broker.packets if packet.kind == SUBSCRIBE)
        assert b"spBv1.0/Plant/DCMD/Edge/+" in subscribe.body


@edge_rules(
    "topics-nbirth-mqtt", "topics-nbirth-topic", "topics-nbirth-seq-num", "topics-nbirth-timestamp",
    "topics-nbirth-rebirth-metric", "topics-nbirth-metrics", "topics-nbirth-metric-reqs", "payloads-nbirth-timestamp",
    "payloads-nbirth-seq", "payloads-nbirth-rebirth-req", "payloads-nbirth-qos", "payloads-nbirth-retain",
    "message-flow-edge-node-birth-publish-nbirth-topic", "message-flow-edge-node-birth-publish-nbirth-payload",
    "message-flow-edge-node-birth-publish-nbirth-payload-seq", "message-flow-edge-node-birth-publish-nbirth-qos",
    "message-flow-edge-node-birth-publish-nbirth-retained", "payloads-sequence-num-req-nbirth",
    "operational-behavior-data-publish-nbirth", "operational-behavior-data-publish-nbirth-values",
    "operational-behavior-data-commands-rebirth-name", "operational-behavior-data-commands-rebirth-name-aliases",
    "operational-behavior-data-commands-rebirth-datatype", "operational-behavior-data-commands-rebirth-value",
)  # fmt: skip
async def test_the_birth_of_the_node(tmp_path: Path) -> None:
    before = time.time_ns() // 1_000_000
    async with stage(tmp_path) as on:
        birth = (await on.until("NBIRTH"))[0]
    assert (birth.topic.text, birth.qos, birth.retain) == ("spBv1.0/Plant/NBIRTH/Edge", 0, False)
    assert birth.payload.seq == 0
    assert birth.payload.timestamp is not None
    assert before <= birth.payload.timestamp <= time.time_ns() // 1_000_000
    rebirth = birth.metric(REBIRTH)
    assert (rebirth.datatype, rebirth.value, rebirth.alias) == (11, False, None)
    assert birth.metric(MARK).value == (tmp_path / "state" / "instance").read_text()
    assert all(one.name and one.datatype and one.timestamp for one in birth.payload.metrics)


@edge_rules(
    "message-flow-device-birth-publish-nbirth-wait", "message-flow-device-birth-publish-dbirth-topic",
    "message-flow-device-birth-publish-dbirth-match-edge-node-topic", "message-flow-device-birth-publish-dbirth-payload",
    "message-flow-device-birth-publish-dbirth-payload-seq", "message-flow-device-birth-publish-dbirth-qos",
    "message-flow-device-birth-publish-dbirth-retained", "topics-dbirth-mqtt", "topics-dbirth-topic", "topics-dbirth-seq",
    "topics-dbirth-timestamp", "topics-dbirth-metrics", "topics-dbirth-metric-reqs", "payloads-dbirth-timestamp",
    "payloads-dbirth-seq", "payloads-dbirth-seq-inc", "payloads-dbirth-order", "payloads-dbirth-qos", "payloads-dbirth-retain",
    "operational-behavior-data-publish-dbirth", "operational-behavior-data-publish-dbirth-values",
    "topic-structure-namespace-valid-device-id", "topic-structure-namespace-unique-device-id",
    "payloads-alias-birth-requirement", "payloads-name-requirement", "payloads-metric-datatype-req",
    "payloads-metric-datatype-value", "payloads-propertyset-quality-value-type", "payloads-propertyset-quality-value-value",
    "payloads-metric-propertyvalue-type-req", "payloads-alias-uniqueness", "payloads-metric-datatype-value-type",
    "payloads-metric-propertyvalue-type-type", "payloads-metric-propertyvalue-type-value",
    "payloads-propertyset-keys-array-size", "payloads-propertyset-values-array-size",
)  # fmt: skip
async def test_the_birth_of_a_device(tmp_path: Path) -> None:
    async with stage(tmp_path, name="mill+1") as on:
        await on.data(3.5)
        on.command("NCMD", Metric(REBIRTH, datatype=11, value=True))
        said = await on.until("NBIRTH", "DBIRTH", "DDATA", "NBIRTH", "DBIRTH")
    birth = next(one for one in said if one.kind == "DBIRTH")
    assert (birth.topic.text, birth.qos, birth.retain) == ("spBv1.0/Plant/DBIRTH/Edge/mill%2B1", 0, False)
    assert birth.payload.seq == 1
    assert birth.payload.timestamp
    again = [one for one in said if one.kind == "DBIRTH"][-1]
    speed = again.metric("Speed")
    assert (speed.value, speed.properties["Quality"], speed.properties["readOnly"]) == (3.5, 192, True)
    aliases = [one.alias for one in again.payload.metrics]
    assert None not in aliases
    assert len(set(aliases)) == len(aliases)
    assert all(one.name and 1 <= one.datatype <= 34 and one.timestamp for one in again.payload.metrics)
    assert all(one.value is None or not one.is_null for one in again.payload.metrics)
    raw = next(one for one in on.broker.published() if "/DBIRTH/" in one.topic).payload
    message = PayloadMessage()
    message.ParseFromString(raw)
    for metric in message.metrics:
        types = dict(zip(metric.properties.keys, [one.type for one in metric.properties.values], strict=True))
        assert types.get("Quality", 3) == 3, "Int32"
        assert set(types.values()) <= {3, 4, 10, 11, 12}
    in_order(said)


@edge_rules(
    "topics-ddata-mqtt", "topics-ddata-topic", "topics-ddata-seq-num", "topics-ddata-timestamp", "topics-ddata-payload",
    "payloads-ddata-timestamp", "payloads-ddata-seq", "payloads-ddata-seq-inc", "payloads-ddata-order", "payloads-ddata-qos",
    "payloads-ddata-retain", "payloads-alias-data-cmd-requirement", "payloads-name-birth-data-requirement",
    "payloads-metric-timestamp-in-UTC", "payloads-timestamp-in-UTC", "payloads-sequence-num-always-included",
    "payloads-sequence-num-incrementing", "operational-behavior-data-publish-dbirth-order", "topic-structure",
    "topic-structure-namespace-a", "topic-structure-namespace-device-id-associated-message-types",
    "topic-structure-namespace-device-id-non-associated-message-types", "principles-birth-certificates-order",
)  # fmt: skip
async def test_data(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        birth = next(one for one in await on.until("DBIRTH") if one.kind == "DBIRTH")
        names = {metric.alias: metric.name for metric in birth.payload.metrics}
        first, second = await on.data(1.5), await on.data(2.5)
        for _ in range(260):
            on.machine.set(on.address, float(_))
            await anyio.lowlevel.checkpoint()
        last = await on.data(9_999.5)
        said = on.said
    assert (first.topic.text, first.qos, first.retain) == ("spBv1.0/Plant/DDATA/Edge/m", 0, False)
    assert all(not one.name and one.alias in names and one.timestamp for one in first.payload.metrics)
    assert [one.kind for one in said[:2]] == ["NBIRTH", "DBIRTH"]
    assert all(one.topic.text.startswith("spBv1.0/Plant/") and bool(one.topic.device) is (one.kind[0] == "D") for one in said)
    sequence = [next(m.value for m in one.payload.metrics if names[m.alias] == SEQUENCE) for one in (first, second, last)]
    assert sequence == sorted(set(sequence))
    for one in said:
        times = [metric.timestamp for metric in one.payload.metrics if not metric.is_historical]
        if one.kind == "DDATA":
            assert times == sorted(times)
    assert abs((last.payload.timestamp or 0) - time.time_ns() // 1_000_000) < 60_000
    in_order(said)


@edge_rules(
    "topics-ddeath-mqtt", "topics-ddeath-topic", "topics-ddeath-seq-num", "payloads-ddeath-timestamp", "payloads-ddeath-seq",
    "payloads-ddeath-seq-inc", "payloads-ddeath-seq-number", "operational-behavior-device-ddeath",
)  # fmt: skip
async def test_a_machine_that_is_lost_and_comes_back(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        await on.until("DBIRTH")
        await on.data(1.5)
        on.machine.drop()
        said = await on.until("DBIRTH", "DDEATH", "DBIRTH")
        await on.data(2.5)
    death = next(one for one in said if one.kind == "DDEATH")
    assert (death.topic.text, death.qos, death.retain) == ("spBv1.0/Plant/DDEATH/Edge/m", 0, False)
    assert death.payload.timestamp
    in_order(on.said)


@edge_rules(
    "operational-behavior-data-commands-rebirth-action-1", "operational-behavior-data-commands-rebirth-action-2",
    "operational-behavior-data-commands-rebirth-action-3", "payloads-nbirth-bdseq-repeat",
)  # fmt: skip
async def test_rebirth_is_honoured_and_every_other_command_refused(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        await on.until("NBIRTH", "DBIRTH")
        on.command("NCMD", Metric(REBIRTH, datatype=11, value=True), Metric("Speed", datatype=10, value=1.0))
        on.command("DCMD", Metric("", 4, datatype=10, value=77.0), device="m")
        said = await on.until("NBIRTH", "DBIRTH", "NBIRTH", "DBIRTH")
        await on.data(4.5)
        births = [one for one in said if one.kind == "NBIRTH"]
        assert [one.metric("bdSeq").value for one in births] == [0, 0], "the will is the same"
        assert births[1].payload.seq == 0
        kinds = [one.kind for one in said[said.index(births[1]) :]]
        assert kinds[1] == "DBIRTH", "no DATA before the births are complete"
        with anyio.fail_after(5):
            while len(lines := [one for one in await on.runtime.kernel.journal.audit() if one.outcome]) < 2:
                await anyio.sleep(0.05)
        told = sorted((one.principal, one.machine, one.target, (one.outcome or "").split(":")[0]) for one in lines)
        assert told == [("sparkplug", "", "Speed", "refused"), ("sparkplug", "m", "alias 4", "refused")]
    in_order(on.said)


@edge_rules("topics-nbirth-bdseq-increment")
async def test_each_connect_has_the_next_bdseq_also_after_a_restart(tmp_path: Path) -> None:
    numbers = []
    for _ in range(2):
        async with stage(tmp_path) as on:
            said = await on.until("NBIRTH")
            numbers.append(said[0].metric("bdSeq").value)
            first, on.broker.packets = on.broker.writer, []
            assert first is not None
            first.close()
            said = await on.until("NBIRTH")
            numbers.append(said[0].metric("bdSeq").value)
            assert decode(on.broker.connect.will_payload).metrics[0].value == numbers[-1]
    assert numbers == [0, 1, 2, 3]


@edge_rules(
    "message-flow-edge-node-birth-publish-phid-wait", "message-flow-edge-node-birth-publish-phid-wait-id",
    "message-flow-edge-node-birth-publish-phid-wait-online", "message-flow-edge-node-birth-publish-phid-wait-timestamp",
    "message-flow-edge-node-birth-publish-phid-offline", "operational-behavior-edge-node-termination-host-offline",
    "operational-behavior-edge-node-termination-host-offline-timestamp",
    "operational-behavior-edge-node-termination-host-offline-reconnect", "operational-behavior-edge-node-birth-sequence-wait",
)  # fmt: skip
async def test_it_waits_for_its_primary_host_and_leaves_with_it(tmp_path: Path) -> None:
    async with stage(tmp_path, host_id="scada") as on:
        await on.broker.until(SUBSCRIBE)
        assert b"spBv1.0/STATE/scada" in on.broker.packets[1].body
        for other, payload in (("other", b'{"online":true,"timestamp":5}'), ("scada", b'{"online":false,"timestamp":9}')):
            on.broker.say(f"spBv1.0/STATE/{other}", payload)
        on.broker.say("spBv1.0/STATE/scada", b'{"online":true,"timestamp":8}')
        on.command("NCMD", Metric(REBIRTH, datatype=11, value=True))
        await anyio.sleep(0.3)
        assert on.said == [], "another host, offline, and older than what was heard"
        on.broker.say("spBv1.0/STATE/scada", b'{"online":true,"timestamp":10}')
        await on.until("NBIRTH", "DBIRTH")
        on.broker.say("spBv1.0/STATE/scada", b'{"online":false,"timestamp":7}')
        await on.data(1.5)
        on.broker.say("spBv1.0/STATE/scada", b'{"online":false,"timestamp":11}')
        said = await on.until("NDEATH")
        assert [one.kind for one in said][-1] == "NDEATH"
        with anyio.fail_after(10):
            while sum(packet.kind == 1 for packet in on.broker.packets) < 2:
                await anyio.sleep(0.05)
        assert [packet.kind for packet in on.broker.packets].count(PUBLISH) == len(said), "no birth before it is heard of again"


@edge_rules(
    "operational-behavior-edge-node-intentional-disconnect-ndeath",
    "operational-behavior-edge-node-intentional-disconnect-packet",
    "payloads-ndeath-will-message-publisher", "payloads-ndeath-will-message-publisher-disconnect-mqtt311",
    "payloads-ndeath-will-message-publisher-disconnect-mqtt50",
)  # fmt: skip
@pytest.mark.parametrize("version", ["3.1.1", "5"])
async def test_it_takes_its_leave(tmp_path: Path, version: str) -> None:
    async with stage(tmp_path, version=version) as on:
        await on.until("NBIRTH", "DBIRTH")
    await on.broker.until(DISCONNECT)
    last, goodbye = on.said[-1], on.broker.packets[-1]
    assert (last.kind, last.payload.seq, last.payload.metrics[0].value) == ("NDEATH", None, 0)
    assert goodbye.kind == DISCONNECT
    assert goodbye.body[:1] == (b"\x04" if version == "5" else b""), "with the will"


@edge_rules("topic-structure-namespace-valid-group-id", "topic-structure-namespace-valid-edge-node-id")
async def test_names_that_may_not_be_in_a_topic(tmp_path: Path) -> None:
    async with stage(tmp_path, group="hall/1", node="a+b#") as on:
        birth = (await on.until("NBIRTH"))[0]
    assert birth.topic.text == "spBv1.0/hall%2F1/NBIRTH/a%2Bb%23"


@edge_rules("operational-behavior-data-publish-dbirth-values")
async def test_births_tell_the_present_and_what_is_older_is_history(tmp_path: Path) -> None:
    """A value that changed while nobody listened, and not again since: its birth is the only one to say what is so now."""
    async with stage(tmp_path, host_id="scada") as on:
        await on.broker.until(SUBSCRIBE)
        on.broker_says(b'{"online":true,"timestamp":1}')
        await on.until("NBIRTH", "DBIRTH")
        await on.data(1.5)
        on.broker_says(b'{"online":false,"timestamp":2}')
        await on.until("NDEATH")
        await on.broker.until(SUBSCRIBE, 2)
        on.machine.set(on.address, 7.5)
        on.machine.set(on.address, 8.5)
        await anyio.sleep(0.2)
        on.broker_says(b'{"online":true,"timestamp":3}')
        await on.until("NBIRTH", "DBIRTH", "NDEATH", "NBIRTH", "DBIRTH", "DDATA")
        birth = [one for one in on.said if one.kind == "DBIRTH"][-1].metric("Speed")
        assert (birth.value, birth.properties["Quality"]) == (8.5, 192)
        with anyio.fail_after(5):
            while not (found := [m for one in on.said for m in one.payload.metrics if m.value in (7.5, 8.5) and not m.name]):
                await anyio.sleep(0.02)
        assert all(one.is_historical for one in found)


@edge_rules("topics-nbirth-bdseq-increment")
async def test_a_broker_that_is_not_there_gets_no_connect_and_takes_no_bdseq() -> None:
    asked: list[int] = []

    def will() -> Will:
        asked.append(len(asked))
        return Will("t", b"", always=True)

    with pytest.raises(TemporaryError):
        await MqttClient(parse_url(f"mqtt://127.0.0.1:{free_port()}"), version=5, client_id="a", will=will).open()
    assert asked == []
    async with listening_broker() as broker:
        client = MqttClient(parse_url(f"mqtt://127.0.0.1:{broker.port}"), version=5, client_id="a", will=will)
        await client.open()
        await client.close()
        assert (asked, broker.connect.will_topic) == ([0], "t")


async def test_a_flood_of_commands_fills_neither_audit_nor_socket(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        await on.until("NBIRTH", "DBIRTH")
        for number in range(500):
            on.command("DCMD", Metric("x" * 5_000, None, 1, 12, f"{number} " + "y" * 5_000), device="m")
            on.command("NCMD", Metric(REBIRTH, datatype=11, value=True))
        await anyio.sleep(0.7)
        value = await on.data(4.5)
        assert value.kind == "DDATA"
        assert 2 <= sum(one.kind == "NBIRTH" for one in on.said) <= 5
        lines = await on.runtime.kernel.journal.audit()
        assert 1 <= len(lines) <= 30
        assert all(len(line.target) <= 200 and len(line.outcome or "") < 1_000 for line in lines)
    in_order(on.said)


def test_each_rule_that_applies_is_tested() -> None:
    assert TESTED == APPLYING
    assert ORDER
