"""How the running configuration is shown: what a change touches, and why the file on disk is not what runs."""

from typing import Any

from dtios.model.wire import time_to_json
from dtios.sdk.protocol import ConfigurationChange, ConfigurationReport, ConfigurationView

__all__ = ["configuration_form", "problem_line", "report_form", "report_text"]


def configuration_form(view: ConfigurationView) -> dict[str, Any]:
    problem = None
    if view.problem is not None:
        problem = dict(zip(("kind", "message", "where", "mend"), view.problem, strict=True))
    return {"file": view.file, "watched": view.watched, "since": time_to_json(view.since), "problem": problem}


def problem_line(view: ConfigurationView) -> str:
    assert view.problem is not None
    _, message, where, mend = view.problem
    said = ": ".join(filter(None, (where, message))) + (f"; {mend}" if mend else "")
    return f"the file on disk is not what runs, because {said}"


def report_form(report: ConfigurationReport) -> dict[str, Any]:
    changes = [
        {"kind": c.kind, "name": c.name, "change": c.change, "keys": c.keys, "effects": c.effects, "why": c.why}
        for c in report.changes
    ]
    return {"file": report.file, "applied": report.applied, "changes": changes, "troubles": report.troubles}


def report_text(report: ConfigurationReport) -> str:
    lines = [_line(change) for change in report.changes] or ["nothing changed"]
    if not report.applied and report.changes:
        lines.append("nothing was done: this is what `dtios reload` would do")
    return "\n".join(lines)


def _line(change: ConfigurationChange) -> str:
    what = f"{change.kind} {change.name} {change.change}"
    detail = ", ".join(change.keys) or change.why
    if change.keys and change.why:
        detail += f"; {change.why}"
    return what + (f" ({detail})" if detail else "") + (f": {', '.join(change.effects)}" if change.effects else "")
