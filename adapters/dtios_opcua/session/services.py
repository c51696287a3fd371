"""The services used, as payloads and answers (Part 4)."""

import struct
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from dtios.model.status import status_code
from dtios_opcua.binary.nodeid import NodeKey, encode_node_id
from dtios_opcua.binary.wire import Reader, Undecodable
from dtios_opcua.session.channel import Channel
from dtios_opcua.session.limits import Limits, batched, is_too_large

__all__ = [
    "MOST_LEVELS",
    "MOST_NODES",
    "Attribute",
    "Reference",
    "Service",
    "View",
    "browse",
    "read_payload",
    "results_of",
]


class Service:
    """Binary encoding ids of the requests (Part 6, A.3)."""

    BROWSE: Final = 527
    BROWSE_NEXT: Final = 533
    READ: Final = 631
    WRITE: Final = 673
    CALL: Final = 712
    CREATE_MONITORED_ITEMS: Final = 751
    DELETE_MONITORED_ITEMS: Final = 781
    CREATE_SUBSCRIPTION: Final = 787
    DELETE_SUBSCRIPTIONS: Final = 847
    SET_PUBLISHING_MODE: Final = 799
    PUBLISH: Final = 826
    REPUBLISH: Final = 832
    CLOSE_SESSION: Final = 473


class Attribute:
    """Part 6, A.1."""

    NODE_CLASS: Final = 2
    BROWSE_NAME: Final = 3
    DESCRIPTION: Final = 5
    IS_ABSTRACT: Final = 8
    EVENT_NOTIFIER: Final = 12
    VALUE: Final = 13
    DATA_TYPE: Final = 14
    VALUE_RANK: Final = 15
    ARRAY_DIMENSIONS: Final = 16
    ACCESS_LEVEL: Final = 17
    USER_ACCESS_LEVEL: Final = 18
    EXECUTABLE: Final = 21
    USER_EXECUTABLE: Final = 22
    DATA_TYPE_DEFINITION: Final = 23


_READ_HEAD = struct.Struct("<dIi")
_TAIL = b"\xff\xff\xff\xff\x00\x00\xff\xff\xff\xff"


def read_payload(items: Sequence[tuple[NodeKey, int]]) -> bytes:
    """ReadRequest (Part 4, 5.11.2) with both timestamps."""
    parts = [_READ_HEAD.pack(0.0, 2, len(items))]
    for key, attribute in items:
        parts += (encode_node_id(key), struct.pack("<I", attribute), _TAIL)
    return b"".join(parts)


@dataclass(slots=True)
class Reference:
    """Part 4, 7.29 ReferenceDescription, as far as it is used."""

    type: NodeKey
    forward: bool
    target: NodeKey
    name: tuple[int, str]
    display_name: str
    node_class: int
    type_definition: NodeKey


@dataclass(frozen=True, slots=True)
class View:
    """Which references to ask for. direction: 0 forward, 1 inverse, 2 both."""

    direction: int
    reference_type: NodeKey
    node_classes: int = 0


