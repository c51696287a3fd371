"""The simulated machine's own payloads, read and written by the adapter's: two implementations of one standard."""

import pytest

from dtios_mqtt.sparkplug.decoding import decode as adapter_decode
from dtios_mqtt.sparkplug.encoding import encode as adapter_encode
from dtios_mqtt.sparkplug.metric import Metric as AdapterMetric
from dtios_mqtt.sparkplug.metric import Payload
from dtios_packml.sparkplug.payload import Malformed, Metric, decode, encode

METRICS = [
    Metric("a/small", "Int32", -5),
    Metric("a/wide", "Int64", -(2**60)),
    Metric("a/count", "UInt32", 4_000_000_000),
    Metric("a/float", "Float", 1.5),
    Metric("a/double", "Double", 21.25, {"engUnit": ("String", "CEL"), "engLow": ("Double", 0.0), "readOnly": ("Boolean", True)}),
    Metric("a/bool", "Boolean", False),
    Metric("a/text", "String", "Größe"),
    Metric("a/nothing", "Double", None),
]


def test_what_it_says_is_understood() -> None:
    read = adapter_decode(encode(METRICS, 1_700_000_000_123, 7))
    assert (read.timestamp, read.seq) == (1_700_000_000_123, 7)
    assert [(m.name, m.value) for m in read.metrics] == [(m.name, m.value) for m in METRICS]
    assert read.metrics[4].properties == {"engUnit": "CEL", "engLow": 0.0, "readOnly": True}
    assert [m.timestamp for m in read.metrics] == [1_700_000_000_123] * len(METRICS)
    assert adapter_decode(encode([], 1, None)).seq is None


def test_it_understands_commands() -> None:
    sent = [AdapterMetric(m.name, None, 1, 10, m.value) for m in METRICS[3:5]]
    sent += [AdapterMetric("n", None, 1, 7, 12), AdapterMetric("b", None, 1, 11, True), AdapterMetric("t", None, 1, 12, "x")]
    assert decode(adapter_encode(Payload(1, None, sent))) == [
        ("a/float", 1.5), ("a/double", 21.25), ("n", 12), ("b", True), ("t", "x"),
    ]  # fmt: skip


@pytest.mark.parametrize("data", [b"\x12\xff", b"\x12\x05ab", b"\xff" * 12, b"\x13", b"\x12\x03\x0a\x01\xff", b"\x0d\x01"])
def test_what_is_no_payload(data: bytes) -> None:
    with pytest.raises(Malformed):
        decode(data)
