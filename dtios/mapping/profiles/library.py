"""The profiles at hand: the shipped ones, the integrator's, and what `extends` makes of them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Self

from dtios.mapping.paths import ANY_NAMESPACE, parse_name, parse_path
from dtios.mapping.profiles.file import parse_profile, read_profile
from dtios.mapping.profiles.inheriting import inherit, spread
from dtios.mapping.profiles.profile import Profile
from dtios.mapping.profiles.results import ResultEventRule
from dtios.mapping.profiles.skills import SkillRule
from dtios.model.errors import ConfigurationError
from dtios.model.values import QualifiedName

__all__ = ["GENERIC", "LoadedProfile", "ProfileLibrary"]

GENERIC = "generic"
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
            loaded = LoadedProfile(spread(profile), ())
        else:
            parent = self._resolve(profile.extends, given, (*path, name))
            loaded = LoadedProfile(inherit(parent.rules, spread(profile)), (parent.name, *parent.ancestors))
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


# --- checked once, when loaded -----------------------------------------------------------------------------------------------


def _check_prefixes(profile: LoadedProfile) -> None:
    try:
        for text in _paths(profile.rules):
            profile.path(text)
        for text in _types(profile.rules):
            profile.type_name(text)
    except ConfigurationError as error:
        raise ConfigurationError(error.message, where=f"profile {profile.name}", mend=error.mend) from None
    for skill in _all_skills(profile.rules):
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
    yield from (part.type for part in rules.parts if part.type)
    for skill in _all_skills(rules):
        yield from skill.types()
    yield from (r.event for r in rules.results)


def _paths(rules: Profile) -> Iterable[str]:
    yield from rules.containers
    yield from rules.ignore
    yield from (path for paths in rules.identification.values() for path in paths)
    yield from (s.path for s in (*rules.signals, *(s for part in rules.parts for s in part.signals)))
    yield from (part.path for part in rules.parts if part.path)
    if rules.match is not None:
        yield from (p for p in (rules.match.path, *(c.path for c in rules.match.children)) if p)
    for state in (rules.state.packml, rules.state.unit_mode) if rules.state is not None else ():
        yield from state.paths if state is not None else ()
    for skill in _all_skills(rules):
        yield from skill.paths()
    for result in rules.results:
        yield from (*result.fields, *result.paths)


def _all_skills(rules: Profile) -> tuple[SkillRule, ...]:
    return (*rules.skills, *(skill for part in rules.parts for skill in part.skills))