async def browse(
    channel: Channel, limits: Limits, keys: Sequence[NodeKey], view: View, uri_index: Callable[[str], int | None]
) -> AsyncIterator[tuple[NodeKey, list[Reference] | int]]:
    """All references of each node, or the Bad status that the server gave for it. Continuation points are used up at once;
    a node for which there was none left, or whose own was dropped, is asked again in a smaller batch."""
    tail = struct.pack("<I", view.direction) + encode_node_id(view.reference_type)
    tail += b"\x01" + struct.pack("<II", view.node_classes, 0x3F)

    def payload(some: Sequence[NodeKey]) -> bytes:
        head = b"\x00\x00" + struct.pack("<qIIi", 0, 0, limits.references, len(some))  # no view
        return head + b"".join(encode_node_id(key) + tail for key in some)

    left: Sequence[NodeKey] = list(keys)
    while left:
        again: list[NodeKey] = []
        points_ran_out = False
        async for some, answer in batched(channel, limits, "browse", Service.BROWSE, left, payload):
            if isinstance(answer, int):
                if is_too_large(answer) and limits.fewer_references():
                    again += some
                else:
                    yield some[0], answer
                continue
            results = _results(answer, uri_index, len(some))
            await _continue(channel, limits, results, uri_index)
            for key, result in zip(some, results, strict=True):
                if result.status in _NO_POINT and limits.browse > 1:
                    again.append(key)
                    points_ran_out = True
                else:
                    yield key, result.status or result.references
        if points_ran_out:
            limits.browse = max(1, min(limits.browse, len(left)) // 2)
        left = again


_NO_POINT = frozenset({status_code("BadNoContinuationPoints"), status_code("BadContinuationPointInvalid")})


@dataclass(slots=True)
class _Result:
    status: int
    point: bytes | None
    references: list[Reference]


MOST_LEVELS: Final = 100
"""References in a row that are followed down or up: a server may make up nodes for ever."""
MOST_NODES: Final = 500_000
_MOST_REFERENCES: Final = 1_000_000
_MOST_FRUITLESS: Final = 50
_MOST_ROUNDS: Final = 10_000
"""Of BrowseNext for one Browse: more than any machine has, and an end where a server has none."""


async def _continue(channel: Channel, limits: Limits, results: list[_Result], uri_index: Callable[[str], int | None]) -> None:
    """Raises Undecodable where it never ends."""

    def payload(some: Sequence[_Result]) -> bytes:
        points = b"".join(struct.pack("<i", len(one.point or b"")) + (one.point or b"") for one in some)
        return b"\x00" + struct.pack("<i", len(some)) + points

    open_ones = [one for one in results if one.point]
    found = fruitless = 0
    for _ in range(_MOST_ROUNDS):
        if not open_ones:
            return
        async for some, answer in batched(channel, limits, "browse", Service.BROWSE_NEXT, open_ones, payload):
            if isinstance(answer, int):
                some[0].status, some[0].point = answer, None
                continue
            for one, next_part in zip(some, _results(answer, uri_index, len(some)), strict=True):
                one.status, one.point = next_part.status, next_part.point
                one.references += next_part.references
        before, found = found, sum(len(one.references) for one in results)
        fruitless = 0 if found > before else fruitless + 1
        if fruitless > _MOST_FRUITLESS or found > _MOST_REFERENCES:
            break
        open_ones = [one for one in open_ones if one.point]
    raise Undecodable("references without end")


def _results(reader: Reader, uri_index: Callable[[str], int | None], expected: int) -> list[_Result]:
    count = reader.length(9)
    results = [_Result(reader.u32(), reader.byte_string(), _references(reader, uri_index)) for _ in range(count)]
    for one in results:
        one.status = one.status if one.status >> 31 else 0
    results += [_Result(0x80090000, None, []) for _ in range(expected - count)]
    return results[:expected]


def _references(reader: Reader, uri_index: Callable[[str], int | None]) -> list[Reference]:
    found: list[Reference] = []
    for _ in range(reader.length(14)):
        reference_type = reader.node_id()
        forward = reader.u8() != 0
        target, uri, server = reader.expanded_node_id()
        name = reader.qualified_name()
        display_name = reader.localized_text()[0]
        node_class = reader.i32()
        definition, definition_uri, _ = reader.expanded_node_id()
        local = _local(target, uri, uri_index)
        if server or local is None:
            continue  # a node of another server
        typed = _local(definition, definition_uri, uri_index) or (0, 0)
        found.append(Reference(reference_type, forward, local, name, display_name, node_class, typed))
    return found


def _local(key: NodeKey, uri: str | None, uri_index: Callable[[str], int | None]) -> NodeKey | None:
    if uri is None:
        return key
    index = uri_index(uri)
    return None if index is None else (index, key[1])


def results_of(reader: Reader, one: Callable[[Reader], Any]) -> list[Any]:
    """The array that begins an answer."""
    return [one(reader) for _ in range(reader.length())]
