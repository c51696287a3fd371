"""What is written has exactly the type asked for; what does not fit is refused before anything is sent."""

import math

import pytest
from asyncua import ua
from asyncua.ua.ua_binary import variant_from_binary
from hypothesis import given
from hypothesis import strategies as st
from opcua_values import SCALARS, in_model, table

from dtios.model.datatypes import INTEGER_RANGES, BuiltinType, ValueType
from dtios.model.values import DateTime, LocalizedText, NodeId, QualifiedName, Record, XmlElement
from dtios.sdk.errors import ConfigurationError, RefusedError
from dtios_opcua.binary.decoder import Decoder
from dtios_opcua.binary.encoder import Encoder
from dtios_opcua.binary.typetable import DataTypeInfo, StructureField, StructureInfo
from dtios_opcua.binary.wire import Reader

B = BuiltinType


def encoded(value, type_, types=None) -> bytes:
    return Encoder(types or table()).variant(value, type_, "here")


def there_and_back(value, type_, types):
    return Decoder(types).variant(Reader(encoded(value, type_, types)))


@given(st.data())
def test_what_was_decoded_is_encoded_the_same(data):
    kind = data.draw(st.sampled_from(list(SCALARS)))
    value = in_model(data.draw(SCALARS[kind]))
    theirs = variant_from_binary(ua.utils.Buffer(encoded(value, ValueType(B(kind.value)))))
    assert theirs.VariantType == kind
    assert in_model(theirs.Value) == value


@given(st.data())
def test_arrays_too(data):
    kind = data.draw(st.sampled_from(list(SCALARS)))
    values = in_model(data.draw(st.lists(SCALARS[kind], max_size=4)))
    theirs = variant_from_binary(ua.utils.Buffer(encoded(values, ValueType(B(kind.value), rank=1))))
    assert in_model(theirs.Value) == values
    assert theirs.is_array


@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 3))
def test_matrices_too(a, b, c):
    value = [[[x * y * z for z in range(c)] for y in range(b)] for x in range(a)]
    assert there_and_back(value, ValueType(B.Int16, rank=3), table()) == value


@pytest.mark.parametrize("builtin", list(INTEGER_RANGES))
def test_integers_out_of_range_are_refused(builtin):
    low, high = INTEGER_RANGES[builtin]
    for value in (low - 1, high + 1):
        with pytest.raises(RefusedError, match=f"give {low} to {high}"):
            encoded(value, ValueType(builtin))
    assert encoded(high, ValueType(builtin))
    assert encoded(low, ValueType(builtin))


@pytest.mark.parametrize(
    ("value", "type_"),
    [
        (True, ValueType(B.Int32)),
        (1.0, ValueType(B.Int32)),
        ("1", ValueType(B.Int32)),
        (1, ValueType(B.Boolean)),
        ("1.0", ValueType(B.Double)),
        (True, ValueType(B.Double)),
        (1, ValueType(B.String)),
        (None, ValueType(B.Double)),
        ([1], ValueType(B.Int32)),
        (1, ValueType(B.Int32, rank=1)),
        ([[1]], ValueType(B.Int32, rank=1)),
        ([1], ValueType(B.Int32, rank=2)),
        ([[1, 2], [3]], ValueType(B.Int32, rank=2)),
        ("text", ValueType(B.ByteString)),
        ("text", ValueType(B.Guid)),
        ("text", ValueType(B.NodeId)),
        (NodeId("nsu=urn:gone;i=1"), ValueType(B.NodeId)),
        (QualifiedName("urn:gone", "x"), ValueType(B.QualifiedName)),
        (object(), ValueType(B.Variant)),
    ],
)
def test_the_wrong_type_is_said_before_anything_is_sent(value, type_):
    with pytest.raises(ConfigurationError):
        encoded(value, type_)


def test_a_float_that_does_not_fit_is_refused():
    with pytest.raises(RefusedError):
        encoded(1e300, ValueType(B.Float))
    with pytest.raises(RefusedError):
        encoded(10**400, ValueType(B.Double))
    assert math.isinf(there_and_back(math.inf, ValueType(B.Float), table()))


def test_an_enumeration_takes_its_members_only():
    type_ = ValueType(B.Int32, "Color", members=((0, "Red"), (5, "Green")))
    assert there_and_back(5, type_, table()) == 5
    with pytest.raises(RefusedError, match="0 Red, 5 Green"):
        encoded(1, type_)


