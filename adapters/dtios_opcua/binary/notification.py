"""PublishResponse (Part 4, 5.14.5) from its bytes, straight into columns.

Nearly all of a data path's cost is here, so runs of equal layout (the same type with the same times) are unpacked by one
`struct` call; whatever else an item is goes item by item through the general decoder.
"""

import struct
from dataclasses import dataclass, field
from typing import Any

from dtios.model.status import is_bad
from dtios.model.values import NO_TIME
from dtios_opcua.binary.decoder import UNREADABLE, Decoder
from dtios_opcua.binary.wire import Reader, Undecodable, ns_from_ticks

__all__ = ["Columns", "decode_notifications", "read_header", "read_message"]

_DATA_CHANGE = (0, 811)
_STATUS_CHANGE = (0, 820)
_EVENTS = (0, 916)
_EPOCH_TICKS = 116_444_736_000_000_000
_MAX_TICKS = (2**63 - 1) // 100 + _EPOCH_TICKS
_LEAST_TICKS = _EPOCH_TICKS - (2**63 - 1) // 100
_FIXED = {1: "?", 2: "b", 3: "B", 4: "h", 5: "H", 6: "i", 7: "I", 8: "q", 9: "Q", 10: "f", 11: "d"}
_SHORT_RUN = 8


@dataclass(slots=True)
class Columns:
    """One notification message. `events` are (ClientHandle, EventFields); `end` is the StatusChangeNotification's code, None
    without one."""

    handles: list[int] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    source_times: list[int] = field(default_factory=list)
    server_times: list[int] = field(default_factory=list)
    events: list[tuple[int, list[Any]]] = field(default_factory=list)
    end: int | None = None


def read_header(reader: Reader) -> int:
    """The subscription's id; what else comes before the NotificationMessage is not needed."""
    subscription = reader.u32()
    reader.take(4 * max(reader.length(4), 0))  # the numbers that can be republished: asking tells as well
    reader.u8()
    return subscription


def read_message(reader: Reader) -> tuple[int, list[tuple[tuple[int, Any], bytes]]]:
    """(sequence number, each notification's encoding id and body); no body at all is a keep-alive."""
    sequence = reader.u32()
    reader.i64()
    bodies: list[tuple[tuple[int, Any], bytes]] = []
    for _ in range(reader.length(3)):
        encoding = reader.node_id()
        form = reader.u8()
        body = reader.byte_string() if form else None
        bodies.append((encoding, body or b""))
    return sequence, bodies


def decode_notifications(decoder: Decoder, bodies: list[tuple[tuple[int, Any], bytes]]) -> Columns:
    """Data changes, events and the status change. Raises Undecodable."""
    columns = Columns()
    whole = Reader(b"")  # all of them are one message
    for encoding, body in bodies:
        if encoding == _DATA_CHANGE:
            _data_change(decoder, Reader(body, within=whole), columns)
        elif encoding == _EVENTS:
            _events(decoder, Reader(body, within=whole), columns)
        elif encoding == _STATUS_CHANGE:
            columns.end = Reader(body).u32()
    return columns


@dataclass(frozen=True, slots=True)
class _Layout:
    """An item's fixed form: ClientHandle, mask, type, value, then status and times as the mask says; -1: not there."""

    form: struct.Struct
    status: int
    source: int
    server: int


def _layouts() -> dict[int, _Layout]:
    """By mask | type << 8; picoseconds go the general way."""
    made: dict[int, _Layout] = {}
    for mask in range(0x01, 0x10, 2):
        for number, code in _FIXED.items():
            form, at = "<IBB" + code, 4
            places = []
            for bit, part in ((2, "I"), (4, "q"), (8, "q")):
                if mask & bit:
                    form += part
                    places.append(at)
                    at += 1
                else:
                    places.append(-1)
            made[mask | number << 8] = _Layout(struct.Struct(form), *places)
    return made


_LAYOUTS = _layouts()
_HEAD = struct.Struct("<IH")


def _data_change(decoder: Decoder, reader: Reader, columns: Columns) -> None:
    body = reader.data
    left = reader.length(5)
    patience = 0  # after runs that were short, how many items to take one by one before the next try
    while left > 0:
        at = reader.pos
        if at + 6 > reader.end:
            raise Undecodable("the message ends inside an item")
        _, key = _HEAD.unpack_from(body, at)
        layout = _LAYOUTS.get(key)
        if layout is None:
            _general(decoder, reader, columns)
            left -= 1
            continue
        run = min(left, (reader.end - at) // layout.form.size)
        if run == 0:
            raise Undecodable("the message ends inside an item")
        if patience > 0 or run == 1:
            _single(body, at, layout, columns)
            patience -= 1
            reader.pos = at + layout.form.size
            left -= 1
            continue
        taken = _run(body, at, run, key, layout, columns)
        if run > _SHORT_RUN > taken:
            patience = 64
        reader.pos = at + taken * layout.form.size
        left -= taken


def _run(body: bytes, at: int, run: int, key: int, layout: _Layout, columns: Columns) -> int:
    """Take items of this layout, at most `run`; returns how many had it."""
    size = layout.form.size
    mask, number = key & 0xFF, key >> 8
    rows = []
    for row in layout.form.iter_unpack(memoryview(body)[at : at + run * size]):
        if row[1] != mask or row[2] != number:
            break
        rows.append(row)
    cells = list(zip(*rows, strict=True))
    taken = len(rows)
    columns.handles.extend(cells[0])
    columns.source_times.extend(_times(cells[layout.source]) if layout.source > 0 else [NO_TIME] * taken)
    columns.server_times.extend(_times(cells[layout.server]) if layout.server > 0 else [NO_TIME] * taken)
    if layout.status > 0:
        statuses = cells[layout.status]
        columns.statuses.extend(statuses)
        columns.values.extend(None if is_bad(s) else v for v, s in zip(cells[3], statuses, strict=True))
    else:
        columns.statuses.extend([0] * taken)
        columns.values.extend(cells[3])
    return taken


def _single(body: bytes, at: int, layout: _Layout, columns: Columns) -> None:
    row = layout.form.unpack_from(body, at)
    status = row[layout.status] if layout.status > 0 else 0
    columns.handles.append(row[0])
    columns.values.append(None if is_bad(status) else row[3])
    columns.statuses.append(status)
    columns.source_times.append(ns_from_ticks(row[layout.source]) if layout.source > 0 else NO_TIME)
    columns.server_times.append(ns_from_ticks(row[layout.server]) if layout.server > 0 else NO_TIME)


def _times(ticks: tuple[int, ...]) -> list[int]:
    if min(ticks) >= _LEAST_TICKS and max(ticks) <= _MAX_TICKS:
        return [(tick - _EPOCH_TICKS) * 100 for tick in ticks]
    return [ns_from_ticks(tick) for tick in ticks]


def _events(decoder: Decoder, reader: Reader, columns: Columns) -> None:
    """EventNotificationList (Part 4, 7.25.3): fields in the order of the filter's select clauses, None for what is not there."""
    for _ in range(reader.length(8)):
        handle = reader.u32()
        fields = [decoder.variant(reader) for _ in range(reader.length())]
        columns.events.append((handle, [None if value is UNREADABLE else value for value in fields]))


def _general(decoder: Decoder, reader: Reader, columns: Columns) -> None:
    handle = reader.u32()
    value, status, source, server = decoder.data_value(reader)
    columns.handles.append(handle)
    columns.values.append(value)
    columns.statuses.append(status)
    columns.source_times.append(source)
    columns.server_times.append(server)
