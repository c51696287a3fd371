"""Conditions and results as JSON: the objects that `condition` and `results` print."""

from typing import Any

from dtios.model.condition import Condition
from dtios.model.result import Result
from dtios.model.status import status_name
from dtios.model.wire_time import time_to_json
from dtios.model.wire_values import to_json

__all__ = ["condition_to_json", "result_to_json"]


def condition_to_json(condition: Condition) -> dict[str, Any]:
    """A line of `condition list`."""
    return {
        "machine": condition.machine,
        "condition": condition.condition,
        "name": condition.name,
        "type": condition.type,
        "source": condition.source,
        "message": condition.message,
        "severity": condition.severity,
        "active": condition.active,
        "acknowledged": condition.acknowledged,
        "confirmed": condition.confirmed,
        "shelved": condition.shelved,
        "suppressed": condition.suppressed,
        "retain": condition.retain,
        "status": status_name(condition.status),
        "time": time_to_json(condition.time),
        "semantic_id": condition.semantic_id,
    }


def result_to_json(result: Result) -> dict[str, Any]:
    """A line of `results`. What lies before it and is missing is a line of its own."""
    return {
        "machine": result.machine,
        "result": result.result,
        "part": result.part,
        "job": result.job,
        "step": result.step,
        "evaluation": {"value": int(result.evaluation), "name": result.evaluation.name},
        "partial": result.partial,
        "created": time_to_json(result.created),
        "content": to_json(dict(result.content)),
    }
