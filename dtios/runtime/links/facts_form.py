"""Browse facts as bytes and back, for the cache: msgpack, each type, name and unit once, nodes by number.

Equal facts are equal bytes, so that a digest of them tells whether an address space has changed.
"""

from collections.abc import Hashable
from typing import Any, Final, Generic, TypeVar

import msgspec

from dtios.mapping.facts import Argument, BrowseFacts, Node, NodeKind, ReferenceKind
from dtios.model.datatypes import ValueType
from dtios.model.machine import Access, Range, Unit
from dtios.model.values import QualifiedName
from dtios.sdk.codec import pack, pack_value, unpack_value

__all__ = ["FORM", "decode_facts", "encode_facts"]

FORM: Final = 2
"""Counts up with every change of this form or of what it holds: older files are read no more."""

_KINDS: Final = tuple(NodeKind)
_REFERENCES: Final = tuple(ReferenceKind)
_ACCESSES: Final = tuple(Access)
T = TypeVar("T", bound=Hashable)


class _Node(msgspec.Struct, array_like=True, gc=False):
    """Numbers are places in the tables, -1 for nothing. `children` are pairs of reference kind and node."""

    address: str
    name: int
    kind: int
    types: int
    type: int
    access: int
    unit: int
    range: tuple[float, float] | None
    value: Any
    inputs: list[tuple[str, int, str]]
    outputs: list[tuple[str, int, str]]
    executable: bool
    description: str
    children: list[int]


class _Facts(msgspec.Struct, array_like=True):
    endpoint: str
    namespaces: tuple[str, ...]
    notes: list[str]
    names: list[QualifiedName]
    type_lists: list[tuple[QualifiedName, ...]]
    value_types: list[ValueType]
    units: list[Unit]
    nodes: list[_Node]
    complete: bool


class _Table(Generic[T]):
    """Gives each different value a number."""

    def __init__(self) -> None:
        self.values: list[T] = []
        self._numbers: dict[T, int] = {}
        self._by_id: dict[int, int] = {}  # the same object again, whose deep hash need not be taken

    def number(self, value: T | None) -> int:
        if value is None:
            return -1
        known = self._by_id.get(id(value))
        if known is None:
            known = self._numbers.setdefault(value, len(self.values))
            if known == len(self.values):
                self.values.append(value)
            self._by_id[id(value)] = known
        return known


def encode_facts(facts: BrowseFacts) -> bytes:
    """Raises TypeError for a property's value that has no form."""
    nodes = list(facts.root.walk())
    numbers = {id(node): number for number, node in enumerate(nodes)}
    names: _Table[QualifiedName] = _Table()
    lists: _Table[tuple[QualifiedName, ...]] = _Table()
    types: _Table[ValueType] = _Table()
    units: _Table[Unit] = _Table()

    def arguments(given: tuple[Argument, ...]) -> list[tuple[str, int, str]]:
        return [(one.name, types.number(one.type), one.description) for one in given]

    formed = [
        _Node(
            node.address,
            names.number(node.name),
            _KINDS.index(node.kind),
            lists.number(node.types),
            types.number(node.type),
            _ACCESSES.index(node.access),
            units.number(node.unit),
            None if node.range is None else (node.range.low, node.range.high),
            pack_value(node.value),
            arguments(node.inputs),
            arguments(node.outputs),
            node.executable,
            node.description,
            [number for how, child in node.children for number in (_REFERENCES.index(how), numbers[id(child)])],
        )
        for node in nodes
    ]
    tables = (names.values, lists.values, types.values, units.values)
    return pack(_Facts(facts.endpoint, tuple(facts.namespaces), list(facts.notes), *tables, formed, facts.complete))


_decoder = msgspec.msgpack.Decoder(_Facts, ext_hook=unpack_value)


def decode_facts(data: bytes) -> BrowseFacts:
    """Raises msgspec.MsgspecError, IndexError or ValueError for what is no such form."""
    formed = _decoder.decode(data)
    types = formed.value_types

    def arguments(given: list[tuple[str, int, str]]) -> tuple[Argument, ...]:
        return tuple(Argument(name, types[type], description) for name, type, description in given)

    nodes = [
        Node(
            one.address,
            formed.names[one.name],
            _KINDS[one.kind],
            formed.type_lists[one.types],
            None if one.type < 0 else types[one.type],
            _ACCESSES[one.access],
            None if one.unit < 0 else formed.units[one.unit],
            None if one.range is None else Range(*one.range),
            one.value,
            arguments(one.inputs),
            arguments(one.outputs),
            one.executable,
            one.description,
        )
        for one in formed.nodes
    ]
    for node, one in zip(nodes, formed.nodes, strict=True):
        pairs = zip(one.children[::2], one.children[1::2], strict=True)
        node.children = [(_REFERENCES[how], nodes[number]) for how, number in pairs]
    return BrowseFacts(formed.endpoint, nodes[0], formed.namespaces, formed.notes, formed.complete)
