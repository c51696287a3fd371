"""Values in JSON, as docs/reference/wire-forms.md has them."""

import json
import math
import uuid
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dtios.model.coercion import check
from dtios.model.datatypes import INTEGER_RANGES, BuiltinType, Field, ValueType
from dtios.model.errors import ConfigurationError
from dtios.model.gap import Gap, GapCause
from dtios.model.job import JobIdentity, JobVerb
from dtios.model.machine import Access, Capability, Identification, Machine, PropertyConstraint, Range, Signal, Skill, Unit
from dtios.model.values import (
    NO_TIME,
    DataValue,
    DateTime,
    Enumerated,
    LocalizedText,
    NodeId,
    QualifiedName,
    Record,
    StatusCode,
    XmlElement,
)
from dtios.model.wire import (
    from_json,
    gap_to_json,
    machine_to_json,
    reading_to_json,
    time_from_json,
    time_to_json,
    to_json,
)

STATE = ValueType(BuiltinType.Int32, "ExecutionState", members=((1, "Idle"), (2, "Executing")))
POINT = ValueType(
    BuiltinType.ExtensionObject,
    "Point",
    fields=(Field("X", ValueType(BuiltinType.Double)), Field("State", STATE), Field("Big", ValueType(BuiltinType.UInt64))),
)


def of(name: str, **more: Any) -> ValueType:
    return ValueType(BuiltinType[name], name, **more)


FORMS: list[tuple[Any, ValueType, Any]] = [
    (True, of("Boolean"), True),
    (-5, of("SByte"), -5),
    (4294967295, of("UInt32"), 4294967295),
    (-(2**63), of("Int64"), "-9223372036854775808"),
    (7, of("UInt64"), "7"),
    (1.5, of("Double"), 1.5),
    (math.inf, of("Double"), "Infinity"),
    (-math.inf, of("Float"), "-Infinity"),
    ("a", of("String"), "a"),
    (b"\x00\xff", of("ByteString"), "AP8="),
    (DateTime(1_700_000_000_123_456_700), of("DateTime"), "2023-11-14T22:13:20.1234567Z"),
    (DateTime(-1), of("DateTime"), "1969-12-31T23:59:59.999999999Z"),
    (uuid.UUID(int=5), of("Guid"), "00000000-0000-0000-0000-000000000005"),
    (NodeId("nsu=urn:a;s=b"), of("NodeId"), "nsu=urn:a;s=b"),
    (XmlElement("<a/>"), of("XmlElement"), "<a/>"),
    (StatusCode(0x80310000), of("StatusCode"), "BadNoCommunication"),
    (QualifiedName("urn:a", "b"), of("QualifiedName"), {"name": "b", "namespace": "urn:a"}),
    (LocalizedText("Guten Tag", "de"), of("LocalizedText"), {"text": "Guten Tag", "locale": "de"}),
    (2, STATE, {"value": 2, "name": "Executing"}),
    (9, STATE, {"value": 9, "name": ""}),
    ([[1, 2], [3, 4]], of("Int32", rank=2), [[1, 2], [3, 4]]),
    ([[5]], of("Int64", rank=2), [["5"]]),
    (
        Record("Point", {"X": 1.0, "State": 2, "Big": 3}),
        POINT,
        {"X": 1.0, "State": {"value": 2, "name": "Executing"}, "Big": "3"},
    ),
    (None, of("Double"), None),
]


@pytest.mark.parametrize(("value", "type", "form"), FORMS)
def test_to_json_and_back(value: Any, type: ValueType, form: Any) -> None:
    assert to_json(value, type) == form
    json.dumps(to_json(value, type), allow_nan=False)
    assert from_json(form, type) == value


def test_nan() -> None:
    assert to_json(math.nan, of("Double")) == "NaN"
    assert math.isnan(from_json("NaN", of("Double")))


