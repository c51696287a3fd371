"""Sparkplug payloads: there and back, and whatever else comes."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dtios_mqtt.sparkplug.datatypes import ARRAYS, INTEGERS
from dtios_mqtt.sparkplug.decoding import Malformed, decode
from dtios_mqtt.sparkplug.encoding import encode
from dtios_mqtt.sparkplug.metric import DataSet, Metric, Payload, Template

VALUES: list[tuple[int, Any]] = [
    *((number, (1 << bits - 1) - 1 if signed else (1 << bits) - 1) for number, (bits, signed) in INTEGERS.items()),
    *((number, -(1 << bits - 1)) for number, (bits, signed) in INTEGERS.items() if signed),
    (9, 0.5), (10, 1e300), (11, True), (11, False), (12, "Größe"), (12, ""), (13, 1_700_000_000_123), (14, "text"),
    (17, b"\0\xff"),
    *((number, [1, 0, 1]) for number, (_, form) in ARRAYS.items() if form and form not in "fd"),
    (22, [-128, 127]), (25, [-(2**63)]), (30, [0.5]), (31, [1e-300]), (32, [True, False] * 9), (33, ["a", "", "ü"]), (33, []),
]  # fmt: skip


@pytest.mark.parametrize(("datatype", "value"), VALUES)
def test_every_type_goes_there_and_back(datatype: int, value: Any) -> None:
    sent = Payload(5, 255, [Metric("a/b", 7, 6, datatype, value, properties={"engUnit": "mm", "low": 1, "more": {"x": None}})])
    got = decode(encode(sent))
    assert got == sent
    assert type(got.metrics[0].value) is type(value)


def test_null_data_sets_and_templates() -> None:
    table = DataSet(("n", "s"), (3, 12), [(-1, "a"), (2, "b")])
    inner = Template("Motor", "1", False, [Metric("speed", datatype=10, value=1.5)], {"maker": "us", "poles": 4})
    sent = Payload(
        1, 0, [Metric("none", datatype=3, is_null=True), Metric("t", datatype=16, value=table), Metric("m", 3, None, 19, inner)]
    )
    assert decode(encode(sent)) == sent


def test_zero_is_a_value_and_missing_is_none() -> None:
    got = decode(encode(Payload(None, None, [Metric(alias=0, datatype=3, value=0)])))
    assert (got.seq, got.timestamp, got.metrics[0].alias, got.metrics[0].value) == (None, None, 0, 0)


@pytest.mark.parametrize(("datatype", "value"), [(1, 128), (5, -1), (7, 2**32), (26, [256])])
def test_a_value_that_does_not_fit_is_not_sent(datatype: int, value: Any) -> None:
    with pytest.raises(ValueError, match=r"\d"):
        encode(Payload(1, 1, [Metric("a", datatype=datatype, value=value)]))


@pytest.mark.parametrize(
    "wrong",
    [
        Metric("a", datatype=23, value=b"\1"),
        Metric("a", datatype=32, value=b"\xff\xff\xff\xff\1"),
        Metric("a", datatype=32, value=b"\1"),
        Metric("a", datatype=33, value=b"no end"),
        Metric("a", datatype=16, value=DataSet(("one",), (3, 3))),
    ],
)
def test_what_contradicts_itself_is_malformed(wrong: Metric) -> None:
    with pytest.raises(Malformed):
        decode(encode(Payload(1, 1, [wrong])))


def test_endless_nesting_is_malformed() -> None:
    metric = Metric("leaf", datatype=3, value=1)
    for _ in range(40):
        metric = Metric("t", datatype=19, value=Template(metrics=[metric]))
    with pytest.raises(Malformed):
        decode(encode(Payload(1, 1, [metric])))


@given(st.binary(max_size=400))
@settings(max_examples=500, deadline=None)
def test_any_bytes_are_a_payload_or_malformed(data: bytes) -> None:
    with suppress(Malformed):
        decode(data)
