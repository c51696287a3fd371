"""Data types: the OPC UA built-in types (Part 6, 5.1.2) and what is made of them, described as data.

A `ValueType` says everything needed to check, convert and show a value: its built-in type with exact width, its value
rank (Part 3, 5.6.2) and, where it is an enumeration or a structure, the members or fields.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import IntEnum

__all__ = ["ANY_RANK", "INTEGER_RANGES", "SCALAR", "BuiltinType", "Field", "ValueType"]

SCALAR = -1
ANY_RANK = -2


class BuiltinType(IntEnum):
    """Part 6, table 1; the numbers are the wire's."""

    Boolean = 1
    SByte = 2
    Byte = 3
    Int16 = 4
    UInt16 = 5
    Int32 = 6
    UInt32 = 7
    Int64 = 8
    UInt64 = 9
    Float = 10
    Double = 11
    String = 12
    DateTime = 13
    Guid = 14
    ByteString = 15
    XmlElement = 16
    NodeId = 17
    ExpandedNodeId = 18
    StatusCode = 19
    QualifiedName = 20
    LocalizedText = 21
    ExtensionObject = 22
    DataValue = 23
    Variant = 24
    DiagnosticInfo = 25


INTEGER_RANGES: dict[BuiltinType, tuple[int, int]] = {
    BuiltinType.SByte: (-(2**7), 2**7 - 1),
    BuiltinType.Byte: (0, 2**8 - 1),
    BuiltinType.Int16: (-(2**15), 2**15 - 1),
    BuiltinType.UInt16: (0, 2**16 - 1),
    BuiltinType.Int32: (-(2**31), 2**31 - 1),
    BuiltinType.UInt32: (0, 2**32 - 1),
    BuiltinType.Int64: (-(2**63), 2**63 - 1),
    BuiltinType.UInt64: (0, 2**64 - 1),
    BuiltinType.StatusCode: (0, 2**32 - 1),
}


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a structure (Part 3, 8.51 StructureField)."""

    name: str
    type: "ValueType"
    optional: bool = False
    description: str = ""


@dataclass(frozen=True, slots=True)
class ValueType:
    """The type of a signal, a field or an argument.

    `name` is the DataType's BrowseName (`Double`, `ExecutionStateEnum`) and `namespace` its namespace URI.
    `rank` is the ValueRank: -1 scalar, 1 array, n matrix, 0 one or more dimensions, -2 any, -3 scalar or array.
    `dimensions` are the ArrayDimensions, 0 where a length is not fixed.
    `members` are an enumeration's (value, name) pairs, or for an option set its (bit, name) pairs.
    `fields` are a structure's; `union` says that only one of them is present; `abstract` that a subtype may stand in.
    `identifier` is the adapter's address of the data type (OPC UA: `nsu=...;i=...`), empty for built-in ones.
    A structure that lies inside itself has no fields there: see `opened`.
    """

    builtin: BuiltinType
    name: str = ""
    namespace: str = ""
    rank: int = SCALAR
    dimensions: tuple[int, ...] = ()
    members: tuple[tuple[int, str], ...] = ()
    option_set: bool = False
    fields: tuple[Field, ...] = ()
    union: bool = False
    abstract: bool = False
    identifier: str = ""

    @property
    def is_enumeration(self) -> bool:
        return bool(self.members) and not self.option_set

    @property
    def is_structure(self) -> bool:
        return self.builtin is BuiltinType.ExtensionObject

    @property
    def is_numeric(self) -> bool:
        """True for the integers and floats of Part 6 that a unit can apply to."""
        return BuiltinType.SByte <= self.builtin <= BuiltinType.Double and not self.members

    def opened(self, outer: Mapping[str, "ValueType"]) -> "ValueType":
        """The type with its fields where it stands inside itself; `outer` are the structures around it, by identifier."""
        if self.fields or self.builtin is not BuiltinType.ExtensionObject or self.identifier not in outer:
            return self
        return replace(outer[self.identifier], rank=self.rank, dimensions=self.dimensions)

    def around(self, outer: Mapping[str, "ValueType"]) -> Mapping[str, "ValueType"]:
        """The structures around this one's fields."""
        return {**outer, self.identifier: self} if self.fields else outer

    def label(self) -> str:
        """What a person reads: `Double`, `Int32[]`, `Float[3][3]`."""
        base = self.name or self.builtin.name
        if self.rank < 0:
            return base
        rank = max(self.rank, 1)
        lengths = self.dimensions if len(self.dimensions) == rank else (0,) * rank
        return base + "".join(f"[{n or ''}]" for n in lengths)
