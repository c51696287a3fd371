"""From the address space to browse facts: breadth first from the Objects folder, a level in few requests."""

from collections.abc import Iterable, Sequence
from typing import Any

from dtios.mapping.facts import Argument, BrowseFacts, Node, NodeKind, ReferenceKind
from dtios.model.datatypes import SCALAR, BuiltinType, ValueType
from dtios.model.machine import Access, Range
from dtios.model.status import BAD_WAITING_FOR_INITIAL_DATA, is_bad, status_code, status_name
from dtios.model.values import LocalizedText, QualifiedName, Record
from dtios.sdk.adapter import Progress
from dtios_opcua.binary.nodeid import NodeKey, sort_key
from dtios_opcua.session.services import MOST_LEVELS, MOST_NODES, Attribute, Reference, View, browse
from dtios_opcua.session.session import Reading, Session
from dtios_opcua.space.loading import NOT_UNDERSTOOD, load_types
from dtios_opcua.space.type_definitions import TypeDefinitions
from dtios_opcua.space.units import unit_of

__all__ = ["Browser"]

_OBJECTS: NodeKey = (0, 85)
_STANDARD: frozenset[NodeKey] = frozenset({(0, 2253), (0, 23470), (0, 31915), (0, 17594), (0, 24226)})
"""Server, Aliases, Locations, Dictionaries, Resources: of the server itself, no machine."""
_OBJECT, _VARIABLE, _METHOD, _OBJECT_TYPE = 1, 2, 4, 8
_KINDS = {_OBJECT: NodeKind.OBJECT, _VARIABLE: NodeKind.VARIABLE, _METHOD: NodeKind.METHOD}
_BELOW = View(0, (0, 31), _OBJECT | _VARIABLE | _METHOD | _OBJECT_TYPE)
_HAS_TYPE_DEFINITION: NodeKey = (0, 40)
_HAS_INTERFACE: NodeKey = (0, 17603)
_HAS_ADD_IN: NodeKey = (0, 17604)
_MOST = 10_000
_MOST_NOTES = 200
_NONE_NOW = frozenset({BAD_WAITING_FOR_INITIAL_DATA, status_code("BadConditionNotShelved")})
"""There is no value yet, or not while an alarm is not shelved: nothing is wrong."""


