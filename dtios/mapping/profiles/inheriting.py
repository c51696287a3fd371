"""What `extends` makes of two profiles, and what a profile says once for all its own rules."""

from typing import TypeVar

from pydantic import BaseModel

from dtios.mapping.profiles.profile import PartRule, Profile, SignalRule, StateRules
from dtios.mapping.profiles.results import ResultEventRule
from dtios.mapping.profiles.skills import SkillRule

__all__ = ["inherit", "spread"]

_Rule = TypeVar("_Rule", bound=BaseModel)


def spread(profile: Profile) -> Profile:
    """`optional` and `semantics` put into the rules they are for."""
    parts = tuple(
        part.model_copy(
            update={
                "signals": _signals(part.signals, profile.optional, part.semantics),
                "skills": _skills(part.skills, profile.optional),
            }
        )
        for part in profile.parts
    )
    signals = _signals(profile.signals, profile.optional, profile.semantics)
    return profile.model_copy(update={"signals": signals, "skills": _skills(profile.skills, profile.optional), "parts": parts})


def _signals(rules: tuple[SignalRule, ...], optional: bool | None, semantics: str | None) -> tuple[SignalRule, ...]:
    made: list[SignalRule] = []
    for rule in rules:
        update: dict[str, object] = {}
        if rule.optional is None and optional is not None:
            update["optional"] = optional
        if rule.semantic_id is None and semantics is not None:
            plain = "/".join(name.rpartition(":")[2] for name in rule.path.split("/"))
            update["semantic_id"] = semantics + plain
        made.append(rule.model_copy(update=update))
    return tuple(made)


def _skills(rules: tuple[SkillRule, ...], optional: bool | None) -> tuple[SkillRule, ...]:
    return tuple(r.model_copy(update={"optional": optional}) if r.optional is None and optional is not None else r for r in rules)


def inherit(parent: Profile, child: Profile) -> Profile:
    """What the child says holds; lists and mappings merge by key. `match` is replaced whole."""
    return child.model_copy(
        update={
            "title": child.title or parent.title,
            "namespaces": {**parent.namespaces, **child.namespaces},
            "match": child.match or parent.match,
            "role": child.role or parent.role,
            "unit": parent.unit if child.unit is None else child.unit,
            "containers": tuple(dict.fromkeys((*parent.containers, *child.containers))),
            "ignore": tuple(dict.fromkeys((*parent.ignore, *child.ignore))),
            "identification": {**parent.identification, **child.identification},
            "signals": _merge_signals(parent.signals, child.signals),
            "state": _merge_state(parent.state, child.state),
            "skills": _merge_skills(parent.skills, child.skills),
            "parts": _merge_parts(parent.parts, child.parts),
            "results": _merge_results(parent.results, child.results),
            "topics": child.topics or parent.topics,
        }
    )


def _over(parent: _Rule, child: _Rule) -> _Rule:
    """The parent with what the child says explicitly."""
    return parent.model_copy(update={name: getattr(child, name) for name in child.model_fields_set})


def _merge_signals(parent: tuple[SignalRule, ...], child: tuple[SignalRule, ...]) -> tuple[SignalRule, ...]:
    merged = {rule.path: rule for rule in parent}
    for rule in child:
        merged[rule.path] = _over(merged[rule.path], rule) if rule.path in merged else rule
    return tuple(merged.values())


def _merge_parts(parent: tuple[PartRule, ...], child: tuple[PartRule, ...]) -> tuple[PartRule, ...]:
    merged = {(rule.type, rule.path): rule for rule in parent}
    for rule in child:
        base = merged.get((rule.type, rule.path))
        if base is not None:
            signals, skills = _merge_signals(base.signals, rule.signals), _merge_skills(base.skills, rule.skills)
            rule = rule.model_copy(update={"signals": signals, "skills": skills})
        merged[rule.type, rule.path] = rule
    return tuple(merged.values())


def _merge_state(parent: StateRules | None, child: StateRules | None) -> StateRules | None:
    return child or parent if parent is None or child is None else _over(parent, child)


def _merge_results(parent: tuple[ResultEventRule, ...], child: tuple[ResultEventRule, ...]) -> tuple[ResultEventRule, ...]:
    """By event; the fields that are asked for and the contents of both."""
    merged = {rule.event: rule for rule in parent}
    for rule in child:
        base = merged.get(rule.event)
        if base is not None:
            fields = tuple(dict.fromkeys((*base.fields, *rule.fields)))
            rule = _over(base, rule).model_copy(update={"fields": fields, "content": {**base.content, **rule.content}})
        merged[rule.event] = rule
    return tuple(merged.values())


def _target(rule: SkillRule) -> tuple[str, str]:
    return rule.binding, rule.target


def _merge_skills(parent: tuple[SkillRule, ...], child: tuple[SkillRule, ...]) -> tuple[SkillRule, ...]:
    """A skill of the child that drives what one of the parent's drives, with the same binding, is made from that one."""
    taken: set[int] = set()
    merged: list[SkillRule] = []
    for rule in child:
        base = next((i for i, p in enumerate(parent) if rule.name is not None and p.name == rule.name), None)
        if base is None or parent[base].binding != rule.binding:
            base = next((i for i, p in enumerate(parent) if _target(p) == _target(rule)), None)
        if base is not None:
            taken.add(base)
            rule = _over_skill(parent[base], rule)
        merged.append(rule)
    return (*(p for i, p in enumerate(parent) if i not in taken), *merged)


def _over_skill(parent: SkillRule, child: SkillRule) -> SkillRule:
    return _over(parent, child).model_copy(update=child.over(parent) if type(parent) is type(child) else {})
