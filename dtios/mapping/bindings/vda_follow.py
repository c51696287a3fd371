"""Following an order of VDA 5050 to its end, by the states that the vehicle sends."""

import math
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

import anyio

from dtios.mapping.bindings.base import Report
from dtios.mapping.bindings.following import unknown
from dtios.mapping.bindings.vda_documents import is_action_of, is_instant_of
from dtios.mapping.bindings.vda_state import ActionState, VehicleState, rejection
from dtios.mapping.points import Change
from dtios.model.errors import DtiosError, RefusedError
from dtios.model.job import JobOutcome, JobState, JobSubstate
from dtios.model.status import BAD_NO_COMMUNICATION

__all__ = ["APPEAR", "OrderFollower", "states"]

APPEAR: Final = 10.0
"""Seconds within which a vehicle must show what it was sent; also how long that may be under way (MQTT 5: message expiry)."""

Cancel = Callable[[], Awaitable[None]]


async def states(changes: AsyncIterator[Change], patience: anyio.CancelScope | None) -> AsyncIterator[VehicleState]:
    """The states as they come. While the vehicle or the connection is lost nothing is late: `patience`, where given, waits."""
    async for _, reading in changes:
        if reading.is_good and isinstance(reading.value, str):
            if patience is not None:
                patience.deadline = min(patience.deadline, anyio.current_time() + APPEAR)
            yield VehicleState.parse(reading.value)
        elif reading.status == BAD_NO_COMMUNICATION and patience is not None:
            patience.deadline = math.inf


class OrderFollower:
    """Follows one order; made for one run or resume of it. `last_sequence`: of the node it must reach at least."""

    def __init__(self, job: str, report: Report, cancel: Cancel, last_sequence: int) -> None:
        self._job = job
        self._report = report
        self._cancel = cancel
        self._target = last_sequence
        self._told: tuple[JobState, JobSubstate | None] | None = None
        self._earlier: frozenset[str] = frozenset()
        self._seen = False
        self._cancelled = False
        self._failure = ""

    async def follow(self, changes: AsyncIterator[Change], before: VehicleState | None) -> JobOutcome:
        """`before`: the state before the order was sent; None: it was sent in another life. Raises RefusedError."""
        self._earlier = frozenset(() if before is None else (action.id for action in before.actions))
        with anyio.move_on_after(APPEAR) as appearing:
            async for state in states(changes, appearing):
                outcome = await self._take(state, before)
                if outcome is not None:
                    return outcome
                if self._seen:
                    appearing.deadline = math.inf
        if appearing.cancelled_caught:
            return unknown("the vehicle never showed the order in its state; whether it has it nobody can tell")
        return unknown("the vehicle stopped telling its state")

    async def _take(self, state: VehicleState, before: VehicleState | None) -> JobOutcome | None:
        if state.order != self._job:
            return self._another(state, before)
        self._seen = True
        self._target = max([self._target, *(node.sequence for node in state.nodes if node.released)])
        self._failure = self._failure or self._failed(state)
        if self._is_over(state):
            return self._outcome(state)
        if self._failure and not self._cancelled:
            await self._stand_still()
        paused = (JobState.INTERRUPTED, JobSubstate.HELD) if self._is_paused(state) else (JobState.RUNNING, None)
        if paused != self._told:
            self._told = paused
            await self._report(*paused)
        return None

    def _another(self, state: VehicleState, before: VehicleState | None) -> JobOutcome | None:
        refused = rejection(state, self._job, 0, before)
        if refused is not None and not self._seen:
            raise RefusedError(f"the vehicle refused the order ({refused.shown})", mend="look at the order and at the vehicle")
        if not self._seen:
            return None
        has = f"has the order {state.order}" if state.order else "has no order"
        return unknown(f"the vehicle {has} now, and the end of this one was not seen")

    async def _stand_still(self) -> None:
        """What is left of a failed order is not driven."""
        self._cancelled = True
        try:
            await self._cancel()
        except DtiosError as error:
            self._failure += f"; what is left of it could not be cancelled ({error})"

    def _failed(self, state: VehicleState) -> str:
        for action in state.actions:
            if is_action_of(action.id, self._job) and action.status == "FAILED" and not self._cancels(state):
                why = action.result or state.why("actionId", action.id)
                return f"the action {action.type or action.id} failed" + (f" ({why})" if why else "")
        for error in state.errors:
            if error.level == "FATAL" and error.names("orderId", self._job):
                return f"the vehicle gave the order up ({error.shown})"
        return ""

    def _is_paused(self, state: VehicleState) -> bool:
        """`paused` is optional: without it the last startPause or stopPause that was done tells."""
        if state.paused is not None:
            return state.paused
        done = [a.id for a in state.actions if a.status == "FINISHED" and is_instant_of(a.id, self._job, "pause", "resume")]
        return bool(done) and is_instant_of(done[-1], self._job, "pause")

    def _cancels(self, state: VehicleState) -> list[ActionState]:
        """A vehicle may go on showing what was done to an earlier order."""
        return [
            action
            for action in state.actions
            if action.id not in self._earlier
            and (action.type == "cancelOrder" or is_instant_of(action.id, self._job, "stop", "abort", "cancel"))
        ]

    def _is_over(self, state: VehicleState) -> bool:
        """An order that is being cancelled is over when cancelOrder is (6.6.3)."""
        mine = [a for a in state.actions if is_action_of(a.id, self._job)]
        return not state.nodes and not state.edges and all(action.is_over for action in (*mine, *self._cancels(state)))

    def _outcome(self, state: VehicleState) -> JobOutcome:
        results = {"lastNodeId": state.last_node, "resultDescription": self._result(state)}
        done = [a.id for a in self._cancels(state) if a.status == "FINISHED"]
        reason = self._failure
        if reason:
            return JobOutcome(JobState.ABORTED, None, results, reason)
        if any(is_instant_of(id, self._job, "abort") for id in done):
            return JobOutcome(JobState.ABORTED, None, results, "it was aborted")
        if any(is_instant_of(id, self._job, "stop", "cancel") for id in done):
            return JobOutcome(JobState.ENDED, JobSubstate.CLOSED, results)
        if done:
            return JobOutcome(JobState.ABORTED, None, results, "somebody else cancelled the order")
        if state.last_sequence < self._target:
            return JobOutcome(JobState.ABORTED, None, results, f"it ended at {state.last_node}, before its last node")
        return JobOutcome(JobState.ENDED, JobSubstate.COMPLETED, results)

    def _result(self, state: VehicleState) -> str:
        return "; ".join(a.result for a in state.actions if is_action_of(a.id, self._job) and a.result)
