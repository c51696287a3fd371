"""Encoding values with exactly the type asked for (Part 6, 5.2): what does not fit is refused before anything is sent."""

import struct
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from dtios.model.datatypes import INTEGER_RANGES, BuiltinType, ValueType
from dtios.model.values import DateTime, LocalizedText, NodeId, QualifiedName, Record, StatusCode, XmlElement
from dtios.sdk.errors import ConfigurationError, RefusedError
from dtios_opcua.binary.nodeid import NodeKey, encode_node_id
from dtios_opcua.binary.typetable import DataTypeInfo, StructureField, StructureInfo, TypeTable
from dtios_opcua.binary.wire import encode_string, ticks_from_ns

__all__ = ["Encoder"]

_PACK = {
    BuiltinType.SByte: "<b",
    BuiltinType.Byte: "<B",
    BuiltinType.Int16: "<h",
    BuiltinType.UInt16: "<H",
    BuiltinType.Int32: "<i",
    BuiltinType.UInt32: "<I",
    BuiltinType.Int64: "<q",
    BuiltinType.UInt64: "<Q",
    BuiltinType.StatusCode: "<I",
}
_INTEGERS = {builtin: struct.Struct(layout) for builtin, layout in _PACK.items()}
_WHOLE = (BuiltinType.Int32, BuiltinType.Int64, BuiltinType.UInt64)
_NULL_LENGTH = b"\xff\xff\xff\xff"


