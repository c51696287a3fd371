"""From bytes to a Payload. Whatever comes, it is a Payload or a `Malformed`, within bounded time and memory."""

import struct
from collections.abc import Mapping
from typing import Any, Final

from google.protobuf.message import DecodeError

from dtios_mqtt.sparkplug.compression import COMPRESSED, inflated
from dtios_mqtt.sparkplug.datatypes import ARRAYS, INTEGERS
from dtios_mqtt.sparkplug.metric import LARGEST, MOST_METRICS, DataSet, Malformed, Metric, Payload, Template
from dtios_mqtt.sparkplug.schema import PayloadMessage

__all__ = ["Malformed", "as_datatype", "decode"]

_DEPTH: Final = 16
"""Templates in templates and property sets in property sets; deeper ones are refused."""
_LONGEST_ARRAY: Final = 1_000_000
"""Elements: a Boolean takes one bit on the wire."""


class _Budget:
    """What is left of `MOST_METRICS` for one payload."""

    def __init__(self) -> None:
        self._left = MOST_METRICS

    def take(self, count: int) -> None:
        """Raises Malformed."""
        self._left -= count
        if self._left < 0:
            raise Malformed("more metrics, properties and cells than a payload may have")


def decode(data: bytes) -> Payload:
    """Raises Malformed."""
    message = _parsed(data)
    if message.uuid == COMPRESSED:
        message = _parsed(inflated(message, LARGEST))
    budget = _Budget()
    budget.take(len(message.metrics))
    return Payload(
        message.timestamp if message.HasField("timestamp") else None,
        message.seq if message.HasField("seq") else None,
        [_metric(one, 0, budget) for one in message.metrics],
    )


