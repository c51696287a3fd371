"""A profile proposed from what was browsed: a start for the integrator that describes the same machine as it stands.

What is proposed is tried: of several ways to match, the first one is taken with which the same signals and skills come out.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from dtios.mapping.describe import describe
from dtios.mapping.discovery import Found, Matches, find_machines
from dtios.mapping.facts import BrowseFacts
from dtios.mapping.paths import escape
from dtios.mapping.profiles.file import parse_profile
from dtios.mapping.profiles.library import ProfileLibrary
from dtios.mapping.profiles.observed import Observed, as_written
from dtios.mapping.profiles.proposal import Proposal
from dtios.model.errors import ConfigurationError
from dtios.model.machine import Machine

__all__ = ["propose"]

_UA: Final = "http://opcfoundation.org/UA/"


def propose(facts: BrowseFacts, profiles: ProfileLibrary, path: str) -> Proposal:
    """For the machine at `path` (as its description has it). Raises ConfigurationError when no machine stands there."""
    matches = Matches(facts, profiles)
    machines = {f.path: f for f in find_machines(facts, profiles, matches)}
    found = machines.get(path)
    if found is None:
        raise ConfigurationError("there is no machine at this place any more", where=f"{facts.endpoint} {path}")
    before = describe(facts, found, found.node.name.name, matches)
    full = Observed(found, before, matches.of(found.node)).proposal(_free_name(found.node.name.name, profiles))
    trial = _Trial(facts, profiles, found, before.machine, frozenset(machines))
    tried = list(_ways(facts, found, full))
    return next((one for one in tried[:-1] if trial.holds(one)), tried[-1])


def _free_name(name: str, profiles: ProfileLibrary) -> str:
    base = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._").lower() or "machine"
    return base if base not in profiles.names else f"{base}-own"


def _ways(facts: BrowseFacts, found: Found, full: Proposal) -> Iterator[Proposal]:
    """By type, else by path; as a machine of its own, else as what adds to one. The last one says the least."""
    kind = found.node.types[0] if found.node.types else None
    loose = found.node is facts.root
    if kind is not None and kind.namespace not in ("", _UA) and not loose:
        prefix = _prefix(kind.namespace)
        by_type = {"type": f"{prefix}:{escape(kind.name)}", "namespace": kind.namespace}
        yield replace(full, match=by_type, namespaces={prefix: kind.namespace}, role="machine")
    by_path = replace(full, match={"path": as_written(found.path)})
    if not loose:
        yield replace(by_path, role="machine")
    yield replace(by_path, role="facet")
    yield replace(by_path, role="facet", extends=None, signals=tuple(replace(s, name=None) for s in full.signals))


def _prefix(namespace: str) -> str:
    """The last word of a URI."""
    words = re.findall(r"[A-Za-z][A-Za-z0-9]*", namespace)
    return words[-1].lower() if words else "own"


@dataclass(frozen=True, slots=True)
class _Trial:
    """`before` is the machine as described without the proposal, `places` are the paths of all machines."""

    facts: BrowseFacts
    profiles: ProfileLibrary
    found: Found
    before: Machine
    places: frozenset[str]

    def holds(self, proposal: Proposal) -> bool:
        """Whether the same machines come out with it, and this one with the same points under the names that it gives."""
        own = parse_profile(proposal.yaml(), proposal.name)
        library = ProfileLibrary([*(p.rules for p in self.profiles), own])
        matches = Matches(self.facts, library)
        machines = {f.path: f for f in find_machines(self.facts, library, matches)}
        if machines.keys() != self.places:
            return False
        after = describe(self.facts, machines[self.found.path], self.before.name, matches).machine
        return proposal.name in after.profiles and set(after.notes) <= set(self.before.notes) and self._same(proposal, after)

    def _same(self, proposal: Proposal, after: Machine) -> bool:
        names = {s.path: s.name for s in proposal.signals if s.name is not None}
        signals = {s.address: names.get(as_written(s.path), s.path) for s in self.before.signals}
        skills = {(s.path, s.binding) for s in self.before.skills}
        return {s.address: s.path for s in after.signals} == signals and {(s.path, s.binding) for s in after.skills} == skills
