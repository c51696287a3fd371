"""Variables around a job: parameters written before the start, results read at the end."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from dtios.mapping.bindings.arguments import ASKED, exact
from dtios.mapping.points import Points
from dtios.mapping.skills.schema import object_schema, schema_of
from dtios.model.datatypes import ValueType
from dtios.model.errors import OutcomeUnknown, TemporaryError
from dtios.model.job import JobOutcome, JobState
from dtios.model.wire import to_json

__all__ = [
    "CallPoint",
    "ResultPoint",
    "WritePoint",
    "Written",
    "given_values",
    "result_schema",
    "started",
    "with_results",
    "written_schema",
]


@dataclass(frozen=True, slots=True)
class CallPoint:
    """A method of an object."""

    owner: str
    method: str
    inputs: tuple[ValueType, ...] = ()


@dataclass(frozen=True, slots=True)
class WritePoint:
    address: str
    type: ValueType


@dataclass(frozen=True, slots=True)
class ResultPoint:
    """A variable that is read when the job is over."""

    name: str
    address: str
    type: ValueType


@dataclass(frozen=True, slots=True)
class Written:
    """A parameter, and the variable it is written to before the start."""

    name: str
    to: WritePoint
    extra: Mapping[str, Any] = field(default_factory=dict)
    fixed: Any = ASKED
    required: bool = False

    def wanted(self, parameters: Mapping[str, Any]) -> Any:
        """The value in its exact type; ASKED if the job does not give one."""
        value = parameters.get(self.name, ASKED) if self.fixed is ASKED else self.fixed
        return value if value is ASKED else exact(value, self.to.type, f"parameter {self.name}")


def written_schema(parameters: Sequence[Written]) -> dict[str, Any]:
    asked = [p for p in parameters if p.fixed is ASKED]
    return object_schema({p.name: {**schema_of(p.to.type), **p.extra} for p in asked}, [p.name for p in asked if p.required])


def given_values(parameters: Sequence[Written], given: Mapping[str, Any]) -> dict[str, Any]:
    """What is to be written, by name. Raises ConfigurationError or RefusedError for what does not fit its type."""
    return {p.name: value for p in parameters if (value := p.wanted(given)) is not ASKED}


async def started(
    parameters: Sequence[Written], values: Mapping[str, Any], points: Points, start: Callable[[], Awaitable[object]]
) -> JobOutcome | None:
    """Write the parameters, then start. An outcome where it is certain that nothing was started, though something was written.

    Raises as `Points` does for what the start came to, and RefusedError for a parameter that was refused.
    """
    written = False
    try:
        for parameter in parameters:
            if parameter.name in values:
                await points.write(parameter.to.address, values[parameter.name], parameter.to.type)
                written = True
    except TemporaryError as error:
        if not written and not isinstance(error, OutcomeUnknown):
            raise
        return JobOutcome(JobState.ABORTED, reason=f"never started: {error}")
    try:
        await start()
    except TemporaryError as error:
        if not written or isinstance(error, OutcomeUnknown):
            raise
        return JobOutcome(JobState.ABORTED, reason=f"never started: {error}")
    return None


def result_schema(results: Sequence[ResultPoint]) -> dict[str, Any]:
    return object_schema({r.name: schema_of(r.type) for r in results})


async def with_results(outcome: JobOutcome, results: Sequence[ResultPoint], points: Points) -> JobOutcome:
    """Never fails: what cannot be read is missing, and the reason says so."""
    if not results:
        return outcome
    try:
        readings = await points.read([r.address for r in results])
    except TemporaryError as error:
        return replace(outcome, reason=_and(outcome.reason, f"the results could not be read: {error}"))
    values = {r.name: to_json(reading.value, r.type) for r, reading in zip(results, readings, strict=True) if reading.is_good}
    missing = ", ".join(r.name for r in results if r.name not in values)
    reason = _and(outcome.reason, f"the machine gave no good value of {missing}") if missing else outcome.reason
    return replace(outcome, results={**outcome.results, **values}, reason=reason)


def _and(one: str, other: str) -> str:
    return f"{one}; {other}" if one else other
