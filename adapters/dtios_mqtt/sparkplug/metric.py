"""Payloads and metrics as plain objects. Times are int milliseconds UTC, as on the wire."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

__all__ = ["LARGEST", "MOST_METRICS", "DataSet", "Malformed", "Metric", "Payload", "Template"]

LARGEST: Final = 4 * 2**20
"""Bytes of a payload, also of one that was compressed: each two of them can be a metric."""
MOST_METRICS: Final = 100_000
"""Metrics (also those in templates), properties, and cells of tables, of one payload together."""


class Malformed(ValueError):
    """Not a Sparkplug payload; the cause in a few words, the same words for the same kind of fault."""


@dataclass(slots=True)
class Metric:
    """One metric. In data it may have the alias alone; `datatype` 0: not said. `value` None with `is_null`: no value now.

    Values: int (also DateTime, in ms), float, bool, str, bytes, list (array types), DataSet, Template.
    """

    name: str = ""
    alias: int | None = None
    timestamp: int | None = None
    datatype: int = 0
    value: Any = None
    is_null: bool = False
    is_historical: bool = False
    is_transient: bool = False
    properties: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Payload:
    """A birth, death, data or command message. `seq` is None where the message has none (NDEATH, NCMD, DCMD)."""

    timestamp: int | None = None
    seq: int | None = None
    metrics: list[Metric] = field(default_factory=list)


@dataclass(slots=True)
class DataSet:
    """A table (6.4.17)."""

    columns: tuple[str, ...]
    types: tuple[int, ...]
    rows: list[tuple[Any, ...]] = field(default_factory=list)


@dataclass(slots=True)
class Template:
    """A structure (6.4.10): a definition (in NBIRTH), or an instance of the one that `reference` names."""

    reference: str = ""
    version: str = ""
    is_definition: bool = False
    metrics: list[Metric] = field(default_factory=list)
    parameters: Mapping[str, Any] = field(default_factory=dict)
