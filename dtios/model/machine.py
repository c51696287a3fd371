"""One machine in the factory's own terms: identification, signals, skills. Pure description, no I/O."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from dtios.model.datatypes import ValueType
from dtios.model.job import JobIdentity, JobVerb

__all__ = [
    "Access",
    "Capability",
    "Identification",
    "Machine",
    "OnOwnerLost",
    "PropertyConstraint",
    "Range",
    "Signal",
    "Skill",
    "Unit",
    "effective_on_owner_lost",
]


class Access(StrEnum):
    """What the machine lets this user do with a signal."""

    NONE = "none"
    READ = "read"
    WRITE = "write"
    READ_WRITE = "read-write"

    @property
    def readable(self) -> bool:
        return self in (Access.READ, Access.READ_WRITE)

    @property
    def writable(self) -> bool:
        return self in (Access.WRITE, Access.READ_WRITE)


@dataclass(frozen=True, slots=True)
class Unit:
    """`code` is the UNECE Recommendation 20 common code (`MTR`), None where the machine names a unit nobody listed."""

    code: str | None
    symbol: str


@dataclass(frozen=True, slots=True)
class Range:
    """OPC UA Part 8, 5.6.2 Range."""

    low: float
    high: float

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


@dataclass(frozen=True, slots=True)
class Identification:
    """OPC 40001-1 MachineIdentificationType, which is the AAS nameplate. None where the machine says nothing."""

    manufacturer: str | None = None
    manufacturer_uri: str | None = None
    model: str | None = None
    product_code: str | None = None
    serial_number: str | None = None
    product_instance_uri: str | None = None
    hardware_revision: str | None = None
    software_revision: str | None = None
    device_class: str | None = None
    year_of_construction: int | None = None
    month_of_construction: int | None = None
    initial_operation_date: str | None = None
    component_name: str | None = None
    asset_id: str | None = None
    location: str | None = None


@dataclass(frozen=True, slots=True)
class Signal:
    """A value with a name. `path` is the BrowseNames below the machine joined by `/` (docs/reference/wire-forms.md).

    `gone`: it was there, and is not now; what is said of it is what was known then.
    """

    path: str
    address: str
    type: ValueType
    access: Access = Access.READ
    unit: Unit | None = None
    range: Range | None = None
    semantic_id: str | None = None
    description: str = ""
    gone: bool = False


@dataclass(frozen=True, slots=True)
class PropertyConstraint:
    """What a capability can do of one property: between `low` and `high`, or one of `values`; in `unit` (UNECE code)."""

    name: str
    low: float | None = None
    high: float | None = None
    values: tuple[str | int | float | bool, ...] = ()
    unit: str | None = None

    def admits(self, value: Any) -> bool:
        if self.values:
            return value in self.values
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)


@dataclass(frozen=True, slots=True)
class Capability:
    """What can be done, apart from how (Plattform Industrie 4.0): an IRI and constraints on its properties."""

    iri: str
    properties: tuple[PropertyConstraint, ...] = ()

    def satisfies(self, iri: str, wanted: Mapping[str, Any] | None = None) -> bool:
        """True if this is the capability `iri` and admits every wanted property value. A property nobody constrains does not."""
        if iri != self.iri:
            return False
        constraints = {p.name: p for p in self.properties}
        return all(name in constraints and constraints[name].admits(value) for name, value in (wanted or {}).items())


class OnOwnerLost(StrEnum):
    """What happens to a running job when the app that started it is gone."""

    HOLD = "hold"
    STOP = "stop"
    FINISH = "finish"


def effective_on_owner_lost(wanted: OnOwnerLost, verbs: frozenset[JobVerb]) -> OnOwnerLost:
    """What is really done: a binding that cannot hold stops (or aborts), one that can do neither finishes."""
    if wanted is OnOwnerLost.HOLD and JobVerb.PAUSE not in verbs:
        wanted = OnOwnerLost.STOP
    if wanted is OnOwnerLost.STOP and not verbs & {JobVerb.STOP, JobVerb.ABORT}:
        return OnOwnerLost.FINISH
    return wanted


@dataclass(frozen=True, slots=True)
class Skill:
    """Something a machine can be asked to do; running it is a job.

    `parameters` and `results` are JSON Schemas of objects. `binding` names how it is run (`method`, `job_order`, `packml`).
    `identity` says whether the machine itself keeps the job's id. `on_owner_lost` is what is really done, after a binding
    that cannot hold has become stop and one that cannot stop has become finish.
    """

    path: str
    binding: str
    verbs: frozenset[JobVerb]
    identity: JobIdentity
    parameters: Mapping[str, Any] = field(default_factory=lambda: {"type": "object"})
    results: Mapping[str, Any] = field(default_factory=lambda: {"type": "object"})
    capability: Capability | None = None
    on_owner_lost: OnOwnerLost = OnOwnerLost.HOLD
    description: str = ""


@dataclass(frozen=True, slots=True)
class Machine:
    """The description of one machine.

    `identity` is the ProductInstanceUri, else endpoint and path; `path` is where it stands in its endpoint's address space.
    """

    name: str
    endpoint: str
    identity: str
    path: str = ""
    profiles: tuple[str, ...] = ()
    identification: Identification = Identification()
    signals: tuple[Signal, ...] = ()
    skills: tuple[Skill, ...] = ()
    notes: tuple[str, ...] = ()
