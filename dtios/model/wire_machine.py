"""A machine, its readings and its gaps as JSON: the objects that `describe`, `read` and `watch` print."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Protocol

from dtios.model.gap import Gap
from dtios.model.job import JobVerb
from dtios.model.machine import Capability, Machine, PropertyConstraint, Range, Signal, Skill, Unit
from dtios.model.values import DataValue
from dtios.model.wire_time import time_to_json
from dtios.model.wire_values import to_json

__all__ = [
    "capability_to_json",
    "clock_to_json",
    "gap_to_json",
    "machine_to_json",
    "range_to_json",
    "reading_to_json",
    "skill_to_json",
    "unit_to_json",
]


def unit_to_json(unit: Unit | None) -> dict[str, Any] | None:
    return None if unit is None else {"code": unit.code, "symbol": unit.symbol}


def range_to_json(range: Range | None) -> list[Any] | None:
    return None if range is None else [to_json(float(range.low)), to_json(float(range.high))]


class _Clock(Protocol):
    offset: int
    error: int
    rate: float | None


def clock_to_json(clock: _Clock | None) -> dict[str, Any] | None:
    """How far a machine's clock is ahead of ours and by how much that may be wrong, in seconds; rate in parts per million."""
    return None if clock is None else {"offset": clock.offset / 1e9, "error": clock.error / 1e9, "rate": clock.rate}


def capability_to_json(capability: Capability | None) -> dict[str, Any] | None:
    if capability is None:
        return None
    return {"iri": capability.iri, "properties": [_constraint_to_json(p) for p in capability.properties]}


def _constraint_to_json(constraint: PropertyConstraint) -> dict[str, Any]:
    return {
        "name": constraint.name,
        "low": constraint.low,
        "high": constraint.high,
        "values": list(constraint.values) or None,
        "unit": constraint.unit,
    }


def machine_to_json(
    machine: Machine, values: Mapping[str, DataValue], state: Mapping[str, str | None] | None = None
) -> dict[str, Any]:
    """One entry of `describe`'s `machines`. `values` by signal path; `state` is `{"packml", "unit_mode"}` or None."""
    return {
        "name": machine.name,
        "endpoint": machine.endpoint,
        "profiles": list(machine.profiles),
        "identification": asdict(machine.identification),
        "state": None if state is None else {"packml": state.get("packml"), "unit_mode": state.get("unit_mode")},
        "signals": [_signal_to_json(signal, values.get(signal.path)) for signal in machine.signals],
        "skills": [skill_to_json(skill) for skill in machine.skills],
        "notes": list(machine.notes),
    }


def _signal_to_json(signal: Signal, reading: DataValue | None) -> dict[str, Any]:
    if reading is None:
        status = "BadWaitingForInitialData" if signal.access.readable else "BadNotReadable"
    else:
        status = reading.status_name
    form = {
        "path": signal.path,
        "address": signal.address,
        "data_type": signal.type.label(),
        "unit": unit_to_json(signal.unit),
        "range": range_to_json(signal.range),
        "access": signal.access.value,
        "value": None if reading is None else to_json(reading.value, signal.type),
        "status": status,
    }
    return {**form, "gone": True} if signal.gone else form


def skill_to_json(skill: Skill) -> dict[str, Any]:
    """Verbs in the order of the standard, so that two descriptions of one machine are equal texts."""
    return {
        "path": skill.path,
        "capability": capability_to_json(skill.capability),
        "parameters": dict(skill.parameters),
        "results": dict(skill.results),
        "verbs": [verb.value for verb in JobVerb if verb in skill.verbs],
        "binding": skill.binding,
        "identity": skill.identity.value,
        "on_owner_lost": skill.on_owner_lost.value,
    }


def reading_to_json(machine: str, signal: Signal, reading: DataValue) -> dict[str, Any]:
    """A line of `read` and `watch`."""
    return {
        "machine": machine,
        "signal": signal.path,
        "value": to_json(reading.value, signal.type),
        "status": reading.status_name,
        "source_time": time_to_json(reading.source_time),
        "server_time": time_to_json(reading.server_time),
        "receive_time": time_to_json(reading.receive_time),
    }


def gap_to_json(machine: str, signal: str, gap: Gap) -> dict[str, Any]:
    """The line of `watch` for what is missing. `from` and `to` are source times where there are any, else receive times."""
    since = gap.receive_from if gap.source_from is None else gap.source_from
    until = gap.receive_to if gap.source_to is None else gap.source_to
    return {
        "machine": machine,
        "signal": signal,
        "gap": {"from": time_to_json(since), "to": time_to_json(until), "cause": gap.cause.value, "count": gap.count},
    }
