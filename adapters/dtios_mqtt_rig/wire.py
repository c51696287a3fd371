"""Sparkplug B payloads (3.0, chapter 6) as an edge node needs them, from the standard alone: what judges an adapter shares no
code with it."""

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

__all__ = ["Metric", "decode", "encode", "typed"]

NUMBERS: Final = {
    "Int8": 1, "Int16": 2, "Int32": 3, "Int64": 4, "UInt8": 5, "UInt16": 6, "UInt32": 7, "UInt64": 8, "Float": 9, "Double": 10,
    "Boolean": 11, "String": 12, "Bytes": 17, "Int32Array": 24, "DoubleArray": 31, "StringArray": 33,
}  # fmt: skip
_BITS: Final = {"Int8": 8, "Int16": 16, "Int32": 32, "Int64": 64, "UInt8": 8, "UInt16": 16, "UInt32": 32, "UInt64": 64}
_LONG: Final = frozenset({"Int64", "UInt32", "UInt64"})
_FORMS: Final = {"Int32Array": "i", "DoubleArray": "d"}
_INT, _LONG_VALUE, _FLOAT, _DOUBLE, _BOOLEAN, _STRING, _BYTES = range(10, 17)
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5


@dataclass(slots=True)
class Metric:
    """`time` in ms; `properties` are Booleans and Int32s. With an alias and without a name it goes out as data."""

    type: str
    value: Any
    time: int
    name: str = ""
    alias: int | None = None
    properties: Mapping[str, bool | int] = field(default_factory=dict)


# --- out ---------------------------------------------------------------------------------------------------------------------


def encode(metrics: Sequence[Metric], time: int, seq: int | None) -> bytes:
    """`time` in ms; an NDEATH has no `seq`."""
    made = _number(1, time) + b"".join(_bytes(2, _metric(metric)) for metric in metrics)
    return made if seq is None else made + _number(3, seq)


def _metric(metric: Metric) -> bytes:
    made = _bytes(1, metric.name.encode()) if metric.name else b""
    made += b"" if metric.alias is None else _number(2, metric.alias)
    made += _number(3, metric.time) + _number(4, NUMBERS[metric.type])
    if metric.properties:
        keys = b"".join(_bytes(1, key.encode()) for key in metric.properties)
        made += _bytes(9, keys + b"".join(_bytes(2, _property(value)) for value in metric.properties.values()))
    return made + (_number(7, 1) if metric.value is None else _value(metric.type, metric.value))


def _property(value: bool | int) -> bytes:
    if isinstance(value, bool):
        return _number(1, NUMBERS["Boolean"]) + _number(7, value)
    return _number(1, NUMBERS["Int32"]) + _number(3, value)


def _value(type: str, value: Any) -> bytes:
    if type in _BITS:
        wide = type in _LONG
        return _number(_LONG_VALUE if wide else _INT, value & ((1 << (64 if wide else 32)) - 1))
    match type:
        case "Float":
            return _varint(_FLOAT << 3 | _FIXED32) + struct.pack("<f", value)
        case "Double":
            return _varint(_DOUBLE << 3 | _FIXED64) + struct.pack("<d", value)
        case "Boolean":
            return _number(_BOOLEAN, value)
        case "String":
            return _bytes(_STRING, value.encode())
        case "StringArray":  # each ends with a NUL (payloads-metric-datatype-value, 6.4.16.12)
            return _bytes(_BYTES, b"".join(one.encode() + b"\0" for one in value))
        case "Bytes":
            return _bytes(_BYTES, value)
    return _bytes(_BYTES, struct.pack(f"<{len(value)}{_FORMS[type]}", *value))


def _number(number: int, value: int) -> bytes:
    return _varint(number << 3 | _VARINT) + _varint(value)


def _bytes(number: int, value: bytes) -> bytes:
    return _varint(number << 3 | _LENGTH) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    made = bytearray()
    while value > 0x7F:
        made.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*made, value])


# --- in ----------------------------------------------------------------------------------------------------------------------


def decode(data: bytes) -> Iterator[tuple[str, int | None, int, Any]]:
    """(name, alias, data type, raw value) of each metric of a command; `typed` makes a value of it."""
    for number, metric in _fields(data):
        if number == 2:
            told = dict(_fields(metric))
            raw = next((told[at] for at in range(_INT, _BYTES + 1) if at in told), None)
            yield told.get(1, b"").decode(), told.get(2), told.get(4, 0), raw


def typed(type: str, raw: Any) -> Any:
    """A value of this type from what stood on the wire. Raises ValueError for what does not fit."""
    if type in _BITS:
        bits = _BITS[type]
        value = raw & ((1 << bits) - 1)
        if raw not in (value, value | (-(1 << bits) & ((1 << (64 if type in _LONG else 32)) - 1))):
            raise ValueError(f"{raw} is no {type}")
        return value - (1 << bits) if type.startswith("Int") and value >> (bits - 1) else value
    match type:
        case "Float":
            return struct.unpack("<f", raw)[0]
        case "Double":
            return struct.unpack("<d", raw)[0]
        case "Boolean":
            return bool(raw)
        case "String":
            return raw.decode()
        case "StringArray":
            return [one.decode() for one in raw.split(b"\0")[:-1]]
        case "Bytes":
            return bytes(raw)
    return [value for (value,) in struct.iter_unpack(f"<{_FORMS[type]}", raw)]


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    at = 0
    while at < len(data):
        key, at = _read_varint(data, at)
        if key & 7 == _VARINT:
            value, at = _read_varint(data, at)
            yield key >> 3, value
            continue
        size, at = _read_varint(data, at) if key & 7 == _LENGTH else ({_FIXED64: 8, _FIXED32: 4}[key & 7], at)
        yield key >> 3, data[at : at + size]
        at += size


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while data[at] & 0x80:
        value |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
    return value | data[at] << shift, at + 1
