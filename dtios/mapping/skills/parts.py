"""What building a skill needs: where it lies, what it found, and the description made of a finished binding."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dtios.mapping.bindings.base import SkillBinding
from dtios.mapping.conversion import Conversion
from dtios.mapping.facts import Node
from dtios.mapping.layout import Entry, Layout
from dtios.mapping.mapped import MappedSkill
from dtios.mapping.paths import resolve, resolve_all
from dtios.mapping.profiles.library import LoadedProfile
from dtios.mapping.profiles.profile import PartRule, SignalRule
from dtios.mapping.profiles.skills import CapabilityRule, ParameterRule, ResultRule, SkillRule
from dtios.mapping.skills.parameters import canonical_schema
from dtios.model.machine import OnOwnerLost, Skill, effective_on_owner_lost

__all__ = ["BuiltSkill", "Missing", "NotBuilt", "Place", "finish"]


class NotBuilt(Exception):
    """The machine lacks what the profile's skill needs. Becomes a note of the machine."""


class Missing(NotBuilt):
    """What the skill drives is not there at all: no note where the profile calls it optional."""


@dataclass(frozen=True, slots=True)
class BuiltSkill:
    skill: Skill
    mapped: MappedSkill
    claimed: tuple[Node, ...] = ()
    """Methods that are no skills of their own any more."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a profile matched inside a machine, or where one of its parts lies. Paths start here."""

    layout: Layout
    entry: Entry
    profile: LoadedProfile
    part: PartRule | None = None

    @property
    def signals(self) -> tuple[SignalRule, ...]:
        return self.profile.rules.signals if self.part is None else self.part.signals

    @property
    def skills(self) -> tuple[SkillRule, ...]:
        return self.profile.rules.skills if self.part is None else self.part.skills

    def find(self, path: str) -> Entry | None:
        return self.layout.entry(resolve(self.entry.node, self.profile.path(path)))

    def find_all(self, path: str) -> list[Entry]:
        found = (self.layout.entry(node) for node in resolve_all(self.entry.node, self.profile.path(path)))
        return [entry for entry in found if entry is not None]

    def need(self, path: str) -> Entry:
        """Raises NotBuilt with a sentence."""
        found = self.find(path)
        if found is None:
            raise Missing(f"there is no {path} below {self.entry.path or self.entry.node.name.name}")
        return found


def finish(
    binding: SkillBinding,
    path: str,
    *,
    capability: CapabilityRule | None = None,
    description: str = "",
    parameters: Mapping[str, ParameterRule] | None = None,
    results: Mapping[str, ResultRule] | None = None,
    on_owner_lost: OnOwnerLost = OnOwnerLost.HOLD,
    claimed: tuple[Node, ...] = (),
) -> BuiltSkill:
    """The skill as the factory sees it: schemas in canonical units."""
    given, got = parameters or {}, results or {}
    down, up = _conversions(given), _conversions(got)
    skill = Skill(
        path,
        binding.name,
        binding.verbs,
        binding.identity,
        canonical_schema(binding.parameters, down, _codes(given)),
        canonical_schema(binding.results, up, _codes(got)),
        None if capability is None else capability.capability,
        effective_on_owner_lost(on_owner_lost, binding.verbs),
        description,
    )
    return BuiltSkill(skill, MappedSkill(binding, down, up), claimed)


def _conversions(rules: Mapping[str, ParameterRule] | Mapping[str, ResultRule]) -> dict[str, Conversion]:
    units = {name: rule.unit.conversion for name, rule in rules.items() if rule.unit is not None}
    return {name: conversion for name, conversion in units.items() if conversion is not None}


def _codes(rules: Mapping[str, ParameterRule] | Mapping[str, ResultRule]) -> dict[str, str | None]:
    units = {name: rule.unit.unit for name, rule in rules.items() if rule.unit is not None}
    return {name: unit.code for name, unit in units.items() if unit is not None}


def limits(rule: ParameterRule) -> dict[str, Any]:
    """What a profile says of a parameter beyond its type."""
    said = {"minimum": rule.low, "maximum": rule.high, "description": rule.description or None}
    return {key: value for key, value in said.items() if value is not None}
