"""The signals that tell a machine's PackML state and UnitMode."""

from collections.abc import Mapping
from enum import IntEnum
from typing import Final

from dtios.mapping.facts import Node
from dtios.mapping.layout import Entry
from dtios.mapping.mapped import StatePoint
from dtios.mapping.profile import StateRule
from dtios.mapping.skill_parts import Place
from dtios.model.packml import PackMLState, UnitMode

__all__ = ["PACKML_STATES", "packml_point", "unit_mode_point"]


def _known(states: type[IntEnum]) -> dict[int | str, str]:
    """By number, by name, and by name in small letters."""
    table: dict[int | str, str] = {}
    for state in states:
        table |= {int(state): state.name, state.name: state.name, state.name.lower(): state.name}
    return table


PACKML_STATES: Final = _known(PackMLState)
_UNIT_MODES: Final = _known(UnitMode)


def packml_point(rule: StateRule, place: Place, paths: Mapping[int, str]) -> StatePoint | None:
    """`paths` are the signals' paths by node id. None where the machine lacks the innermost or all of the points."""
    entries = [e for e in (place.find(path) for path in rule.paths) if e is not None]
    return _nested([(paths[id(e.node)], _states(rule, PACKML_STATES)) for e in entries if id(e.node) in paths])


def unit_mode_point(rule: StateRule, place: Place, paths: Mapping[int, str]) -> StatePoint | None:
    """A mode beyond the standard's is named by the machine's own enumeration."""
    entries = [e for e in (place.find(path) for path in rule.paths) if e is not None]
    return _nested([(paths[id(e.node)], _modes(rule, e)) for e in entries if id(e.node) in paths])


def _states(rule: StateRule, known: Mapping[int | str, str]) -> dict[int | str, str]:
    return {**({} if rule.states else known), **rule.states}


def _modes(rule: StateRule, entry: Entry) -> dict[int | str, str]:
    return {**_states(rule, _UNIT_MODES), **({} if rule.states else _own_members(entry.node))}


def _own_members(node: Node) -> dict[int | str, str]:
    return dict[int | str, str](node.type.members) if node.type is not None and node.type.is_enumeration else {}


def _nested(points: list[tuple[str, dict[int | str, str]]]) -> StatePoint | None:
    point: StatePoint | None = None
    for signal, states in reversed(points):
        point = StatePoint(signal, states, point)
    return point
