"""The JSON forms of everything that leaves on standard output or comes in from a person: one door to them."""

from dtios.model.wire_conditions import condition_to_json, result_to_json
from dtios.model.wire_machine import (
    capability_to_json,
    gap_to_json,
    machine_to_json,
    range_to_json,
    reading_to_json,
    skill_to_json,
    unit_to_json,
)
from dtios.model.wire_time import time_from_json, time_to_json
from dtios.model.wire_values import from_json, to_json

__all__ = [
    "capability_to_json",
    "condition_to_json",
    "from_json",
    "gap_to_json",
    "machine_to_json",
    "range_to_json",
    "reading_to_json",
    "result_to_json",
    "skill_to_json",
    "time_from_json",
    "time_to_json",
    "to_json",
    "unit_to_json",
]
