"""Data as most of it is: metrics with a name or an alias, a time, a type and a scalar value. Read in one pass, into columns.

A payload that says anything more, or anything that its birth does not, is not read here at all: `plain` or `Slots.columns` is
None, and it goes the way of `decoding`, metric by metric, where every case has its place. Both ways tell the same.
"""

from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Any, Final, NamedTuple

from google.protobuf.message import DecodeError

from dtios.model.values import NO_TIME
from dtios_mqtt.image import Readings
from dtios_mqtt.sparkplug.datatypes import INTEGERS
from dtios_mqtt.sparkplug.metric import LARGEST, MOST_METRICS, Metric
from dtios_mqtt.sparkplug.schema import PlainPayloadMessage
from dtios_mqtt.sparkplug.times import LATEST

__all__ = ["NO_SLOTS", "Plain", "Slots", "plain"]

_FIELDS: Final = {
    **dict.fromkeys((1, 2, 3, 5, 6), "int_value"), **dict.fromkeys((4, 7, 8), "long_value"), 9: "float_value",
    10: "double_value", 11: "boolean_value", 12: "string_value", 14: "string_value",
}  # fmt: skip
"""Data type -> the field that it usually travels in: Int8 to UInt64, Float, Double, Boolean, String, Text."""
_ROWS: Final = 100
_LONGEST_ROW: Final = 1_000
"""Combinations of metrics that are remembered for each edge node or device, and the metrics of one."""
_NAME, _ALIAS, _DATATYPE, _TIMESTAMP = map(attrgetter, ("name", "alias", "datatype", "timestamp"))


class _Slot(NamedTuple):
    """What a metric's birth says of its data. `mask` and `half` are an integer's: all its bits, and the first value that is
    negative (or beyond them)."""

    address: str
    datatype: int
    field: str
    mask: int
    half: int


class _Row(NamedTuple):
    """Some metrics in a row, as a message brings them. `read` reads the value of any, where they all travel in one field;
    `whole`: some are integers."""

    slots: list[_Slot]
    addresses: list[str]
    datatypes: list[int]
    read: Callable[[Any], Any] | None
    whole: bool
    text: bool
    """Some are texts."""


class Plain(NamedTuple):
    """A payload that is plain, as it came. `seq` is None where it has none."""

    seq: int | None
    message: Any
    data: bytes


def plain(data: bytes) -> Plain | None:
    """None where it is not plain."""
    if len(data) > LARGEST:
        return None
    message = PlainPayloadMessage()
    try:
        message.ParseFromString(data)
    except (DecodeError, RecursionError, UnicodeDecodeError):
        return None
    message.DiscardUnknownFields()
    if message.ByteSize() != len(data):  # something was discarded, or written in another way
        return None
    if len(message.metrics) > MOST_METRICS:
        return None
    return Plain(message.seq if message.HasField("seq") else None, message, data)


class Slots:
    """The plain metrics of one edge node or device, as its birth told them. `above` is the address without a metric's name."""

    def __init__(self, metrics: Iterable[Metric], above: str) -> None:
        self._slots: dict[str | int, _Slot] = {}
        self._rows: dict[tuple[str | int, ...], _Row] = {}
        for metric in metrics:
            field = _FIELDS.get(metric.datatype)
            if field is not None:
                bits, signed = INTEGERS.get(metric.datatype, (0, False))
                slot = _Slot(above + metric.name, metric.datatype, field, (1 << bits) - 1, 1 << (bits - signed))
                self._slots[metric.name] = slot
                if metric.alias is not None:
                    self._slots[metric.alias] = slot

    def columns(self, message: Any) -> Readings | None:
        """What a plain message tells. None where a metric is not as its birth says. Column by column, for speed."""
        metrics = list(message.metrics)
        try:
            row = self._row(tuple(_keys(metrics)))
            types = list(map(_DATATYPE, metrics))
            if types != row.datatypes and any(said not in (0, known) for said, known in zip(types, row.datatypes, strict=True)):
                return None
            if row.read is not None:
                values = list(map(row.read, metrics))
            else:
                values = [getattr(metric, slot.field) for slot, metric in zip(row.slots, metrics, strict=True)]
        except (KeyError, UnicodeDecodeError):
            return None
        if not all(values) and not all(metric.HasField(slot.field) for slot, metric in zip(row.slots, metrics, strict=True)):
            return None  # no value, or in another field
        if row.text and bytes in map(type, values):
            return None  # not UTF-8
        if row.whole:
            values = [_whole(value, slot) if slot.mask else value for value, slot in zip(values, row.slots, strict=True)]
        return Readings(row.addresses, values, [0] * len(values), _times(message, metrics))

    def _row(self, keys: tuple[Any, ...]) -> _Row:
        """Raises KeyError for a metric that is not plain, or unknown."""
        row = self._rows.get(keys)
        if row is None:
            found = list(map(self._slots.__getitem__, keys))
            fields = {slot.field for slot in found}
            row = _Row(
                found,
                [slot.address for slot in found],
                [slot.datatype for slot in found],
                attrgetter(*fields) if len(fields) == 1 else None,
                any(slot.mask for slot in found),
                "string_value" in fields,
            )
            if len(keys) <= _LONGEST_ROW:
                if len(self._rows) >= _ROWS:
                    self._rows.clear()
                self._rows[keys] = row
        return row


NO_SLOTS: Final = Slots((), "")


def _keys(metrics: list[Any]) -> list[Any]:
    """The name of each, or its alias where it has no name; None where it has neither."""
    names = list(map(_NAME, metrics))
    if all(names):
        return names
    aliases: list[Any] = list(map(_ALIAS, metrics))
    at = -1
    for _ in range(aliases.count(0)):
        at = aliases.index(0, at + 1)
        if not metrics[at].HasField("alias"):
            aliases[at] = None
    return [name or alias for name, alias in zip(names, aliases, strict=True)] if any(names) else aliases


def _whole(value: int, slot: _Slot) -> int:
    """From the two's complement."""
    value &= slot.mask
    return value - slot.mask - 1 if value >= slot.half else value


def _times(message: Any, metrics: list[Any]) -> list[int]:
    """ns UTC or NO_TIME; the payload's where a metric has none of its own."""
    times = list(map(_TIMESTAMP, metrics))
    if times and 0 < times[0] < LATEST and times.count(times[0]) == len(times):
        return [times[0] * 1_000_000] * len(times)
    if not all(times):
        otherwise = message.timestamp if message.HasField("timestamp") else LATEST
        times = [at or otherwise for at in times]
    return [at * 1_000_000 if at < LATEST else NO_TIME for at in times]
