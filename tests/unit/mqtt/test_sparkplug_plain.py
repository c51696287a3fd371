"""Data that is read into columns: it tells what is told metric by metric, or is not read so at all."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dtios.model.values import NO_TIME
from dtios_mqtt.image import Reading
from dtios_mqtt.sparkplug.decoding import decode
from dtios_mqtt.sparkplug.edge import EdgeNode
from dtios_mqtt.sparkplug.encoding import encode
from dtios_mqtt.sparkplug.metric import Metric, Payload
from dtios_mqtt.sparkplug.plain import plain
from dtios_mqtt.sparkplug.schema import PayloadMessage
from dtios_mqtt.sparkplug.values import readings

MS = 1_700_000_000_000
ABOVE = "spb:Plant/Edge/Press/"
TYPES = (*range(1, 16), 17)


def edge() -> EdgeNode:
    made = EdgeNode()
    made.birth("", [Metric("bdSeq", None, MS, 4, 0)])
    made.birth("Press", [Metric(f"m{datatype}", datatype - 1, MS, datatype) for datatype in TYPES])
    return made


def one_by_one(known: EdgeNode, data: bytes) -> list[Reading]:
    payload = decode(data)
    resolved = [known.resolve("Press", metric) for metric in payload.metrics]
    return [row for name, metric in resolved for row in readings(metric, ABOVE + name, payload.timestamp)]


def in_columns(known: EdgeNode, data: bytes) -> list[Reading] | None:
    found = plain(data)
    told = None if found is None else known.parts["Press"].slots(ABOVE).columns(found.message)
    return None if told is None else list(zip(*told, strict=True))


@pytest.mark.parametrize(
    ("datatype", "value"),
    [(1, -1), (2, -(2**15)), (3, -7), (4, -(2**63)), (4, 2**63 - 1), (5, 255), (6, 0), (7, 2**32 - 1), (8, 2**64 - 1), (9, 0.5),
     (10, 0.0), (11, False), (12, ""), (14, "text")],
)  # fmt: skip
@pytest.mark.parametrize("by_alias", [True, False])
def test_scalars_are_read_into_columns(datatype: int, value: Any, by_alias: bool) -> None:
    metric = Metric("" if by_alias else f"m{datatype}", datatype - 1 if by_alias else None, MS + 1, datatype, value)
    data = encode(Payload(MS, 3, [metric, Metric("m10", None, None, 10, 1.5)]))
    told = in_columns(edge(), data)
    assert told == [(f"{ABOVE}m{datatype}", value, 0, (MS + 1) * 10**6), (f"{ABOVE}m10", 1.5, 0, MS * 10**6)]
    assert told == one_by_one(edge(), data)
    assert (found := plain(data)) is not None
    assert found.seq == 3


@pytest.mark.parametrize(
    "metric",
    [
        Metric("m10", None, MS, 10, None, is_null=True),
        Metric("m10", None, MS, 10, 1.5, is_historical=True),
        Metric("m10", None, MS, 10, 1.5, properties={"Quality": 0}),
        Metric("m13", None, MS, 13, MS),
        Metric("m17", None, MS, 17, b"\0"),
        Metric("m10", None, MS, 3, 1),
        Metric("unheard", None, MS, 10, 1.5),
        Metric("", 99, MS, 10, 1.5),
        Metric("", None, MS, 1, 1),
    ],
)
def test_what_is_more_or_other_goes_metric_by_metric(metric: Metric) -> None:
    assert in_columns(edge(), encode(Payload(MS, 3, [Metric("m9", None, MS, 9, 0.5), metric]))) is None


def test_a_device_that_is_offline_has_no_columns() -> None:
    known = edge()
    data = encode(Payload(MS, 3, [Metric("m10", None, MS, 10, 1.5)]))
    assert in_columns(known, data) is not None
    list(known.death(None))
    assert in_columns(known, data) is None


def test_a_new_birth_gives_an_alias_another_meaning() -> None:
    known = edge()
    data = encode(Payload(MS, 3, [Metric("", 9, MS, 10, 1.5)]))
    assert in_columns(known, data) == [(f"{ABOVE}m10", 1.5, 0, MS * 10**6)]
    known.birth("Press", [Metric("other", 9, MS, 10)])
    assert in_columns(known, data) == [(f"{ABOVE}other", 1.5, 0, MS * 10**6)]


def test_what_is_no_time_is_none() -> None:
    data = encode(Payload(None, 3, [Metric("m10", None, 2**63, 10, 1.5), Metric("m9", None, None, 9, 0.5)]))
    assert in_columns(edge(), data) == [(f"{ABOVE}m10", 1.5, 0, NO_TIME), (f"{ABOVE}m9", 0.5, 0, NO_TIME)]


_VALUES = st.one_of(
    st.tuples(st.just("int_value"), st.integers(0, 2**32 - 1)),
    st.tuples(st.just("long_value"), st.integers(0, 2**64 - 1)),
    st.tuples(st.just("double_value"), st.floats(allow_nan=False)),
    st.tuples(st.just("float_value"), st.floats(allow_nan=False, width=32)),
    st.tuples(st.just("boolean_value"), st.booleans()),
    st.tuples(st.just("string_value"), st.text(max_size=5)),
)
_USUAL = {9: "float_value", 10: "double_value", 11: "boolean_value", 12: "string_value", 14: "string_value", 15: "string_value"}


@st.composite
def _metrics(draw: st.DrawFn) -> dict[str, Any]:
    number = draw(st.sampled_from(TYPES))
    made: dict[str, Any] = draw(
        st.sampled_from([{"name": f"m{number}"}, {"alias": number - 1}, {"name": f"m{number}", "alias": 0}])
    )
    made |= draw(st.sampled_from([{"datatype": number}, {"datatype": number}, {}, {"datatype": 10}]))
    made |= draw(st.sampled_from([{"timestamp": MS}, {"timestamp": MS}, {"timestamp": 0}, {"timestamp": 2**50}, {}]))
    made |= draw(st.sampled_from([{}, {}, {}, {"is_null": True}, {"is_historical": False}, {"is_transient": True}]))
    field, value = draw(_VALUES.filter(lambda one: one[0] == _USUAL.get(number, one[0])) | _VALUES)
    return made | draw(st.sampled_from([{field: value}, {field: value}, {field: value}, {}]))


@settings(max_examples=400, deadline=None)
@given(st.lists(_metrics(), max_size=4), st.sampled_from([{"timestamp": MS}, {"timestamp": 0}, {}]))
def test_both_ways_tell_the_same(metrics: list[dict[str, Any]], head: dict[str, int]) -> None:
    message = PayloadMessage(seq=1, **head)
    for metric in metrics:
        message.metrics.add(**metric)
    data = message.SerializeToString()
    told = in_columns(edge(), data)
    if told is not None:
        expected = one_by_one(edge(), data)
        assert told == expected
        assert [type(row[1]) for row in told] == [type(row[1]) for row in expected]


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_mutated_data_never_raises(data: st.DataObject) -> None:
    raw = bytearray(encode(Payload(MS, 3, [Metric("", n, MS, n + 1, 1) for n in range(8)] + [Metric("m12", None, MS, 12, "ü")])))
    for at in data.draw(st.lists(st.integers(0, len(raw) - 1), min_size=1, max_size=4)):
        raw[at] = data.draw(st.integers(0, 255))
    told = in_columns(edge(), bytes(raw))
    assert told is None or told == one_by_one(edge(), bytes(raw))
