"""A skill that is one method call: it runs for as long as the call takes, and nothing of it stays on the machine."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

import anyio

from dtios.mapping.bindings.arguments import Input, Output, arguments, input_schema, output_schema, results
from dtios.mapping.bindings.base import Report, SkillBinding
from dtios.mapping.points import Points
from dtios.model.errors import DtiosError, OutcomeUnknown, RefusedError
from dtios.model.job import JobIdentity, JobOrder, JobOutcome, JobState, JobSubstate, JobVerb

__all__ = ["MethodBinding"]

_NOT_BEGUN: Final = frozenset(
    {
        "BadNodeIdInvalid",
        "BadNodeIdUnknown",
        "BadMethodInvalid",
        "BadArgumentsMissing",
        "BadTooManyArguments",
        "BadInvalidArgument",
        "BadTypeMismatch",
        "BadOutOfRange",
        "BadNotExecutable",
        "BadUserAccessDenied",
        "BadSecurityModeInsufficient",
        "BadInvalidState",
        "BadNotSupported",
        "BadNotImplemented",
        "BadServiceUnsupported",
        "BadRequestTooLarge",
        "BadEncodingLimitsExceeded",
        "BadTooManyOperations",
        "BadServerTooBusy",
        "BadLocked",
        "BadRequiresLock",
    }
)
"""StatusCodes with which a server says that the method did not run (Part 4, 5.11.2.4)."""

_STATUS: Final = re.compile(r"\bBad[A-Z]\w*")
_SOON: Final = 0.05
"""Seconds: a call that is refused within this time is never shown as running."""


class MethodBinding(SkillBinding):
    """`owner` and `method` are addresses. A refusal with a status that is not one of those that precede the run is an abort."""

    name: ClassVar[str] = "method"
    identity: ClassVar[JobIdentity] = JobIdentity.NONE

    def __init__(self, owner: str, method: str, inputs: Sequence[Input], outputs: Sequence[Output]) -> None:
        self._owner = owner
        self._method = method
        self._inputs = tuple(inputs)
        self._outputs = tuple(outputs)
        self._parameters = input_schema(self._inputs)
        self._results = output_schema(self._outputs)

    @property
    def verbs(self) -> frozenset[JobVerb]:
        return frozenset({JobVerb.START})

    @property
    def parameters(self) -> Mapping[str, Any]:
        return self._parameters

    @property
    def results(self) -> Mapping[str, Any]:
        return self._results

    async def run(self, order: JobOrder, points: Points, report: Report) -> JobOutcome:
        given = arguments(self._inputs, order.parameters)
        answer: list[list[Any] | DtiosError] = []
        answered = anyio.Event()

        async def call() -> None:
            try:
                answer.append(await points.call(self._owner, self._method, given))
            except DtiosError as error:
                answer.append(error)
            answered.set()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call, name=f"call {order.skill}")
            with anyio.move_on_after(_SOON):
                await answered.wait()
            if not answer or not isinstance(answer[0], DtiosError):
                await report(JobState.RUNNING, None)
        return self._outcome(answer[0])

    def _outcome(self, answer: list[Any] | DtiosError) -> JobOutcome:
        if not isinstance(answer, DtiosError):
            return JobOutcome(JobState.ENDED, JobSubstate.COMPLETED, results(self._outputs, answer))
        if isinstance(answer, OutcomeUnknown):
            return JobOutcome(JobState.UNKNOWN, reason=str(answer))
        if isinstance(answer, RefusedError) and _failed_while_running(answer.message):
            return JobOutcome(JobState.ABORTED, reason=str(answer))
        raise answer

    async def resume(self, order: JobOrder, points: Points, report: Report) -> JobOutcome:
        return JobOutcome(JobState.UNKNOWN, reason="a method call leaves nothing on the machine to find it again by")

    async def command(self, verb: JobVerb, order: JobOrder, points: Points) -> None:
        raise RefusedError(f"a method call cannot be asked to {verb.value}", where=order.skill, mend="wait until it returns")


def _failed_while_running(message: str) -> bool:
    named = _STATUS.search(message)
    return named is not None and named[0] not in _NOT_BEGUN
