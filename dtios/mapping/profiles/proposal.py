"""A proposed profile as a file: YAML with what is known, and comments where a person has to say the rest."""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

__all__ = ["Proposal", "ProposedParameter", "ProposedSignal", "ProposedSkill"]

_PLAIN: Final = re.compile(r"[A-Za-z][A-Za-z0-9_./~-]*")
_WORDS: Final = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})


@dataclass(frozen=True, slots=True)
class ProposedSignal:
    """`missing` are the keys that the machine does not say: unit, range. `known` is what it says, for a person."""

    path: str
    name: str | None = None
    missing: tuple[str, ...] = ()
    known: str = ""


@dataclass(frozen=True, slots=True)
class ProposedParameter:
    name: str
    is_numeric: bool
    known: str = ""


@dataclass(frozen=True, slots=True)
class ProposedSkill:
    method: str
    name: str | None = None
    parameters: tuple[ProposedParameter, ...] = ()
    description: str = ""


@dataclass(frozen=True, slots=True)
class Proposal:
    """What `propose` found out about one machine."""

    name: str
    title: str
    endpoint: str
    extends: str | None = None
    namespaces: dict[str, str] = field(default_factory=dict)
    match: dict[str, str] = field(default_factory=dict)
    role: str | None = None
    identification: dict[str, str] = field(default_factory=dict)
    signals: tuple[ProposedSignal, ...] = ()
    skills: tuple[ProposedSkill, ...] = ()
    handshakes: tuple[tuple[str, dict[str, str]], ...] = ()
    """(name, part -> path) of what may be a skill that runs by bits: commented out."""

    def yaml(self) -> str:
        return "\n".join(self._lines()) + "\n"

    def _lines(self) -> Iterator[str]:
        yield f"# Proposed by dtios for {_one_line(self.title)} at {self.endpoint}."
        yield "# What the machine does not say itself stands behind a #: say it, or take the line out."
        yield f"profile: {_scalar(self.name)}"
        yield f"title: {_scalar(self.title)}"
        if self.extends is not None:
            yield f"extends: {_scalar(self.extends)}"
        yield from _mapping("namespaces", self.namespaces)
        yield from _mapping("match", self.match)
        if self.role is not None:
            yield f"role: {self.role}"
        yield from _mapping("identification", self.identification)
        yield from _list("signals", (line for signal in self.signals for line in _signal(signal)))
        yield from _list("skills", (line for skill in self.skills for line in _skill(skill)))
        if self.handshakes:
            yield "# These look like the bits of a skill. If they are, take the # and the blank after it away:"
            yield from ([] if self.skills else ["# skills:"])
            yield from (f"# {line}" for name, parts in self.handshakes for line in _handshake(name, parts))


def _mapping(key: str, entries: dict[str, str]) -> Iterator[str]:
    if entries:
        yield f"{key}:"
        yield from (f"  {_scalar(name)}: {_scalar(value)}" for name, value in entries.items())


def _list(key: str, lines: Iterable[str]) -> Iterator[str]:
    """Nothing at all where there are no entries."""
    written = list(lines)
    if written:
        yield f"{key}:"
        yield from written


_BLANKS: Final = {"unit": "# unit: CODE  # UNECE, as CEL or MTR", "range": "# range: [LOW, HIGH]"}


def _signal(signal: ProposedSignal) -> Iterator[str]:
    yield f"  - path: {_scalar(signal.path)}" + (f"  # {_one_line(signal.known)}" if signal.known else "")
    if signal.name is not None:
        yield f"    name: {_scalar(signal.name)}"
    yield from (f"    {_BLANKS[key]}" for key in signal.missing)


def _skill(skill: ProposedSkill) -> Iterator[str]:
    yield "  - binding: method"
    yield f"    method: {_scalar(skill.method)}"
    if skill.name is not None:
        yield f"    name: {_scalar(skill.name)}"
    if skill.description:
        yield f"    description: {_scalar(skill.description)}"
    yield "    # capability: IRI"
    yield "    # on_owner_lost: hold  # or stop, or finish"
    if skill.parameters:
        yield "    parameters:"
        yield from (line for parameter in skill.parameters for line in _parameter(parameter))


def _handshake(name: str, parts: dict[str, str]) -> Iterator[str]:
    yield "  - binding: handshake"
    yield f"    name: {_scalar(name)}"
    yield from (f"    {part}: {_scalar(path)}" for part, path in parts.items())
    if "busy" not in parts:
        yield "    done_within: SECONDS"


def _parameter(parameter: ProposedParameter) -> Iterator[str]:
    yield f"      {_scalar(parameter.name)}:" + (f"  # {_one_line(parameter.known)}" if parameter.known else "")
    if parameter.is_numeric:
        yield "        # unit: CODE"
        yield "        # low: LOW"
        yield "        # high: HIGH"


def _scalar(text: str) -> str:
    """Quoted where YAML would take it for something else."""
    plain = _PLAIN.fullmatch(text) and text.lower() not in _WORDS
    return text if plain else json.dumps(text, ensure_ascii=not text.isprintable())


def _one_line(text: str) -> str:
    """Fit for a comment: a control character would end it, or the file."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
