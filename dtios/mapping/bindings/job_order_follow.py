"""Following a job order to its end: through the receiver's list, and through the job response once it has left it."""

import math
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

import anyio

from dtios.mapping.bindings.base import Report
from dtios.mapping.bindings.job_order_data import JOB_ORDER_ID, find_job, is_unknown_job, response_results, state_of
from dtios.mapping.points import Change, Points
from dtios.model.errors import DtiosError
from dtios.model.job import FINAL_STATES, JobOutcome, JobState, JobSubstate
from dtios.model.status import BAD_NO_COMMUNICATION
from dtios.model.values import Record

__all__ = ["Follower", "Responses"]

APPEAR: Final = 10.0
"""Seconds within which a job that was accepted must show up in the list or in a response."""

_RETRIES: Final = (0.1, 0.4)
"""Seconds: a response may be written a little after the state."""

_WAITING: Final = frozenset({JobState.NOT_ALLOWED_TO_START, JobState.ALLOWED_TO_START})


@dataclass(frozen=True, slots=True)
class Responses:
    """Address of a response provider and of its RequestJobResponseByJobOrderID."""

    owner: str
    method: str


class Follower:
    """Follows one job; made for one run or resume of it."""

    def __init__(self, job: str, responses: Responses | None, points: Points, report: Report) -> None:
        self._job = job
        self._responses = responses
        self._points = points
        self._report = report
        self._last: tuple[JobState, JobSubstate | None] | None = None
        self._seen = False
        self._denied = False
        self._unreadable = ""

    async def follow(self, changes: AsyncIterator[Change], *, accepted: bool) -> JobOutcome:
        """`accepted`: the machine has just taken the job, which may appear a little later. Otherwise it must be there."""
        with anyio.move_on_after(APPEAR) as appearing:
            async for _, reading in changes:
                if not reading.is_good:
                    # Nothing is late as long as the connection is lost; a list that cannot be read otherwise may stay so.
                    lost = reading.status == BAD_NO_COMMUNICATION
                    appearing.deadline = math.inf if lost else min(appearing.deadline, anyio.current_time() + APPEAR)
                    self._unreadable = "" if lost else reading.status_name
                    continue
                self._unreadable = ""
                outcome = await self._take(reading.value, accepted)
                if outcome is not None:
                    return outcome
                limit = math.inf if self._seen else anyio.current_time() + APPEAR
                appearing.deadline = limit if self._seen else min(appearing.deadline, limit)
        if not appearing.cancelled_caught:
            return _unknown("the machine stopped telling its job list")
        return await self._from_response() or _unknown(
            f"the machine's job list cannot be read ({self._unreadable})"
            if self._unreadable
            else "the machine took the job, but never listed it"
        )

    async def _take(self, listed: Any, accepted: bool) -> JobOutcome | None:
        entry = find_job(listed, self._job)
        if entry is None:
            return await self._absent(accepted)
        self._seen = True
        state = state_of(entry.get("State"))
        if state is None or state == self._last:
            return None
        if state[0] in FINAL_STATES:
            return await self._ended(state)
        self._last = state
        await self._report(*state)
        return None

    async def _absent(self, accepted: bool) -> JobOutcome | None:
        outcome = await self._from_response()
        if outcome is not None:
            return outcome
        if not self._seen:
            return None if accepted else self._never_listed()
        if self._last is not None and self._last[0] in _WAITING and self._denied:
            return JobOutcome(JobState.ABORTED, reason="it was taken off the machine's job list before it started")
        return _unknown("it has left the machine's job list, and there is no response that says how it ended")

    def _never_listed(self) -> JobOutcome:
        if self._denied:
            return JobOutcome(JobState.ABORTED, reason="never started")
        return _unknown("it is not in the machine's job list, and there is no response that says whether it ever was")

    async def _ended(self, state: tuple[JobState, JobSubstate | None]) -> JobOutcome:
        """With the results of the job response, where the machine has one."""
        if self._responses is None:
            return JobOutcome(*state)
        for delay in (0.0, *_RETRIES):
            await anyio.sleep(delay)
            outcome = await self._from_response()
            if outcome is not None:
                return JobOutcome(*state, outcome.results)
        return JobOutcome(*state, reason="the machine gave no job response: the results are missing")

    async def _from_response(self) -> JobOutcome | None:
        """The outcome that the job response tells; None if there is none yet. Notes whether the machine denies the job."""
        if self._responses is None:
            return None
        try:
            values = await self._points.ask(self._responses.owner, self._responses.method, [(self._job, JOB_ORDER_ID)])
        except DtiosError:
            return None  # refused or lost; asking changes nothing, and the next reading of the list asks again
        response, status = (values[0] if values else None), values[-1] if len(values) > 1 else 0
        self._denied = is_unknown_job(status)
        if self._denied or not isinstance(response, Record) or response.get("JobOrderID") != self._job:
            return None
        state = state_of(response.get("JobState"))
        if state is None or state[0] not in FINAL_STATES:
            return None
        return JobOutcome(*state, response_results(response))


def _unknown(reason: str) -> JobOutcome:
    return JobOutcome(JobState.UNKNOWN, reason=reason)
