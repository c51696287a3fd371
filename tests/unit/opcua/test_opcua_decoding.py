"""Our decoding equals asyncua's, keeps what asyncua loses, and never believes a length."""

import random
import struct
import time

import pytest
from asyncua import ua
from asyncua.ua.ua_binary import struct_from_binary, struct_to_binary, variant_to_binary
from hypothesis import example, given, settings
from hypothesis import strategies as st
from opcua_values import data_values, in_model, nanoseconds, table, variants

from dtios.model.coercion import check
from dtios.model.datatypes import BuiltinType, ValueType
from dtios.model.status import BAD_DECODING_ERROR
from dtios.model.values import LATEST, NO_TIME, Record
from dtios.model.wire_time import time_to_json
from dtios.sdk.codec import pack_value, unpack_value
from dtios_opcua.binary.decoder import UNREADABLE, Decoder, reshape
from dtios_opcua.binary.notification import Columns, decode_notifications, read_header, read_message
from dtios_opcua.binary.wire import Reader, Undecodable, ns_from_ticks, ticks_from_ns, value_from_ticks

DATA_CHANGE = (0, 811)


def notification(values: list[ua.DataValue]) -> bytes:
    change = ua.DataChangeNotification()
    change.MonitoredItems = [ua.MonitoredItemNotification(7 + at, value) for at, value in enumerate(values)]
    return struct_to_binary(change)


def decode(body: bytes) -> Columns:
    return decode_notifications(Decoder(table()), [(DATA_CHANGE, body)])


@settings(max_examples=60, deadline=None)
@given(st.lists(data_values(), max_size=30))
def test_a_notification_decodes_as_asyncua_decodes_it(values):
    body = notification(values)
    theirs = struct_from_binary(ua.DataChangeNotification, ua.utils.Buffer(body)).MonitoredItems
    ours = decode(body)
    assert ours.handles == [one.ClientHandle for one in theirs]
    assert ours.statuses == [one.Value.StatusCode.value for one in theirs]
    for at, one in enumerate(theirs):
        value = one.Value
        bad = value.StatusCode.is_bad()
        assert ours.values[at] == (None if bad else in_model(value.Value.Value))
        assert ours.source_times[at] == (nanoseconds(value.SourceTimestamp) if value.SourceTimestamp else NO_TIME)
        assert ours.server_times[at] == (nanoseconds(value.ServerTimestamp) if value.ServerTimestamp else NO_TIME)


@given(variants())
def test_a_variant_decodes_with_its_own_python_type(variant):
    reader = Reader(variant_to_binary(variant))
    ours = Decoder(table()).variant(reader)
    expected = in_model(variant.Value)
    assert type(ours) is type(expected)
    assert reader.pos == reader.end


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from([1.5, 7, "text", True, None]), max_size=300))
def test_runs_of_every_length_keep_order(values):
    kinds = {float: ua.VariantType.Double, int: ua.VariantType.Int32, str: ua.VariantType.String, bool: ua.VariantType.Boolean}
    body = notification([ua.DataValue(ua.Variant(v, kinds.get(type(v), ua.VariantType.Null))) for v in values])
    columns = decode(body)
    assert columns.values == values
    assert columns.handles == list(range(7, 7 + len(values)))


@settings(max_examples=60, deadline=None)
@given(variants(), st.data())
def test_a_cut_message_is_undecodable(variant, data):
    body = notification([ua.DataValue(variant)])
    cut = data.draw(st.integers(0, len(body) - 5))  # the last four are DiagnosticInfos, which nobody asked for
    with pytest.raises(Undecodable):
        decode(body[:cut])


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200), st.binary(max_size=60))
@example(b"", b"\x01\x00\x00\x00" + bytes(4) + b"\x01" + b"\x98" * 50)
def test_any_bytes_either_decode_or_are_undecodable(whole, body):
    for attempt in (lambda: decode(body), lambda: read_message(Reader(whole)), lambda: read_header(Reader(whole))):
        try:
            attempt()
        except Undecodable:
            continue


def test_damaged_messages_end_in_undecodable_or_a_value():
    chance = random.Random(5)
    values = [ua.DataValue(ua.Variant(one)) for one in (1.0, "text", [1, 2, 3], ua.Range(1, 2), ua.LocalizedText("x", "en"))]
    good = notification(values)
    for _ in range(3000):
        body = bytearray(good)
        for _ in range(chance.randint(1, 4)):
            body[chance.randrange(len(body))] = chance.randrange(256)
        try:
            decode(bytes(body))
        except Undecodable:
            continue


@pytest.mark.parametrize("kind", [1, 11, 12, 13, 15, 17, 22, 24])
def test_an_announced_length_is_never_allocated(kind):
    started = time.perf_counter()
    with pytest.raises(Undecodable):
        Decoder(table()).variant(Reader(bytes((kind | 0x80,)) + struct.pack("<i", 2**31 - 1) + b"\0" * 64))
    with pytest.raises(Undecodable):
        Reader(struct.pack("<i", 2**31 - 1)).byte_string()
    assert time.perf_counter() - started < 0.5


def test_variants_nested_without_end_are_undecodable():
    with pytest.raises(Undecodable, match="deep"):
        Decoder(table()).variant(Reader(b"\x98\x01\x00\x00\x00" * 1000))


# --- what asyncua loses or stumbles over ---


def test_picoseconds_stand_behind_their_own_time():
    """Part 6, 5.2.2.17; asyncua expects both of them at the end."""
    ticks = ticks_from_ns(1_700_000_000_000_000_000)
    item = struct.pack("<IBBdqHqH", 5, 0x3D, 11, 1.5, ticks, 1234, ticks + 1, 99)
    columns = decode(struct.pack("<i", 1) + item)
    assert columns.values == [1.5]
    assert columns.source_times == [1_700_000_000_000_000_000]
    assert columns.server_times == [1_700_000_000_000_000_100]