@pytest.mark.parametrize(
    ("value", "form"),
    [
        (Enumerated(2, "Executing"), {"value": 2, "name": "Executing"}),
        (2**60, str(2**60)),
        (5, 5),
        ([DateTime(0), None], ["1970-01-01T00:00:00Z", None]),
        (Record("T", {"a": b"", "b": [1]}), {"a": "", "b": [1]}),
        (DataValue(1, 0, 0, None), {"value": 1, "status": "Good", "source_time": "1970-01-01T00:00:00Z", "server_time": None}),
    ],
)
def test_without_a_type_the_value_tells(value: Any, form: Any) -> None:
    assert to_json(value) == form


@pytest.mark.parametrize(
    ("form", "type", "value"),
    [
        (5, of("Int64"), 5),
        ("Executing", STATE, 2),
        (2, STATE, 2),
        ("2", STATE, 2),
        ({"value": 2}, STATE, 2),
        ({"name": "Executing"}, STATE, 2),
        ("12", of("Int32"), 12),
        (3.0, of("Int32"), 3),
        (3, of("Double"), 3.0),
        ("hello", of("LocalizedText"), LocalizedText("hello")),
        ("2026-01-31T14:00:00.5+02:00", of("DateTime"), time_from_json("2026-01-31T12:00:00.5Z")),
        ("Good", of("StatusCode"), StatusCode(0)),
        (2150694912, of("StatusCode"), StatusCode(0x80310000)),
        ("Bad(0x80FF0000)", of("StatusCode"), StatusCode(0x80FF0000)),
        ([1, "2"], of("Int64", rank=1), [1, 2]),
    ],
)
def test_what_a_person_types(form: Any, type: ValueType, value: Any) -> None:
    assert from_json(form, type) == value


@pytest.mark.parametrize(
    ("form", "type"),
    [
        ("Flying", STATE),
        (True, STATE),
        (True, of("Int32")),
        ("12a", of("Int32")),
        ("١٢", of("Int32")),
        ("many", of("Double")),
        ("true", of("Boolean")),
        (1, of("Boolean")),
        (5, of("String")),
        ("***", of("ByteString")),
        ("xyz", of("Guid")),
        ("tomorrow", of("DateTime")),
        ("2026-02-30T00:00:00Z", of("DateTime")),
        ("2026-01-31T12:00:00", of("DateTime")),
        ([1], of("Int32")),
        ("Fine", of("StatusCode")),
        ({"Z": 1}, POINT),
        ("x", POINT),
        ({"X": "a"}, POINT),
        ({"txt": "a"}, of("LocalizedText")),
        (10**400, of("Double")),
    ],
)
def test_what_cannot_be(form: Any, type: ValueType) -> None:
    with pytest.raises(ConfigurationError) as caught:
        from_json(form, type)
    assert caught.value.mend


@given(st.integers(-(2**63) + 1, 2**63 - 1))
def test_every_time_comes_back(time: int) -> None:
    text = time_to_json(time)
    assert text is not None
    assert text.endswith("Z")
    assert time_from_json(text) == time


def test_no_time_is_null() -> None:
    assert time_to_json(None) is None
    assert time_to_json(NO_TIME) is None


@pytest.mark.parametrize("builtin", INTEGER_RANGES)
@given(data=st.data())
def test_every_integer_comes_back(builtin: BuiltinType, data: st.DataObject) -> None:
    value = data.draw(st.integers(*INTEGER_RANGES[builtin]))
    type = of(builtin.name)
    form = json.loads(json.dumps(to_json(StatusCode(value) if builtin is BuiltinType.StatusCode else value, type)))
    if builtin is not BuiltinType.StatusCode:
        assert check(from_json(form, type), type) == value


@given(st.floats(allow_nan=False))
def test_every_double_comes_back(value: float) -> None:
    assert from_json(json.loads(json.dumps(to_json(value, of("Double")), allow_nan=False)), of("Double")) == value


