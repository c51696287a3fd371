"""From a Payload to bytes."""

import struct
from typing import Any

from dtios_mqtt.sparkplug.datatypes import ARRAYS, DATETIME, INTEGERS
from dtios_mqtt.sparkplug.metric import DataSet, Metric, Payload, Template
from dtios_mqtt.sparkplug.schema import PayloadMessage

__all__ = ["encode"]

_WIDE = frozenset({4, 7, 8, DATETIME})
"""Types that travel in `long_value` (6.4.16: UInt32, the 64 bit integers, DateTime)."""


def encode(payload: Payload) -> bytes:
    """Raises ValueError for a value that does not fit its type."""
    message = PayloadMessage()
    if payload.timestamp is not None:
        message.timestamp = payload.timestamp
    if payload.seq is not None:
        message.seq = payload.seq
    for metric in payload.metrics:
        _metric(message.metrics.add(), metric)
    data: bytes = message.SerializeToString()
    return data


def _metric(raw: Any, metric: Metric) -> None:
    if metric.name:
        raw.name = metric.name
    if metric.alias is not None:
        raw.alias = metric.alias
    if metric.timestamp is not None:
        raw.timestamp = metric.timestamp
    if metric.datatype:
        raw.datatype = metric.datatype
    for flag in ("is_historical", "is_transient"):
        if getattr(metric, flag):
            setattr(raw, flag, True)
    if metric.properties:
        _properties(raw.properties, metric.properties)
    if metric.value is None:
        raw.is_null = True
    else:
        _value(raw, metric.value, metric.datatype)


def _value(raw: Any, value: Any, datatype: int) -> None:
    match value:
        case DataSet():
            _data_set(raw.dataset_value, value)
        case Template():
            _template(raw.template_value, value)
        case list():
            raw.bytes_value = _array(value, datatype)
        case bytes():
            raw.bytes_value = value
        case _:
            _scalar(raw, value, datatype)


def _scalar(raw: Any, value: Any, datatype: int) -> None:
    if datatype in INTEGERS or datatype == DATETIME:
        bits, signed = INTEGERS.get(datatype, (64, False))
        low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
        if not low <= value <= high:
            raise ValueError(f"{value} does not fit into data type {datatype}")
        # narrow signed types in 32 bits, sign extended: every decoder that masks or casts reads the same number
        setattr(raw, *(("long_value", value & (1 << 64) - 1) if datatype in _WIDE else ("int_value", value & (1 << 32) - 1)))
    elif datatype == 9:
        raw.float_value = value
    elif datatype == 10:
        raw.double_value = value
    elif datatype == 11:
        raw.boolean_value = value
    else:
        raw.string_value = value


def _array(values: list[Any], datatype: int) -> bytes:
    if datatype not in ARRAYS:
        raise ValueError(f"a list is no value of data type {datatype}")
    element, form = ARRAYS[datatype]
    if form:
        try:
            return struct.pack(f"<{len(values)}{form}", *values)
        except struct.error as error:
            raise ValueError(str(error)) from None
    if element == 11:
        bits = bytearray((len(values) + 7) // 8)
        for at, value in enumerate(values):
            bits[at // 8] |= bool(value) << (7 - at % 8)
        return struct.pack("<I", len(values)) + bytes(bits)
    return b"".join(str(value).encode() + b"\0" for value in values)


def _data_set(raw: Any, table: DataSet) -> None:
    raw.num_of_columns = len(table.columns)
    raw.columns.extend(table.columns)
    raw.types.extend(table.types)
    for row in table.rows:
        made = raw.rows.add()
        for value, datatype in zip(row, table.types, strict=True):
            element = made.elements.add()
            if value is not None:
                _scalar(element, value, datatype)


def _template(raw: Any, template: Template) -> None:
    if template.reference:
        raw.template_ref = template.reference
    if template.version:
        raw.version = template.version
    raw.is_definition = template.is_definition
    for metric in template.metrics:
        _metric(raw.metrics.add(), metric)
    for name, value in template.parameters.items():
        made = raw.parameters.add(name=name, type=_type_of(value))
        _scalar(made, value, made.type)


def _properties(raw: Any, properties: Any) -> None:
    for key, value in properties.items():
        raw.keys.append(key)
        made = raw.values.add()
        if value is None:
            made.type, made.is_null = 12, True
        elif isinstance(value, dict):
            made.type = 20
            _properties(made.propertyset_value, value)
        else:
            # payloads-propertyset-quality-value-type: Int32, and nothing else
            made.type = 3 if key == "Quality" else _type_of(value)
            _scalar(made, value, made.type)


def _type_of(value: Any) -> int:
    """Boolean, Int64, Double or String."""
    if isinstance(value, bool):
        return 11
    return 4 if isinstance(value, int) else 10 if isinstance(value, float) else 12