@given(st.integers(1, 2**63 - 1))
def test_a_date_time_keeps_its_100_ns(ticks):
    nanoseconds_ = ns_from_ticks(ticks)
    if -(2**63) + 1 < nanoseconds_ < 2**63 - 1:
        assert nanoseconds_ % 100 == 0
        assert ticks_from_ns(nanoseconds_) == ticks


@pytest.mark.parametrize(
    ("ticks", "shown"),
    [
        (1, "1601-01-01T00:00:00.0000001Z"),
        (2_650_467_743_989_999_999, "9999-12-31T23:59:58.9999999Z"),
        (2_650_467_743_990_000_000, "9999-12-31T23:59:59Z"),
        (2**63 - 1, "9999-12-31T23:59:59Z"),
    ],
)
def test_a_date_time_as_a_value_goes_from_1601_to_9999(ticks: int, shown: str):
    value = value_from_ticks(ticks)
    assert time_to_json(value) == shown
    assert unpack_value(1, memoryview(pack_value(value).data)) == value
    assert ticks_from_ns(value) == (ticks if shown < "9999-12-31T23:59:59Z" else 2**63 - 1)
    assert check(value, ValueType(BuiltinType.DateTime)) == value


def test_no_time_and_the_end_of_time():
    assert value_from_ticks(0) is None
    assert ns_from_ticks(0) == NO_TIME
    assert ns_from_ticks(2**63 - 1) == 2**63 - 1
    assert ticks_from_ns(LATEST) == 2**63 - 1
    assert Decoder(table()).variant(Reader(b"\x0d" + bytes(8))) is None


@pytest.mark.parametrize(
    ("flat", "dimensions", "nested"),
    [
        ([1, 2, 3, 4, 5, 6], [2, 3], [[1, 2, 3], [4, 5, 6]]),
        (list(range(8)), [2, 2, 2], [[[0, 1], [2, 3]], [[4, 5], [6, 7]]]),
        ([], [0, 0], []),
        ([], [2, 0], [[], []]),
        ([], [0], []),
        ([], [2**31 - 1, 2**31 - 1, 0], []),
        ([1, 2], [2, 0], UNREADABLE),
        ([1, 2, 3], [2, 2], UNREADABLE),
        ([1], [-1], UNREADABLE),
    ],
)
def test_matrices_with_any_dimension_empty(flat, dimensions, nested):
    result = reshape(Reader(b""), flat, dimensions)
    assert result is nested if nested is UNREADABLE else result == nested


def test_one_contradicting_matrix_leaves_its_neighbours_alone():
    item = struct.pack("<I", 5) + b"\x01" + b"\xc6" + struct.pack("<i2i", 2, 10, 20) + struct.pack("<i2i", 2, 3, 3)
    plain = struct.pack("<I", 6) + b"\x01\x0b" + struct.pack("<d", 2.5)
    columns = decode(struct.pack("<i", 3) + plain + item + plain)
    assert columns.values == [2.5, None, 2.5]
    assert columns.statuses == [0, BAD_DECODING_ERROR, 0]


def test_a_structure_nobody_defined_keeps_its_bytes():
    unknown = ua.ExtensionObject(TypeId=ua.NodeId(4711, 2), Body=b"\x01\x02\x03")
    types = table()
    value = Decoder(types).variant(Reader(variant_to_binary(ua.Variant(unknown, ua.VariantType.ExtensionObject))))
    assert value == Record("nsu=urn:b;i=4711", {"Body": b"\x01\x02\x03"})
    assert types.missing == {(2, 4711)}


def test_a_structure_that_does_not_fit_its_definition_keeps_its_bytes():
    cut = ua.ExtensionObject(TypeId=ua.NodeId(ua.ObjectIds.Range_Encoding_DefaultBinary), Body=b"\x01\x02\x03")
    value = Decoder(table()).variant(Reader(variant_to_binary(ua.Variant(cut, ua.VariantType.ExtensionObject))))
    assert value.fields == {"Body": b"\x01\x02\x03"}


def test_structures_of_the_standard_need_no_server():
    argument = ua.Argument(Name="a", DataType=ua.NodeId(11), ValueRank=1, ArrayDimensions=[3], Description=ua.LocalizedText("d"))
    value = Decoder(table()).variant(Reader(variant_to_binary(ua.Variant([argument, argument]))))
    assert [one["Name"] for one in value] == ["a", "a"]
    assert value[0]["ArrayDimensions"] == [3]
    assert value[0]["DataType"] == "i=11"


def test_a_double_costs_at_most_three_microseconds():
    moment = ua.get_win_epoch().replace(year=2024)
    body = notification(
        [ua.DataValue(ua.Variant(float(n), ua.VariantType.Double), ua.StatusCode(0), moment, moment) for n in range(2000)]
    )
    decoder = Decoder(table())
    costs = []
    for _ in range(15):
        started = time.process_time()
        decode_notifications(decoder, [(DATA_CHANGE, body)])
        costs.append(time.process_time() - started)
    assert min(costs) / 2000 < 3e-6


def test_structures_that_asyncua_does_not_register_are_known_all_the_same():
    """ISA95StateDataType holds a RelativePath: without it no job order's state could be read from a server like asyncua's."""
    path = ua.RelativePath([ua.RelativePathElement(ua.NodeId(47), False, True, ua.QualifiedName("Substates", 0))])
    layout = table().structure((0, 540))
    assert layout is not None
    record = Decoder(table()).fields(Reader(struct_to_binary(path)), layout)
    (element,) = record["Elements"]
    assert element["TargetName"].name == "Substates"
    assert element["IncludeSubtypes"] is True
