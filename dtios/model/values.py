"""Values as Python objects, and the DataValue that never lets one go without its status.

| built-in type | Python |
|---|---|
| Boolean, integers, Float, Double, String, ByteString | bool, int, float, str, bytes |
| DateTime | `DateTime`: an int, nanoseconds since 1970 in UTC |
| Guid | uuid.UUID |
| NodeId, ExpandedNodeId | `NodeId`: a str, `nsu=URI;s=name`; never a namespace index |
| XmlElement | `XmlElement`: a str |
| StatusCode | `StatusCode`: an int |
| QualifiedName, LocalizedText | the named tuples below |
| enumeration | int; `Enumerated` (an int with a name) once an app asks for it |
| ExtensionObject | `Record`; DiagnosticInfo too |
| arrays, matrices | list, nested lists |
"""

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from dtios.model.status import is_bad, is_good, status_name

__all__ = [
    "EARLIEST",
    "LATEST",
    "NO_TIME",
    "DataValue",
    "DateTime",
    "Enumerated",
    "LocalizedText",
    "NodeId",
    "QualifiedName",
    "Record",
    "StatusCode",
    "XmlElement",
]

NO_TIME: Final = -(2**63)
"""Stands for a time that the source did not give, where times travel as int64."""


EARLIEST: Final = -11_644_473_600 * 10**9
LATEST: Final = 253_402_300_799 * 10**9
"""What a DateTime value can be: 1601-01-01T00:00:00Z (which on the wire is null) to 9999-12-31T23:59:59Z (Part 6, 5.2.2.5)."""


class DateTime(int):
    """Nanoseconds since 1970-01-01T00:00:00Z. OPC UA's resolution of 100 ns is kept, and its years 1601 to 9999.

    As the value of a signal it may leave int64 (years 1678 to 2262), which the times of a reading never do.
    """


class Enumerated(int):
    """An enumeration's value; compares as the int, and knows its name (empty for a value nobody named)."""

    name: str

    def __new__(cls, value: int, name: str = "") -> "Enumerated":
        self = super().__new__(cls, value)
        self.name = name
        return self

    def __repr__(self) -> str:
        return f"{self.name}({int(self)})" if self.name else str(int(self))


class NodeId(str):
    """A NodeId with its namespace URI: `i=2253` in the OPC UA namespace, else `nsu=URI;i=...|s=...|g=...|b=...`."""

    __slots__ = ()


class XmlElement(str):
    """An XML fragment as it came."""

    __slots__ = ()


class StatusCode(int):
    """A StatusCode that is itself the value of a signal."""

    @property
    def name(self) -> str:
        return status_name(self)


class QualifiedName(NamedTuple):
    """A BrowseName: namespace URI and name (Part 3, 8.3)."""

    namespace: str
    name: str


class LocalizedText(NamedTuple):
    """Part 3, 8.5."""

    text: str
    locale: str = ""


@dataclass(slots=True, eq=True)
class Record:
    """A structure's value: the type's name and its fields in order. An absent optional field is missing."""

    type: str
    fields: dict[str, Any]

    def __getitem__(self, name: str) -> Any:
        return self.fields[name]

    def get(self, name: str, default: Any = None) -> Any:
        return self.fields.get(name, default)


@dataclass(slots=True, frozen=True)
class DataValue:
    """One reading (Part 4, 7.11). Times are int nanoseconds UTC, None where nobody gave one.

    `value` is None whenever `status` is Bad: a lost connection never shows the last known good value.
    """

    value: Any
    status: int = 0
    source_time: int | None = None
    server_time: int | None = None
    receive_time: int | None = None

    @property
    def is_good(self) -> bool:
        return is_good(self.status)

    @property
    def is_bad(self) -> bool:
        return is_bad(self.status)

    @property
    def status_name(self) -> str:
        return status_name(self.status)
