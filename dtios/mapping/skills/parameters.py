"""Parameters and results of a skill: checked against its JSON Schema, and between canonical and machine units."""

import math
from collections.abc import Mapping
from typing import Any, Final, cast

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError, best_match

from dtios.mapping.conversion import Conversion
from dtios.mapping.mapped import MappedSkill
from dtios.model.datatypes import BuiltinType, ValueType
from dtios.model.errors import ConfigurationError, RefusedError

__all__ = ["canonical_schema", "results_to_canonical", "to_machine", "validate"]

_LIMITS: Final = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
_MIRRORED: Final = {
    "minimum": "maximum",
    "maximum": "minimum",
    "exclusiveMinimum": "exclusiveMaximum",
    "exclusiveMaximum": "exclusiveMinimum",
}


def validate(parameters: Mapping[str, Any], schema: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The parameters as they were given, if they fit. Raises ConfigurationError with one sentence if they do not, RefusedError
    for a number that is not finite."""
    given = dict(parameters)
    _check_finite(given, where)
    try:
        error = best_match(Draft202012Validator(dict(schema)).iter_errors(given))
    except SchemaError as broken:
        raise ConfigurationError(
            f"the schema of the parameters is broken: {broken.message}", where=where, mend="correct the profile"
        ) from None
    if error is not None:
        raise _sentence(error, where)
    return given


def _check_finite(value: Any, where: str) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise RefusedError(f"{value!r} is not a finite number", where=where, mend="give a finite number")
    if isinstance(value, Mapping):
        for name, below in value.items():
            _check_finite(below, f"{where}, parameter {name}" if where else f"parameter {name}")
    elif isinstance(value, list | tuple):
        for below in value:
            _check_finite(below, where)


def _sentence(error: ValidationError, where: str) -> ConfigurationError:
    path = "/".join(str(part) for part in error.absolute_path)
    at = f"{where}, parameter {path}" if path and where else where or path
    broken: Any = error.schema  # the part of the schema that was not met
    rule, given, wanted = str(error.validator), error.instance, cast(Any, error.validator_value)
    if rule == "required":
        missing = next(name for name in wanted if name not in cast(Any, given))
        kind = broken.get("properties", {}).get(missing, {}).get("x-data-type")
        return ConfigurationError(f"the parameter {missing!r} is missing", where=at, mend=f"give a {kind}" if kind else "give it")
    if rule == "additionalProperties":
        known = broken.get("properties", {})
        unknown = sorted(set(cast(Any, given)) - set(known))
        mend = f"the parameters are: {', '.join(known)}" if known else "it takes no parameters"
        return ConfigurationError(f"there is no parameter {unknown[0]!r}", where=at, mend=mend)
    if rule in _LIMITS:
        low, high = broken.get("minimum", "any"), broken.get("maximum", "any")
        return ConfigurationError(f"{given!r} is out of range", where=at, mend=f"stay within {low} and {high}")
    if rule == "type":
        return ConfigurationError(f"{given!r} is not of type {wanted}", where=at, mend=f"give a value of type {wanted}")
    return ConfigurationError(_short(error.message), where=at, mend=f"give a {broken.get('x-data-type', 'value that fits')}")


def _short(text: str) -> str:
    return text if len(text) <= 200 else text[:197] + "..."


# --- units -------------------------------------------------------------------------------------------------------------------


def to_machine(parameters: Mapping[str, Any], skill: MappedSkill) -> dict[str, Any]:
    """Canonical -> the machine's units. Raises RefusedError for a number that does not fit the machine's type."""
    properties = skill.binding.parameters.get("properties", {})
    return {
        name: skill.parameters[name].down(value, _wire_type(properties.get(name, {})))
        if name in skill.parameters and value is not None
        else value
        for name, value in parameters.items()
    }


def _wire_type(schema: Mapping[str, Any]) -> ValueType:
    """The machine's number type; a Double where it told none."""
    name = str(schema.get("x-data-type", "")).partition("[")[0]
    builtin = BuiltinType.__members__.get(name)
    if builtin is not None:
        return ValueType(builtin)
    return ValueType(BuiltinType.Int64 if schema.get("type") == "integer" else BuiltinType.Double)


def results_to_canonical(results: Mapping[str, Any], skill: MappedSkill) -> dict[str, Any]:
    """The machine's units -> canonical. What is no number (an absent result, NaN as a text) stays as it is."""
    return {name: _up(value, skill.results.get(name)) for name, value in results.items()}


def _up(value: Any, conversion: Conversion | None) -> Any:
    if conversion is None or isinstance(value, bool | dict):
        return value
    if isinstance(value, str):  # Int64 and UInt64 are texts of digits; NaN and the infinities have no unit
        return conversion.up(int(value)) if value.removeprefix("-").isdigit() else value
    if isinstance(value, list):
        return [_up(v, conversion) for v in value]
    return conversion.up(value)


def canonical_schema(
    schema: Mapping[str, Any], conversions: Mapping[str, Conversion], units: Mapping[str, str | None]
) -> dict[str, Any]:
    """A schema in machine units as the app sees it: limits converted, a converted integer a number, the unit's code named."""
    properties = {
        name: _canonical_property(below, conversions.get(name), units.get(name))
        for name, below in schema.get("properties", {}).items()
    }
    return {**schema, "properties": properties} if "properties" in schema else dict(schema)


def _canonical_property(schema: Mapping[str, Any], conversion: Conversion | None, unit: str | None) -> dict[str, Any]:
    named = {**schema, "x-unit": unit} if unit else dict(schema)
    return named if conversion is None else _convert(named, conversion)


def _convert(schema: Mapping[str, Any], conversion: Conversion) -> dict[str, Any]:
    converted = {key: value for key, value in schema.items() if key not in _LIMITS}
    for key in _LIMITS:
        if key in schema:
            converted[_MIRRORED[key] if conversion.scale < 0 else key] = conversion.up(schema[key])
    if converted.get("type") == "integer":
        converted["type"] = "number"
    if isinstance(converted.get("items"), Mapping):
        converted["items"] = _convert(converted["items"], conversion)
    if "anyOf" in converted:  # a wide integer, which may be written as a string: canonical it is a number
        numbers = [s for s in converted["anyOf"] if s.get("type") in ("integer", "number")]
        if numbers:
            del converted["anyOf"]
            converted |= _convert(numbers[0], conversion)
    return converted
