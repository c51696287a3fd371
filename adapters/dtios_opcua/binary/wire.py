"""Reading the binary encoding (Part 6, 5.2): a cursor that never goes beyond its message.

Lengths are checked before anything is allocated: an array that announces more elements than there are bytes left is
Undecodable. What a few bytes could blow up (an object takes far more memory than its encoding, and some take no bytes at all)
is counted over the whole message and has a limit.
"""

import struct
from typing import Final
from uuid import UUID

from dtios.model.values import LATEST, NO_TIME, DateTime
from dtios_opcua.binary.nodeid import NodeKey

__all__ = ["MOST_OBJECTS", "Reader", "Undecodable", "encode_string", "ns_from_ticks", "ticks_from_ns", "value_from_ticks"]

_EPOCH_TICKS = 116_444_736_000_000_000  # 1601-01-01 to 1970-01-01 in 100 ns
_MAX_NS = 2**63 - 1
_MIN_NS = -(2**63) + 1
_MAX_TICKS = 2**63 - 1
MOST_OBJECTS: Final = 1_000_000
"""Array elements that are objects of their own, in one message: a few hundred MB at worst."""


class Undecodable(Exception):
    """The bytes are not what the standard says."""


def ns_from_ticks(ticks: int) -> int:
    """A DateTime as nanoseconds since 1970; NO_TIME for the null DateTime, clamped to what an int64 holds."""
    if ticks <= 0:
        return NO_TIME
    nanoseconds = (ticks - _EPOCH_TICKS) * 100
    return _MAX_NS if nanoseconds > _MAX_NS else _MIN_NS if nanoseconds < _MIN_NS else nanoseconds


def value_from_ticks(ticks: int) -> DateTime | None:
    """A DateTime that is a value: None for the null DateTime, all beyond the standard's latest is the latest."""
    return DateTime(min((ticks - _EPOCH_TICKS) * 100, LATEST)) if ticks > 0 else None


def ticks_from_ns(nanoseconds: int) -> int:
    """The other way (Part 6, 5.2.2.5); from the latest time on it is the largest number."""
    if nanoseconds >= LATEST:
        return _MAX_TICKS
    return max(0, nanoseconds // 100 + _EPOCH_TICKS)


def encode_string(text: str | None) -> bytes:
    if text is None:
        return b"\xff\xff\xff\xff"
    data = text.encode()
    return len(data).to_bytes(4, "little") + data


_U16 = struct.Struct("<H")
_U32 = struct.Struct("<I")
_I32 = struct.Struct("<i")
_I64 = struct.Struct("<q")
_F64 = struct.Struct("<d")


class Reader:
    """`data[pos:end]` is what is left. `within`: the reader of the message that these bytes are a part of."""

    __slots__ = ("_objects", "data", "depth", "end", "pos")

    def __init__(self, data: bytes, pos: int = 0, end: int | None = None, within: "Reader | None" = None) -> None:
        self.data = data
        self.pos = pos
        self.end = len(data) if end is None else end
        self.depth: int = 0 if within is None else within.depth
        self._objects: list[int] = [0] if within is None else within._objects

    def take(self, size: int) -> bytes:
        pos = self.pos
        new = pos + size
        if size < 0 or new > self.end:
            raise Undecodable(f"{size} bytes announced, {self.end - pos} left")
        self.pos = new
        return self.data[pos:new]

    def unpack(self, layout: struct.Struct) -> object:
        pos = self.pos
        new = pos + layout.size
        if new > self.end:
            raise Undecodable("the message ends inside a number")
        self.pos = new
        return layout.unpack_from(self.data, pos)[0]

    def _number(self, layout: struct.Struct) -> int:
        pos = self.pos
        new = pos + layout.size
        if new > self.end:
            raise Undecodable("the message ends inside a number")
        self.pos = new
        number: int = layout.unpack_from(self.data, pos)[0]
        return number

    def u8(self) -> int:
        pos = self.pos
        if pos >= self.end:
            raise Undecodable("the message ends too early")
        self.pos = pos + 1
        return self.data[pos]

    def u16(self) -> int:
        return self._number(_U16)

    def u32(self) -> int:
        return self._number(_U32)

    def i32(self) -> int:
        return self._number(_I32)

    def i64(self) -> int:
        return self._number(_I64)

    def f64(self) -> float:
        number: float = _F64.unpack(self.take(8))[0]
        return number

    def length(self, size: int = 1) -> int:
        """An array's length, -1 for a null one; `size` is the least an element takes."""
        count = self.i32()
        if count * size > self.end - self.pos:
            raise Undecodable(f"{count} elements announced, {self.end - self.pos} bytes left")
        return max(count, -1)

    def objects(self, size: int = 1) -> int:
        """`length` of an array whose elements become objects."""
        count = self.length(size)
        self.spend(count)
        return count

    def spend(self, count: int) -> None:
        """Raises Undecodable when the message makes more than MOST_OBJECTS."""
        if count > 0:
            self._objects[0] += count
            if self._objects[0] > MOST_OBJECTS:
                raise Undecodable(f"more than {MOST_OBJECTS} elements")

    def byte_string(self) -> bytes | None:
        count = self.i32()
        return None if count < 0 else self.take(count)

    def string(self) -> str | None:
        data = self.byte_string()
        return None if data is None else data.decode("utf-8", "replace")

    def guid(self) -> UUID:
        return UUID(bytes_le=self.take(16))

    def node_id(self) -> NodeKey:
        """Part 6, 5.2.2.9."""
        key, uri, server = self.expanded_node_id()
        if uri is not None or server:
            raise Undecodable("an ExpandedNodeId where a NodeId belongs")
        return key

    def expanded_node_id(self) -> tuple[NodeKey, str | None, int]:
        """(key, namespace URI if it is given instead of the index, server index); Part 6, 5.2.2.10."""
        encoding = self.u8()
        key = self._node_key(encoding & 0x3F)
        uri = self.string() if encoding & 0x80 else None
        server = self.u32() if encoding & 0x40 else 0
        return key, uri, server

    def _node_key(self, kind: int) -> NodeKey:
        if kind == 0:
            return 0, self.u8()
        if kind == 1:
            namespace = self.u8()
            return namespace, self.u16()
        if kind > 5:
            raise Undecodable(f"NodeId encoding {kind}")
        namespace = self.u16()
        if kind == 2:
            return namespace, self.u32()
        if kind == 3:
            return namespace, self.string() or ""
        if kind == 4:
            return namespace, self.guid()
        return namespace, self.byte_string() or b""

    def qualified_name(self) -> tuple[int, str]:
        index = self.u16()
        return index, self.string() or ""

    def localized_text(self) -> tuple[str, str]:
        """(text, locale); Part 6, 5.2.2.14."""
        mask = self.u8()
        locale = self.string() if mask & 1 else None
        text = self.string() if mask & 2 else None
        return text or "", locale or ""

    def nested(self) -> "Reader":
        """Go one level deeper, in place. Raises Undecodable beyond 64 levels (Part 6, 5.2.2.16: 100)."""
        self.depth += 1
        if self.depth > 64:
            raise Undecodable("nested too deep")
        return self
