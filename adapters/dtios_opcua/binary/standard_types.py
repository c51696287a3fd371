"""The structures of the OPC UA namespace, for servers that do not define them in their address space.

Taken from asyncua's generated protocol classes: only their field names and types are read, none of them is ever used to
decode a value.
"""

import dataclasses
import types
import typing
from collections.abc import Iterator
from enum import Enum, IntFlag
from functools import cache
from typing import Any

from asyncua import ua
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.ua_binary import get_safe_type_hints

from dtios.model.datatypes import SCALAR, BuiltinType
from dtios_opcua.binary.nodeid import NodeKey
from dtios_opcua.binary.typetable import DataTypeInfo, StructureField, StructureInfo

__all__ = ["standard_types"]

_ABSTRACT = {"Number": 26, "Integer": 27, "UInteger": 28}
_PARENTS = {26: 24, 27: 26, 28: 26, 22: 24, 29: 24, 10: 26, 11: 26, 12755: 22, 290: 11, 294: 13, 295: 12}


@cache
def standard_types() -> dict[NodeKey, DataTypeInfo]:
    """DataType -> what is known of it; built once for a process and copied into each connection's table."""
    known: dict[NodeKey, DataTypeInfo] = {}
    for builtin in BuiltinType:
        name = {22: "Structure", 24: "BaseDataType"}.get(builtin.value, builtin.name)
        known[(0, builtin.value)] = DataTypeInfo((0, builtin.value), name, (0, 24) if builtin.value != 24 else None)
    for name, number in _ABSTRACT.items():
        known[(0, number)] = DataTypeInfo((0, number), name, (0, _PARENTS[number]), abstract=True)
    known[(0, 29)] = DataTypeInfo((0, 29), "Enumeration", (0, 24), abstract=True)
    for encoding, cls in [*ua.extension_objects_by_typeid.items(), *_unregistered()]:
        if encoding.NamespaceIndex == 0:
            info = _structure(cls, (0, encoding.Identifier))
            if info is not None:
                known[info.key] = info
    return known


def _unregistered() -> Iterator[tuple[ua.NodeId, Any]]:
    """Structures that asyncua has a class for and does not register (RelativePath, which job control's states hold)."""
    registered = set(ua.extension_objects_by_typeid.values())
    for name, cls in vars(ua).items():
        number = getattr(ObjectIds, f"{name}_Encoding_DefaultBinary", None)
        if number is not None and dataclasses.is_dataclass(cls) and cls not in registered:
            yield ua.NodeId(number), cls


def _structure(cls: Any, encoding: NodeKey) -> DataTypeInfo | None:
    data_type = getattr(cls, "data_type", None)
    if data_type is None or data_type.NamespaceIndex != 0 or issubclass(cls, ua.UaUnion):
        return None
    try:
        hints = get_safe_type_hints(cls, {"ua": ua})
    except (AttributeError, NameError, TypeError):
        return None  # asyncua names types in some of its classes that it does not have
    described: list[StructureField] = []
    masked = False
    for one in dataclasses.fields(cls):
        if one.name == "Encoding":
            masked = True
            continue
        layout = _field(one.name, hints[one.name])
        if layout is None:
            return None
        described.append(layout)
    if masked and hints["Encoding"] is not ua.UInt32:
        return None  # built-in types with a byte mask of their own
    key: NodeKey = (0, int(data_type.Identifier))
    return DataTypeInfo(key, cls.__name__, (0, 22), encoding=encoding, structure=StructureInfo(described, masked))


def _field(name: str, hint: Any) -> StructureField | None:
    optional = False
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        inner = [one for one in typing.get_args(hint) if one is not type(None)]
        if len(inner) != 1:
            return None
        hint, optional = inner[0], True
    rank = SCALAR
    if typing.get_origin(hint) is list:
        hint, rank = typing.get_args(hint)[0], 1
    key = _data_type(hint)
    return None if key is None else StructureField(name, key, rank, optional)


def _data_type(cls: Any) -> NodeKey | None:
    if not isinstance(cls, type):
        return None
    name = {"CharArray": "String", "Char": "Byte"}.get(cls.__name__, cls.__name__)
    if name in BuiltinType.__members__:
        return 0, BuiltinType[name].value
    if issubclass(cls, IntFlag):
        carrier = cls.datatype() if hasattr(cls, "datatype") else "UInt32"
        return 0, BuiltinType[carrier].value
    if issubclass(cls, Enum):
        return 0, 29
    data_type = getattr(cls, "data_type", None)
    return None if data_type is None else (0, int(data_type.Identifier))
