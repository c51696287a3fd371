"""One cycle of a handshake, from the trigger to the end of it, with our own bits given and taken back in their order."""

import math
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any, Literal

import anyio

from dtios.mapping.bindings.base import Report
from dtios.mapping.bindings.flags import Switch
from dtios.mapping.bindings.following import Ended, unknown
from dtios.mapping.bindings.handshake_points import Handshake, Seen
from dtios.mapping.bindings.variables import with_results
from dtios.mapping.points import Change, Points
from dtios.model.errors import DtiosError
from dtios.model.job import JobOutcome, JobState, JobSubstate, JobVerb
from dtios.model.status import BAD_NO_COMMUNICATION

__all__ = ["Cycle", "patient"]

_COMPLETED: Ended = (JobState.ENDED, JobSubstate.COMPLETED)


async def patient(changes: AsyncIterator[Change], seen: Seen, met: Callable[[], bool], within: float) -> bool:
    """Take changes until `met`; False if that is not so within so many seconds of a connection. After a False no more can be
    taken."""
    with anyio.move_on_after(within) as patience:
        while not met():
            try:
                address, reading = await anext(changes)
            except StopAsyncIteration:
                return False
            seen.take(address, reading)
            patience.deadline = _deadline(patience.deadline, within, lost=reading.status == BAD_NO_COMMUNICATION)
        return True
    return False


def _deadline(deadline: float, within: float, *, lost: bool) -> float:
    """Late only while there is a connection to hear it on."""
    return math.inf if lost else min(deadline, anyio.current_time() + within)


