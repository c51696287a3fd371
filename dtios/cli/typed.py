"""What a person types as a value: JSON where it is JSON, else a plain string; judged by the type that is wanted."""

import json
from collections.abc import Mapping
from typing import Any, Final

from dtios.cli.group import did_you_mean
from dtios.model.datatypes import BuiltinType, ValueType
from dtios.model.errors import ConfigurationError
from dtios.model.wire import from_json

__all__ = ["parameters_typed", "typed_json", "value_typed"]

_TEXTS: Final = frozenset(
    {
        BuiltinType.String, BuiltinType.DateTime, BuiltinType.Guid, BuiltinType.ByteString, BuiltinType.XmlElement,
        BuiltinType.NodeId, BuiltinType.ExpandedNodeId, BuiltinType.LocalizedText, BuiltinType.QualifiedName,
    }
)  # fmt: skip


def typed_json(text: str) -> Any:
    """JSON, or the text itself."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def value_typed(text: str, type: ValueType, where: str) -> Any:
    """The value of `type` that `text` stands for. `5` for a String is the text. Raises ConfigurationError."""
    form = typed_json(text)
    if type.builtin in _TEXTS and isinstance(form, bool | int | float):
        form = text
    try:
        return from_json(form, type)
    except ConfigurationError as error:
        inner = f"{where}/{error.where}" if error.where else where
        raise ConfigurationError(error.message, where=inner, mend=error.mend) from None


def parameters_typed(pairs: tuple[str, ...], whole: str | None, schema: Mapping[str, Any], where: str) -> dict[str, Any]:
    """NAME=VALUE pairs over `--params JSON`. Raises ConfigurationError for what the skill does not take."""
    values = _object(whole, where)
    for pair in pairs:
        name, sign, text = pair.partition("=")
        if not sign or not name:
            raise ConfigurationError(f"{pair!r} is not NAME=VALUE", where=where, mend="write a parameter as speed=12.5")
        values[name] = _for_schema(text, dict(schema.get("properties", {})).get(name))
    known = dict(schema.get("properties", {}))
    unknown = [name for name in values if name not in known]
    if unknown and schema.get("additionalProperties", True) is False:
        mend = did_you_mean(unknown[0], known) or f"it takes {', '.join(known) or 'none'}"
        raise ConfigurationError(f"it has no parameter {unknown[0]!r}", where=where, mend=mend)
    missing = [name for name in schema.get("required", ()) if name not in values]
    if missing:
        example = " ".join(f"{name}=VALUE" for name in missing)
        raise ConfigurationError(
            f"the parameter{'s' if len(missing) > 1 else ''} {', '.join(missing)} must be given",
            where=where,
            mend=f"add {example}",
        )
    return values


def _object(text: str | None, where: str) -> dict[str, Any]:
    if text is None:
        return {}
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(
            f"--params is not JSON: {error}", where=where, mend="""write it as '{"speed": 12.5}'"""
        ) from None
    if not isinstance(found, dict):
        raise ConfigurationError("--params is not an object", where=where, mend="""write it as '{"speed": 12.5}'""")
    return found


def _for_schema(text: str, schema: Any) -> Any:
    """A string stays one where the schema wants one, though it looks like a number."""
    form = typed_json(text)
    wanted = schema.get("type") if isinstance(schema, Mapping) else None
    kinds = wanted if isinstance(wanted, list) else [wanted]
    if "string" in kinds and isinstance(form, bool | int | float):
        numbers = {"number", "integer"} & set(kinds)
        return form if numbers and not isinstance(form, bool) else text
    return form