class Encoder:
    """One for each session."""

    def __init__(self, types: TypeTable) -> None:
        self._types = types
        self._namespaces = types.namespaces

    def variant(self, value: Any, type: ValueType, where: str) -> bytes:
        """A Variant of this type and rank. Raises ConfigurationError (wrong type, missing field) or RefusedError (range)."""
        builtin = type.builtin
        if builtin is BuiltinType.Variant:
            return self._guessed(value, where)
        if value is None and builtin not in (BuiltinType.String, BuiltinType.ByteString, BuiltinType.XmlElement):
            raise _mismatch(value, type, where)
        self._check_rank(value, type, where)
        if not _is_list(value):
            return bytes((builtin,)) + self.scalar(value, type, where)
        flat, dimensions = _flatten(value, where)
        parts = [bytes((builtin | 0x80 | (0x40 if len(dimensions) > 1 else 0),)), struct.pack("<i", len(flat))]
        parts += [self.scalar(one, type, where) for one in flat]
        if len(dimensions) > 1:
            parts.append(struct.pack(f"<i{len(dimensions)}i", len(dimensions), *dimensions))
        return b"".join(parts)

    @staticmethod
    def _check_rank(value: Any, type: ValueType, where: str) -> None:
        is_list = _is_list(value)
        if (type.rank == -1 and is_list) or (type.rank >= 0 and not is_list and value is not None):
            raise _mismatch(value, type, where)
        if type.rank >= 1 and is_list:
            _, dimensions = _flatten(value, where)
            empty = 0 in dimensions and len(dimensions) <= type.rank
            if len(dimensions) != type.rank and not empty:
                raise _mismatch(value, type, where)

    def _guessed(self, value: Any, where: str) -> bytes:
        """A value for a point of any type: its Python form says which."""
        if value is None:
            return b"\x00"
        if _is_list(value):
            flat, dimensions = _flatten(value, where)
            kind = _guess_for_all(flat)
            if kind is not None:
                return self.variant(value, ValueType(kind, rank=len(dimensions)), where)
            head = bytes((BuiltinType.Variant | 0x80,)) + struct.pack("<i", len(value))
            return head + b"".join(self._guessed(one, where) for one in value)
        single = _guess(value)
        if single is None:
            raise ConfigurationError(f"{value!r} has no OPC UA type", where=where, mend="give a number, text, list or structure")
        return bytes((single,)) + self.scalar(value, ValueType(single), where)

    def scalar(self, value: Any, type: ValueType, where: str) -> bytes:
        """One element, without its type byte."""
        builtin = type.builtin
        if builtin in _INTEGERS:
            return _integer(value, type, where)
        if builtin is BuiltinType.ExtensionObject:
            return self._extension_object(value, type, where)
        if builtin in (BuiltinType.Float, BuiltinType.Double):
            return _floating(value, type, where)
        encoded = self._textual(value, builtin)
        if encoded is None:
            raise _mismatch(value, type, where)
        return encoded

    def _textual(self, value: Any, builtin: BuiltinType) -> bytes | None:
        """The types that have one Python form; None when the value has another."""
        match builtin:
            case BuiltinType.Boolean if isinstance(value, bool):
                return b"\x01" if value else b"\x00"
            case BuiltinType.String | BuiltinType.XmlElement if value is None or isinstance(value, str):
                return encode_string(value)
            case BuiltinType.ByteString if value is None:
                return _NULL_LENGTH
            case BuiltinType.ByteString if isinstance(value, bytes | bytearray):
                return struct.pack("<i", len(value)) + bytes(value)
            case BuiltinType.DateTime if isinstance(value, int) and not isinstance(value, bool):
                return struct.pack("<q", ticks_from_ns(value))
            case BuiltinType.DateTime if isinstance(value, datetime) and value.tzinfo is not None:
                return struct.pack("<q", ticks_from_ns(int(value.timestamp() * 1_000_000) * 1000))
            case BuiltinType.Guid if isinstance(value, UUID):
                return value.bytes_le
            case BuiltinType.NodeId | BuiltinType.ExpandedNodeId if isinstance(value, str):
                return encode_node_id(self._known_key(value))
            case BuiltinType.QualifiedName if isinstance(value, tuple | list) and len(value) == 2:
                return self._qualified_name(value[0], value[1])
            case BuiltinType.LocalizedText if isinstance(value, str):
                return b"\x02" + encode_string(value)
            case BuiltinType.LocalizedText if isinstance(value, tuple | list) and len(value) == 2:
                text, locale = value
                return (b"\x03" + encode_string(locale) if locale else b"\x02") + encode_string(text)
            case BuiltinType.Variant:
                return self._guessed(value, "")
            case _:
                return None

    def _known_key(self, address: str) -> NodeKey:
        key = self._namespaces.key(address)
        if key is None:
            raise ConfigurationError("the server has no such namespace", where=address, mend="describe the machine again")
        return key

    def _qualified_name(self, uri: str, name: str) -> bytes:
        index = self._namespaces.index(uri)
        if index is None:
            raise ConfigurationError("the server has no such namespace", where=uri, mend="describe the machine again")
        return struct.pack("<H", index) + encode_string(name)

    # --- structures ---

    def _extension_object(self, value: Any, type: ValueType, where: str) -> bytes:
        if value is None:
            return b"\x00\x00\x00"
        if not isinstance(value, Record | Mapping):
            raise _mismatch(value, type, where)
        fields = value.fields if isinstance(value, Record) else value
        if isinstance(value, Record) and set(fields) == {"Body"} and value.type.startswith(("i=", "nsu=")):
            return self._raw(value.type, fields["Body"])
        info = self._structure_type(value, type, where)
        layout = self._types.structure(info.key)
        if layout is None or info.encoding is None:
            raise ConfigurationError(
                f"the server does not say how {info.name} is encoded", where=where, mend="its DataTypeDefinition is missing"
            )
        body = self._fields(fields, layout, info.name, where)
        return encode_node_id(info.encoding) + b"\x01" + struct.pack("<i", len(body)) + body

    def _raw(self, encoding: str, body: Any) -> bytes:
        data = bytes(body or b"")
        return encode_node_id(self._known_key(encoding)) + b"\x01" + struct.pack("<i", len(data)) + data

    def _structure_type(self, value: Any, type: ValueType, where: str) -> DataTypeInfo:
        base: NodeKey = (0, 22)
        if type.identifier:
            key = self._namespaces.key(type.identifier)
            if key is None or key not in self._types.types:
                raise ConfigurationError(f"the server has no type {type.name} any more", where=where, mend="describe it again")
            base = key
        name = value.type if isinstance(value, Record) else type.name
        if not name or name == self._types.types[base].name:
            return self._types.types[base]
        info = self._types.subtype_named(base, name)
        if info is None:
            raise ConfigurationError(f"{name} is not a {self._types.types[base].name}", where=where, mend="give its own type")
        return info

    def _fields(self, fields: Mapping[str, Any], layout: StructureInfo, name: str, where: str) -> bytes:
        unknown = set(fields) - {one.name for one in layout.fields}
        if unknown:
            names = ", ".join(one.name for one in layout.fields)
            raise ConfigurationError(f"{name} has no field {sorted(unknown)[0]!r}", where=where, mend=f"it has {names}")
        if layout.union:
            return self._union(fields, layout, name, where)
        mask, bit, parts = 0, 1, []
        for one in layout.fields:
            present = one.name in fields and not (one.optional and fields[one.name] is None)
            if one.optional:
                mask |= bit if present else 0
                bit <<= 1
                if not present:
                    continue
            elif not present:
                raise ConfigurationError(f"the field {one.name!r} of {name} is missing", where=where, mend="give all its fields")
            parts.append(self._field(fields[one.name], one, f"{where}/{one.name}"))
        return (struct.pack("<I", mask) if layout.masked else b"") + b"".join(parts)

    def _union(self, fields: Mapping[str, Any], layout: StructureInfo, name: str, where: str) -> bytes:
        if len(fields) > 1:
            raise ConfigurationError(f"{name} is a union and takes one field", where=where, mend="give only one of them")
        for number, one in enumerate(layout.fields, start=1):
            if one.name in fields:
                return struct.pack("<I", number) + self._field(fields[one.name], one, f"{where}/{one.name}")
        return b"\x00\x00\x00\x00"

    def _field(self, value: Any, one: StructureField, where: str) -> bytes:
        type = self._types.value_type(one.data_type, one.rank if one.rank >= 1 else -1)
        if one.rank < 1:
            return self._element(value, one, type, where)
        if value is None:
            return _NULL_LENGTH
        self._check_rank(value, type, where)
        flat, dimensions = _flatten(value, where)
        if one.rank == 1:
            head = struct.pack("<i", len(flat))
        else:
            head = struct.pack(f"<i{len(dimensions)}i", len(dimensions), *dimensions)
        return head + b"".join(self._element(item, one, type, where) for item in flat)

    def _element(self, value: Any, one: StructureField, type: ValueType, where: str) -> bytes:
        if type.builtin is not BuiltinType.ExtensionObject:
            return self._guessed(value, where) if one.polymorphic else self.scalar(value, type, where)
        layout = self._types.structure(one.data_type)
        if one.polymorphic or layout is None or one.data_type == (0, 22):
            return self._extension_object(value, type, where)
        if not isinstance(value, Record | Mapping):
            raise _mismatch(value, type, where)
        return self._fields(value.fields if isinstance(value, Record) else value, layout, type.name, where)


