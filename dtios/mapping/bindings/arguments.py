"""Arguments of method calls: from a job's parameters, in the exact types of the method, and back into results."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from dtios.mapping.skills.schema import object_schema, schema_of
from dtios.model.coercion import check
from dtios.model.datatypes import ValueType
from dtios.model.wire import from_json, to_json

__all__ = ["ASKED", "Input", "Output", "arguments", "input_schema", "output_schema", "results"]

ASKED: Final = object()
"""Stands where a value comes from the job's parameters."""


@dataclass(frozen=True, slots=True)
class Input:
    """One input: the parameter's name, its type on the wire, what more its schema says, and a value that is always given."""

    name: str
    type: ValueType
    extra: Mapping[str, Any] = field(default_factory=dict)
    fixed: Any = ASKED


@dataclass(frozen=True, slots=True)
class Output:
    name: str
    type: ValueType
    description: str = ""


def input_schema(inputs: Sequence[Input]) -> dict[str, Any]:
    asked = [i for i in inputs if i.fixed is ASKED]
    return object_schema({i.name: {**schema_of(i.type), **i.extra} for i in asked}, [i.name for i in asked])


def output_schema(outputs: Sequence[Output]) -> dict[str, Any]:
    return object_schema(
        {o.name: {**schema_of(o.type), **({"description": o.description} if o.description else {})} for o in outputs}
    )


def arguments(inputs: Sequence[Input], parameters: Mapping[str, Any]) -> list[tuple[Any, ValueType]]:
    """In the method's order. Raises ConfigurationError or RefusedError for what does not fit the type exactly."""
    return [
        (exact(parameters.get(i.name) if i.fixed is ASKED else i.fixed, i.type, f"parameter {i.name}"), i.type) for i in inputs
    ]


def exact(value: Any, type: ValueType, where: str) -> Any:
    """A parameter's JSON form as a value of exactly this type."""
    return check(from_json(value, type), type, where)


def results(outputs: Sequence[Output], values: Sequence[Any]) -> dict[str, Any]:
    """By name, in the JSON forms that the results' schema describes. A machine that answers fewer values leaves names out."""
    return {o.name: to_json(value, o.type) for o, value in zip(outputs, values, strict=False)}