class Cycle:
    """`count` is what done counted before the trigger. `fresh`: it was just triggered; else it was found again."""

    def __init__(
        self,
        plan: Handshake,
        points: Points,
        report: Report,
        seen: Seen,
        changes: AsyncIterator[Change],
        count: Any,
        *,
        fresh: bool = True,
    ) -> None:
        self._plan = plan
        self._points = points
        self._report = report
        self._seen = seen
        self._changes = changes
        self._count = count
        self._fresh = fresh
        self._phase: Literal["waiting", "working", "fallen"] = "waiting"
        self._offline = False
        self._lost = False
        self._told: Ended | None = None
        self._triggered = True
        self._left: list[str] = []

    async def follow(self) -> JobOutcome:
        """Until the end, or Unknown. Whatever comes, our bits are taken back, so that nothing is started by what stays up."""
        outcome = await self._until_end()
        if outcome.state is JobState.ENDED or outcome.state is JobState.ABORTED:
            outcome = await with_results(outcome, self._plan.results, self._points)
        await self._settle(completed=outcome.state is JobState.ENDED)
        if not self._left:
            return outcome
        left = "; ".join(self._left)
        return replace(outcome, reason=f"{outcome.reason}; {left}" if outcome.reason else left)

    # --- until the end -------------------------------------------------------------------------------------------------------

    async def _until_end(self) -> JobOutcome:
        with anyio.move_on_after(math.inf) as patience:
            while (outcome := await self._judge()) is None:
                if not self._offline:
                    patience.deadline = min(patience.deadline, anyio.current_time() + self._limit())
                phase = self._phase
                try:
                    address, reading = await anext(self._changes)
                except StopAsyncIteration:
                    return unknown("the machine stopped telling its bits")
                self._seen.take(address, reading)
                self._offline = reading.status == BAD_NO_COMMUNICATION
                self._advance()
                if self._offline or phase != self._phase:
                    patience.deadline = math.inf
            return outcome
        return unknown(self._late())

    def _limit(self) -> float:
        if self._phase == "working":
            return math.inf if self._plan.done_within is None else self._plan.done_within
        return self._plan.start_within

    def _late(self) -> str:
        plan = self._plan
        if self._seen.silent:
            return f"it does not tell {', '.join(self._seen.silent)}"
        if self._phase == "working":
            return f"no end came within {plan.done_within:g} s"
        if self._phase == "fallen":
            return f"busy fell, and neither done nor error came within {plan.start_within:g} s"
        return f"the trigger was taken, and no answer came within {plan.start_within:g} s"

    def _advance(self) -> None:
        """waiting -> working at the first answer, working -> fallen when busy falls without one."""
        if self._plan.busy is None or self._seen.up("busy"):
            self._phase = "working"
        elif self._phase == "working" and "busy" not in self._seen.silent:
            self._phase = "fallen"

    async def _judge(self) -> JobOutcome | None:
        """The outcome, once the bits tell it. Bits that do not tell are waited out."""
        self._advance()
        seen = self._seen
        if seen.silent:
            self._lost = True
            return None
        if seen.up("error"):
            return await self._failed()
        if self._is_done():
            if self._fresh and self._told is None:  # it was so quick that busy was not seen
                await self._tell()
            return self._ended(_COMPLETED)
        if self._phase == "fallen" and self._lost:
            return unknown("it is no longer busy, and the end was not seen")
        if self._phase == "fallen" and (self._plan.done is None or self._asked_to_end()):
            return self._ended(_COMPLETED)
        if self._phase == "working":
            self._lost = False
            await self._tell()
            if self._plan.trigger_until == "busy" and self._plan.busy is not None:
                await self._take_back_trigger()
        return None

    def _is_done(self) -> bool:
        done = self._plan.done
        if done is None:
            return False
        if done.counts:
            return bool(self._seen.count != self._count)
        return self._seen.up("done") and (not done.stays or self._phase == "fallen")

    def _asked_to_end(self) -> bool:
        return self._seen.up(JobVerb.ABORT.value) or self._seen.up(JobVerb.STOP.value)

    def _ended(self, otherwise: Ended) -> JobOutcome:
        """An abort or stop bit that is up says why it ended."""
        if self._seen.up(JobVerb.ABORT.value):
            return JobOutcome(JobState.ABORTED, reason="it was aborted")
        if self._seen.up(JobVerb.STOP.value):
            return JobOutcome(JobState.ENDED, JobSubstate.CLOSED)
        return JobOutcome(*otherwise)

    async def _failed(self) -> JobOutcome:
        code = self._plan.error_code
        if code is None:
            return JobOutcome(JobState.ABORTED, reason="the machine raised its error bit")
        try:
            (reading,) = await self._points.read([code.address])
        except DtiosError as error:
            return JobOutcome(JobState.ABORTED, reason=f"the machine raised its error bit, and its code cannot be read: {error}")
        said = reading.value if reading.is_good else reading.status_name
        text = self._plan.error_texts.get(said, "") if isinstance(said, int | str) else ""
        return JobOutcome(JobState.ABORTED, reason=f"the machine raised its error bit, code {said}{text and f' ({text})'}")

    async def _tell(self) -> None:
        standing = self._seen.standing
        state: Ended = (JobState.INTERRUPTED, JobSubstate.HELD) if standing else (JobState.RUNNING, None)
        if state != self._told:
            self._told = state
            await self._report(*state)

    # --- our bits ------------------------------------------------------------------------------------------------------------

    async def _take_back_trigger(self) -> None:
        if self._triggered and self._plan.trigger_until != "machine":
            self._triggered = False
            await self._lower(self._plan.trigger, "the trigger")

    async def _settle(self, *, completed: bool) -> None:
        plan = self._plan
        if plan.trigger_until == "machine" and not completed:
            await self._lower(plan.trigger, "the trigger")  # if it was not taken yet, it must not be taken later
        await self._take_back_trigger()
        for verb, switch in plan.verbs.items():
            if self._seen.up(verb.value):
                await self._lower(switch, f"its {verb.value} bit")
        if completed and plan.done is not None and not (plan.done.counts or plan.done.stays):
            await self._until_done_falls()

    async def _until_done_falls(self) -> None:
        """With `acknowledge` raised meanwhile. Left alone where the machine has nothing of ours to let done fall by."""
        plan = self._plan
        try:
            if plan.acknowledge is not None:
                await plan.acknowledge.set(True, self._points, settling=True)
        except DtiosError as error:
            self._left.append(f"done was not acknowledged: {error}")
            return
        if plan.acknowledge is not None or plan.trigger_until == "done":
            fallen = await patient(self._changes, self._seen, lambda: not self._seen.up("done"), plan.start_within)
            if not fallen:
                self._left.append(f"done did not fall within {plan.start_within:g} s: no other start before it does")
        if plan.acknowledge is not None:
            await self._lower(plan.acknowledge, "the acknowledgement")

    async def _lower(self, switch: Switch, name: str) -> None:
        try:
            await switch.set(False, self._points, settling=True)
        except DtiosError as error:
            self._left.append(f"{name} is still up: {error}")
