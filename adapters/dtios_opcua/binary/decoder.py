"""Decoding values (Part 6, 5.2.2 to 5.2.7) into the model's Python forms, by the tables of one connection.

DateTimes keep their 100 ns, NodeIds get their namespace URI, matrices become nested lists with any dimension empty, and a
structure that cannot be read becomes a Record with its bytes: it never spoils its neighbours.
"""

import math
import struct
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from dtios.model.datatypes import BuiltinType
from dtios.model.status import BAD_DECODING_ERROR, is_bad
from dtios.model.values import (
    NO_TIME,
    DataValue,
    DateTime,
    LocalizedText,
    NodeId,
    QualifiedName,
    Record,
    StatusCode,
    XmlElement,
)
from dtios_opcua.binary.nodeid import NodeKey
from dtios_opcua.binary.typetable import StructureField, StructureInfo, TypeTable
from dtios_opcua.binary.wire import Reader, Undecodable, ns_from_ticks, value_from_ticks

__all__ = ["UNREADABLE", "Decoder"]

UNREADABLE: Final = object()
"""Stands for a value that was skipped because its own description contradicts itself."""

_FIXED: dict[int, str] = {1: "?", 2: "b", 3: "B", 4: "h", 5: "H", 6: "i", 7: "I", 8: "q", 9: "Q", 10: "f", 11: "d"}
_SCALARS = {number: struct.Struct("<" + code) for number, code in _FIXED.items()}
_MAX_EMPTY = 65_536
_MAX_DIMENSIONS = 32


