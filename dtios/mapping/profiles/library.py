"""The profiles at hand: the shipped ones, the integrator's, and what `extends` makes of them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Self, TypeVar

from pydantic import BaseModel

from dtios.mapping.paths import ANY_NAMESPACE, parse_name, parse_path
from dtios.mapping.profiles.file import parse_profile, read_profile
from dtios.mapping.profiles.profile import Profile, SignalRule, StateRules
from dtios.mapping.profiles.results import ResultEventRule
from dtios.mapping.profiles.skills import SkillRule
from dtios.model.errors import ConfigurationError
from dtios.model.values import QualifiedName

__all__ = ["GENERIC", "LoadedProfile", "ProfileLibrary"]

GENERIC = "generic"
_Rule = TypeVar("_Rule", bound=BaseModel)
_SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class LoadedProfile:
    """A profile with all that it inherits. `ancestors` are the names of those it extends, nearest first."""

    rules: Profile
    ancestors: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.rules.profile

    @property
    def is_machine(self) -> bool:
        return self.rules.role != "facet"

    def path(self, text: str) -> tuple[QualifiedName, ...]:
        return parse_path(text, self.rules.namespaces)

    def type_name(self, text: str) -> QualifiedName:
        return parse_name(text, self.rules.namespaces)


class ProfileLibrary:
    """Profiles by name, ancestors before descendants."""

    def __init__(self, profiles: Iterable[Profile]) -> None:
        """Raises ConfigurationError for a name that is there twice, an unknown or circular `extends`, an undeclared prefix."""
        given: dict[str, Profile] = {}
        for profile in profiles:
            if profile.profile in given:
                raise ConfigurationError(
                    f"there are two profiles called {profile.profile!r}", where=profile.profile, mend="rename one of them"
                )
            given[profile.profile] = profile
        self._loaded: dict[str, LoadedProfile] = {}
        for name in given:
            self._resolve(name, given, ())

    @classmethod
    def builtin(cls) -> Self:
        """The profiles that are shipped."""
        return cls(_shipped())

    @classmethod
    def load(cls, paths: Sequence[Path] = (), texts: Sequence[tuple[str, str]] = ()) -> Self:
        """The shipped profiles and the integrator's: files, or folders of `*.yaml`, and texts as (name, text). An integrator's
        profile may replace a shipped one by taking its name."""
        own = [read_profile(file) for path in paths for file in _files(path)]
        own += [parse_profile(text, name) for name, text in texts]
        replaced = {profile.profile for profile in own}
        return cls([*(p for p in _shipped() if p.profile not in replaced), *own])

    def __iter__(self) -> Any:
        return iter(self._loaded.values())

    def __getitem__(self, name: str) -> LoadedProfile:
        return self._loaded[name]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._loaded)

    def _resolve(self, name: str, given: Mapping[str, Profile], path: tuple[str, ...]) -> LoadedProfile:
        if name in self._loaded:
            return self._loaded[name]
        if name in path:
            raise ConfigurationError(f"{' -> '.join((*path, name))} extends itself", where=name, mend="remove one `extends`")
        profile = given.get(name)
        if profile is None:
            known = ", ".join(sorted(given))
            raise ConfigurationError(f"there is no profile {name!r} to extend", where=path[-1], mend=f"the profiles are {known}")
        if profile.extends is None:
            loaded = LoadedProfile(profile, ())
        else:
            parent = self._resolve(profile.extends, given, (*path, name))
            loaded = LoadedProfile(_inherit(parent.rules, profile), (parent.name, *parent.ancestors))
        _check_prefixes(loaded)
        self._loaded[name] = loaded
        return loaded


def _shipped() -> list[Profile]:
    folder = files("dtios.mapping") / "library"
    found = sorted((f for f in folder.iterdir() if f.name.endswith(_SUFFIXES)), key=lambda f: f.name)
    return [parse_profile(f.read_text("utf-8"), f.name) for f in found]


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(f for f in path.iterdir() if f.suffix in _SUFFIXES)
    return [path]


# --- extends -----------------------------------------------------------------------------------------------------------------


def _inherit(parent: Profile, child: Profile) -> Profile:
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
            "results": _merge_results(parent.results, child.results),
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


# --- checked once, when loaded -----------------------------------------------------------------------------------------------


def _check_prefixes(profile: LoadedProfile) -> None:
    try:
        for text in _paths(profile.rules):
            profile.path(text)
        for text in _types(profile.rules):
            profile.type_name(text)
    except ConfigurationError as error:
        raise ConfigurationError(error.message, where=f"profile {profile.name}", mend=error.mend) from None
    for skill in profile.rules.skills:
        where = f"profile {profile.name}, skill {skill.name or skill.target or skill.binding}"
        for flaw, mend in skill.flaws():
            raise ConfigurationError(flaw, where=where, mend=mend)
    for result in profile.rules.results:
        _check_asked(result, profile)


def _check_asked(rule: ResultEventRule, profile: LoadedProfile) -> None:
    """A machine is asked for event types and event fields by their full names."""
    names = [(rule.event, profile.type_name(rule.event))]
    names += [(path, name) for path in rule.fields for name in profile.path(path)]
    names += [(path, profile.path(path)[0]) for path in rule.paths]
    for text, name in names:
        if name.namespace == ANY_NAMESPACE:
            raise ConfigurationError(
                f"{text!r} needs a namespace, events are asked for by their full names",
                where=f"profile {profile.name}, results of {rule.event}",
                mend="put one of the prefixes of `namespaces` before the name",
            )


def _types(rules: Profile) -> Iterable[str]:
    if rules.match is not None:
        yield from (t for t in (rules.match.type, rules.match.name, *(c.type for c in rules.match.children)) if t)
    for skill in rules.skills:
        yield from skill.types()
    yield from (r.event for r in rules.results)


def _paths(rules: Profile) -> Iterable[str]:
    yield from rules.containers
    yield from rules.ignore
    yield from rules.identification.values()
    yield from (s.path for s in rules.signals)
    if rules.match is not None:
        yield from (p for p in (rules.match.path, *(c.path for c in rules.match.children)) if p)
    for state in (rules.state.packml, rules.state.unit_mode) if rules.state is not None else ():
        yield from state.paths if state is not None else ()
    for skill in rules.skills:
        yield from skill.paths()
    for result in rules.results:
        yield from (*result.fields, *result.paths)
