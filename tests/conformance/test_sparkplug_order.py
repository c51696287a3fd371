"""Sparkplug B 3.0: births, order, rebirths and deaths, by the steps of the pure state machine. Each test names its rules."""

from typing import Any

import pytest

from dtios_mqtt.settings import MqttSettings
from dtios_mqtt.sparkplug.decoding import decode
from dtios_mqtt.sparkplug.encoding import encode
from dtios_mqtt.sparkplug.host import Host
from dtios_mqtt.sparkplug.mark import MARK
from dtios_mqtt.sparkplug.metric import DataSet, Metric, Payload, Template
from dtios_mqtt.sparkplug.step import Step
from dtios_mqtt.sparkplug.topics import Topic, parse_topic
from tests.conformance.sparkplug_rules import rules

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
    """Name and value, whether a message was read metric by metric or in columns."""
    found = []
    for step in steps:
        if step.kind == "readings":
            found += [(name, metric.value) for name, metric in step.metrics]
        if step.told is not None:
            found += [(at.split("/", 3)[3], value) for at, value in zip(step.told.addresses, step.told.values, strict=True)]
    return found


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
