"""The data types of one server, as its own address space defines them.

asyncua keeps generated classes in one registry for the whole process, by NodeId with namespace index: two servers whose
namespaces come in another order would decode each other's structures. So each connection has a table of its own, and no
class is ever generated.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from dtios.model.datatypes import SCALAR, BuiltinType, Field, ValueType
from dtios_opcua.binary.nodeid import Namespaces, NodeKey

__all__ = ["DataTypeInfo", "StructureField", "StructureInfo", "TypeTable"]

ENUMERATION: NodeKey = (0, 29)
OPTION_SET: NodeKey = (0, 12755)
_DEEPEST = 32
_MOST_DESCRIBED = 10_000
"""Of one type with all within it: types that hold others twice, and these others twice, are soon more than fit anywhere."""
_VARIANT_BASES: frozenset[NodeKey] = frozenset({(0, 24), (0, 26), (0, 27), (0, 28)})  # BaseDataType, Number, (U)Integer


@dataclass(slots=True)
class StructureField:
    """A field as it is on the wire. `polymorphic`: the value says its own type (Part 3, 8.51, allow subtypes)."""

    name: str
    data_type: NodeKey
    rank: int = SCALAR
    optional: bool = False
    polymorphic: bool = False
    dimensions: tuple[int, ...] = ()
    description: str = ""


@dataclass(slots=True)
class StructureInfo:
    """Part 3, 8.48 StructureDefinition, with the inherited fields first."""

    fields: list[StructureField]
    masked: bool = False  # StructureWithOptionalFields
    union: bool = False


@dataclass(slots=True)
class DataTypeInfo:
    key: NodeKey
    name: str
    parent: NodeKey | None = None
    abstract: bool = False
    encoding: NodeKey | None = None  # Default Binary
    structure: StructureInfo | None = None
    members: tuple[tuple[int, str], ...] = ()
    children: list[NodeKey] = field(default_factory=list)


class TypeTable:
    """Lookups by DataType and by encoding; `types` is filled by `loading`, on top of the OPC UA namespace's own."""

    def __init__(self, namespaces: Namespaces, standard: dict[NodeKey, DataTypeInfo]) -> None:
        self.namespaces = namespaces
        self.types: dict[NodeKey, DataTypeInfo] = dict(standard)
        self.by_encoding: dict[NodeKey, DataTypeInfo] = {}
        self.missing: set[NodeKey] = set()
        for info in standard.values():
            if info.encoding is not None:
                self.by_encoding[info.encoding] = info
        self._value_types: dict[NodeKey, ValueType] = {}
        self._described = 0

    def add(self, info: DataTypeInfo) -> None:
        self.types[info.key] = info

    def set_encoding(self, encoding: NodeKey, info: DataTypeInfo) -> None:
        info.encoding = encoding
        self.by_encoding[encoding] = info

    def supertypes(self, key: NodeKey) -> Iterator[NodeKey]:
        """The type itself and all above, without end-less loops."""
        seen: set[NodeKey] = set()
        at: NodeKey | None = key
        while at is not None and at not in seen:
            seen.add(at)
            yield at
            info = self.types.get(at)
            at = info.parent if info is not None else None

    def builtin(self, key: NodeKey) -> BuiltinType | None:
        """The built-in type that carries a DataType (Part 6, 5.1.2); None for one that nobody declared."""
        for at in self.supertypes(key):
            if at in _VARIANT_BASES:
                return BuiltinType.Variant
            if at == ENUMERATION:
                return BuiltinType.Int32
            namespace, identifier = at
            if namespace == 0 and isinstance(identifier, int) and 1 <= identifier <= 25:
                return BuiltinType(identifier)
        return None

    def value_type(self, key: NodeKey, rank: int = SCALAR, dimensions: tuple[int, ...] = ()) -> ValueType:
        """What the model knows of a DataType. Unknown ones are Variants: the value says what it is."""
        base = self._value_types.get(key)
        if base is None:
            self._described = 0
            base = self._value_types[key] = self._describe(key, frozenset())
        if rank == SCALAR and not dimensions:
            return base
        return _ranked(base, rank, dimensions)

    def _describe(self, key: NodeKey, above: frozenset[NodeKey]) -> ValueType:
        builtin = self.builtin(key)
        info = self.types.get(key)
        if builtin is None or info is None:
            return ValueType(BuiltinType.Variant, identifier=self.namespaces.address(key))
        is_builtin = key[0] == 0 and isinstance(key[1], int) and key[1] <= 25
        option_set = bool(info.members) and ENUMERATION not in self.supertypes(key)
        structure = self.structure(key) if builtin is BuiltinType.ExtensionObject else None
        fields: tuple[Field, ...] = ()
        self._described += 1
        if structure is not None and key not in above and len(above) < _DEEPEST and self._described < _MOST_DESCRIBED:
            fields = tuple(self._field(one, above | {key}) for one in structure.fields)
        return ValueType(
            builtin,
            name=info.name,
            namespace=self.namespaces.uri(key[0]),
            members=info.members,
            option_set=option_set,
            fields=fields,
            union=structure is not None and structure.union,
            abstract=info.abstract or key == (0, 22),
            identifier="" if is_builtin else self.namespaces.address(key),
        )

    def _field(self, one: StructureField, above: frozenset[NodeKey]) -> Field:
        described = _ranked(self._describe(one.data_type, above), one.rank, one.dimensions)
        return Field(one.name, described, one.optional, one.description)

    def structure(self, key: NodeKey) -> StructureInfo | None:
        """The layout of a structure; an option set has that of OptionSet itself. None for one that nobody defined."""
        info = self.types.get(key)
        if info is None or info.structure is not None:
            return info.structure if info is not None else None
        if info.members and OPTION_SET in self.supertypes(key):
            return self.types[OPTION_SET].structure
        return None

    def subtype_named(self, base: NodeKey, name: str) -> DataTypeInfo | None:
        """The only subtype of `base` (or itself) with this BrowseName."""
        found = [info for info in self.types.values() if info.name == name and base in self.supertypes(info.key)]
        return found[0] if len(found) == 1 else None


def _ranked(base: ValueType, rank: int, dimensions: tuple[int, ...]) -> ValueType:
    return ValueType(
        base.builtin,
        base.name,
        base.namespace,
        rank,
        dimensions,
        base.members,
        base.option_set,
        base.fields,
        base.union,
        base.abstract,
        base.identifier,
    )
