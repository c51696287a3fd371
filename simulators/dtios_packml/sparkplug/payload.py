"""As much of Sparkplug B's payloads (3.0, chapter 6) as a plain device needs: scalars, and the protobuf wire by hand."""

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

__all__ = ["Malformed", "Metric", "decode", "encode"]

INT32, INT64, UINT32, UINT64, FLOAT, DOUBLE, BOOLEAN, STRING = 3, 4, 7, 8, 9, 10, 11, 12
TYPES: Final = {
    "Int32": INT32, "Int64": INT64, "UInt32": UINT32, "UInt64": UINT64, "Float": FLOAT, "Double": DOUBLE, "Boolean": BOOLEAN,
    "String": STRING,
}  # fmt: skip
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_FIELDS: Final = {
    INT32: (10, _VARINT), INT64: (11, _VARINT), UINT32: (11, _VARINT), UINT64: (11, _VARINT), FLOAT: (12, _FIXED32),
    DOUBLE: (13, _FIXED64), BOOLEAN: (14, _VARINT), STRING: (15, _LENGTH),
}  # fmt: skip
"""Type -> (field number in Metric, wire type). In PropertyValue the numbers are smaller by 7."""


class Malformed(ValueError):
    """These bytes are no payload."""


@dataclass(slots=True)
class Metric:
    """`type` is a key of TYPES; empty in data that leave it out."""

    name: str
    type: str
    value: Any
    properties: Mapping[str, tuple[str, Any]] = field(default_factory=dict)


# --- out ---------------------------------------------------------------------------------------------------------------------


def encode(metrics: Sequence[Metric], timestamp: int, seq: int | None) -> bytes:
    """`timestamp` in ms; an NDEATH has no `seq`."""
    made = bytearray(_number(1, timestamp))
    for metric in metrics:
        made += _bytes(2, _metric(metric, timestamp))
    return bytes(made) + (b"" if seq is None else _number(3, seq))


def _metric(metric: Metric, timestamp: int) -> bytes:
    type = TYPES[metric.type]
    made = _bytes(1, metric.name.encode()) + _number(3, timestamp) + _number(4, type)
    if metric.properties:
        keys = b"".join(_bytes(1, key.encode()) for key in metric.properties)
        values = b"".join(
            _bytes(2, _number(1, TYPES[kind]) + _value(TYPES[kind], value, 7)) for kind, value in metric.properties.values()
        )
        made += _bytes(9, keys + values)
    return made + (_number(7, 1) if metric.value is None else _value(type, metric.value, 0))


def _value(type: int, value: Any, down: int) -> bytes:
    number, wire = _FIELDS[type][0] - down, _FIELDS[type][1]
    if wire == _LENGTH:
        return _bytes(number, value.encode())
    if wire == _VARINT:
        return _number(number, int(value) & ((1 << 32) - 1 if type == INT32 else (1 << 64) - 1))
    return _varint(number << 3 | wire) + struct.pack("<f" if type == FLOAT else "<d", value)


def _number(number: int, value: int) -> bytes:
    return _varint(number << 3 | _VARINT) + _varint(value)


def _bytes(number: int, value: bytes) -> bytes:
    return _varint(number << 3 | _LENGTH) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    made = bytearray()
    while value > 0x7F:
        made.append(value & 0x7F | 0x80)
        value >>= 7
    made.append(value)
    return bytes(made)


# --- in ----------------------------------------------------------------------------------------------------------------------


def decode(data: bytes) -> list[tuple[str, Any]]:
    """(name, value) of each metric of a command, whole numbers without a sign. Raises Malformed."""
    try:
        return [_read_metric(value) for number, value in _fields(data) if number == 2]
    except (IndexError, struct.error, UnicodeDecodeError, TypeError, AttributeError) as error:
        raise Malformed(str(error)) from None


def _read_metric(data: Any) -> tuple[str, Any]:
    name, read = "", None
    for number, value in _fields(data):
        if number == 1:
            name = value.decode()
        elif number in (10, 11):
            read = value
        elif number in (12, 13):
            read = struct.unpack("<f" if number == 12 else "<d", value)[0]
        elif number == 14:
            read = bool(value)
        elif number == 15:
            read = value.decode()
    return name, read


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    at = 0
    while at < len(data):
        key, at = _read_varint(data, at)
        wire = key & 7
        if wire == _VARINT:
            value, at = _read_varint(data, at)
            yield key >> 3, value
            continue
        if wire == _LENGTH:
            size, at = _read_varint(data, at)
        else:
            size = {_FIXED64: 8, _FIXED32: 4}.get(wire, len(data) + 1)
        if at + size > len(data):
            raise Malformed("it ends in the middle of a field")
        yield key >> 3, data[at : at + size]
        at += size


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while shift < 70:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
    raise Malformed("a number that does not end")
