"""The structures of OPC 10031-4 version 2: job orders as they are sent, job states and responses as they come back."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from dtios.mapping.bindings.arguments import ASKED, exact
from dtios.model.datatypes import BuiltinType, ValueType
from dtios.model.job import JobState, JobSubstate
from dtios.model.machine import Unit
from dtios.model.units import UNECE_NAMESPACE, id_from_code
from dtios.model.values import LocalizedText, Record
from dtios.model.wire import to_json

__all__ = [
    "COMMENT",
    "JOB_ORDER",
    "JOB_ORDER_ID",
    "JobParameter",
    "eu_information",
    "find_job",
    "job_order",
    "refusal",
    "response_results",
    "state_of",
]

JOB_ORDER: Final = ValueType(BuiltinType.ExtensionObject, "ISA95JobOrderDataType")
JOB_ORDER_ID: Final = ValueType(BuiltinType.String, "String")
COMMENT: Final = ValueType(BuiltinType.LocalizedText, "LocalizedText", rank=1)

_STATES: Final = {
    1: JobState.NOT_ALLOWED_TO_START,
    2: JobState.ALLOWED_TO_START,
    3: JobState.RUNNING,
    4: JobState.INTERRUPTED,
    5: JobState.ENDED,
    6: JobState.ABORTED,
}
_PREPARING: Final = {1: JobSubstate.WAITING, 2: JobSubstate.READY, 3: JobSubstate.LOADED}
_SUBSTATES: Final[dict[JobState, dict[int, JobSubstate]]] = {
    JobState.NOT_ALLOWED_TO_START: _PREPARING,
    JobState.ALLOWED_TO_START: _PREPARING,
    JobState.INTERRUPTED: {1: JobSubstate.HELD, 2: JobSubstate.SUSPENDED},
    JobState.ENDED: {1: JobSubstate.COMPLETED, 2: JobSubstate.CLOSED},
}

NO_ERROR: Final = 0
UNKNOWN_JOB: Final = 1
_REFUSALS: Final = {
    UNKNOWN_JOB: "it does not know this job order",
    2: "it cannot execute this command",
    3: "the job order's state does not allow it",
    4: "it cannot accept the job order",
    32: "the request is invalid",
}
"""Bits of ReturnStatus (annex B.2); bit 0 means no error, and so does a plain 0 of servers that set no bit."""


@dataclass(frozen=True, slots=True)
class JobParameter:
    """A parameter of the job order: our name, its ID on the machine, and what is known of its value."""

    name: str
    id: str
    type: ValueType | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    fixed: Any = ASKED
    unit: Unit | None = None
    required: bool = False


def refusal(status: Any) -> str | None:
    """What a ReturnStatus says went wrong, None if nothing did."""
    if not isinstance(status, int) or status in (0, 1 << NO_ERROR):
        return None
    bits = [bit for bit in range(64) if status >> bit & 1 and bit != NO_ERROR]
    return " and ".join(_REFUSALS.get(bit, f"reason {bit} of its own") for bit in bits)


def is_unknown_job(status: Any) -> bool:
    return isinstance(status, int) and bool(status >> UNKNOWN_JOB & 1)


# --- what is sent ------------------------------------------------------------------------------------------------------------


def job_order(
    job: str, work_masters: Sequence[str], parameters: Mapping[str, Any], known: Sequence[JobParameter], type: ValueType
) -> Record:
    """An ISA95JobOrderDataType of this type, absent optional fields left out."""
    fields: dict[str, Any] = {"JobOrderID": job}
    if work_masters:
        fields["WorkMasterID"] = [_record("ISA95WorkMasterDataType", {"ID": w}, type, "WorkMasterID") for w in work_masters]
    given = [_parameter(p, parameters.get(p.name), type) for p in known if p.fixed is not ASKED or p.name in parameters]
    named = {p.name for p in known}
    given += [_parameter(JobParameter(n, n), v, type) for n, v in parameters.items() if n not in named]
    if given:
        fields["JobOrderParameters"] = given
    return _filled(Record(type.name or JOB_ORDER.name, fields), type)


def _parameter(parameter: JobParameter, value: Any, order: ValueType) -> Record:
    value = value if parameter.fixed is ASKED else parameter.fixed
    if parameter.type is not None:
        value = exact(value, parameter.type, f"parameter {parameter.name}")
    fields: dict[str, Any] = {"ID": parameter.id, "Value": value}
    if parameter.unit is not None:
        fields["EngineeringUnits"] = eu_information(parameter.unit)
    return _record("ISA95ParameterDataType", fields, order, "JobOrderParameters")


def eu_information(unit: Unit | None) -> Record:
    """Part 8, 5.6.4.3; -1 is no unit."""
    code = None if unit is None else unit.code
    symbol = "" if unit is None else unit.symbol
    return Record(
        "EUInformation",
        {
            "NamespaceUri": UNECE_NAMESPACE,
            "UnitId": -1 if code is None else id_from_code(code),
            "DisplayName": LocalizedText(symbol),
            "Description": LocalizedText(symbol),
        },
    )


def _record(name: str, fields: dict[str, Any], order: ValueType, field_name: str) -> Record:
    type = next((f.type for f in order.fields if f.name == field_name), None)
    record = Record(name if type is None or not type.name else type.name, fields)
    return record if type is None else _filled(record, type)


def _filled(record: Record, type: ValueType) -> Record:
    """With an empty value for each field that this machine's type demands and nobody gave, in the type's order."""
    if not type.fields:
        return record
    fields = {
        f.name: record.fields[f.name] if f.name in record.fields else empty(f.type)
        for f in type.fields
        if f.name in record.fields or not f.optional
    }
    return Record(record.type, {**fields, **{n: v for n, v in record.fields.items() if n not in fields}})


def empty(type: ValueType) -> Any:
    """The null or zero of a type (Part 6, 5.2.2)."""
    if type.rank >= 0:
        return []
    if type.builtin is BuiltinType.ExtensionObject:
        return _filled(Record(type.name, {}), type)
    return _EMPTY.get(type.builtin, 0)


_EMPTY: Final[dict[BuiltinType, Any]] = {
    BuiltinType.Boolean: False,
    BuiltinType.Float: 0.0,
    BuiltinType.Double: 0.0,
    BuiltinType.String: None,
    BuiltinType.ByteString: None,
    BuiltinType.Variant: None,
    BuiltinType.LocalizedText: LocalizedText(""),
}


# --- what comes back ---------------------------------------------------------------------------------------------------------


def find_job(listed: Any, job: str) -> Record | None:
    """The ISA95JobOrderAndStateDataType of a job in a JobOrderList."""
    for entry in listed if isinstance(listed, list) else ():
        if not isinstance(entry, Record):
            continue
        order = entry.get("JobOrder")
        if isinstance(order, Record) and order.get("JobOrderID") == job:
            return entry
    return None


def state_of(states: Any) -> tuple[JobState, JobSubstate | None] | None:
    """The state and substate of an array of ISA95StateDataType, outermost first; None for a number that no standard names."""
    numbers = [s.get("StateNumber") for s in states if isinstance(s, Record)] if isinstance(states, list) else []
    state = _STATES.get(numbers[0]) if numbers else None
    if state is None:
        return None
    return state, _SUBSTATES.get(state, {}).get(numbers[1]) if len(numbers) > 1 else None


def response_results(response: Record) -> dict[str, Any]:
    """JobResponseData by ID, in JSON forms."""
    return dict(_named(response.get("JobResponseData")))


def _named(data: Any) -> Iterable[tuple[str, Any]]:
    for entry in data if isinstance(data, list) else ():
        if isinstance(entry, Record) and isinstance(entry.get("ID"), str):
            yield entry["ID"], to_json(entry.get("Value"))
