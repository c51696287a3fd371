"""Messages and values as bytes (msgpack): the only form in which anything crosses to an app, a command or back.

Plain values travel as they are; the types of `dtios.model.values` travel as msgpack extensions, so that they arrive as what
they were. A column of plain values costs nothing extra.
"""

import uuid
from collections.abc import Callable
from typing import Any, Final

import msgspec
from msgspec.msgpack import Ext

from dtios.model.batch import Batch
from dtios.model.values import (
    DataValue,
    DateTime,
    Enumerated,
    LocalizedText,
    NodeId,
    QualifiedName,
    Record,
    StatusCode,
    XmlElement,
)

__all__ = ["pack", "pack_batch", "pack_value", "unpack_batch", "unpack_value"]

_PLAIN: Final = frozenset({bool, int, float, str, bytes, type(None)})
_BATCH: Final = 16


def _as_base(value: Any) -> Any:
    """A typed field (an address, an enumeration) says what it is itself: the base type travels. Values were packed before."""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int):
        return int(value)
    raise TypeError(f"a value of type {type(value).__name__} cannot cross to an app")


_encoder = msgspec.msgpack.Encoder(enc_hook=_as_base)


def _reading(value: DataValue) -> Any:
    return [pack_value(value.value), value.status, value.source_time, value.server_time, value.receive_time]


_TO_EXT: Final[dict[type, tuple[int, Callable[[Any], Any]]]] = {
    DateTime: (1, str),  # it may be beyond 64 bits
    NodeId: (2, str),
    XmlElement: (3, str),
    StatusCode: (4, int),
    QualifiedName: (5, list),
    LocalizedText: (6, list),
    Enumerated: (7, lambda v: [int(v), v.name]),
    uuid.UUID: (8, lambda v: v.bytes),
    Record: (9, lambda v: [v.type, {k: pack_value(x) for k, x in v.fields.items()}]),
    DataValue: (10, _reading),
}

_FROM_EXT: Final[dict[int, Callable[[Any], Any]]] = {
    1: DateTime,
    2: NodeId,
    3: XmlElement,
    4: StatusCode,
    5: lambda v: QualifiedName(*v),
    6: lambda v: LocalizedText(*v),
    7: lambda v: Enumerated(*v),
    8: lambda v: uuid.UUID(bytes=v),
    9: lambda v: Record(v[0], v[1]),
    10: lambda v: DataValue(*v),
}


def pack_value(value: Any) -> Any:
    """A value in a form that msgpack carries without loss."""
    kind = type(value)
    if kind in _PLAIN or kind is Ext:
        return value
    if kind is list or kind is tuple:
        return _pack_column(value)
    if kind is dict:
        return {k: pack_value(v) for k, v in value.items()}
    try:
        code, form = _TO_EXT[kind]
    except KeyError:
        raise TypeError(f"a value of type {kind.__name__} cannot cross to an app") from None
    return Ext(code, _encoder.encode(form(value)))


def _pack_column(values: list[Any]) -> list[Any]:
    if set(map(type, values)) <= _PLAIN:
        return values
    return [pack_value(v) for v in values]


def pack(message: Any) -> bytes:
    """A message (msgspec Struct of plain fields) as bytes. Values in it were put through `pack_value`."""
    return _encoder.encode(message)


def unpack_value(code: int, data: memoryview) -> Any:
    """The decoder's extension hook."""
    if code == _BATCH:
        return unpack_batch(bytes(data))
    form = _FROM_EXT.get(code)
    if form is None:
        raise ValueError(f"unknown extension type {code}")
    return form(_decoder.decode(data))


_decoder = msgspec.msgpack.Decoder(ext_hook=unpack_value)


def pack_batch(batch: Batch) -> bytes:
    """A batch as bytes: the columns as they are; one whose rows are all the same, as most statuses are, is its one number."""
    return _encoder.encode(
        (
            batch.handles,
            _pack_column(batch.values),
            _folded(batch.statuses),
            _folded(batch.source_times),
            _folded(batch.server_times),
            batch.receive_time,
            batch.epoch,
            batch.sequences,
        )
    )


def _folded(column: list[int]) -> list[int] | int:
    if column and column[0] == column[-1] and column.count(column[0]) == len(column):
        return column[0]
    return column


def unpack_batch(data: bytes) -> Batch:
    handles, values, statuses, source_times, server_times, *rest = _decoder.decode(data)
    size = len(handles)
    return Batch(handles, values, _unfolded(statuses, size), _unfolded(source_times, size), _unfolded(server_times, size), *rest)


def _unfolded(column: list[int] | int, size: int) -> list[int]:
    return [column] * size if isinstance(column, int) else column
