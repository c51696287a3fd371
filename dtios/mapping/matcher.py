"""From browse facts to machines: profiles applied, everything else as plain signals and methods."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from dtios.mapping.describe import describe
from dtios.mapping.discovery import Found, Matches, find_machines
from dtios.mapping.facts import BrowseFacts
from dtios.mapping.layout import address_order
from dtios.mapping.mapped import MappedMachine
from dtios.mapping.profiles.library import ProfileLibrary

__all__ = ["map_machines", "rename"]


def map_machines(facts: BrowseFacts, profiles: ProfileLibrary, names: Mapping[str, str] | None = None) -> list[MappedMachine]:
    """All machines behind the endpoint. `names` are the configuration's: by identity, by path, or by the name it has here.

    Raises nothing for what the machine has or lacks: what does not fit a profile is a note of the machine.
    """
    matches = Matches(facts, profiles)
    found = find_machines(facts, profiles, matches)
    own_names = _names(found)
    mapped = [describe(facts, place, name, matches) for place, name in zip(found, own_names, strict=True)]
    mapped = _distinct(mapped, facts.endpoint)
    return [rename(m, names) for m in mapped] if names else mapped


def rename(mapped: MappedMachine, names: Mapping[str, str]) -> MappedMachine:
    """The machine under the configuration's name, if it has one there."""
    machine = mapped.machine
    for key in (machine.identity, machine.path, machine.name):
        if key in names:
            return replace(mapped, machine=replace(machine, name=names[key]))
    return mapped


def _names(found: Sequence[Found]) -> list[str]:
    """BrowseNames, made unique with #2, #3 in NodeId order."""
    names: dict[int, str] = {}
    taken: set[str] = {f.node.name.name for f in found}
    given: set[str] = set()
    for place in sorted(found, key=lambda f: address_order(f.node.address)):
        base = name = place.node.name.name
        number = 1
        while name in given or (name != base and name in taken):
            number += 1
            name = f"{base}#{number}"
        given.add(name)
        names[id(place)] = name
    return [names[id(place)] for place in found]


def _distinct(mapped: list[MappedMachine], endpoint: str) -> list[MappedMachine]:
    """Two machines that claim one ProductInstanceUri are told apart by where they stand."""
    counts: dict[str, int] = {}
    for m in mapped:
        counts[m.machine.identity] = counts.get(m.machine.identity, 0) + 1
    return [_by_place(m, endpoint) if counts[m.machine.identity] > 1 else m for m in mapped]


def _by_place(mapped: MappedMachine, endpoint: str) -> MappedMachine:
    machine = mapped.machine
    note = f"another machine here has the ProductInstanceUri {machine.identity} too: both are known by their place instead"
    return replace(mapped, machine=replace(machine, identity=f"{endpoint}/{machine.path}", notes=(*machine.notes, note)))
