"""Values as JSON and back: the one form in which the command line, scripts and skill parameters show them.

Int64 and UInt64 are strings, so are NaN and the infinities; ByteString is base64; DateTime is RFC 3339 in UTC; an enumeration
is `{"value", "name"}`; LocalizedText `{"text", "locale"}`; QualifiedName `{"name", "namespace"}`; a structure an object; a matrix
nested lists; an absent value null.
"""

import base64
import binascii
import math
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Final

from dtios.model.datatypes import INTEGER_RANGES, BuiltinType, Field, ValueType
from dtios.model.errors import ConfigurationError
from dtios.model.status import status_name
from dtios.model.status_codes import STATUS_CODES
from dtios.model.values import (
    DataValue,
    DateTime,
    Enumerated,
    LocalizedText,
    NodeId,
    QualifiedName,
    Record,
    StatusCode,
    XmlElement,
)
from dtios.model.wire_time import time_from_json, time_to_json

__all__ = ["from_json", "to_json"]

_Outer = Mapping[str, ValueType]

_EXACT: Final = 2**53
"""Beyond this a JSON reader that holds numbers as doubles loses digits."""

_NOT_FINITE: Final = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_WIDE: Final = frozenset({BuiltinType.Int64, BuiltinType.UInt64})
_UNTYPED: Final = frozenset({BuiltinType.Variant, BuiltinType.DataValue, BuiltinType.DiagnosticInfo})


# --- to JSON -----------------------------------------------------------------------------------------------------------------


def to_json(value: Any, type: ValueType | None = None) -> Any:
    """A value in its JSON form. Without a type (a Variant's content) the value itself tells."""
    return _to_json(value, type, {})


def _to_json(value: Any, type: ValueType | None, outer: _Outer) -> Any:
    if value is None:
        return None
    if isinstance(value, list | tuple) and not isinstance(value, LocalizedText | QualifiedName):
        return [_to_json(v, type, outer) for v in value]
    if type is not None and type.is_enumeration and isinstance(value, int):
        return {"value": int(value), "name": _member_name(value, type)}
    if isinstance(value, Record):
        return _record_to_json(value, None if type is None else type.opened(outer), outer)
    form = _FORMS.get(value.__class__)
    if form is not None:
        return form(value)
    if isinstance(value, int):
        return str(value) if (type is not None and type.builtin in _WIDE) or abs(value) > _EXACT else value
    raise TypeError(f"a {value.__class__.__name__} is no value of a signal")


def _member_name(value: int, type: ValueType) -> str:
    if isinstance(value, Enumerated) and value.name:
        return value.name
    return next((name for number, name in type.members if number == value), "")


def _record_to_json(record: Record, type: ValueType | None, outer: _Outer) -> dict[str, Any]:
    """In the type's order; an optional field that is absent is null, of a union only the field that is there."""
    if type is None:
        return {name: to_json(value) for name, value in record.fields.items()}
    types = {f.name: f.type for f in type.fields}
    absent = () if type.union else (f.name for f in type.fields if f.optional and f.name not in record.fields)
    fields = record.fields | dict.fromkeys(absent)
    order = [*(name for name in types if name in fields), *(name for name in fields if name not in types)]
    outer = type.around(outer)
    return {name: _to_json(fields[name], types.get(name), outer) for name in order}


def _float_to_json(value: float) -> Any:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _reading_to_json(value: DataValue) -> dict[str, Any]:
    return {
        "value": to_json(value.value),
        "status": value.status_name,
        "source_time": time_to_json(value.source_time),
        "server_time": time_to_json(value.server_time),
    }


def _same(value: Any) -> Any:
    return value


_FORMS: Final[dict[type, Callable[[Any], Any]]] = {
    bool: _same,
    str: _same,
    float: _float_to_json,
    bytes: lambda v: base64.b64encode(v).decode("ascii"),
    DateTime: time_to_json,
    uuid.UUID: str,
    NodeId: str,
    XmlElement: str,
    StatusCode: status_name,
    QualifiedName: lambda v: {"name": v.name, "namespace": v.namespace},
    LocalizedText: lambda v: {"text": v.text, "locale": v.locale},
    Enumerated: lambda v: {"value": int(v), "name": v.name},
    DataValue: _reading_to_json,
    dict: lambda v: {name: to_json(x) for name, x in v.items()},
}


# --- from JSON ---------------------------------------------------------------------------------------------------------------


def from_json(value: Any, type: ValueType) -> Any:
    """The value that a JSON form stands for. Takes what a person types too: an int for Int64, an enumeration's name or number.

    Widths are not checked here (`coercion.check` does). Raises ConfigurationError for a form that cannot be of this type.
    """
    return _from_json(value, type, {})


def _from_json(value: Any, type: ValueType, outer: _Outer) -> Any:
    if value is None:
        return None
    if isinstance(value, list) and type.rank != -1:
        return [_from_json(v, type, outer) for v in value]
    if isinstance(value, list):
        raise _unfit(value, type, "a single value")
    if type.is_enumeration:
        return _enumeration_from_json(value, type)
    if type.builtin in INTEGER_RANGES and type.builtin is not BuiltinType.StatusCode:
        return _integer_from_json(value, type)
    if type.builtin in _UNTYPED:
        return value
    if type.is_structure:
        return _record_from_json(value, type.opened(outer), outer)
    return _READERS[type.builtin](value, type)


def _unfit(value: Any, type: ValueType, wanted: str) -> ConfigurationError:
    return ConfigurationError(f"{value!r} is not a {type.label()}", mend=f"give {wanted}")


