"""A skill over messages: one request, handed over once, and the answers that carry the job's id."""

import math
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar, Final

import anyio

from dtios.mapping.bindings.arguments import ASKED, Input, exact
from dtios.mapping.bindings.base import Report, SkillBinding
from dtios.mapping.bindings.following import unknown
from dtios.mapping.bindings.topic_answers import Answer, AnswerReader
from dtios.mapping.points import Change, Points, Publish
from dtios.mapping.skills.schema import object_schema, schema_of
from dtios.mapping.templates import encode
from dtios.model.errors import OutcomeUnknown, RefusedError, TemporaryError
from dtios.model.job import JobIdentity, JobOrder, JobOutcome, JobState, JobSubstate, JobVerb
from dtios.model.status import BAD_NO_COMMUNICATION

__all__ = ["Request", "TopicBinding", "TopicParts", "TopicTimes"]

_OPEN: Final = {"accepted": None, "running": (JobState.RUNNING, None), "paused": (JobState.INTERRUPTED, JobSubstate.HELD)}
_ENDS: Final = {
    "done": (JobState.ENDED, JobSubstate.COMPLETED),
    "stopped": (JobState.ENDED, JobSubstate.CLOSED),
    "failed": (JobState.ABORTED, None),
    "refused": (JobState.ABORTED, None),
}


@dataclass(frozen=True, slots=True)
class Request:
    """A message: the point that takes it, and the template of its payload."""

    address: str
    template: Any


@dataclass(frozen=True, slots=True)
class TopicTimes:
    """Seconds to the first answer and to the last one; None: as long as it takes."""

    start: float = 5.0
    done: float | None = None


@dataclass(frozen=True, slots=True)
class TopicParts:
    """What runs such a skill. `optional` are the names of parameters that need not be given."""

    request: Request
    answers: tuple[str, ...]
    reader: AnswerReader
    inputs: Sequence[Input] = ()
    optional: frozenset[str] = frozenset()
    ask: Request | None = None
    commands: Mapping[JobVerb, Request] = field(default_factory=dict)
    times: TopicTimes = field(default_factory=TopicTimes)