def _integer(value: Any, type: ValueType, where: str) -> bytes:
    if not isinstance(value, int) or isinstance(value, bool):
        raise _mismatch(value, type, where)
    low, high = INTEGER_RANGES[type.builtin]
    if not low <= value <= high:
        raise RefusedError(f"{value} does not fit {type.builtin.name}", where=where, mend=f"give {low} to {high}")
    if type.is_enumeration and all(value != number for number, _ in type.members):
        names = ", ".join(f"{number} {name}" for number, name in type.members)
        raise RefusedError(f"{int(value)} is not a {type.label()}", where=where, mend=f"give one of {names}")
    return _INTEGERS[type.builtin].pack(value)


def _floating(value: Any, type: ValueType, where: str) -> bytes:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise _mismatch(value, type, where)
    try:
        return struct.pack("<d" if type.builtin is BuiltinType.Double else "<f", float(value))
    except OverflowError:
        raise RefusedError(f"{value} does not fit {type.builtin.name}", where=where, mend="give a smaller number") from None


def _guess(value: Any) -> BuiltinType | None:
    """Most special form first: several of them are subclasses of int, str and tuple.

    A whole number is the Int32 that most machines mean, as long as it fits: where 64 bits are not expected (a script's
    numbers hold 53) they are taken for something else.
    """
    for form, builtin in (
        (bool, BuiltinType.Boolean),
        (DateTime, BuiltinType.DateTime),
        (StatusCode, BuiltinType.StatusCode),
        (float, BuiltinType.Double),
        (NodeId, BuiltinType.NodeId),
        (XmlElement, BuiltinType.XmlElement),
        (str, BuiltinType.String),
        (bytes, BuiltinType.ByteString),
        (UUID, BuiltinType.Guid),
        (QualifiedName, BuiltinType.QualifiedName),
        (LocalizedText, BuiltinType.LocalizedText),
        (Record, BuiltinType.ExtensionObject),
    ):
        if isinstance(value, form):
            return builtin
    return _whole(value, value) if isinstance(value, int) else None


def _whole(low: int, high: int) -> BuiltinType | None:
    return next((b for b in _WHOLE if INTEGER_RANGES[b][0] <= low and high <= INTEGER_RANGES[b][1]), None)


def _guess_for_all(values: Sequence[Any]) -> BuiltinType | None:
    """The one type of an array's elements; None if they have no common one."""
    kinds = {_guess(value) for value in values}
    if len(kinds) > 1 and kinds <= set(_WHOLE):
        return _whole(min(values), max(values))
    return kinds.pop() if len(kinds) == 1 else None


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple) and not isinstance(value, QualifiedName | LocalizedText)


def _flatten(value: Any, where: str) -> tuple[list[Any], list[int]]:
    """All elements and the lengths; a matrix must be rectangular."""
    flat, dimensions = list(value), [len(value)]
    while flat and _is_list(flat[0]):
        if any(not _is_list(row) or len(row) != len(flat[0]) for row in flat):
            raise ConfigurationError("the rows of a matrix differ in length", where=where, mend="give rows of one length")
        dimensions.append(len(flat[0]))
        flat = [item for row in flat for item in row]
    return flat, dimensions


def _mismatch(value: Any, type: ValueType, where: str) -> ConfigurationError:
    return ConfigurationError(f"{value!r} is not a {type.label()}", where=where, mend=f"give a value of type {type.label()}")