class Decoder:
    """One for each session. `types.missing` collects the encodings nobody defined."""

    def __init__(self, types: TypeTable) -> None:
        self.types = types
        self._namespaces = types.namespaces
        self._scalar: dict[int, Callable[[Reader], Any]] = {
            12: Reader.string,
            13: self.date_time,
            14: Reader.guid,
            15: Reader.byte_string,
            16: self._xml,
            17: self._node_id,
            18: self._node_id,
            19: lambda reader: StatusCode(reader.u32()),
            20: self.qualified_name,
            21: self.localized_text,
            22: self.extension_object,
            23: self._nested_data_value,
            24: self._nested_variant,
            25: self._diagnostic_info,
        }
        for number, layout in _SCALARS.items():
            self._scalar[number] = partial(_fixed, layout)

    # --- Variant and DataValue ---

    def variant(self, reader: Reader) -> Any:
        """A Variant's value, or UNREADABLE when it could be skipped but not understood. Raises Undecodable."""
        encoding = reader.u8()
        number = encoding & 0x3F
        if number > 25:
            number = 15  # Part 6, 5.2.2.16: 26 to 31 are to be taken as ByteString
        if number == 0:
            if encoding & 0x80:
                reader.length()
            return None
        value = self.array(reader, number) if encoding & 0x80 else self._scalar[number](reader)
        if encoding & 0x40:
            return self._matrix(reader, value)
        return value

    def array(self, reader: Reader, number: int) -> list[Any] | None:
        """A one-dimensional array of a built-in type."""
        layout = _FIXED.get(number)
        if layout is None:
            count = reader.objects()
            one = self._scalar[number]
            return None if count < 0 else [one(reader) for _ in range(count)]
        count = reader.length(_SCALARS[number].size)
        if count < 0:
            return None
        data = reader.take(count * _SCALARS[number].size)
        return list(struct.unpack(f"<{count}{layout}", data))

    def _matrix(self, reader: Reader, value: Any) -> Any:
        dimensions = self.array(reader, BuiltinType.Int32)
        if value is None or not dimensions:
            return value
        return UNREADABLE if not isinstance(value, list) else reshape(reader, value, dimensions)

    def _nested_variant(self, reader: Reader) -> Any:
        value = self.variant(reader.nested())
        reader.depth -= 1
        return None if value is UNREADABLE else value

    def data_value(self, reader: Reader) -> tuple[Any, int, int, int]:
        """(value, status, source time, server time); Part 6, 5.2.2.17. The value is None when the status is Bad."""
        mask = reader.u8()
        value = self.variant(reader) if mask & 0x01 else None
        status = reader.u32() if mask & 0x02 else 0
        source = ns_from_ticks(reader.i64()) if mask & 0x04 else NO_TIME
        if mask & 0x10:
            reader.u16()
        server = ns_from_ticks(reader.i64()) if mask & 0x08 else NO_TIME
        if mask & 0x20:
            reader.u16()
        if value is UNREADABLE:
            value, status = None, BAD_DECODING_ERROR
        elif is_bad(status):
            value = None
        return value, status, source, server

    def _nested_data_value(self, reader: Reader) -> DataValue:
        value, status, source, server = self.data_value(reader.nested())
        reader.depth -= 1
        return DataValue(value, status, None if source == NO_TIME else source, None if server == NO_TIME else server)

    # --- scalars with a form of their own ---

    def date_time(self, reader: Reader) -> DateTime | None:
        return value_from_ticks(reader.i64())

    def _xml(self, reader: Reader) -> XmlElement | None:
        text = reader.string()
        return None if text is None else XmlElement(text)

    def _node_id(self, reader: Reader) -> NodeId:
        key, uri, server = reader.expanded_node_id()
        if uri is not None:
            plain = self._namespaces.address((0, key[1]))
            address = f"nsu={uri.replace('%', '%25').replace(';', '%3B')};{plain}"
        else:
            address = self._namespaces.address(key)
        return NodeId(f"svr={server};{address}") if server else NodeId(address)

    def qualified_name(self, reader: Reader) -> QualifiedName:
        index, name = reader.qualified_name()
        return QualifiedName(self._namespaces.uri(index), name)

    def localized_text(self, reader: Reader) -> LocalizedText:
        return LocalizedText(*reader.localized_text())

    def _diagnostic_info(self, reader: Reader) -> Record:
        mask = reader.u8()
        fields: dict[str, Any] = {}
        for bit, name in ((1, "SymbolicId"), (2, "NamespaceURI"), (8, "Locale"), (4, "LocalizedText")):
            if mask & bit:
                fields[name] = reader.i32()
        if mask & 0x10:
            fields["AdditionalInfo"] = reader.string()
        if mask & 0x20:
            fields["InnerStatusCode"] = StatusCode(reader.u32())
        if mask & 0x40:
            fields["InnerDiagnosticInfo"] = self._diagnostic_info(reader.nested())
            reader.depth -= 1
        return Record("DiagnosticInfo", fields)

    # --- structures ---

    def extension_object(self, reader: Reader) -> Record | None:
        """A structure (Part 6, 5.2.2.15); with `Body` as its only field when its type is not known or does not fit."""
        encoding = reader.node_id()
        form = reader.u8()
        if form not in (0, 1, 2):
            raise Undecodable(f"ExtensionObject encoding {form}")
        body = reader.byte_string() if form else None
        if encoding == (0, 0) and not body:
            return None
        info = self.types.by_encoding.get(encoding) if form == 1 else None
        if info is None or body is None:
            if form == 1:
                self.types.missing.add(encoding)
            return self._raw(encoding, body)
        layout = self.types.structure(info.key)
        if layout is None:
            return self._raw(encoding, body)
        if not body and layout.masked and all(one.optional for one in layout.fields):
            return Record(info.name, {})  # node-opcua leaves the mask out where every field is absent
        inner = Reader(body, within=reader).nested()
        try:
            record = Record(info.name, self.fields(inner, layout))
        except Undecodable:
            return self._raw(encoding, body)
        return record if inner.pos == inner.end else self._raw(encoding, body)

    def _raw(self, encoding: NodeKey, body: bytes | None) -> Record:
        return Record(self._namespaces.address(encoding), {"Body": body})

    def fields(self, reader: Reader, layout: StructureInfo) -> dict[str, Any]:
        if layout.union:
            switch = reader.u32()
            if switch == 0:
                return {}
            if switch > len(layout.fields):
                raise Undecodable("a union's switch beyond its fields")
            chosen = layout.fields[switch - 1]
            return {chosen.name: self._field(reader, chosen)}
        mask = reader.u32() if layout.masked else 0
        values: dict[str, Any] = {}
        for one in layout.fields:
            if one.optional:
                present = mask & 1
                mask >>= 1
                if not present:
                    continue
            values[one.name] = self._field(reader, one)
        return values

    def _field(self, reader: Reader, one: StructureField) -> Any:
        read = self._element(one)
        if one.rank < 1:
            return read(reader)
        if one.rank == 1:
            count = reader.objects()
            return None if count < 0 else [read(reader) for _ in range(count)]
        dimensions = self.array(reader, BuiltinType.Int32) or []  # Part 6, 5.2.5: dimensions, then all elements
        count = _product(dimensions)
        if count > reader.end - reader.pos:
            raise Undecodable(f"{count} elements announced, {reader.end - reader.pos} bytes left")
        reader.spend(count)
        value = reshape(reader, [read(reader) for _ in range(count)], dimensions)
        return None if value is UNREADABLE else value

    def _element(self, one: StructureField) -> Callable[[Reader], Any]:
        builtin = self.types.builtin(one.data_type)
        if builtin is None:
            raise Undecodable(f"a field of the unknown type {one.data_type}")
        if builtin is not BuiltinType.ExtensionObject:
            return self._nested_variant if one.polymorphic else self._scalar[builtin]
        layout = self.types.structure(one.data_type)
        info = self.types.types[one.data_type]
        if one.polymorphic or one.data_type == (0, 22) or layout is None:
            return self.extension_object
        name = info.name

        def nested(reader: Reader) -> Record:
            record = Record(name, self.fields(reader.nested(), layout))
            reader.depth -= 1
            return record

        return nested


def _fixed(layout: struct.Struct, reader: Reader) -> Any:
    return reader.unpack(layout)


def _product(dimensions: list[int]) -> int:
    """How many elements; beyond what any message holds when there are more dimensions than anybody uses."""
    if len(dimensions) > _MAX_DIMENSIONS:
        raise Undecodable(f"{len(dimensions)} dimensions")
    return math.prod(max(size, 0) for size in dimensions)


def reshape(reader: Reader, flat: list[Any], dimensions: list[int]) -> Any:
    """Nested lists of these lengths; UNREADABLE when the lengths do not fit the number of elements."""
    if _product(dimensions) != len(flat):
        return UNREADABLE
    if not flat:
        return _empty(reader, dimensions)
    for size in reversed(dimensions[1:]):
        flat = [flat[at : at + size] for at in range(0, len(flat), size)]
    return flat


def _empty(reader: Reader, dimensions: list[int]) -> list[Any]:
    """[2, 0] is [[], []]; a shape that would only waste memory is []."""
    outer = dimensions[: next(i for i, size in enumerate(dimensions) if size <= 0)]
    total = math.prod(outer)
    if not outer or total > _MAX_EMPTY:
        return []
    reader.spend(total)
    made: list[Any] = [[] for _ in range(total)]
    for size in reversed(outer[1:]):
        made = [made[at : at + size] for at in range(0, len(made), size)]
    return made
