"""A condition and a result as commands print them."""

from typing import Any

from dtios.cli.forms import GAP, STATUS, TEXT, TEXT_OR_NULL, TIME, record
from dtios.cli.text import clock_text, value_text
from dtios.model.condition import Condition
from dtios.model.gap import Gap
from dtios.model.result import Result, ResultEvaluation
from dtios.model.status import status_name
from dtios.model.wire import gap_to_json, result_to_json

__all__ = ["CONDITION", "RESULT", "RESULT_GAP", "condition_state", "condition_text", "gap_line", "gap_text", "result_text"]

_YES_OR_NO = {"type": "boolean"}

CONDITION = record(
    {
        "machine": TEXT, "condition": TEXT, "name": TEXT, "type": TEXT, "source": TEXT, "message": TEXT,
        "severity": {"type": "integer", "minimum": 1, "maximum": 1000}, "active": _YES_OR_NO, "acknowledged": _YES_OR_NO,
        "confirmed": _YES_OR_NO, "shelved": _YES_OR_NO, "suppressed": _YES_OR_NO, "retain": _YES_OR_NO, "status": STATUS,
        "time": TIME, "semantic_id": TEXT_OR_NULL,
    }
)  # fmt: skip
_EVALUATION = record({"value": {"type": "integer"}, "name": {"enum": [one.name for one in ResultEvaluation]}})
RESULT = record(
    {
        "machine": TEXT, "result": TEXT, "part": TEXT_OR_NULL, "job": TEXT_OR_NULL, "step": TEXT_OR_NULL,
        "evaluation": _EVALUATION, "partial": _YES_OR_NO, "created": TIME, "content": {"type": "object"},
    }
)  # fmt: skip
RESULT_GAP = record({"machine": TEXT, "gap": GAP["properties"]["gap"]})


def condition_state(condition: Condition) -> str:
    """`active, not acknowledged`; first of all, where nobody knows, why."""
    said = [] if condition.status == 0 else [status_name(condition.status)]
    said.append("active" if condition.active else "inactive")
    if not condition.acknowledged:
        said.append("not acknowledged")
    if not condition.confirmed:
        said.append("not confirmed")
    said += [word for word, holds in (("shelved", condition.shelved), ("suppressed", condition.suppressed)) if holds]
    return ", ".join(said)


def condition_text(condition: Condition) -> str:
    name = condition.name or condition.condition
    return f"{condition.machine} {name}  {condition_state(condition)}  {condition.severity}  {condition.message}"


def result_text(result: Result) -> str:
    about = [f"{word} {value}" for word, value in (("part", result.part), ("job", result.job), ("step", result.step)) if value]
    about += ["partial"] if result.partial else []
    form = result_to_json(result)["content"]
    said = "  ".join(f"{name} {value_text(value)}" for name, value in form.items())
    parts = [clock_text(result.created), result.result, result.evaluation.name, *about, said]
    return "  ".join(part for part in parts if part)


def gap_line(machine: str, gap: Gap) -> dict[str, Any]:
    return {"machine": machine, "gap": gap_to_json(machine, "", gap)["gap"]}


def gap_text(gap: Gap) -> str:
    count = "results may be" if gap.count is None else f"{gap.count} results are"
    return f"{clock_text(gap.receive_to)}  {count} missing: {gap.cause.value}"
