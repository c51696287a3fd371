"""What a profile may say: how a machine's own address space becomes signals and skills. Data, not code.

A profile matches nodes and adds to what is described without it; an integrator's needs only `profile`, `match` and what is to be
named. Paths are those of `dtios.mapping.paths`, below the matched node unless said otherwise.
"""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from dtios.mapping.observing import ObserveRule
from dtios.mapping.profiles.results import ResultEventRule
from dtios.mapping.profiles.skills import SkillRule
from dtios.mapping.profiles.topics import TopicsRule
from dtios.mapping.profiles.units import UnitRule
from dtios.model.machine import Range

__all__ = [
    "ChildRule",
    "IdentificationField",
    "MatchRule",
    "PartRule",
    "Profile",
    "SignalRule",
    "StateRule",
    "StateRules",
]

Path = Annotated[str, StringConstraints(strip_whitespace=True)]

IdentificationField = Literal[
    "manufacturer",
    "manufacturer_uri",
    "model",
    "product_code",
    "serial_number",
    "product_instance_uri",
    "hardware_revision",
    "software_revision",
    "device_class",
    "year_of_construction",
    "month_of_construction",
    "initial_operation_date",
    "component_name",
    "asset_id",
    "location",
]


class _Rule(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ChildRule(_Rule):
    """A child that must exist: at `path`, of `type`, or both. With a type alone any direct child of it will do."""

    path: Path | None = None
    type: str | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.path is None and self.type is None:
            raise ValueError("give a path, a type or both")
        return self


class MatchRule(_Rule):
    """All that is given must hold.

    `type`: the node's type definition, a supertype of it, or an interface it has. `path`: where it stands below the root.
    `name`: its BrowseName. `children`: what must exist below it. `namespace`: a URI the endpoint must have.
    """

    type: str | None = None
    path: Path | None = None
    name: str | None = None
    children: tuple[ChildRule, ...] = ()
    namespace: str | None = None

    @field_validator("children", mode="before")
    @classmethod
    def _plain_paths(cls, value: object) -> object:
        return [{"path": v} if isinstance(v, str) else v for v in value] if isinstance(value, list) else value

    @model_validator(mode="after")
    def _finds_nodes(self) -> Self:
        if self.type is None and self.path is None and self.name is None and not self.children:
            raise ValueError("give at least one of type, path, name, children")
        return self


class SignalRule(ObserveRule):
    """What the machine does not say of a signal itself. `name` replaces the whole path. `*` in the path stands for every node
    there. `optional`: that it is not there is not worth a note.
    """

    path: Path
    name: str | None = None
    optional: bool | None = None
    unit: UnitRule | None = None
    range: tuple[float, float] | None = None
    semantic_id: str | None = None
    description: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _plain_path(cls, value: object) -> object:
        return {"path": value} if isinstance(value, str) else value

    @field_validator("range")
    @classmethod
    def _ordered(cls, value: tuple[float, float] | None) -> tuple[float, float] | None:
        if value is not None and not value[0] <= value[1]:
            raise ValueError("the low end comes first")
        return value

    @property
    def limits(self) -> Range | None:
        return None if self.range is None else Range(*self.range)


class StateRule(_Rule):
    """A signal that tells a state. `paths`: for nested state machines the outermost first; an inner one tells where the value of
    the outer one names no state. `states`: the machine's values and the states they stand for, where they are not the
    standard's own numbers and names. `partial`: it names some of the states only, and tells where nothing else does.
    """

    paths: tuple[Path, ...] = Field(min_length=1)
    states: dict[int | str, str] = {}
    partial: bool = False

    @model_validator(mode="before")
    @classmethod
    def _plain_path(cls, value: object) -> object:
        return {"paths": [value]} if isinstance(value, str) else value


class StateRules(_Rule):
    packml: StateRule | None = None
    unit_mode: StateRule | None = None


class PartRule(_Rule):
    """The same rules for every part of a kind, wherever it lies in the matched node: of `type`, at `path` (with `*`), or both.
    Paths start at the part. `semantics` as in the profile.
    """

    type: str | None = None
    path: Path | None = None
    semantics: str | None = None
    signals: tuple[SignalRule, ...] = ()
    skills: tuple[SkillRule, ...] = ()

    @model_validator(mode="after")
    def _says_where(self) -> Self:
        if self.path is None and self.type is None:
            raise ValueError("give the type of the parts, or their path")
        named = next((s.name for s in self.signals if s.name), None)
        if named is not None:
            raise ValueError(f"the signal name {named!r} would be that of every part")
        return self


class Profile(_Rule):
    """One profile, as its file says it; `extends` not yet applied.

    `role`: a node that a `machine` profile matches is a machine of its own (the outermost wins, further in it adds to that
    one); a `facet` adds to the machine it lies in. `unit`: where several nodes of this facet lie in one object that no profile
    knows as a machine, each is a machine. `containers`: folders below the root whose objects are machines. `ignore`: what lies
    below the root and is no machine. `optional`: what is missing of its own signals and skills is not worth a note.
    `semantics`: a signal without a semantic id has this with its path behind it. Both are for what this file says, and are not
    inherited.
    `topics`: how machines on plain MQTT topics speak; such a profile matches by itself what was heard by it.
    """

    profile: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    title: str = ""
    extends: str | None = None
    namespaces: dict[str, str] = {}
    match: MatchRule | None = None
    role: Literal["machine", "facet"] | None = None
    unit: bool | None = None
    optional: bool | None = None
    semantics: str | None = None
    containers: tuple[Path, ...] = ()
    ignore: tuple[Path, ...] = ()
    identification: dict[IdentificationField, tuple[Path, ...]] = {}
    signals: tuple[SignalRule, ...] = ()
    state: StateRules | None = None
    skills: tuple[SkillRule, ...] = ()
    parts: tuple[PartRule, ...] = ()
    results: tuple[ResultEventRule, ...] = ()
    topics: TopicsRule | None = None

    @field_validator("identification", mode="before")
    @classmethod
    def _plain_paths(cls, value: object) -> object:
        return {k: [v] if isinstance(v, str) else v for k, v in value.items()} if isinstance(value, dict) else value

    @model_validator(mode="before")
    @classmethod
    def _matches_its_own(cls, value: object) -> object:
        if isinstance(value, dict) and value.get("topics") is not None and value.get("match") is None:
            return {"role": "machine", **value, "match": {"type": value.get("profile")}}
        return value
