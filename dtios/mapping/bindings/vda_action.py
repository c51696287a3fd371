"""A skill run by an instant action of VDA 5050 (6.8.1): the job's id is its actionId. It cannot be stopped or paused."""

import math
from collections.abc import AsyncIterator, Mapping
from typing import Any, ClassVar

import anyio

from dtios.mapping.bindings.base import Report, SkillBinding
from dtios.mapping.bindings.following import unknown
from dtios.mapping.bindings.vda_documents import instant
from dtios.mapping.bindings.vda_follow import APPEAR, states
from dtios.mapping.bindings.vda_order import OrderPlan
from dtios.mapping.bindings.vda_state import ActionState, VehicleState
from dtios.mapping.points import Change, Points, Publish
from dtios.mapping.skills.schema import object_schema
from dtios.model.errors import RefusedError
from dtios.model.job import JobIdentity, JobOrder, JobOutcome, JobState, JobSubstate, JobVerb

__all__ = ["VdaActionBinding"]


class VdaActionBinding(SkillBinding):
    """`plan.action` says which."""

    name: ClassVar[str] = "vda_action"
    identity: ClassVar[JobIdentity] = JobIdentity.NATIVE

    def __init__(self, plan: OrderPlan) -> None:
        self._plan = plan

    @property
    def verbs(self) -> frozenset[JobVerb]:
        return frozenset({JobVerb.START})

    @property
    def parameters(self) -> Mapping[str, Any]:
        asked = [p for p in self._plan.parameters if p.fixed is None]
        return object_schema({p.name: dict(p.schema) for p in asked}, [p.name for p in asked if p.required])

    @property
    def results(self) -> Mapping[str, Any]:
        return object_schema({"resultDescription": {"type": "string"}})

    async def run(self, order: JobOrder, points: Points, report: Report) -> JobOutcome:
        async with points.watch([self._plan.point("state")]) as changes:
            (action,) = self._plan.actions(order.parameters)
            document = instant(action.document(order.job))
            await points.publish(Publish(self._plan.point("instantActions"), document, APPEAR))
            return await self._follow(order, changes, report, fresh=True)

    async def resume(self, order: JobOrder, points: Points, report: Report) -> JobOutcome:
        async with points.watch([self._plan.point("state")]) as changes:
            return await self._follow(order, changes, report, fresh=False)

    async def command(self, verb: JobVerb, order: JobOrder, points: Points) -> None:
        raise RefusedError(f"an instant action cannot be asked to {verb.value}", where=order.skill, mend="wait for its end")

    async def _follow(self, order: JobOrder, changes: AsyncIterator[Change], report: Report, *, fresh: bool) -> JobOutcome:
        told = False
        with anyio.move_on_after(APPEAR) as appearing:
            async for state in states(changes, appearing):
                action = state.action(order.job)
                if action is None and told:
                    return unknown("the vehicle tells no more of the action, and its end was not seen")
                if action is None:
                    self._check_refused(state, order.job, fresh)
                    continue
                appearing.deadline = math.inf
                if action.is_over:
                    return _ended(action, state)
                if not told:
                    told = True
                    await report(JobState.RUNNING, None)
        return unknown("the vehicle did not show the action in its state; whether it has done it nobody can tell")

    @staticmethod
    def _check_refused(state: VehicleState, job: str, fresh: bool) -> None:
        why = state.why("actionId", job)
        if why and fresh:
            raise RefusedError(f"the vehicle refused the action ({why})", mend="look at its parameters and at the vehicle")


def _ended(action: ActionState, state: VehicleState) -> JobOutcome:
    results = {"resultDescription": action.result}
    if action.status == "FINISHED":
        return JobOutcome(JobState.ENDED, JobSubstate.COMPLETED, results)
    why = action.result or state.why("actionId", action.id) or "it does not say why"
    return JobOutcome(JobState.ABORTED, None, results, f"the action failed ({why})")