SIGNAL = Signal("Status/Speed", "nsu=urn:a;s=Speed", of("Double"), Access.READ_WRITE, Unit("MTS", "m/s"), Range(0, 10))
SKILL = Skill(
    "Fill",
    "packml",
    frozenset({JobVerb.STOP, JobVerb.START}),
    JobIdentity.INFERABLE,
    capability=Capability("urn:x", (PropertyConstraint("speed", 1.0, 2.0, unit="MTS"),)),
)
MACHINE = Machine(
    "filler", "opc.tcp://a:1", "urn:f", "Filler", ("packml",), Identification("DTI"), (SIGNAL,), (SKILL,), ("a note",)
)


def test_machine_has_exactly_the_keys_of_describe() -> None:
    shown = machine_to_json(MACHINE, {"Status/Speed": DataValue(2.5)}, {"packml": "Idle", "unit_mode": None})
    assert list(shown) == [
        "name", "endpoint", "profiles", "identification", "state", "signals", "skills", "notes",
    ]  # fmt: skip
    assert shown["state"] == {"packml": "Idle", "unit_mode": None}
    assert shown["identification"]["manufacturer"] == "DTI"
    assert shown["signals"] == [
        {
            "path": "Status/Speed",
            "address": "nsu=urn:a;s=Speed",
            "data_type": "Double",
            "unit": {"code": "MTS", "symbol": "m/s"},
            "range": [0.0, 10.0],
            "access": "read-write",
            "value": 2.5,
            "status": "Good",
        }
    ]
    assert shown["skills"] == [
        {
            "path": "Fill",
            "capability": {
                "iri": "urn:x",
                "properties": [{"name": "speed", "low": 1.0, "high": 2.0, "values": None, "unit": "MTS"}],
            },
            "parameters": {"type": "object"},
            "results": {"type": "object"},
            "verbs": ["start", "stop"],
            "binding": "packml",
            "identity": "inferable",
            "on_owner_lost": "hold",
        }
    ]
    json.dumps(shown, allow_nan=False)


def test_a_value_nobody_read_is_null_and_not_good() -> None:
    shown = machine_to_json(MACHINE, {}, None)
    assert shown["state"] is None
    assert (shown["signals"][0]["value"], shown["signals"][0]["status"]) == (None, "BadWaitingForInitialData")


def test_a_line_of_watch() -> None:
    assert reading_to_json("filler", SIGNAL, DataValue(None, 0x80310000, None, 5, 10)) == {
        "machine": "filler",
        "signal": "Status/Speed",
        "value": None,
        "status": "BadNoCommunication",
        "source_time": None,
        "server_time": "1970-01-01T00:00:00.000000005Z",
        "receive_time": "1970-01-01T00:00:00.00000001Z",
    }


def test_a_gap_in_watch() -> None:
    gap = Gap(GapCause.CONNECTION_LOST, None, 5_000_000_000, 1_000_000_000, None, None)
    assert gap_to_json("filler", "Speed", gap) == {
        "machine": "filler",
        "signal": "Speed",
        "gap": {"from": "1970-01-01T00:00:01Z", "to": "1970-01-01T00:00:05Z", "cause": "connection-lost", "count": None},
    }


def test_an_absent_optional_field_is_null_and_a_union_has_only_what_is_there() -> None:
    fields = (Field("A", of("Double"), optional=True), Field("B", of("Int64")), Field("C", of("String"), optional=True))
    type = ValueType(BuiltinType.ExtensionObject, "Part", fields=fields)
    shown = to_json(Record("Part", {"B": 5, "C": "c", "More": 1}), type)
    assert list(shown.items()) == [("A", None), ("B", "5"), ("C", "c"), ("More", 1)]
    assert from_json({"A": None, "B": "5"}, type) == Record("Part", {"A": None, "B": 5})
    assert to_json(Record("Part", {"B": 5}), replace(type, union=True)) == {"B": "5"}