def _enumeration_from_json(value: Any, type: ValueType) -> int:
    names = {name: number for number, name in type.members}
    asked = value.get("value", value.get("name")) if isinstance(value, dict) else value
    if isinstance(asked, str):
        asked = names.get(asked, int(asked) if _is_digits(asked) else asked)
    if isinstance(asked, bool) or not isinstance(asked, int):
        raise _unfit(value, type, "one of " + ", ".join(f"{name} ({number})" for number, name in type.members))
    return asked


def _is_digits(text: str) -> bool:
    return text.removeprefix("-").isascii() and text.removeprefix("-").isdigit()


def _integer_from_json(value: Any, type: ValueType) -> Any:
    if isinstance(value, str) and _is_digits(value):
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _unfit(value, type, "a whole number")
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _float_from_json(value: Any, type: ValueType) -> float:
    if isinstance(value, str) and value in _NOT_FINITE:
        return _NOT_FINITE[value]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _unfit(value, type, "a number")
    try:
        return float(value)
    except OverflowError:
        raise _unfit(value, type, "a number that a Double can hold") from None


def _boolean_from_json(value: Any, type: ValueType) -> bool:
    if not isinstance(value, bool):
        raise _unfit(value, type, "true or false")
    return value


def _text(value: Any, type: ValueType, wanted: str) -> str:
    if not isinstance(value, str):
        raise _unfit(value, type, wanted)
    return value


def _bytes_from_json(value: Any, type: ValueType) -> bytes:
    try:
        return base64.b64decode(_text(value, type, "base64 in quotes"), validate=True)
    except (binascii.Error, ValueError):
        raise _unfit(value, type, "base64") from None


def _guid_from_json(value: Any, type: ValueType) -> uuid.UUID:
    try:
        return uuid.UUID(_text(value, type, "a GUID in quotes"))
    except ValueError:
        raise _unfit(value, type, "a GUID as 09087e75-8e5e-499b-954f-f2a9603db28a") from None


def _time_from_json(value: Any, type: ValueType) -> DateTime:
    return DateTime(time_from_json(_text(value, type, "a time as 2026-01-31T12:00:00Z")))


def _status_from_json(value: Any, type: ValueType) -> StatusCode:
    if isinstance(value, int) and not isinstance(value, bool):
        return StatusCode(value)
    text = _text(value, type, "the name of a StatusCode")
    if text in STATUS_CODES:
        return StatusCode(STATUS_CODES[text])
    _, _, number = text.rstrip(")").partition("(0x")
    try:
        return StatusCode(int(number, 16))
    except ValueError:
        raise _unfit(value, type, "the name of a StatusCode, as BadNoCommunication") from None


def _localized_from_json(value: Any, type: ValueType) -> LocalizedText:
    if isinstance(value, dict) and isinstance(value.get("text"), str) and value.keys() <= {"text", "locale"}:
        return LocalizedText(value["text"], value.get("locale") or "")
    return LocalizedText(_text(value, type, 'a text, or {"text": ..., "locale": ...}'))


def _qualified_from_json(value: Any, type: ValueType) -> QualifiedName:
    if isinstance(value, dict) and isinstance(value.get("name"), str) and value.keys() <= {"name", "namespace"}:
        return QualifiedName(value.get("namespace") or "", value["name"])
    return QualifiedName("", _text(value, type, 'a name, or {"name": ..., "namespace": ...}'))


def _record_from_json(value: Any, type: ValueType, outer: _Outer) -> Any:
    if not isinstance(value, dict):
        raise _unfit(value, type, "an object with the fields " + ", ".join(f.name for f in type.fields))
    if not type.fields:
        return Record(type.name, dict(value))
    fields = {f.name: f for f in type.fields}
    unknown = sorted(value.keys() - fields.keys())
    if unknown:
        raise ConfigurationError(f"{type.label()} has no field {unknown[0]!r}", mend="its fields are " + ", ".join(fields))
    outer = type.around(outer)
    return Record(type.name, {name: _field_from_json(value[name], f, outer) for name, f in fields.items() if name in value})


def _field_from_json(value: Any, field: Field, outer: _Outer) -> Any:
    try:
        return _from_json(value, field.type, outer)
    except ConfigurationError as error:
        where = f"{field.name}/{error.where}" if error.where else field.name
        raise ConfigurationError(error.message, where=where, mend=error.mend) from None


_READERS: Final[dict[BuiltinType, Callable[[Any, ValueType], Any]]] = {
    BuiltinType.Boolean: _boolean_from_json,
    BuiltinType.Float: _float_from_json,
    BuiltinType.Double: _float_from_json,
    BuiltinType.String: lambda v, t: _text(v, t, "a text in quotes"),
    BuiltinType.XmlElement: lambda v, t: XmlElement(_text(v, t, "XML in quotes")),
    BuiltinType.NodeId: lambda v, t: NodeId(_text(v, t, "a NodeId as nsu=URI;s=name")),
    BuiltinType.ExpandedNodeId: lambda v, t: NodeId(_text(v, t, "a NodeId as nsu=URI;s=name")),
    BuiltinType.DateTime: _time_from_json,
    BuiltinType.Guid: _guid_from_json,
    BuiltinType.ByteString: _bytes_from_json,
    BuiltinType.StatusCode: _status_from_json,
    BuiltinType.QualifiedName: _qualified_from_json,
    BuiltinType.LocalizedText: _localized_from_json,
}
