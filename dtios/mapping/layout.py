"""Where everything of one machine lies: each node once, with its path and the object that owns it."""

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from dtios.mapping.facts import Node, NodeKind, ReferenceKind
from dtios.mapping.paths import escape, join

__all__ = ["Entry", "Layout", "address_order", "segments"]

_UA: Final = "http://opcfoundation.org/UA/"
_METADATA: Final = frozenset(
    {
        "EURange",
        "InstrumentRange",
        "EngineeringUnits",
        "EnumStrings",
        "EnumValues",
        "InputArguments",
        "OutputArguments",
        "OptionSetValues",
        "Definition",
        "ValuePrecision",
        "TrueState",
        "FalseState",
        "MaxArrayLength",
        "MaxStringLength",
        "MaxByteStringLength",
        "MaxCharacters",
        "DefaultInstanceBrowseName",
        "NamingRule",
    }
)
"""Properties that say something about their node and are used for that; no signals of their own (Part 8, Part 3)."""

_NUMERIC: Final = re.compile(r"(.*?)\bi=(\d+)$")


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """`owner` is the entry the node was found under, None for the machine's own node."""

    node: Node
    path: str
    owner: "Entry | None"


def address_order(address: str) -> tuple[str, int, int, str]:
    """Sort key: addresses in NodeId order, numbers as numbers and before texts."""
    match = _NUMERIC.fullmatch(address)
    return (match[1], 0, int(match[2]), "") if match else (address.rpartition(";")[0], 1, 0, address)


def is_metadata(how: ReferenceKind, node: Node) -> bool:
    if node.kind is not NodeKind.VARIABLE or how is not ReferenceKind.PROPERTY:
        return False
    return node.name.name in _METADATA and node.name.namespace in ("", _UA)


def segments(node: Node) -> Iterator[tuple[str, Node]]:
    """The children as path segments: BrowseNames, escaped, the second of a name `#2` and so on in NodeId order. A child that
    hangs there twice counts once; metadata does not count."""
    taken: set[str] = set()
    seen: set[int] = set()
    for how, child in node.children:
        if id(child) in seen or is_metadata(how, child):
            continue
        seen.add(id(child))
        name = segment = escape(child.name.name)
        number = 1
        while segment in taken:
            number += 1
            segment = f"{name}#{number}"
        taken.add(segment)
        yield segment, child


class Layout:
    """The nodes below `start`, each by its shortest path. The walk does not enter nodes in `outside` (by id)."""

    def __init__(self, start: Node, outside: frozenset[int] | set[int] = frozenset(), *, deep: bool = True) -> None:
        self.root = Entry(start, "", None)
        self._entries: dict[int, Entry] = {id(start): self.root}
        self._below: dict[int, list[Entry]] = {}
        waiting = deque([self.root])
        while waiting:
            at = waiting.popleft()
            for segment, child in segments(at.node):
                if id(child) in self._entries or id(child) in outside:
                    continue
                if not deep and child.kind is NodeKind.OBJECT:
                    continue
                entry = Entry(child, join(at.path, segment), at)
                self._entries[id(child)] = entry
                self._below.setdefault(id(at.node), []).append(entry)
                if child.kind is not NodeKind.METHOD:
                    waiting.append(entry)

    def __iter__(self) -> Iterator[Entry]:
        """Each entry once, in the order a person reads a tree."""
        stack = [self.root]
        while stack:
            entry = stack.pop()
            yield entry
            stack.extend(reversed(self._below.get(id(entry.node), [])))

    def entry(self, node: Node | None) -> Entry | None:
        return None if node is None else self._entries.get(id(node))

    @property
    def is_empty(self) -> bool:
        """True if it holds neither a variable nor a method."""
        return all(e.node.kind is NodeKind.OBJECT for e in self._entries.values())