class Browser:
    """For one browse of one session."""

    def __init__(self, session: Session, progress: Progress | None) -> None:
        self._session = session
        self._progress = progress
        self._definitions = TypeDefinitions(session)
        self._nodes: dict[NodeKey, Node] = {}
        self._type_of: dict[NodeKey, NodeKey] = {}
        self._extra_types: dict[NodeKey, list[NodeKey]] = {}
        self._properties: set[NodeKey] = set()
        self._links: dict[NodeKey, list[tuple[NodeKey, NodeKey]]] = {}
        self._notes: list[str] = []

    async def facts(self, endpoint: str) -> BrowseFacts:
        await load_types(self._session)
        await self._definitions.load_reference_types()
        root = Node(self._address(_OBJECTS), QualifiedName(self._session.namespaces.uri(0), "Objects"), NodeKind.OBJECT)
        self._nodes[_OBJECTS] = root
        await self._walk()
        await self._definitions.load(self._all_types())
        self._set_types()
        await self._attributes()
        await self._property_values()
        self._link()
        notes = self._session.notes + self._notes
        if len(notes) > _MOST_NOTES:
            notes = [*notes[:_MOST_NOTES], f"and {len(notes) - _MOST_NOTES} more that could not be read"]
        return BrowseFacts(endpoint, root, self._session.namespaces.uris, notes)

    def _address(self, key: NodeKey) -> str:
        return self._session.namespaces.address(key)

    def _note(self, key: NodeKey, sentence: str) -> None:
        node = self._nodes.get(key)
        name = f" ({node.name.name})" if node is not None else ""
        self._notes.append(f"{self._address(key)}{name}: {sentence}")

    # --- nodes and references ---

    async def _walk(self) -> None:
        level = [_OBJECTS]
        session = self._session
        for _ in range(MOST_LEVELS):
            if not level:
                return
            below: list[NodeKey] = []
            async for key, found in browse(session.channel, session.limits, level, _BELOW, session.uri_index):
                if isinstance(found, int):
                    self._note(key, f"what is below it cannot be browsed ({status_name(found)})")
                    continue
                for reference in found:
                    self._follow(key, reference, below)
                if self._progress is not None:
                    self._progress("browsing", len(self._nodes), None)
                if len(self._nodes) >= MOST_NODES:
                    self._notes.append(f"there are more than {MOST_NODES} nodes, and the others are left out")
                    return
            level = below
        self._notes.append(f"what is deeper than {MOST_LEVELS} levels is left out")

    def _follow(self, source: NodeKey, reference: Reference, below: list[NodeKey]) -> None:
        if reference.type == _HAS_TYPE_DEFINITION:
            self._type_of.setdefault(source, reference.target)
            return
        if self._definitions.is_a(reference.type, _HAS_INTERFACE):
            self._extra_types.setdefault(source, []).append(reference.target)
            return
        kind = _KINDS.get(reference.node_class)
        if kind is None or reference.target in _STANDARD or not self._definitions.is_hierarchical(reference.type):
            return
        target = reference.target
        if self._definitions.is_a(reference.type, _HAS_ADD_IN) and reference.type_definition != (0, 0):
            self._extra_types.setdefault(source, []).append(reference.type_definition)
        self._links.setdefault(source, []).append((reference.type, target))
        if self._definitions.kind(reference.type) is ReferenceKind.PROPERTY:
            self._properties.add(target)
        if target in self._nodes:
            return
        index, name = reference.name
        self._nodes[target] = Node(self._address(target), QualifiedName(self._session.namespaces.uri(index), name), kind)
        if reference.type_definition != (0, 0):
            self._type_of[target] = reference.type_definition
        below.append(target)

    def _link(self) -> None:
        spaces = self._session.namespaces
        for source, links in self._links.items():
            seen: set[NodeKey] = set()
            children = self._nodes[source].children
            for reference_type, target in sorted(links, key=lambda link: sort_key(spaces, link[1])):
                if target not in seen and target != source:
                    seen.add(target)
                    children.append((self._definitions.kind(reference_type), self._nodes[target]))

    # --- types ---

    def _all_types(self) -> set[NodeKey]:
        wanted = set(self._type_of.values())
        for extra in self._extra_types.values():
            wanted.update(extra)
        return wanted

    def _set_types(self) -> None:
        cache: dict[tuple[NodeKey | None, tuple[NodeKey, ...]], tuple[QualifiedName, ...]] = {}
        for key, node in self._nodes.items():
            pair = (self._type_of.get(key), tuple(self._extra_types.get(key, ())))
            known = cache.get(pair)
            if known is None:
                known = cache[pair] = self._definitions.names(*pair)
            node.types = known

    # --- attributes ---

    async def _attributes(self) -> None:
        wanted: list[tuple[NodeKey, int]] = []
        for key, node in self._nodes.items():
            wanted += [(key, attribute) for attribute in _ATTRIBUTES[node.kind]]
        got = await self._read(wanted, "attributes")
        second: list[tuple[NodeKey, int]] = []
        for key, node in self._nodes.items():
            if node.kind is NodeKind.VARIABLE:
                rank = got[key, Attribute.VALUE_RANK][0]
                if isinstance(rank, int) and rank >= 0:
                    second.append((key, Attribute.ARRAY_DIMENSIONS))
                if is_bad(got[key, Attribute.USER_ACCESS_LEVEL][1]):
                    second.append((key, Attribute.ACCESS_LEVEL))
            elif node.kind is NodeKind.METHOD and is_bad(got[key, Attribute.USER_EXECUTABLE][1]):
                second.append((key, Attribute.EXECUTABLE))
        got.update(await self._read(second, "attributes"))
        for key, node in self._nodes.items():
            self._describe(key, node, got)

    def _describe(self, key: NodeKey, node: Node, got: dict[tuple[NodeKey, int], Reading]) -> None:
        description = got[key, Attribute.DESCRIPTION][0]
        node.description = description.text if isinstance(description, LocalizedText) else ""
        if node.kind is NodeKind.METHOD:
            user = got[key, Attribute.USER_EXECUTABLE]
            node.executable = (got[key, Attribute.EXECUTABLE] if is_bad(user[1]) else user)[0] is not False
        elif node.kind is NodeKind.VARIABLE:
            node.type = self._value_type(key, got)
            level = got[key, Attribute.USER_ACCESS_LEVEL]
            node.access = _access(level if not is_bad(level[1]) else got[key, Attribute.ACCESS_LEVEL])

    def _value_type(self, key: NodeKey, got: dict[tuple[NodeKey, int], Reading]) -> ValueType:
        address, status, *_ = got[key, Attribute.DATA_TYPE]
        data_type = self._session.namespaces.told(address)
        if data_type is None:
            self._note(key, f"its data type cannot be read ({status_name(status)})")
            return ValueType(BuiltinType.Variant, rank=-2)
        if self._session.types.builtin(data_type) is None:
            self._note(key, f"its data type {address} is not defined at the server")
        rank = got[key, Attribute.VALUE_RANK][0]
        dimensions = got.get((key, Attribute.ARRAY_DIMENSIONS), (None,))[0]
        return self._session.types.value_type(
            data_type,
            rank if isinstance(rank, int) else SCALAR,
            tuple(dimensions) if isinstance(dimensions, list) else (),
        )

    # --- what properties say ---

    async def _property_values(self) -> None:
        keys = [key for key in self._properties if self._nodes[key].kind is NodeKind.VARIABLE]
        readable = [key for key in keys if self._nodes[key].access.readable]
        got = await self._read([(key, Attribute.VALUE) for key in readable], "properties")
        for key in readable:
            value, status, *_ = got[key, Attribute.VALUE]
            if is_bad(status):
                if status not in _NONE_NOW:
                    self._note(key, f"its value cannot be read ({status_name(status)})")
            elif isinstance(value, str | bytes | list) and len(value) > _MOST:
                self._note(key, f"its value is left out, it has {len(value)} elements")
            else:
                self._nodes[key].value = value
        for source, links in self._links.items():
            for _, target in links:
                if target in self._properties:
                    self._apply(source, self._nodes[source], self._nodes[target])

    def _apply(self, key: NodeKey, node: Node, held: Node) -> None:
        """Only the OPC UA namespace's own properties have a meaning here (Part 3, 5.7; Part 8, 5.3)."""
        value = held.value
        if value is None or held.name.namespace != self._session.namespaces.uri(0):
            return
        try:
            match held.name.name:
                case "EngineeringUnits":
                    node.unit = unit_of(value)
                case "EURange":
                    node.range = Range(float(value["Low"]), float(value["High"]))
                case "InputArguments" if node.kind is NodeKind.METHOD:
                    node.inputs = self._arguments(value)
                case "OutputArguments" if node.kind is NodeKind.METHOD:
                    node.outputs = self._arguments(value)
        except NOT_UNDERSTOOD as error:
            self._note(key, f"its {held.name.name} is not understood ({error})")

    def _arguments(self, value: Iterable[Record]) -> tuple[Argument, ...]:
        made: list[Argument] = []
        for one in value:
            data_type = self._session.namespaces.told(one["DataType"])
            if data_type is None:
                raise ValueError(f"the type of {one['Name']!r} is in an undeclared namespace")
            type_ = self._session.types.value_type(data_type, int(one["ValueRank"]), tuple(one["ArrayDimensions"] or ()))
            made.append(Argument(one["Name"] or "", type_, one["Description"].text if one["Description"] else ""))
        return tuple(made)

    async def _read(self, wanted: Sequence[tuple[NodeKey, int]], doing: str) -> dict[tuple[NodeKey, int], Any]:
        got: dict[tuple[NodeKey, int], Reading] = {}
        step = max(self._session.limits.read, 1)
        for at in range(0, len(wanted), step):
            some = wanted[at : at + step]
            got.update(zip(some, await self._session.read(some), strict=True))
            if self._progress is not None:
                self._progress(f"reading {doing}", min(at + step, len(wanted)), len(wanted))
        return got


_ATTRIBUTES = {
    NodeKind.OBJECT: (Attribute.DESCRIPTION,),
    NodeKind.VARIABLE: (Attribute.DESCRIPTION, Attribute.DATA_TYPE, Attribute.VALUE_RANK, Attribute.USER_ACCESS_LEVEL),
    NodeKind.METHOD: (Attribute.DESCRIPTION, Attribute.USER_EXECUTABLE),
}


def _access(reading: Reading) -> Access:
    level = reading[0] if isinstance(reading[0], int) else 0
    match level & 3:
        case 1:
            return Access.READ
        case 2:
            return Access.WRITE
        case 3:
            return Access.READ_WRITE
        case _:
            return Access.NONE