class TopicBinding(SkillBinding):
    """Identity is native where the machine can be asked for a job by its id."""

    name: ClassVar[str] = "topic"
    identity: ClassVar[JobIdentity] = JobIdentity.NONE

    def __init__(self, parts: TopicParts) -> None:
        self._parts = parts
        self.identity = JobIdentity.NONE if parts.ask is None else JobIdentity.NATIVE  # type: ignore[misc]  # as the profile says
        asked = [i for i in parts.inputs if i.fixed is ASKED]
        required = [i.name for i in asked if i.name not in parts.optional]
        self._parameters = object_schema({i.name: {**schema_of(i.type), **i.extra} for i in asked}, required)
        self._results = object_schema({name: {} for name in parts.reader.results})

    @property
    def verbs(self) -> frozenset[JobVerb]:
        return frozenset({JobVerb.START, *self._parts.commands})

    @property
    def parameters(self) -> Mapping[str, Any]:
        return self._parameters

    @property
    def results(self) -> Mapping[str, Any]:
        return self._results

    async def run(self, order: JobOrder, points: Points, report: Report) -> JobOutcome:
        message = self._message(self._parts.request, order)
        async with points.watch(self._parts.answers) as changes:
            try:
                await points.publish(message)
            except OutcomeUnknown:
                if self._parts.ask is None:
                    raise  # else the machine is asked when it is back
            return await _Following(self, order, points, report, started=True).follow(changes)

    async def resume(self, order: JobOrder, points: Points, report: Report) -> JobOutcome:
        """Ask, where the machine can be asked; else whatever it tells of this job within the time for a first answer."""
        async with points.watch(self._parts.answers) as changes:
            await self._ask(order, points)
            return await _Following(self, order, points, report, started=False).follow(changes)

    async def command(self, verb: JobVerb, order: JobOrder, points: Points) -> None:
        request = self._parts.commands.get(verb)
        if request is None:
            raise RefusedError(
                f"this skill cannot be asked to {verb.value}", where=order.skill, mend="use one of the verbs in its description"
            )
        await points.publish(self._message(request, order))

    async def _ask(self, order: JobOrder, points: Points) -> bool:
        if self._parts.ask is None:
            return False
        await points.publish(self._message(self._parts.ask, order), settling=True)
        return True

    def _message(self, request: Request, order: JobOrder) -> Publish:
        """Raises ConfigurationError or RefusedError for a parameter that does not fit its type."""
        values: dict[str, Any] = {}
        for one in self._parts.inputs:
            value = order.parameters.get(one.name, ASKED) if one.fixed is ASKED else one.fixed
            if value is not ASKED:
                values[one.name] = exact(value, one.type, f"parameter {one.name}")
        now = datetime.now(UTC)
        values |= {"job": order.job, "time": now.isoformat(timespec="milliseconds"), "time_ms": time.time_ns() // 1_000_000}
        by_mark = not self._parts.reader.job
        return Publish(
            request.address,
            encode(request.template, values),
            expiry=self._parts.times.start,
            reply_to=self._parts.answers[0] if by_mark else None,
            correlation=order.job.encode() if by_mark else None,
        )


class _Following:
    """One job until it is over."""

    def __init__(self, binding: TopicBinding, order: JobOrder, points: Points, report: Report, *, started: bool) -> None:
        self._binding = binding
        self._parts = binding._parts
        self._order = order
        self._points = points
        self._report = report
        self._begun = False
        self._fresh = started
        self._told: tuple[JobState, JobSubstate | None] | None = None
        self._said = ""
        self._lost = False
        done = self._parts.times.done
        self._end = math.inf if done is None or not started else anyio.current_time() + done

    async def follow(self, changes: AsyncIterator[Change]) -> JobOutcome:
        with anyio.move_on_at(self._first_by()) as patience:
            async for _, reading in changes:
                if reading.status == BAD_NO_COMMUNICATION:
                    self._lost = True
                    patience.deadline = math.inf
                    continue
                if self._lost:  # what was said meanwhile is lost, or comes now
                    self._lost = False
                    with suppress(TemporaryError, RefusedError):  # lost again, or nothing may be sent: what comes is waited for
                        await self._binding._ask(self._order, self._points)
                    patience.deadline = self._first_by()
                answer = self._parts.reader.read(self._order.job, reading)
                if answer is not None:
                    patience.deadline = self._end
                    outcome = await self._take(answer)
                    if outcome is not None:
                        return outcome
        return unknown(self._late())

    def _first_by(self) -> float:
        return min(self._end, anyio.current_time() + self._parts.times.start)

    def _late(self) -> str:
        if not self._begun:
            return f"no answer came within {self._parts.times.start:g} s"
        return f"the last answer did not come in time; before it the machine said {self._said or 'nothing of its state'}"

    async def _take(self, answer: Answer) -> JobOutcome | None:
        if answer.said:
            self._said = answer.said
        role, reason = answer.role, answer.reason or answer.said
        if role == "unknown" and not self._begun and not self._fresh:
            return JobOutcome(JobState.ABORTED, reason="never started")
        if role == "unknown":
            return unknown("the machine does not know this job any more")
        if role == "refused" and not self._begun and self._fresh:
            raise RefusedError(f"the machine refused the job: {reason}", where=self._order.skill)
        self._begun = True
        if role in _ENDS:
            await self._tell((JobState.RUNNING, None), once=True)
            state, substate = _ENDS[role]
            why = reason if state is JobState.ABORTED else answer.reason
            return JobOutcome(state, substate, dict(answer.results), why)
        if role is not None and _OPEN[role] is not None:
            await self._tell(_OPEN[role])
        return None

    async def _tell(self, state: tuple[JobState, JobSubstate | None] | None, *, once: bool = False) -> None:
        if state is not None and state != self._told and not (once and self._told is not None):
            self._told = state
            await self._report(*state)
