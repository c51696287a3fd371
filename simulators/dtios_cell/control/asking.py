"""One question to one station, with arguments as they come from a wire."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from pydantic import ValidationError, validate_call

from dtios_cell.plant.station import Refused, Station
from dtios_cell.plant.worker import Job

__all__ = ["ask", "job_form"]


def ask(station: Station, verb: str, arguments: Mapping[str, Any]) -> Any:
    """What the station answers, as JSON. Raises Refused: no such verb, arguments that do not fit, or what the station says."""
    if verb not in station.verbs:
        able = ", ".join(sorted(station.verbs)) or "nothing"
        raise Refused(f"{station.name} ({station.kind}) cannot {verb}; it can {able}")
    try:
        answer = validate_call(getattr(station, verb))(**arguments)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise Refused(f"{verb} of {station.name}: {where}: {first['msg']}") from None
    return job_form(answer) if isinstance(answer, Job) else answer


def job_form(job: Job) -> dict[str, Any]:
    return asdict(job)
