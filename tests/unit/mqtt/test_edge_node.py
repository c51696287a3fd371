"""The published edge node without a broker: which messages a parcel becomes, and what another runtime makes of its births."""

import json
from typing import Any

from dtios.mapping.facts import Node
from dtios.model.batch import Batch
from dtios.model.datatypes import BuiltinType, ValueType
from dtios.model.gap import Gap, GapCause
from dtios.model.machine import Machine, Signal
from dtios.sdk.delivery import Delivery
from dtios.sdk.forwarding import Parcel
from dtios_mqtt.north.edge.node import EPOCH, GAPS, SEQUENCE, PublishedNode
from dtios_mqtt.session.messages import Outgoing
from dtios_mqtt.sparkplug.decoding import decode
from dtios_mqtt.sparkplug.describing import edge_node
from dtios_mqtt.sparkplug.edge import EdgeNode

NOW = 1_764_000_000_000_000_000
MACHINE = Machine("m", "memory:", "m", signals=(Signal("x", "x", ValueType(BuiltinType.Int64)),))


def delivery(*values: Any, gap: bool = False, paths: dict[int, str] | None = None) -> Delivery:
    size, times = len(values), [NOW] * len(values)
    batch = Batch([1] * size, list(values), [0] * size, times, times, NOW, 1, [1] * size)
    gaps = [("x", Gap(GapCause.STORE_OVERFLOW, NOW, NOW, NOW, NOW, 5))] if gap else []
    return Delivery("m", gaps, batch, PATHS if paths is None else paths)


PATHS = {1: "x"}


def born(*seen: Parcel) -> tuple[PublishedNode, dict[int | None, str], list[Outgoing]]:
    """The node, its aliases, and its births."""
    node = PublishedNode("G", "E", mark="us", epoch=3)
    node.will(0, NOW)
    node.tell(MACHINE, online=True, now=NOW)
    for parcel in seen:
        node.see(parcel)
    births = node.births(NOW)
    return node, {metric.alias: metric.name for metric in decode(births[1].payload).metrics}, births


def told(names: dict[int | None, str], messages: list[Outgoing]) -> list[tuple[int, int, list[Any], list[bool], int]]:
    """Of each DDATA: epoch, sequence, values, whether they are historical, and how many values are missing before."""
    made = []
    for message in messages:
        assert "/DDATA/" in message.topic
        metrics = {names[one.alias]: one for one in decode(message.payload).metrics}
        rows = [one for one in decode(message.payload).metrics if names[one.alias] == "x"]
        missing = sum(gap["count"] for gap in json.loads(metrics[GAPS].value)) if GAPS in metrics else 0
        made.append(
            (metrics[EPOCH].value, metrics[SEQUENCE].value, [m.value for m in rows], [m.is_historical for m in rows], missing)
        )
    return made


def test_what_was_collected_together_is_one_message() -> None:
    node, names, _ = born()
    parcel = Parcel("m", 3, 100, [delivery(1, 2), delivery(3), delivery(4, 5)], 1)
    assert told(names, node.data(parcel, NOW)) == [(3, 100, [1, 2, 3, 4, 5], [False] * 5, 0)]


def test_a_gap_begins_another_message_so_that_it_stands_before_its_values() -> None:
    node, names, _ = born()
    parcel = Parcel("m", 3, 100, [delivery(1), delivery(2), delivery(3, gap=True), delivery(4)], 1, historical=True)
    assert told(names, node.data(parcel, NOW)) == [(3, 100, [1, 2], [True] * 2, 0), (3, 102, [3, 4], [True] * 2, 5)]
    alone = Parcel("m", 3, 104, [Delivery("m", delivery(gap=True).gaps, None, PATHS)], 2)
    assert told(names, node.data(alone, NOW)) == [(3, 104, [], [], 5)]


