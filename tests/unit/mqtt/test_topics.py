"""Plain topics without a broker: from payloads to readings, and what is said of the bad ones."""

from collections.abc import Iterable
from typing import Any

import pytest

from dtios.mapping.facts import NodeKind
from dtios.mapping.profiles.file import parse_profile
from dtios.mapping.profiles.library import ProfileLibrary
from dtios.model.status import status_code, status_name
from dtios.model.values import NO_TIME
from dtios_mqtt.session.messages import Incoming
from dtios_mqtt.topics.layout import layouts, needed
from dtios_mqtt.topics.machine import Machine
from dtios_mqtt.topics.readings import Reader
from tests.machines.plain_topics import PROFILE

MS = 1_767_225_600_000
"""2026-01-01 in ms."""


class Heard:
    """The readings of one message by the profile of the irregular machine, and what was complained of."""

    def __init__(self, topic: str, payload: bytes | str, retain: bool = False, profile: str | None = None) -> None:
        text = PROFILE.read_text("utf-8") if profile is None else profile
        (layout,) = layouts(ProfileLibrary([parse_profile(text, "p.yaml")])).values()
        kind, levels = next((k, found) for k in layout.messages if (found := k.match(topic)) is not None)
        data = payload.encode() if isinstance(payload, str) else payload
        self.complaints: list[str] = []
        self.machine = Machine(layout, levels)
        reader = Reader(self.machine, kind, Incoming(topic, data, 1, retain, 0), self.complaints.append)
        self.readings = reader.readings()
        self.changed = reader.changed

    @property
    def values(self) -> dict[str, Any]:
        return {address.partition("#")[2]: value for address, value, _, _ in self.readings}

    @property
    def statuses(self) -> dict[str, str]:
        return {address.partition("#")[2]: status_name(status) for address, _, status, _ in self.readings}

    @property
    def times(self) -> set[int]:
        return {time for _, _, _, time in self.readings}


def state(payload: str, **more: Any) -> Heard:
    return Heard("plant/north/press1/state", payload, **more)


def test_a_message_of_an_irregular_machine() -> None:
    heard = state(
        '{"ts": 1767225600000, "temperature": "12,5", "motor": {"on": "on", "rpm": "1500"}, "nested": "{\\"pressure\\": 2}",'
        ' "actionStates": ["2"], "speed": 3}'
    )
    assert heard.values == {
        "Temperature": 12.5, "Motor/On": True, "Motor/Speed": 1500, "Pressure": 2.0, "Action": "Working", "SetSpeed": 3.0,
    }  # fmt: skip
    assert set(heard.statuses.values()) == {"Good"}
    assert heard.times == {MS * 1_000_000}
    assert heard.complaints == []


def test_either_field_and_an_extra_level() -> None:
    heard = Heard("plant/north/cell7/press1/state", '{"actionState": 1, "ts": 1}')
    assert heard.values == {"Action": "Idle"}
    assert heard.machine.place == ("north", "press1")
    assert heard.machine.levels["cell"] == "cell7"


def test_none_and_what_does_not_fit() -> None:
    heard = state('{"temperature": "n/a", "speed": null, "motor": {"on": "maybe", "rpm": 1.5}, "surprise": 1}')
    assert heard.statuses == {
        "Temperature": "BadNoData", "SetSpeed": "BadNoData", "Motor/On": "BadTypeMismatch", "Motor/Speed": "BadTypeMismatch",
    }  # fmt: skip
    assert heard.complaints == [
        "Motor/On: neither true nor false", "Motor/Speed: no whole number", "the field 'surprise' is not in the profile",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("payload", "cause"),
    [
        (b'{"temperature": 1', "not JSON"), (b"\xc3\x28", "not UTF-8"), (b'{"temperature": NaN}', "NaN is no JSON"),
        (b"[" * 100_000, "nested too deeply"), (b'{"ts": 1, "ts": 2}', "a key twice"),
        (b"[1, 2]", "none of the profile's values"),
        (b" " * (5 * 2**20), "larger than 4 MiB"), (b'{"nested": "{"}', "not JSON"),
    ],
)  # fmt: skip
def test_bad_payloads_are_told(payload: bytes, cause: str) -> None:
    heard = Heard("plant/north/press1/state", payload)
    assert (heard.readings, heard.complaints) == ([], [cause])


