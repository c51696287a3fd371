"""Metrics as readings, and values as metrics."""

import struct
from typing import Any, Final
from uuid import UUID

from dtios.model.status import status_code
from dtios.model.values import DateTime, Record
from dtios_mqtt.image import Reading
from dtios_mqtt.sparkplug.datatypes import DATETIME
from dtios_mqtt.sparkplug.describing import points_of
from dtios_mqtt.sparkplug.metric import DataSet, Metric
from dtios_mqtt.sparkplug.times import nanoseconds

__all__ = ["readings", "said", "wire"]

_NULL: Final = status_code("BadNoData")
_STALE: Final = status_code("UncertainLastUsableValue")
_BAD_QUALITY: Final = status_code("BadSensorFailure")
_FLOAT: Final = 9
_UUID: Final = 15
_PLAIN: Final = frozenset({int, float, bool, str})
_READ_OTHERWISE: Final = frozenset({DATETIME, _UUID})


def readings(metric: Metric, address: str, timestamp: int | None) -> list[Reading]:
    """Of a metric, or of each member of a template that is told. `timestamp` (ms) is the payload's."""
    value, at = metric.value, metric.timestamp or timestamp
    if type(value) in _PLAIN and metric.datatype not in _READ_OTHERWISE and not metric.properties:  # most are such
        return [(address, None if metric.is_null else value, _NULL if metric.is_null else 0, nanoseconds(at))]
    return [_reading(point, leaf, nanoseconds(leaf.timestamp or at)) for _, leaf, point in points_of(metric, address)]


def _reading(address: str, metric: Metric, source: int) -> Reading:
    if metric.is_null or metric.value is None:
        return (address, None, _NULL, source)
    match metric.properties.get("Quality"):  # 0 BAD, 192 GOOD, 500 STALE (payloads-propertyset-quality-value-value)
        case 0:
            return (address, None, _BAD_QUALITY, source)
        case 500:
            return (address, _value(metric), _STALE, source)
        case _:
            return (address, _value(metric), 0, source)


def _value(metric: Metric) -> Any:
    value = metric.value
    if isinstance(value, DataSet):
        return [Record("DataSet", dict(zip(value.columns, row, strict=True))) for row in value.rows]
    if metric.datatype == DATETIME and isinstance(value, int):
        return DateTime(value * 1_000_000)
    if metric.datatype == _UUID and isinstance(value, str):
        try:
            return UUID(value)
        except ValueError:
            return value
    return value


def wire(value: Any) -> Any:
    """As it goes into a metric."""
    if isinstance(value, DateTime):
        return int(value) // 1_000_000
    return str(value) if isinstance(value, UUID) else value


def said(value: Any, datatype: int) -> Any:
    """What a machine that takes this value says it has: of its metric's precision. Raises OverflowError."""
    if isinstance(value, DateTime):
        return DateTime(int(value) // 1_000_000 * 1_000_000)
    if datatype == _FLOAT and isinstance(value, int | float):
        return struct.unpack("<f", struct.pack("<f", value))[0]
    return value
