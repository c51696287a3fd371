"""Nothing is cut, wrapped or guessed before a write."""

import math
import struct
import uuid
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dtios.model.coercion import check
from dtios.model.datatypes import INTEGER_RANGES, BuiltinType, Field, ValueType
from dtios.model.errors import RefusedError
from dtios.model.values import DateTime, Enumerated, LocalizedText, NodeId, QualifiedName, Record

INTEGERS = [b for b in INTEGER_RANGES if b is not BuiltinType.StatusCode]
WIDTHS = {
    "SByte": "b", "Byte": "B", "Int16": "<h", "UInt16": "<H", "Int32": "<i", "UInt32": "<I", "Int64": "<q", "UInt64": "<Q",
}  # fmt: skip
COLOUR = ValueType(BuiltinType.Int32, "Colour", members=((0, "Red"), (2, "Blue")))
POINT = ValueType(
    BuiltinType.ExtensionObject,
    "Point",
    fields=(
        Field("X", ValueType(BuiltinType.Float)),
        Field("Count", ValueType(BuiltinType.Byte)),
        Field("Note", ValueType(BuiltinType.String), optional=True),
    ),
)


def of(name: str, **more: Any) -> ValueType:
    return ValueType(BuiltinType[name], name, **more)


@pytest.mark.parametrize("builtin", INTEGERS)
@given(value=st.integers(-(2**70), 2**70))
def test_an_integer_fits_exactly_when_its_wire_form_holds_it(builtin: BuiltinType, value: int) -> None:
    try:
        struct.pack(WIDTHS[builtin.name], value)
        fits = True
    except struct.error:
        fits = False
    if fits:
        assert check(value, of(builtin.name)) == value
    else:
        with pytest.raises(RefusedError, match="does not fit"):
            check(value, of(builtin.name))


@pytest.mark.parametrize("builtin", INTEGERS)
def test_integer_limits(builtin: BuiltinType) -> None:
    low, high = INTEGER_RANGES[builtin]
    assert (check(low, of(builtin.name)), check(high, of(builtin.name))) == (low, high)
    for beyond in (low - 1, high + 1):
        with pytest.raises(RefusedError, match=f"{low} and {high}"):
            check(beyond, of(builtin.name), "press Force")


@given(st.floats())
def test_a_double_is_finite_or_refused(value: float) -> None:
    if math.isfinite(value):
        assert check(value, of("Double")) == value
    else:
        with pytest.raises(RefusedError):
            check(value, of("Double"))


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_never_overflows_to_infinity(value: float) -> None:
    try:
        wire = struct.unpack("<f", struct.pack("<f", value))[0]
    except OverflowError:
        with pytest.raises(RefusedError, match="Float"):
            check(value, of("Float"))
    else:
        assert check(value, of("Float")) == value
        assert math.isfinite(wire)


@pytest.mark.parametrize(
    ("value", "type"),
    [
        (1.5, of("Int32")),
        (math.nan, of("Int32")),
        (math.inf, of("UInt64")),
        (True, of("Int32")),
        (1, of("Boolean")),
        ("1", of("Int32")),
        ("1", of("Double")),
        (True, of("Double")),
        (10**400, of("Double")),
        (1, of("String")),
        (b"x", of("String")),
        ("x", of("ByteString")),
        (None, of("Int32")),
        (None, of("Double")),
        ("2026", of("DateTime")),
        (253_402_300_799 * 10**9 + 1, of("DateTime")),
        (1, COLOUR),
        ("Red", COLOUR),
        ([1], of("Int32")),
        (1, of("Int32", rank=1)),
        ([1, 2, 3], of("Int32", rank=1, dimensions=(2,))),
        ([[1, 2], [3]], of("Int32", rank=2)),
        ([1, 2], of("Int32", rank=2)),
        ([1, [2]], of("Int32", rank=0)),
        ([300], of("Byte", rank=1)),
        ([math.nan], of("Double", rank=1)),
        (math.nan, of("Variant")),
        ({"X": 1.0, "Count": 1}, POINT),
        (Record("Point", {"X": 1.0}), POINT),
        (Record("Point", {"X": 1.0, "Count": 256}), POINT),
        (Record("Point", {"X": 1.0, "Count": 1, "Y": 2}), POINT),
        (Record("Line", {"X": 1.0, "Count": 1}), POINT),
        (0, of("DiagnosticInfo")),
        (4, ValueType(BuiltinType.Byte, "Flags", members=((0, "A"), (1, "B")), option_set=True)),
    ],
)
def test_refused(value: Any, type: ValueType) -> None:
    with pytest.raises(RefusedError) as caught:
        check(value, type, "press X")
    assert caught.value.mend
    assert caught.value.where.startswith("press X")


@pytest.mark.parametrize(
    ("value", "type", "wire"),
    [
        (3.0, of("Int32"), 3),
        (3, of("Double"), 3.0),
        (2, COLOUR, 2),
        (Enumerated(2, "Blue"), COLOUR, 2),
        ("a", of("String"), "a"),
        (None, of("String"), None),
        ([], of("Int32", rank=1), []),
        ([[1, 2], [3, 4]], of("Int32", rank=2), [[1, 2], [3, 4]]),
        ([[]], of("Int32", rank=2), [[]]),
        (5, of("Int32", rank=-3), 5),
        ([5], of("Int32", rank=-3), [5]),
        (LocalizedText("a", "en"), of("LocalizedText"), LocalizedText("a", "en")),
        ([LocalizedText("a")], of("LocalizedText", rank=1), [LocalizedText("a")]),
        (QualifiedName("u", "n"), of("QualifiedName"), QualifiedName("u", "n")),
        (DateTime(5), of("DateTime"), DateTime(5)),
        (NodeId("i=1"), of("NodeId"), NodeId("i=1")),
        (uuid.UUID(int=1), of("Guid"), uuid.UUID(int=1)),
        (Record("Point", {"X": 1, "Count": 1}), POINT, Record("Point", {"X": 1.0, "Count": 1})),
        (3, ValueType(BuiltinType.Byte, "Flags", members=((0, "A"), (1, "B")), option_set=True), 3),
    ],
)
def test_taken(value: Any, type: ValueType, wire: Any) -> None:
    found = check(value, type)
    assert found == wire
    assert type.builtin not in (BuiltinType.Double, BuiltinType.Float) or isinstance(found, float)


def test_the_place_inside_a_structure_is_named() -> None:
    nested = replace(POINT, name="Path", fields=(Field("Points", replace(POINT, rank=1)),))
    value = Record("Path", {"Points": [Record("Point", {"X": 1.0, "Count": 1}), Record("Point", {"X": 1.0, "Count": -1})]})
    with pytest.raises(RefusedError) as caught:
        check(value, nested, "robot Path")
    assert caught.value.where == "robot Path/Points[1]/Count"


def test_a_union_holds_one_field() -> None:
    union = replace(POINT, union=True)
    assert check(Record("Point", {"X": 1.0}), union) == Record("Point", {"X": 1.0})
    with pytest.raises(RefusedError, match="one field"):
        check(Record("Point", {"X": 1.0, "Count": 1}), union)


def test_null_says_that_an_optional_field_is_absent() -> None:
    given = Record("Point", {"X": 1.0, "Count": 1, "Note": None})
    assert check(given, POINT) == Record("Point", {"X": 1.0, "Count": 1})
    with pytest.raises(RefusedError, match="does not fit"):
        check(Record("Point", {"X": None, "Count": 1}), POINT)
