"""JSON Schemas of parameters and results, made from data types. They describe the JSON forms of `dtios.model.wire`.

Two keywords of our own: `x-data-type` is the machine's type as a person reads it, `x-unit` the UNECE code of a number's unit.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from dtios.model.datatypes import INTEGER_RANGES, BuiltinType, Field, ValueType

__all__ = ["object_schema", "schema_of"]

_WIDE: Final = frozenset({BuiltinType.Int64, BuiltinType.UInt64})
_FLOAT_MAX: Final = 3.4028234663852886e38

_TEXTS: Final[dict[BuiltinType, dict[str, Any]]] = {
    BuiltinType.String: {"type": "string"},
    BuiltinType.DateTime: {"type": "string", "format": "date-time"},
    BuiltinType.Guid: {"type": "string", "format": "uuid"},
    BuiltinType.ByteString: {"type": "string", "contentEncoding": "base64"},
    BuiltinType.XmlElement: {"type": "string", "contentMediaType": "application/xml"},
    BuiltinType.NodeId: {"type": "string"},
    BuiltinType.ExpandedNodeId: {"type": "string"},
}


def schema_of(type: ValueType) -> dict[str, Any]:
    """The schema of a value of this type."""
    item = _scalar(type)
    if type.rank == -1:
        return {**item, "x-data-type": type.label()}
    if type.rank == -2:
        return {"x-data-type": type.label()}
    if type.rank == -3:
        return {"anyOf": [item, {"type": "array", "items": item}], "x-data-type": type.label()}
    if type.rank == 0:
        return {"type": "array", "x-data-type": type.label()}
    return {**_array(item, type), "x-data-type": type.label()}


def _array(item: dict[str, Any], type: ValueType) -> dict[str, Any]:
    """Nested lists, the innermost dimension first."""
    lengths = type.dimensions if len(type.dimensions) == type.rank else (0,) * type.rank
    schema = item
    for length in reversed(lengths):
        schema = {"type": "array", "items": schema, **({"maxItems": length} if length else {})}
    return schema


def _scalar(type: ValueType) -> dict[str, Any]:
    if type.is_enumeration:
        return _enumeration(type)
    if type.builtin in _WIDE:
        low, high = INTEGER_RANGES[type.builtin]
        return {"anyOf": [{"type": "integer", "minimum": low, "maximum": high}, {"type": "string", "pattern": "^-?[0-9]{1,20}$"}]}
    if type.builtin is BuiltinType.StatusCode:
        return {"type": ["string", "integer"]}
    if type.builtin in INTEGER_RANGES:
        low, high = INTEGER_RANGES[type.builtin]
        return {"type": "integer", "minimum": low, "maximum": high}
    if type.builtin is BuiltinType.Boolean:
        return {"type": "boolean"}
    if type.builtin is BuiltinType.Float:
        return {"type": "number", "minimum": -_FLOAT_MAX, "maximum": _FLOAT_MAX}
    if type.builtin is BuiltinType.Double:
        return {"type": "number"}
    if type.builtin in _TEXTS:
        return dict(_TEXTS[type.builtin])
    return _composite(type)


def _composite(type: ValueType) -> dict[str, Any]:
    if type.builtin is BuiltinType.LocalizedText:
        parts = {"text": {"type": "string"}, "locale": {"type": "string"}}
        return {"anyOf": [{"type": "string"}, {"type": "object", "properties": parts, "required": ["text"]}]}
    if type.builtin is BuiltinType.QualifiedName:
        parts = {"name": {"type": "string"}, "namespace": {"type": "string"}}
        return {"anyOf": [{"type": "string"}, {"type": "object", "properties": parts, "required": ["name"]}]}
    if type.builtin is BuiltinType.ExtensionObject:
        return _structure(type)
    return {}


def _enumeration(type: ValueType) -> dict[str, Any]:
    """By name, by number, or the form in which it is shown."""
    names, numbers = [name for _, name in type.members], [number for number, _ in type.members]
    shown = {"type": "object", "properties": {"value": {"enum": numbers}, "name": {"type": "string"}}, "required": ["value"]}
    return {"anyOf": [{"enum": [*names, *numbers]}, shown]}


def _structure(type: ValueType) -> dict[str, Any]:
    if not type.fields:
        return {"type": "object"}
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {f.name: _field(f) for f in type.fields},
        "additionalProperties": type.abstract,
    }
    if type.union:
        return {**schema, "maxProperties": 1}
    required = [f.name for f in type.fields if not f.optional]
    return {**schema, "required": required} if required else schema


def _field(field: Field) -> dict[str, Any]:
    schema = schema_of(field.type)
    if field.optional:
        schema = {"anyOf": [schema, {"type": "null"}]}
    return {**schema, "description": field.description} if field.description else schema


def object_schema(
    properties: Mapping[str, Any], required: Iterable[str] = (), *, open: bool | Mapping[str, Any] = False
) -> dict[str, Any]:
    """The schema of a parameters or results object; `open` is what other names may hold."""
    schema: dict[str, Any] = {"type": "object", "properties": dict(properties), "additionalProperties": open}
    needed = list(required)
    return {**schema, "required": needed} if needed else schema
