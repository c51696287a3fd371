"""What belongs to a condition's own node is told as a Condition: it is neither a signal nor a skill (OPC 10000-9)."""

from typing import Final

from dtios.mapping.facts import NodeKind
from dtios.mapping.layout import Layout
from dtios.model.values import QualifiedName

__all__ = ["condition_parts"]

_UA: Final = "http://opcfoundation.org/UA/"
_CONDITION: Final = QualifiedName(_UA, "ConditionType")
_DIALOG: Final = QualifiedName(_UA, "DialogConditionType")
"""What a machine asks by a dialog is answered by its method."""
_ACTIVE: Final = "ActiveState/Id"
"""Stays a signal, so that an interlock may ask for it."""


def condition_parts(layout: Layout) -> frozenset[int]:
    """The nodes (by id) below the conditions of a machine."""
    tops: dict[int, str] = {}
    parts: set[int] = set()
    for entry in layout:
        above = None if entry.owner is None else tops.get(id(entry.owner.node))
        if above is not None:
            tops[id(entry.node)] = above
            if entry.path != f"{above}/{_ACTIVE}":
                parts.add(id(entry.node))
        elif entry.node.kind is NodeKind.OBJECT and _CONDITION in entry.node.types and _DIALOG not in entry.node.types:
            tops[id(entry.node)] = entry.path
    return frozenset(parts)
