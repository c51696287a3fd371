"""Browse facts: what an adapter found at an endpoint, before anyone says what it means.

A tree of nodes in the adapter's own words, the same for an OPC UA address space, Sparkplug births or topics. Nodes may hang
in several places (an address space is a graph); a node object is shared then, so that identity tells.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from dtios.model.datatypes import ValueType
from dtios.model.machine import Access, Range, Unit
from dtios.model.values import QualifiedName

__all__ = ["Argument", "BrowseFacts", "Node", "NodeKind", "ReferenceKind"]


class NodeKind(StrEnum):
    OBJECT = "object"
    VARIABLE = "variable"
    METHOD = "method"


class ReferenceKind(StrEnum):
    """How a node hangs below the one it was found under."""

    COMPONENT = "component"
    PROPERTY = "property"
    ORGANIZES = "organizes"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Argument:
    """An input or output argument of a method (Part 3, 8.6)."""

    name: str
    type: ValueType
    description: str = ""


@dataclass(slots=True, eq=False)
class Node:
    """One node. `address` is the adapter's own and lasting (OPC UA: `nsu=URI;s=...`, never an index).

    `types` is the type definition followed by its supertypes, most derived first, then interfaces and add-ins it has, each
    as the BrowseName of the type. `value` is what a property held when it was browsed (None: not read or not readable).
    `unit` and `range` come from EngineeringUnits and EURange, where the adapter knows them.
    `children` are (how, node) in NodeId order.
    """

    address: str
    name: QualifiedName
    kind: NodeKind
    types: tuple[QualifiedName, ...] = ()
    type: ValueType | None = None
    access: Access = Access.NONE
    unit: Unit | None = None
    range: Range | None = None
    value: Any = None
    inputs: tuple[Argument, ...] = ()
    outputs: tuple[Argument, ...] = ()
    executable: bool = True
    description: str = ""
    children: list[tuple[ReferenceKind, "Node"]] = field(default_factory=list)

    def child(self, name: QualifiedName) -> "Node | None":
        """The first child of that BrowseName; a name with namespace `*` matches any namespace."""
        for _, node in self.children:
            if node.name.name == name.name and name.namespace in ("*", node.name.namespace):
                return node
        return None

    def walk(self) -> Iterator["Node"]:
        """This node and all below it, each once."""
        seen: set[int] = set()
        stack = [self]
        while stack:
            node = stack.pop()
            if id(node) in seen:
                continue
            seen.add(id(node))
            yield node
            stack.extend(below for _, below in reversed(node.children))


@dataclass(slots=True)
class BrowseFacts:
    """All that was found at one endpoint. `root` holds what may be machines (OPC UA: the Objects folder).

    `notes` are sentences about what could not be read: they end up in the description, nothing is left out silently.
    `complete` False: machines make themselves known by talking, and one that is not here may do so at any time.
    """

    endpoint: str
    root: Node
    namespaces: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)
    complete: bool = True
