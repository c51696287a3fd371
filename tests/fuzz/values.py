"""The decoder and the publish path, fed with bytes: Undecodable or a value, nothing else."""

import struct
from collections.abc import Callable
from contextlib import suppress

from dtios_opcua.binary.decoder import Decoder
from dtios_opcua.binary.nodeid import Namespaces
from dtios_opcua.binary.notification import decode_notifications, read_header, read_message
from dtios_opcua.binary.standard_types import standard_types
from dtios_opcua.binary.typetable import DataTypeInfo, StructureField, StructureInfo, TypeTable
from dtios_opcua.binary.wire import Reader, Undecodable
from dtios_opcua.errors import BadStatus
from dtios_opcua.session.channel import open_answer

__all__ = ["decode", "hostile_types", "seeds"]

_OWN = 1
_STRUCTURE = (0, 22)


def hostile_types() -> TypeTable:
    """The standard's types, and a server's own: of no size, within each other, with options, choices and dimensions."""
    table = TypeTable(Namespaces(("http://opcfoundation.org/UA/", "urn:hostile")), standard_types())

    def add(number: int, fields: list[StructureField], **more: bool) -> None:
        info = DataTypeInfo((_OWN, number), f"Type{number}", _STRUCTURE, structure=StructureInfo(fields, **more))
        table.add(info)
        table.set_encoding((_OWN, 100 + number), info)

    one, many, square = -1, 1, 2
    add(0, [])
    add(1, [StructureField("empties", (_OWN, 0), many)])
    add(2, [StructureField("self", (_OWN, 2), one, optional=True), StructureField("x", (0, 11))], masked=True)
    add(3, [StructureField("text", (0, 12)), StructureField("nested", (_OWN, 1), many)], union=True)
    add(4, [StructureField("grid", (0, 24), square), StructureField("nothings", (_OWN, 0), square)])
    add(5, [StructureField("any", (0, 22), many, polymorphic=True), StructureField("variants", (0, 24), many)])
    add(6, [StructureField("boxes", (_OWN, 1), many)])
    return table


def _answer(decoder: Decoder, data: bytes) -> None:
    """From the ResponseHeader to the columns, as `publishing` does."""
    reader = open_answer(data, 826)
    read_header(reader)
    _, bodies = read_message(reader)
    decode_notifications(decoder, bodies)


_TARGETS: tuple[Callable[[Decoder, bytes], object], ...] = (
    lambda decoder, data: decoder.data_value(Reader(data)),
    lambda decoder, data: decoder.variant(Reader(data)),
    lambda decoder, data: decoder.extension_object(Reader(data)),
    _answer,
)


def decode(data: bytes) -> None:
    """The first byte chooses what reads the rest. Raises what must never be raised."""
    if not data:
        return
    with suppress(Undecodable, BadStatus):
        _TARGETS[data[0] % len(_TARGETS)](Decoder(_TYPES), data[1:])
    _TYPES.missing.clear()


_TYPES = hostile_types()


def seeds() -> list[bytes]:
    """Well-formed inputs of each kind, for a hunt to begin with."""
    text = struct.pack("<i", 3) + b"abc"
    values = [bytes([number]) + bytes(size) for number, size in ((1, 1), (3, 1), (6, 4), (9, 8), (11, 8), (13, 8), (14, 16))]
    values += [b"\x0c" + text, b"\x0f" + text, b"\x11\x01\x00\x2a\x00", b"\x14\x01\x00" + text, b"\x15\x03" + text + text]
    values += [b"\x8b" + struct.pack("<idd", 2, 1.0, 2.0), b"\xc6" + struct.pack("<i4ii2i", 4, 1, 2, 3, 4, 2, 2, 2)]
    values += [b"\x98" + struct.pack("<i", 2) + b"\x01\x01\x06" + bytes(4), b"\x19\x7f" + bytes(16) + text + bytes(4) + b"\x00"]
    bodies = [
        b"",
        struct.pack("<i", 0),
        b"\x01\x00\x00\x00" + bytes(8),
        struct.pack("<I", 1) + text,
        bytes(8),
        bytes(8),
        bytes(4),
    ]
    structures = [
        b"\x01\x01" + struct.pack("<H", 100 + number) + b"\x01" + struct.pack("<i", len(body)) + body
        for number, body in enumerate(bodies)
    ]
    found = [b"\x00\x0f" + value + bytes(20) for value in values] + [b"\x01" + value for value in values]
    found += [b"\x02" + one for one in structures] + [b"\x01\x16" + one for one in structures]
    item = struct.pack("<IBBdIqq", 1, 0x0F, 11, 1.5, 0, 132_000_000_000_000_000, 132_000_000_000_000_000)
    for change in (struct.pack("<i", 2) + 2 * item + b"\xff" * 4, struct.pack("<i", 1) + struct.pack("<IB", 1, 1) + values[-1]):
        head = b"\x01\x00" + struct.pack("<H", 829) + struct.pack("<qII", 0, 1, 0) + b"\x00" + struct.pack("<i", 0) + bytes(3)
        note = struct.pack("<Iq", 1, 0) + struct.pack("<i", 1) + b"\x01\x00\x2b\x03\x01" + struct.pack("<i", len(change)) + change
        found.append(b"\x03" + head + struct.pack("<IiB", 5, 0, 0) + note + bytes(8))
    return found
