"""From an event's fields to a Condition or an Event."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from dtios.model.condition import Condition
from dtios.model.event import Event, EventPath
from dtios.model.values import LocalizedText, QualifiedName, StatusCode

__all__ = ["Told", "condition_of", "event_of", "is_there", "time_of"]

_NULL_NODE: Final = "i=0"
_UNSHELVED: Final = "i=2930"
_FARTHEST: Final = 2**63 - 1
_LONGEST: Final = 4_096
"""Characters of a text that are kept: conditions are kept by the thousand."""


class Told(NamedTuple):
    """A condition with what a command about it needs: the address of its node, and its last EventId."""

    source: str
    condition: Condition
    address: str | None
    event: bytes


def condition_of(fields: Mapping[str, Any], types: tuple[QualifiedName, ...]) -> Told:
    """By the names of `event_filter.BASE` and `CONDITION`. What a plain ConditionType has not, it needs not: it is acknowledged
    and confirmed, and active for as long as it is retained."""
    address = _address(fields.get("ConditionId"))
    source = _address(fields.get("SourceNode")) or address or ""
    name = _text(fields.get("ConditionName"))
    branch = _address(fields.get("BranchId"))
    known = address or f"{source}/{name}"
    retain = fields.get("Retain") is not False and fields.get("EnabledState/Id") is not False
    condition = Condition(
        machine="",
        condition=known if branch is None else f"{known}#{branch}",
        source=_text(fields.get("SourceName")) or source,
        message=_text(fields.get("Message")),
        severity=_severity(fields.get("Severity")),
        active=_flag(fields.get("ActiveState/Id"), retain),
        acknowledged=_flag(fields.get("AckedState/Id"), True),
        time=time_of(fields.get("Time")),
        confirmed=_flag(fields.get("ConfirmedState/Id"), True),
        shelved=_shelved(fields),
        retain=retain,
        name=name,
        type=types[0].name if types else "",
        suppressed=_flag(fields.get("SuppressedState/Id"), False),
        status=_quality(fields.get("Quality")),
    )
    event = fields.get("EventId")
    return Told(source, condition, address, event if isinstance(event, bytes) else b"")


def event_of(fields: Mapping[str, Any], types: tuple[QualifiedName, ...], wanted: Mapping[EventPath, Any]) -> Event:
    event = fields.get("EventId")
    return Event(
        source=_address(fields.get("SourceNode")) or "",
        types=types,
        message=_text(fields.get("Message")),
        severity=_severity(fields.get("Severity")),
        time=time_of(fields.get("Time")),
        event=event.hex() if isinstance(event, bytes) else "",
        fields={path: value for path, value in wanted.items() if is_there(value)},
    )


def is_there(value: Any) -> bool:
    """A server may put a Bad StatusCode where it has no such field (Part 4, 7.22.3)."""
    return value is not None and not (isinstance(value, StatusCode) and value >> 31)


def time_of(value: Any) -> int | None:
    """None for a time beyond what 64 bits of nanoseconds hold (the year 2262), too."""
    is_time = isinstance(value, int) and not isinstance(value, StatusCode | bool) and -_FARTHEST <= value <= _FARTHEST
    return int(value) if is_time else None


def _address(value: Any) -> str | None:
    return str(value) if isinstance(value, str) and value not in ("", _NULL_NODE) else None


def _text(value: Any) -> str:
    text = value.text if isinstance(value, LocalizedText) else value
    return text[:_LONGEST] if isinstance(text, str) else ""


def _severity(value: Any) -> int:
    is_number = isinstance(value, int) and not isinstance(value, StatusCode | bool)
    return max(1, min(1000, int(value))) if is_number else 1


def _flag(value: Any, otherwise: bool) -> bool:
    return value if isinstance(value, bool) else otherwise


def _quality(value: Any) -> int:
    return int(value) if isinstance(value, StatusCode) else 0


def _shelved(fields: Mapping[str, Any]) -> bool:
    """By the state's NodeId, else by its name: an instance may have nodes of its own for its states."""
    state = _address(fields.get("ShelvingState/CurrentState/Id"))
    if state is not None and state in (_UNSHELVED, "i=2932", "i=2933"):
        return state != _UNSHELVED
    name = _text(fields.get("ShelvingState/CurrentState")).replace(" ", "").casefold()
    return bool(name) and name != "unshelved"
