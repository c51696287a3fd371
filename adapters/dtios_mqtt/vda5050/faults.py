"""Errors and the safety state of a vehicle as conditions (VDA 5050, 6.14)."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from dtios.model.condition import Condition
from dtios.model.status import BAD_NO_COMMUNICATION
from dtios_mqtt.vda5050.topics import VehicleId

__all__ = ["changes", "lost", "present"]

_SEVERITY: Final = {"WARNING": 500, "FATAL": 900}
_SAFETY: Final = 1000
_LONGEST: Final = 500
"""Characters of a message."""


def present(vehicle: VehicleId, errors: Sequence[Mapping[str, Any]], safety: Any, time: int) -> dict[str, Condition]:
    """All conditions of one state message, by id. The same error twice is one."""
    found = {}
    for error in errors:
        named = [(r["referenceKey"], r["referenceValue"]) for r in error["errorReferences"]]
        key = f"{error['errorType']}-{_digest([named, error.get('errorDescription', '')])}"
        text = error.get("errorDescription") or error["errorType"]
        told = " ".join(f"{k}={v}" for k, v in named)
        severity = _SEVERITY.get(error["errorLevel"], 500)
        found[key] = _condition(vehicle, key, f"{text} ({told})" if told else text, severity, error["errorType"], time)
    safety = safety if isinstance(safety, dict) else {}
    if isinstance(safety.get("eStop"), str) and safety["eStop"] != "NONE":
        text = f"emergency stop ({safety['eStop']})"
        found["eStop"] = _condition(vehicle, "eStop", text, _SAFETY, "eStop", time)
    if safety.get("fieldViolation") is True:
        text = "the protective field is violated"
        found["fieldViolation"] = _condition(vehicle, "fieldViolation", text, _SAFETY, "fieldViolation", time)
    return found


def _condition(vehicle: VehicleId, key: str, message: str, severity: int, name: str, time: int) -> Condition:
    shown = message if len(message) <= _LONGEST else f"{message[: _LONGEST - 3]}..."
    return Condition("", f"{vehicle.address}#{key}", vehicle.serial, shown, severity, True, True, time, name=name, type="VDA5050")


def _digest(said: Any) -> str:
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:8]


def changes(before: Mapping[str, Condition], now: Mapping[str, Condition], time: int) -> Iterator[Condition]:
    """What to tell: those that came, those that changed, those that are over."""
    for key, condition in now.items():
        known = before.get(key)
        if known is None or (known.severity, known.status) != (condition.severity, condition.status):
            yield condition
    for key, condition in before.items():
        if key not in now:
            yield replace(condition, active=False, retain=False, status=0, time=time)


def lost(conditions: Mapping[str, Condition]) -> dict[str, Condition]:
    """Nobody knows whether they still are."""
    return {key: replace(condition, status=BAD_NO_COMMUNICATION) for key, condition in conditions.items()}
