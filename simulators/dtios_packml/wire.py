"""asyncua's values from plain ones: its declared types are narrower than what it takes and gives."""

from datetime import UTC, datetime
from typing import Any, cast

from asyncua import ua
from asyncua.ua.status_codes import StatusCodes

__all__ = ["bad", "node_id", "reading", "status"]

_ua = cast(Any, ua)


def node_id(identifier: str | int, index: int = 0) -> ua.NodeId:
    return cast(ua.NodeId, _ua.NodeId(identifier, index))


def status(code: int = StatusCodes.Good) -> ua.StatusCode:
    return cast(ua.StatusCode, _ua.StatusCode(code))


def reading(value: Any, kind: ua.VariantType) -> ua.DataValue:
    """Good, and taken now."""
    return cast(ua.DataValue, _ua.DataValue(ua.Variant(value, kind), SourceTimestamp=datetime.now(UTC)))


def bad(code: int) -> ua.DataValue:
    """No value, and why; taken now."""
    return cast(ua.DataValue, _ua.DataValue(StatusCode=status(code), SourceTimestamp=datetime.now(UTC)))