def _parsed(data: bytes) -> Any:
    if len(data) > LARGEST:
        raise Malformed("larger than 4 MiB")
    message = PayloadMessage()
    try:
        message.ParseFromString(data)
    except (DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise Malformed("no protobuf payload") from error
    return message


def _metric(raw: Any, depth: int, budget: _Budget) -> Metric:
    which = raw.WhichOneof("value")
    datatype = raw.datatype
    value = None
    is_null = raw.is_null
    if which is not None and not is_null:
        value = _value(which, getattr(raw, which), datatype, depth, budget)
    properties: Mapping[str, Any] = _properties(raw.properties, depth, budget) if raw.HasField("properties") else {}
    return Metric(
        _text(raw.name),
        raw.alias if raw.HasField("alias") else None,
        raw.timestamp if raw.HasField("timestamp") else None,
        datatype,
        value,
        is_null,
        raw.is_historical,
        raw.is_transient,
        properties,
    )


def _value(which: str, value: Any, datatype: int, depth: int, budget: _Budget) -> Any:
    """`datatype` 0 (data by alias): integers stay as they came, to be completed by `as_datatype` from the birth."""
    if which in ("int_value", "long_value"):
        return as_datatype(value, datatype)
    if which == "bytes_value":
        return as_datatype(bytes(value), datatype)
    if which == "string_value":
        return _text(value)
    if depth >= _DEPTH and which in ("dataset_value", "template_value"):
        raise Malformed("nested too deeply")
    if which == "dataset_value":
        return _data_set(value, budget)
    if which == "template_value":
        return _template(value, depth + 1, budget)
    return value


def as_datatype(value: Any, datatype: int) -> Any:
    """A raw value in the metric's type: signed integers from their two's complement, arrays from their bytes.

    Raises Malformed where it cannot be of this type.
    """
    if datatype in INTEGERS and isinstance(value, int):
        bits, signed = INTEGERS[datatype]
        value &= (1 << bits) - 1 if value < 1 << 64 else 0
        return value - (1 << bits) if signed and value >> (bits - 1) else value
    if datatype in ARRAYS and isinstance(value, bytes):
        return _array(value, datatype)
    return value


def _array(data: bytes, datatype: int) -> list[Any]:
    element, form = ARRAYS[datatype]
    if form:
        size = struct.calcsize(f"<{form}")
        if len(data) % size:
            raise Malformed("an array that does not divide into its elements")
        if len(data) // size > _LONGEST_ARRAY:
            raise Malformed("an array that is too long")
        return list(struct.unpack(f"<{len(data) // size}{form}", data))
    return _booleans(data) if element == 11 else _strings(data)


def _booleans(data: bytes) -> list[bool]:
    """A count in four bytes, then bits, the most significant first."""
    if len(data) < 4:
        raise Malformed("a Boolean array without its length")
    (count,) = struct.unpack_from("<I", data)
    if count > 8 * (len(data) - 4):
        raise Malformed("a Boolean array that is shorter than it says")
    if count > _LONGEST_ARRAY:
        raise Malformed("an array that is too long")
    return [bool(data[4 + at // 8] >> (7 - at % 8) & 1) for at in range(count)]


def _strings(data: bytes) -> list[str]:
    if not data:
        return []
    if data.count(b"\0") > _LONGEST_ARRAY:
        raise Malformed("an array that is too long")
    if not data.endswith(b"\0"):
        raise Malformed("a String array without its last zero")
    try:
        return data[:-1].decode("utf-8").split("\0")
    except UnicodeDecodeError as error:
        raise Malformed("a String array that is not UTF-8") from error


def _data_set(raw: Any, budget: _Budget) -> DataSet:
    budget.take(len(raw.columns) + len(raw.rows) * (1 + len(raw.types)))
    columns, types = tuple(_text(name) for name in raw.columns), tuple(raw.types)
    if not len(columns) == len(types) == raw.num_of_columns:
        raise Malformed("a DataSet whose columns do not fit its types")
    rows = []
    for row in raw.rows:
        if len(row.elements) != len(types):
            raise Malformed("a DataSet row that does not fit its columns")
        rows.append(tuple(_plain(element, type_) for element, type_ in zip(row.elements, types, strict=True)))
    return DataSet(columns, types, rows)


def _template(raw: Any, depth: int, budget: _Budget) -> Template:
    budget.take(len(raw.metrics) + len(raw.parameters))
    parameters = {_text(one.name): _plain(one, one.type) for one in raw.parameters}
    return Template(
        _text(raw.template_ref),
        _text(raw.version),
        raw.is_definition,
        [_metric(one, depth, budget) for one in raw.metrics],
        parameters,
    )


def _plain(raw: Any, datatype: int) -> Any:
    which = raw.WhichOneof("value")
    return None if which is None else as_datatype(_scalar(raw, which), datatype)


def _scalar(raw: Any, which: str) -> Any:
    return _text(raw.string_value) if which == "string_value" else getattr(raw, which)


def _text(said: Any) -> str:
    """Protobuf hands a string that is not UTF-8 on as bytes. Raises Malformed."""
    if type(said) is not str:
        raise Malformed("a text that is not UTF-8")
    return said


def _properties(raw: Any, depth: int, budget: _Budget) -> dict[str, Any]:
    budget.take(len(raw.keys))
    if depth >= _DEPTH:
        raise Malformed("nested too deeply")
    if len(raw.keys) != len(raw.values):
        raise Malformed("properties whose keys do not fit their values")
    return {_text(key): _property(value, depth + 1, budget) for key, value in zip(raw.keys, raw.values, strict=True)}


def _property(raw: Any, depth: int, budget: _Budget) -> Any:
    which = raw.WhichOneof("value")
    if raw.is_null or which is None:
        return None
    if which == "propertyset_value":
        return _properties(raw.propertyset_value, depth, budget)
    if which == "propertysets_value":
        budget.take(len(raw.propertysets_value.propertyset))
        return [_properties(one, depth, budget) for one in raw.propertysets_value.propertyset]
    return as_datatype(_scalar(raw, which), raw.type)
