"""The JSON publisher's topics and payloads, as bytes."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dtios.model.batch import Batch
from dtios.model.datatypes import BuiltinType, ValueType
from dtios.model.gap import Gap, GapCause
from dtios.model.machine import Machine, Range, Signal, Unit
from dtios.model.status_codes import STATUS_CODES
from dtios.model.values import NO_TIME, LocalizedText
from dtios.model.wire_time import time_to_json
from dtios.sdk import ConfigurationError
from dtios.sdk.delivery import Delivery
from dtios.sdk.forwarding import Parcel
from dtios.sdk.protocol import MachineView
from dtios_mqtt.north.namespace.payloads import Clockface, description, state, value_messages
from dtios_mqtt.north.namespace.settings import JsonConfig
from dtios_mqtt.north.namespace.topics import Namespace

AT = 1_764_000_000_123_456_700
PATHS = {1: "Speed", 2: "Count", 3: "Text"}
SIGNALS = {
    "Speed": Signal("Speed", "a", ValueType(BuiltinType.Double), unit=Unit("MTR", "m"), range=Range(0.0, 10.0)),
    "Count": Signal("Count", "b", ValueType(BuiltinType.Int64)),
    "Text": Signal("Text", "c", ValueType(BuiltinType.LocalizedText)),
}


def delivery(*rows: tuple[int, Any], gaps: Any = (), status: int = 0, source: int = AT) -> Delivery:
    size = len(rows)
    batch = Batch(
        [h for h, _ in rows], [v for _, v in rows], [status] * size, [source] * size, [AT] * size, AT + 5, 1, [1] * size
    )
    return Delivery("m", list(gaps), batch if size else None, PATHS)


def messages(*deliveries: Delivery, largest: int = 100_000, historical: bool = False) -> list[Any]:
    parcel = Parcel("m", 7, 100, list(deliveries), 1, historical)
    return [json.loads(payload) for payload in value_messages(parcel, SIGNALS, largest)]


def test_a_message_has_many_values_each_with_its_number() -> None:
    [message] = messages(delivery((1, 1.5), (2, 3)), delivery((3, LocalizedText("warm", "en"))))
    source, received = time_to_json(AT), time_to_json(AT + 5)
    times = {"status": "Good", "source_time": source, "server_time": source, "receive_time": received}
    assert message == {
        "machine": "m", "historical": False, "epoch": 7, "sequence": 100, "gaps": [],
        "values": [
            {"signal": "Speed", "value": 1.5, **times, "sequence": 100},
            {"signal": "Count", "value": "3", **times, "sequence": 101},
            {"signal": "Text", "value": {"text": "warm", "locale": "en"}, **times, "sequence": 102},
        ],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("value", "form"), [(float("nan"), "NaN"), (float("-inf"), "-Infinity"), (2.0, 2.0), (None, None), (True, True)]
)
def test_values_have_the_form_they_have_everywhere(value: Any, form: Any) -> None:
    [message] = messages(delivery((1, value), status=STATUS_CODES["BadNoCommunication"], source=NO_TIME))
    [row] = message["values"]
    assert (row["value"], row["status"], row["source_time"]) == (form, "BadNoCommunication", None)


def test_a_gap_begins_a_message_and_lies_before_its_values() -> None:
    gap = Gap(GapCause.QUEUE_OVERFLOW, None, None, AT, AT + 1, 3)
    first, second = messages(delivery((1, 1.0)), delivery((1, 5.0), gaps=[("Speed", gap)]))
    assert (first["gaps"], first["sequence"], second["sequence"]) == ([], 100, 101)
    assert second["gaps"] == [
        {"signal": "Speed", "from": time_to_json(AT), "to": time_to_json(AT + 1), "cause": "queue-overflow", "count": 3}
    ]


def test_gaps_alone_are_a_message() -> None:
    [message] = messages(delivery(gaps=[("Speed", Gap(GapCause.CONNECTION_LOST))]), historical=True)
    assert (message["historical"], message["sequence"], message["values"]) == (True, 100, [])
    assert message["gaps"][0]["cause"] == "connection-lost"


def test_a_message_is_no_larger_than_it_may_be_and_nothing_is_lost_by_that() -> None:
    gaps = [(f"S{number}", Gap(GapCause.STORE_OVERFLOW, AT, AT, AT, AT, 1)) for number in range(200)]
    rows = [(1 + number % 2, number) for number in range(300)]
    parcel = Parcel("m", 7, 100, [delivery(*rows, gaps=gaps), delivery((1, 300))], 1)
    payloads = list(value_messages(parcel, SIGNALS, 4_000))
    assert max(map(len, payloads)) <= 4_000
    found = [json.loads(payload) for payload in payloads]
    assert [row["sequence"] for one in found for row in one["values"]] == list(range(100, 401))
    assert [gap["signal"] for one in found for gap in one["gaps"]] == [path for path, _ in gaps]
    assert all(one["sequence"] == one["values"][0]["sequence"] for one in found if one["values"])
    with_gaps = [bool(one["gaps"]) for one in found]
    assert with_gaps == sorted(with_gaps, reverse=True), "Gaps before the values"


def test_one_value_that_is_larger_than_a_message_may_be_goes_alone() -> None:
    assert [len(one["values"]) for one in messages(delivery((3, "x" * 5_000), (1, 1.0)), largest=4_000)] == [1, 1]


@given(st.integers(0, 2**62), st.integers(-(10**10), 10**10))
def test_times_are_those_of_the_other_outputs(time: int, later: int) -> None:
    clock = Clockface()
    for one in (time, time, time + later, -time, NO_TIME, time):
        assert clock.text(one) == time_to_json(one)


def test_a_description_tells_units_and_a_state_whether_it_is_online() -> None:
    view = MachineView(Machine("m", "opc.tcp://x", "urn:m", signals=tuple(SIGNALS.values())), "online", packml="Execute")
    told = json.loads(description(view))
    assert told["name"] == "m"
    assert told["signals"][0] == {
        "path": "Speed", "address": "a", "data_type": "Double", "unit": {"code": "MTR", "symbol": "m"}, "range": [0.0, 10.0],
        "access": "read",
    }  # fmt: skip
    assert json.loads(state(view, gone=False))["packml"] == "Execute"
    assert json.loads(state(view, gone=True)) == {
        "machine": "m", "online": False, "health": "gone", "detail": "", "packml": None, "unit_mode": None,
    }  # fmt: skip


# --- topics ------------------------------------------------------------------------------------------------------------------


def namespace(**config: Any) -> Namespace:
    return Namespace(JsonConfig.model_validate({"url": "mqtt://b", **config}))


def cases() -> Iterator[tuple[dict[str, Any], str, str]]:
    yield {}, "m", "m"
    yield {"enterprise": "acme", "line": "l1"}, "m", "acme/l1/m"
    yield {"enterprise": "a", "site": "b", "area": "c", "line": "d"}, "m", "a/b/c/d/m"
    yield {"site": "b", "machines": {"m": {"site": "x", "line": "y", "machine": "Filler 1"}}}, "m", "x/y/Filler 1"
    yield {"site": "+/#"}, "m#2", "%2B%2F%23/m%232"
    yield {}, "$SYS", "%24SYS"
    yield {"site": "100%"}, "a$b", "100%25/a$b"


@pytest.mark.parametrize(("config", "name", "topic"), list(cases()))
def test_a_machine_has_its_place_by_levels(config: dict[str, Any], name: str, topic: str) -> None:
    assert namespace(**config).machine(name) == topic


def test_the_publisher_itself_is_beside_the_machines() -> None:
    assert namespace(enterprise="acme", site="s").presence == "acme/s/_publisher"


def test_a_topic_that_is_too_long_is_said() -> None:
    with pytest.raises(ConfigurationError, match="the topic is too long"):
        namespace(site="/" * 200).machine("日" * 30_000)


@pytest.mark.parametrize("wrong", [{"password": "plain"}, {"sites": "x"}, {"key": "/k"}, {"store": {"size": 0}}, {"signals": []}])
def test_a_wrong_setting_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        JsonConfig.model_validate({"url": "mqtt://b", **wrong})