@pytest.mark.parametrize("number", ["1e999", "1" + "0" * 400, "true", "[1]", "{}", '"1_0"', '"x"', '"NaN"', "-1e999"])
def test_no_number(number: str) -> None:
    heard = state(f'{{"temperature": {number}}}')
    assert heard.statuses == {"Temperature": "BadTypeMismatch"}
    assert len(heard.complaints) == 1


def test_kept_messages_are_of_unknown_age() -> None:
    assert state('{"temperature": 1}', retain=True).statuses == {"Temperature": "UncertainLastUsableValue"}
    timed = state('{"temperature": 1, "ts": 1767225600000}', retain=True)
    assert timed.statuses == {"Temperature": "Good"}
    assert timed.times == {MS * 1_000_000}
    assert state('{"temperature": 1}').times == {NO_TIME}


def test_a_time_that_is_none() -> None:
    heard = state('{"temperature": 1, "ts": "yesterday"}')
    assert (heard.times, heard.complaints) == ({NO_TIME}, ["the time is none"])


def test_values_that_the_payload_names() -> None:
    heard = Heard(
        "plant/north/press1/metrics",
        '{"metrics": [{"n": "cnt", "v": 1}, {"n": "mood", "v": "good", "t": "2026-01-01T01:00:00+01:00"}, {"v": 3}]}',
    )
    assert heard.values == {"Count": 1, "mood": "good"}
    assert heard.times == {NO_TIME, MS * 1_000_000}
    assert heard.complaints == ["an entry without name or value"]
    assert heard.changed
    drawn = {node.name.name for node in heard.machine.node().walk() if node.kind is NodeKind.VARIABLE}
    assert {"Count", "mood", "Temperature", "On", "Answer"} <= drawn


def test_csv_with_local_times() -> None:
    heard = Heard("plant/north/press1/table", "2026-07-01T12:00:00;1,5;10\n2026-07-01T12:00:01;2,5;20\n")
    assert [value for _, value, _, _ in heard.readings] == [1.5, 10.0, 2.5, 20.0]
    assert min(heard.times) == 1_782_900_000_000_000_000
    assert Heard("plant/north/press1/table", "1;2\n").complaints == ["a row with another number of fields"]
    assert Heard("plant/north/press1/table", "").complaints == ["no row"]


PLAIN = """
profile: p
topics:
  identity: m
  listen: [x/y]
  messages:
    - {topic: '{m}/text', format: text, encoding: latin-1, values: [{name: T, type: String}]}
    - {topic: '{m}/raw', format: raw, values: [{name: R, type: ByteString}]}
    - {topic: '{m}/map', values: [{each: $.all, type: Double}]}
    - {topic: '{m}/head', format: csv, values: [{path: b, type: Int16}]}
"""


@pytest.mark.parametrize(
    ("topic", "payload", "values"),
    [
        ("m/text", b" 20 \xb0C\n", {"T": "20 \u00b0C"}),
        ("m/raw", b"\x00\xff", {"R": b"\x00\xff"}),
        ("m/map", b'{"all": {"x": 1, "y": "2"}}', {"x": 1.0, "y": 2.0}),
        ("m/head", b"a,b\n1,2\n", {"b": 2}),
        ("m/head", b"a,b\n1,40000\n", {"b": None}),
    ],
)
def test_other_forms(topic: str, payload: bytes, values: dict[str, Any]) -> None:
    assert Heard(topic, payload, profile=PLAIN).values == values


def test_a_message_must_come_once() -> None:
    def filters(*listen: str) -> Iterable[str]:
        text = PLAIN.replace("[x/y]", str(list(listen)))
        return needed(layouts(ProfileLibrary([parse_profile(text, "p.yaml")])).values())

    assert filters() == ["+/text", "+/raw", "+/map", "+/head"]
    assert filters("#", "+/text") == ["#"]


def test_whole_messages() -> None:
    heard = Heard("plant/north/press1/answer", '{"id": 1}')
    ((_, record, status, _),) = heard.readings
    assert status == 0
    assert dict(record.fields) == {
        "Topic": "plant/north/press1/answer",
        "Payload": '{"id": 1}',
        "Correlation": "",
    }
    ((_, _, status, _),) = Heard("plant/north/press1/answer", "x", retain=True).readings
    assert status == status_code("UncertainLastUsableValue")
