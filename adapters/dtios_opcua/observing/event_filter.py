"""What is asked of each event: the select clauses, as bytes, and where each of them lands among an event's fields.

There is no where clause. Servers disagree on OfType (some take it for the very type, without its subtypes), and a filter that is
misunderstood is an alarm that never comes: every event is taken, and sorted here.
"""

import struct
from collections.abc import Sequence
from typing import Final, NamedTuple

from dtios.model.event import EventPath
from dtios.sdk.adapter import EventFields
from dtios_opcua.binary.nodeid import Namespaces, NodeKey, encode_node_id
from dtios_opcua.binary.wire import encode_string
from dtios_opcua.observing.event_types import EventTypes
from dtios_opcua.session.services import Attribute

__all__ = ["BASE", "CONDITION", "Clause", "event_filter", "wanted_clauses"]

_BASE_EVENT: Final[NodeKey] = (0, 2041)
_CONDITION: Final[NodeKey] = (0, 2782)
_ACKNOWLEDGEABLE: Final[NodeKey] = (0, 2881)
_ALARM: Final[NodeKey] = (0, 2915)
_EVENT_FILTER: Final = 727  # its binary encoding (Part 6, A.3)
_NODE_ID: Final = 1
_MOST: Final = 500
"""Select clauses asked for at most; beyond it is a profile's mistake."""


class Clause(NamedTuple):
    """SimpleAttributeOperand (Part 4, 7.7.4.5)."""

    type: NodeKey
    path: tuple[tuple[int, str], ...]
    attribute: int = Attribute.VALUE


def _standard(type: NodeKey, *paths: str) -> tuple[tuple[str, Clause], ...]:
    return tuple((path, Clause(type, tuple((0, name) for name in path.split("/")))) for path in paths)


BASE: Final[dict[str, Clause]] = dict(
    _standard(_BASE_EVENT, "EventId", "EventType", "SourceNode", "SourceName", "Time", "Message", "Severity")
)
"""Of every event (Part 5, 6.4.2)."""

CONDITION: Final[dict[str, Clause]] = {
    "ConditionId": Clause(_CONDITION, (), _NODE_ID),  # Part 9, 5.5.2: the NodeId of the ConditionType, with an empty path
    **dict(_standard(_CONDITION, "ConditionName", "BranchId", "Retain", "Quality", "EnabledState/Id")),
    **dict(_standard(_ACKNOWLEDGEABLE, "AckedState/Id", "ConfirmedState/Id")),
    **dict(_standard(_ALARM, "ActiveState/Id", "SuppressedState/Id", "SuppressedOrShelved")),
    **dict(_standard(_ALARM, "ShelvingState/CurrentState", "ShelvingState/CurrentState/Id")),
}
"""Of conditions, as far as they have it (Part 9, 5.5 to 5.8)."""


def wanted_clauses(
    wanted: Sequence[EventFields], types: EventTypes, namespaces: Namespaces
) -> dict[tuple[NodeKey, EventPath], Clause]:
    """By event type and path: the fields that are asked for beyond those of every event. A type or namespace that the server
    does not have has none. Two types may have fields of one name, and a server answers each for its own type alone."""
    found: dict[tuple[NodeKey, EventPath], Clause] = {}
    for one in wanted:
        type = types.find(one.type)
        for path in one.fields if type is not None else ():
            steps = [(namespaces.index(name.namespace), name.name) for name in path]
            if type is not None and len(found) < _MOST:
                known = tuple((index, name) for index, name in steps if index is not None)
                if len(known) == len(steps):
                    found[type, path] = Clause(type, known)
    return found


def event_filter(clauses: Sequence[Clause]) -> bytes:
    """EventFilter (Part 4, 7.22.3) in its ExtensionObject."""
    body = struct.pack("<i", len(clauses)) + b"".join(map(_operand, clauses)) + struct.pack("<i", 0)
    return encode_node_id((0, _EVENT_FILTER)) + b"\x01" + struct.pack("<i", len(body)) + body


def _operand(clause: Clause) -> bytes:
    steps = b"".join(struct.pack("<H", index) + encode_string(name) for index, name in clause.path)
    head = encode_node_id(clause.type) + struct.pack("<i", len(clause.path)) + steps
    return head + struct.pack("<I", clause.attribute) + encode_string(None)
