"""A job as commands print it."""

from typing import TYPE_CHECKING, Any

from dtios.cli.forms import ERROR_BODY, JOB_STATE, SUBSTATE, TEXT, TIME, Schema, array, record
from dtios.cli.text import clock_text
from dtios.model.job import JobState, JobSubstate
from dtios.model.wire import time_to_json, to_json

if TYPE_CHECKING:
    from dtios.sdk.protocol import JobRecord, JobView

__all__ = ["JOB", "JOB_RECORD", "job_line", "job_record_to_json", "job_text", "job_to_json", "outcome_of"]

_JOB: dict[str, Schema] = {
    "machine": TEXT,
    "skill": TEXT,
    "job": TEXT,
    "principal": TEXT,
    "state": JOB_STATE,
    "substate": SUBSTATE,
    "parameters": {"type": "object"},
    "created": TIME,
    "changed": TIME,
    "final": {"type": "boolean"},
    "reason": TEXT,
    "result": {"type": "object"},
    "error": ERROR_BODY,
}
_ENDINGS = ("result", "error")

JOB = record(_JOB, _ENDINGS)
JOB_RECORD = record(
    {**_JOB, "history": array(record({"time": TIME, "event": TEXT, "principal": TEXT, "detail": TEXT}))}, _ENDINGS
)


def job_line(view: "JobView") -> dict[str, Any]:
    """docs/reference/wire-forms.md, start: an object for each job state."""
    return {
        "machine": view.machine,
        "skill": view.skill,
        "job": view.job,
        "state": view.state.value,
        "time": time_to_json(view.changed),
    }


def job_to_json(view: "JobView") -> dict[str, Any]:
    """A line of `job list`."""
    return {
        "machine": view.machine,
        "skill": view.skill,
        "job": view.job,
        "principal": view.principal,
        "state": view.state.value,
        "substate": view.substate.value if view.substate is not None else None,
        "parameters": to_json(dict(view.parameters)),
        "created": time_to_json(view.created),
        "changed": time_to_json(view.changed),
        "final": view.final,
        "reason": view.outcome.reason if view.outcome is not None else "",
        **(outcome_of(view) if view.final else {}),
    }


def job_record_to_json(found: "JobRecord") -> dict[str, Any]:
    """`job show`."""
    history = [
        {"time": time_to_json(entry.time), "event": entry.event, "principal": entry.principal, "detail": entry.detail}
        for entry in found.history
    ]
    return job_to_json(found.view) | {"history": history}


def outcome_of(view: "JobView") -> dict[str, Any]:
    """`result` of a job that was completed, else `error`: a stopped or aborted job did not do what was asked."""
    outcome = view.outcome
    if view.error is not None:
        kind, message, where, mend = view.error
        return {"error": {"kind": kind, "message": message, "where": where, "mend": mend}}
    if view.state is JobState.ENDED and view.substate in (JobSubstate.COMPLETED, None):
        return {"result": to_json(dict(outcome.results)) if outcome is not None else {}}
    how = f"{view.state.value}/{view.substate.value}" if view.substate is not None else view.state.value
    reason = outcome.reason if outcome is not None and outcome.reason else f"the job was not completed ({how})"
    return {
        "error": {
            "kind": "refused",
            "message": reason,
            "where": f"{view.machine} {view.skill}, job {view.job}",
            "mend": f"`dtios job show {view.job}` tells what happened",
        }
    }


def job_text(view: "JobView", ending: dict[str, Any]) -> str:
    """A line for a person."""
    state = f"{view.state.value}/{view.substate.value}" if view.substate is not None else view.state.value
    line = f"{clock_text(view.changed)}  {view.machine} {view.skill}  {view.job}  {state}"
    if "error" in ending:
        return f"{line}: {ending['error']['message']}"
    if ending.get("result"):
        return line + "  " + " ".join(f"{name}={value}" for name, value in ending["result"].items())
    return line
