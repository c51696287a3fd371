"""Events: what a machine tells once, apart from its values (OPC UA Part 3, 4.7). A profile may make a Result of one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dtios.model.values import QualifiedName

__all__ = ["Event", "EventPath"]

EventPath = tuple[QualifiedName, ...]
"""BrowseNames from the event type to one of its fields (Part 4, 7.4.4.5 SimpleAttributeOperand)."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event. `source` is the address of its SourceNode; `types` its type and supertypes, most derived first.

    `time` is int nanoseconds UTC, `severity` 1..1000. `fields` holds what was asked for and was there, by path.
    """

    source: str
    types: tuple[QualifiedName, ...]
    message: str = ""
    severity: int = 1
    time: int | None = None
    event: str = ""
    fields: Mapping[EventPath, Any] = field(default_factory=dict)
