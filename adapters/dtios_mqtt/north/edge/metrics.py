"""Signals as metrics: their types, their properties, and values in the forms that Sparkplug has."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from dtios.model.datatypes import SCALAR, BuiltinType
from dtios.model.machine import Signal
from dtios.model.status import is_bad, is_good
from dtios.model.values import NO_TIME, DateTime
from dtios.model.wire_values import to_json
from dtios_mqtt.sparkplug.datatypes import ARRAYS, DATETIME, INTEGERS, datatype_of
from dtios_mqtt.sparkplug.metric import Metric

__all__ = ["BAD", "GOOD", "STALE", "Form", "form_of", "form_of_value", "quality"]

GOOD: Final = 192
BAD: Final = 0
STALE: Final = 500
"""payloads-propertyset-quality-value-value."""
_STRING: Final = 12
_PLAIN: Final = frozenset({BuiltinType.String, BuiltinType.Guid, BuiltinType.ByteString, BuiltinType.DateTime})
_FLOATS: Final = frozenset({9, 10})
_TAKEN: Final[dict[int, type]] = {11: bool, 17: bytes, 18: bytes}
"""What a metric holds that is neither a number nor a text."""
_UNTOLD: Final = {bool: 11, int: 4, float: 10, str: _STRING}
"""Types of values whose signal is not described any more."""


def quality(status: int) -> int:
    """Of a StatusCode. Uncertain is what Sparkplug calls stale."""
    return GOOD if is_good(status) else BAD if is_bad(status) else STALE


@dataclass(slots=True)
class Form:
    """How one signal is written. `as_json`: Sparkplug has no such type, so the value is a String that holds its JSON form.

    `told`: the quality that was told last; a property that does not change need not be told again.
    """

    name: str
    alias: int
    datatype: int
    as_json: bool = False
    properties: Mapping[str, Any] = field(default_factory=dict)
    signal: Signal | None = None
    told: int = GOOD

    def birth(self, value: Any, status: int, time: int, now: int) -> Metric:
        """Name, alias, type, properties and what is so now (tck-id-payloads-metric-datatype-req, -alias-birth-requirement)."""
        self.told = quality(status)
        metric = self._metric(value, time, now, {**self.properties, "Quality": self.told})
        metric.name = self.name
        return metric

    def data(self, value: Any, status: int, time: int, now: int, historical: bool) -> Metric:
        """The alias alone (tck-id-payloads-alias-data-cmd-requirement). `time`, `now`: ns UTC."""
        grade = quality(status)
        properties: Mapping[str, Any] = {}
        if historical:
            # It says nothing of what is so now, so it tells its own and changes nothing.
            properties = {} if grade == GOOD else {"Quality": grade}
        elif grade != self.told:
            properties, self.told = {"Quality": grade}, grade
        metric = self._metric(value, time, now, properties)
        metric.is_historical = historical
        return metric

    def _metric(self, value: Any, time: int, now: int, properties: Mapping[str, Any]) -> Metric:
        at = (now if time == NO_TIME or time <= 0 else time) // 1_000_000
        said = self._value(value)
        if said is None and value is not None:
            properties = {**properties, "Quality": BAD}
        return Metric("", self.alias, at, self.datatype, said, is_null=said is None, properties=properties)

    def _value(self, value: Any) -> Any:
        """None for a value that is not of the described type: it is told as null with quality BAD, and not as another value."""
        if value is None:
            return None
        if self.as_json:
            return json.dumps(to_json(value, None if self.signal is None else self.signal.type), separators=(",", ":"))
        said = [_wire(one) for one in value] if isinstance(value, list | tuple) else _wire(value)
        return said if _fits(said, self.datatype) else None


def _wire(value: Any) -> Any:
    if isinstance(value, DateTime):
        return max(0, int(value) // 1_000_000)
    return str(value) if isinstance(value, UUID) else value


def _fits(value: Any, datatype: int) -> bool:
    """NaN and members that no enumeration has are told as they are: this is what the machine said, and no command."""
    if datatype in ARRAYS:
        return isinstance(value, list) and all(_fits(one, ARRAYS[datatype][0]) for one in value)
    if datatype in INTEGERS or datatype == DATETIME:
        bits, signed = INTEGERS.get(datatype, (64, False))
        low, high = (-(1 << bits - 1), 1 << bits - 1) if signed else (0, 1 << bits)
        return isinstance(value, int) and not isinstance(value, bool) and low <= value < high
    if datatype in _FLOATS:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, _TAKEN.get(datatype, str))


def form_of(signal: Signal, alias: int) -> Form:
    """Of a signal as it is described."""
    kind, rank = signal.type, signal.type.rank
    datatype = None
    if (kind.is_numeric or kind.builtin in _PLAIN or kind.builtin is BuiltinType.Boolean or kind.members) and rank in (SCALAR, 1):
        datatype = datatype_of(kind.builtin, array=rank == 1)
    properties: dict[str, Any] = {"readOnly": True}
    if signal.unit is not None:
        properties["engUnit"] = signal.unit.code or signal.unit.symbol
    if signal.range is not None:
        properties |= {"engLow": float(signal.range.low), "engHigh": float(signal.range.high)}
    if signal.semantic_id:
        properties["semanticId"] = signal.semantic_id
    if signal.description:
        properties["documentation"] = signal.description
    if datatype is None:
        properties["dataType"] = kind.name or kind.builtin.name
        return Form(signal.path, alias, _STRING, True, properties, signal)
    return Form(signal.path, alias, datatype, False, properties, signal)


def form_of_value(path: str, alias: int, value: Any) -> Form:
    """Of a signal that nobody describes any more, by a value of it."""
    datatype = _UNTOLD.get(type(value))
    return Form(path, alias, datatype or _STRING, datatype is None, {"readOnly": True})
