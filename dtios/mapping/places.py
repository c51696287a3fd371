"""Where inside a machine which rules hold: the nodes that profiles match, and the parts that these speak of."""

from collections.abc import Iterator

from dtios.mapping.discovery import Matches
from dtios.mapping.facts import NodeKind
from dtios.mapping.layout import Entry, Layout
from dtios.mapping.paths import ANY_NAMESPACE, resolve_all
from dtios.mapping.profiles.profile import PartRule
from dtios.mapping.skills.parts import Place
from dtios.model.values import QualifiedName

__all__ = ["matched_places", "part_places"]


def matched_places(layout: Layout, matches: Matches) -> list[Place]:
    """The outer ones first."""
    return [
        Place(layout, entry, profile)
        for entry in layout
        if entry.node.kind is NodeKind.OBJECT
        for profile in matches.of(entry.node)
    ]


def part_places(places: list[Place]) -> list[Place]:
    """Each part once, in the order of the layout; a node that is none is left alone."""
    found: dict[tuple[int, int], Place] = {}
    for place in places:
        for part in place.profile.rules.parts:
            for entry in _parts(place, part):
                found.setdefault((id(entry), id(part)), Place(place.layout, entry, place.profile, part))
    return list(found.values())


def _parts(place: Place, part: PartRule) -> Iterator[Entry]:
    wanted = None if part.type is None else place.profile.type_name(part.type)
    for entry in _candidates(place, part):
        if wanted is None or any(_same(wanted, name) for name in entry.node.types):
            yield entry


def _candidates(place: Place, part: PartRule) -> Iterator[Entry]:
    if part.path is not None:
        nodes = resolve_all(place.entry.node, place.profile.path(part.path))
        yield from (entry for entry in map(place.layout.entry, nodes) if entry is not None)
        return
    yield from (entry for entry in place.layout if entry.node.kind is not NodeKind.METHOD and _is_within(entry, place.entry))


def _is_within(entry: Entry, outer: Entry) -> bool:
    at: Entry | None = entry
    while at is not None and at is not outer:
        at = at.owner
    return at is outer


def _same(wanted: QualifiedName, name: QualifiedName) -> bool:
    return wanted.name == name.name and wanted.namespace in (ANY_NAMESPACE, name.namespace)
