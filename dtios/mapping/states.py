"""The signals that tell a machine's PackML state and UnitMode."""

from collections.abc import Mapping

from dtios.mapping.facts import Node
from dtios.mapping.layout import Entry
from dtios.mapping.mapped import StatePoint
from dtios.mapping.profiles.profile import StateRule
from dtios.mapping.skills.parts import Place
from dtios.mapping.state_names import PACKML_STATES, UNIT_MODES

__all__ = ["packml_point", "unit_mode_point"]


def packml_point(rule: StateRule, place: Place, paths: Mapping[int, str]) -> StatePoint | None:
    """`paths` are the signals' paths by node id. None where the machine lacks the innermost or all of the points."""
    entries = _entries(rule, place)
    return _nested([(paths[id(e.node)], _states(rule, PACKML_STATES)) for e in entries if id(e.node) in paths])


def unit_mode_point(rule: StateRule, place: Place, paths: Mapping[int, str]) -> StatePoint | None:
    """A mode beyond the standard's is named by the machine's own enumeration."""
    entries = _entries(rule, place)
    return _nested([(paths[id(e.node)], _modes(rule, e)) for e in entries if id(e.node) in paths])


def _entries(rule: StateRule, place: Place) -> list[Entry]:
    """Where `*` finds several nodes, none of them speaks for the machine."""
    found = [place.find_all(path) for path in rule.paths]
    return [entries[0] for entries in found if len(entries) == 1]


def _states(rule: StateRule, known: Mapping[int | str, str]) -> dict[int | str, str]:
    return {**({} if rule.states else known), **rule.states}


def _modes(rule: StateRule, entry: Entry) -> dict[int | str, str]:
    return {**_states(rule, UNIT_MODES), **({} if rule.states else _own_members(entry.node))}


def _own_members(node: Node) -> dict[int | str, str]:
    return dict[int | str, str](node.type.members) if node.type is not None and node.type.is_enumeration else {}


def _nested(points: list[tuple[str, dict[int | str, str]]]) -> StatePoint | None:
    point: StatePoint | None = None
    for signal, states in reversed(points):
        point = StatePoint(signal, states, point)
    return point
