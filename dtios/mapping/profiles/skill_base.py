"""What every skill in a profile may say, whatever runs it."""

from collections.abc import Iterator
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from dtios.mapping.profiles.units import UnitRule
from dtios.model.datatypes import BuiltinType
from dtios.model.machine import Capability, OnOwnerLost, PropertyConstraint

__all__ = ["CapabilityRule", "ConstraintRule", "LockRule", "ParameterRule", "ResultRule", "Rule", "SkillBase", "as_list"]


class Rule(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ConstraintRule(Rule):
    low: float | None = None
    high: float | None = None
    values: tuple[str | int | float | bool, ...] = ()
    unit: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _plain(cls, value: object) -> object:
        if isinstance(value, list):
            return {"values": value}
        return value if isinstance(value, dict) else {"values": [value]}


class CapabilityRule(Rule):
    """An IRI, and what can be done of each property: `{low, high, unit}`, a list of values, or one value."""

    iri: str = Field(min_length=1)
    properties: dict[str, ConstraintRule] = {}

    @model_validator(mode="before")
    @classmethod
    def _plain_iri(cls, value: object) -> object:
        return {"iri": value} if isinstance(value, str) else value

    @property
    def capability(self) -> Capability:
        return Capability(
            self.iri, tuple(PropertyConstraint(n, c.low, c.high, c.values, c.unit) for n, c in self.properties.items())
        )


class ParameterRule(Rule):
    """Where a parameter goes.

    `argument`: the method's argument of that name (methods, and with `call` a method called before the start). `path`: a variable
    that is written before the start. `id`: the job order's parameter ID, or the PackML descriptor's name. `type`: a built-in
    type where the machine does not tell one. `value`: given always, and not for the app to choose.
    """

    argument: str | None = None
    path: str | None = None
    call: str | None = None
    id: str | None = None
    number: int = 0
    type: str | None = None
    unit: UnitRule | None = None
    low: float | None = None
    high: float | None = None
    required: bool | None = None
    value: Any = None
    description: str = ""

    @field_validator("type")
    @classmethod
    def _builtin(cls, value: str | None) -> str | None:
        if value is not None and value not in BuiltinType.__members__:
            raise ValueError(f"{value!r} is no built-in type, as Double or String")
        return value


class ResultRule(Rule):
    """Where a result comes from: an output `argument`, a variable at `path` read at the end, or a job response's `id`."""

    argument: str | None = None
    path: str | None = None
    id: str | None = None
    unit: UnitRule | None = None


def as_list(value: object) -> object:
    """A text alone is a list of one."""
    return [value] if isinstance(value, str) else value


class LockRule(Rule):
    """The lock (OPC 10000-100, LockingServicesType) that is held while a job runs: at `path`, or the nearest one of `type`, from
    the skill outwards."""

    path: str | None = None
    type: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _plain_path(cls, value: object) -> object:
        return {"path": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.path is None) == (self.type is None):
            raise ValueError("give the path of the lock or its type")
        return self


class SkillBase(Rule):
    """`name` replaces the path that the skill has by itself: that of the method or object it drives. `optional`: that what it
    drives is not there is not worth a note.
    """

    name: str | None = None
    description: str = ""
    capability: CapabilityRule | None = None
    parameters: dict[str, ParameterRule] = {}
    results: dict[str, ResultRule] = {}
    on_owner_lost: OnOwnerLost = OnOwnerLost.HOLD
    lock: LockRule | None = None
    optional: bool | None = None

    @field_validator("parameters", "results", mode="before")
    @classmethod
    def _names_alone(cls, value: object) -> object:
        return {k: {} if v is None else v for k, v in value.items()} if isinstance(value, dict) else value

    @property
    def target(self) -> str:
        """The path of what it drives: a skill of another profile that drives the same is extended."""
        raise NotImplementedError

    def paths(self) -> Iterator[str]:
        """All paths that it names."""
        yield self.target
        yield from (p for rule in self.parameters.values() for p in (rule.path, rule.call) if p)
        yield from (rule.path for rule in self.results.values() if rule.path)
        if self.lock is not None and self.lock.path is not None:
            yield self.lock.path

    def types(self) -> Iterator[str]:
        """All types that it names."""
        if self.lock is not None and self.lock.type is not None:
            yield self.lock.type

    def flaws(self) -> Iterator[tuple[str, str]]:
        """(what is missing in it once it has all that it extends, what mends it)."""
        yield from ()

    def over(self, parent: Any) -> dict[str, Any]:
        """What is merged by key where it extends `parent`."""
        return {
            "parameters": {**parent.parameters, **self.parameters},
            "results": {**parent.results, **self.results},
        }