@pytest.mark.parametrize(
    "value",
    [
        None, True, 5, 2.5, "text", b"bytes", DateTime(1_700_000_000_123_456_700), NodeId("nsu=urn:a;s=x"),
        QualifiedName("urn:b", "n"), LocalizedText("t", "de"), XmlElement("<a/>"), [1, 2], [[1.0], [2.0]], ["a", 1, None], [],
    ],
)  # fmt: skip
def test_a_point_of_any_type_takes_any_value(value):
    back = there_and_back(value, ValueType(B.Variant, rank=-2), table())
    assert back == value
    assert type(back) is type(value)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (5, B.Int32), (-(2**31), B.Int32), (2**31, B.Int64), (2**63, B.UInt64), ([1, 2**40], 0x80 | B.Int64),
        ([1, 2], 0x80 | B.Int32), ([-1, 2**63], 0x80 | B.Variant), (True, B.Boolean), ([1, True], 0x80 | B.Variant),
    ],
)  # fmt: skip
def test_a_whole_number_for_a_point_of_any_type_is_as_narrow_as_machines_expect(value, kind):
    assert encoded(value, ValueType(B.Variant, rank=-2))[0] == kind
    assert there_and_back(value, ValueType(B.Variant, rank=-2), table()) == value


# --- structures ---


def structures():
    types = table()

    def define(number, name, fields, **flags):
        info = DataTypeInfo((1, number), name, (0, 22), structure=StructureInfo(fields, **flags))
        types.add(info)
        types.set_encoding((1, number + 1000), info)

    define(1, "Point", [StructureField("X", (0, 11)), StructureField("T", (0, 13))])
    define(
        2,
        "Path",
        [
            StructureField("Points", (1, 1), rank=1),
            StructureField("Name", (0, 12), optional=True),
            StructureField("Weights", (0, 10), rank=2),
            StructureField("Any", (0, 24)),
        ],
        masked=True,
    )
    define(3, "Either", [StructureField("Number", (0, 6)), StructureField("Where", (1, 1))], union=True)
    return types


POINT = Record("Point", {"X": 1.5, "T": DateTime(1_700_000_000_000_000_100)})
PATH = {"Points": [POINT, POINT], "Name": "n", "Weights": [[1.0, 2.0]], "Any": "x"}


def test_structures_come_back_as_they_were():
    types = structures()
    for name, fields in (
        ("Path", PATH),
        ("Path", {key: value for key, value in PATH.items() if key != "Name"}),
        ("Path", {**PATH, "Weights": [], "Points": []}),
        ("Either", {"Number": 5}),
        ("Either", {"Where": POINT}),
        ("Either", {}),
    ):
        key = {"Path": (1, 2), "Either": (1, 3)}[name]
        record = Record(name, fields)
        assert there_and_back(record, types.value_type(key), types) == record
        assert there_and_back([record], types.value_type(key, 1), types) == [record]


@pytest.mark.parametrize(
    ("fields", "error", "words"),
    [
        ({**PATH, "Weights": None, "Extra": 1}, ConfigurationError, "no field 'Extra'"),
        ({key: value for key, value in PATH.items() if key != "Points"}, ConfigurationError, "'Points' of Path is missing"),
        ({**PATH, "Points": [Record("Point", {"X": 1.0})]}, ConfigurationError, "'T' of Point is missing"),
        ({**PATH, "Points": [{"X": "one", "T": 0}]}, ConfigurationError, "'one' is not a Double"),
        ({**PATH, "Points": POINT}, ConfigurationError, "is not a Point"),
        ({**PATH, "Weights": [[1e300]]}, RefusedError, "does not fit Float"),
        ({**PATH, "Name": 5}, ConfigurationError, "5 is not a String"),
    ],
)
def test_a_structure_that_is_not_whole_is_refused(fields, error, words):
    types = structures()
    with pytest.raises(error, match=words):
        encoded(Record("Path", fields), types.value_type((1, 2)), types)


def test_a_union_takes_one_field():
    types = structures()
    with pytest.raises(ConfigurationError, match="one field"):
        encoded({"Number": 1, "Where": POINT}, types.value_type((1, 3)), types)


def test_another_structure_is_refused_and_an_abstract_place_takes_it():
    types = structures()
    with pytest.raises(ConfigurationError, match="Path is not a Point"):
        encoded(Record("Path", PATH), types.value_type((1, 1)), types)
    assert there_and_back(POINT, types.value_type((0, 22)), types) == POINT


def test_a_structure_nobody_defined_goes_back_as_its_bytes():
    types = structures()
    raw = Record("nsu=urn:b;i=4711", {"Body": b"\x01\x02"})
    assert there_and_back(raw, types.value_type((0, 22)), types) == raw