def test_more_than_fits_becomes_several_messages_numbered_on() -> None:
    node, names, _ = born()
    parcel = Parcel("m", 3, 100, [delivery(*range(60), gap=True), delivery(*range(60, 100))], 1)
    messages = node.data(parcel, NOW, 500)
    assert all(len(message.payload) <= 500 for message in messages)
    parts = told(names, messages)
    assert len(parts) > 4
    assert [value for _, _, values, _, _ in parts for value in values] == list(range(100))
    assert all(sequence == 100 + values[0] for _, sequence, values, _, _ in parts)
    assert [missing for *_, missing in parts] == [5] + [0] * (len(parts) - 1)
    assert [decode(message.payload).seq for message in messages] == [2 + at for at in range(len(messages))]


def test_more_gaps_than_fit_become_several_messages() -> None:
    node, names, _ = born()
    gaps = delivery(gap=True).gaps * 20
    messages = node.data(Parcel("m", 3, 7, [Delivery("m", gaps, delivery(1).batch, PATHS)], 1), NOW, 500)
    parts = told(names, messages)
    assert sum(missing for *_, missing in parts) == 100
    assert [values for _, _, values, _, _ in parts if values] == [[1]]
    assert parts[-1][2] == [1], "what is missing lies before the value"


def kinds(messages: list[Outgoing]) -> list[str]:
    return [message.topic.split("/")[2] for message in messages]


def test_a_lost_machine_dies_after_its_last_values_and_at_once_when_it_is_back() -> None:
    node, _, _ = born()
    assert not node.lingers
    assert kinds(node.tell(MACHINE, online=False, now=NOW)) == []
    assert node.lingers
    assert kinds(node.bury(NOW)) == []
    assert kinds(node.data(Parcel("m", 3, 1, [delivery(1)], 1), NOW)) == ["DDATA"]
    assert (kinds(node.bury(NOW)), kinds(node.bury(NOW)), node.lingers) == ([], ["DDEATH"], False)
    assert kinds(node.tell(MACHINE, online=True, now=NOW)) == ["DBIRTH"]
    node.tell(MACHINE, online=False, now=NOW)
    assert kinds(node.tell(MACHINE, online=True, now=NOW)) == ["DDEATH", "DBIRTH"]


def test_what_was_kept_of_a_lost_machine_needs_one_birth_however_much_it_is() -> None:
    node, names, _ = born()
    node.tell(MACHINE, online=False, now=NOW)
    node.bury(NOW)
    node.bury(NOW)
    said = [
        message
        for number in range(50)
        for message in [*node.data(Parcel("m", 3, number, [delivery(number)], number, historical=True), NOW), *node.bury(NOW)]
    ]
    assert kinds(said) == ["DBIRTH"] + ["DDATA"] * 50
    assert told(names, said[1:])[-1] == (3, 49, [49], [True], 0)
    assert kinds(node.bury(NOW)) == ["DDEATH"]
    gone = node.data(Parcel("another", 3, 60, [delivery(5)], 60, historical=True), NOW)
    assert kinds(gone) == ["DBIRTH", "DDATA"]


def test_a_birth_tells_what_was_seen_and_only_what_is_younger_is_live() -> None:
    first, second, third = (Parcel("m", 3, number, [delivery(10 * number)], number) for number in (1, 2, 3))
    node, names, births = born(first, second)
    [x] = [metric for metric in decode(births[1].payload).metrics if metric.name == "x"]
    assert x.value == 20
    node.see(third)
    messages = [*node.data(first, NOW), *node.data(third, NOW), *node.data(second, NOW)]
    assert told(names, messages) == [(3, 1, [10], [True], 0), (3, 3, [30], [False], 0), (3, 2, [20], [True], 0)]


def test_another_runtime_sees_the_signals_and_none_of_what_numbers_them() -> None:
    _, _, births = born()
    heard = EdgeNode()
    heard.birth("", decode(births[0].payload).metrics)
    heard.birth("m", decode(births[1].payload).metrics)

    def names(node: Node) -> list[str]:
        return [node.name.name, *(name for _, child in node.children for name in names(child))]

    assert names(edge_node("G", "E", heard)) == ["E", "m", "x"]
