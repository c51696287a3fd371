"""A skill run by trigger, busy, done and error bits, the way most PLCs do it.

The machine keeps no id of a job. Where there is a busy bit, it tells whether one can still be running; else nothing does.
"""

from collections.abc import AsyncIterator, Mapping
from typing import Any, ClassVar

import anyio

from dtios.mapping.bindings.base import Report, SkillBinding
from dtios.mapping.bindings.following import unknown
from dtios.mapping.bindings.handshake_cycle import Cycle, patient
from dtios.mapping.bindings.handshake_points import Handshake, Seen
from dtios.mapping.bindings.variables import given_values, result_schema, started, written_schema
from dtios.mapping.points import Change, Points
from dtios.model.errors import RefusedError
from dtios.model.job import JobIdentity, JobOrder, JobOutcome, JobVerb

__all__ = ["HandshakeBinding"]


class HandshakeBinding(SkillBinding):
    name: ClassVar[str] = "handshake"

    def __init__(self, plan: Handshake) -> None:
        self._plan = plan
        self._parameters = written_schema(plan.parameters)
        self._results = result_schema(plan.results)

    @property
    def identity(self) -> JobIdentity:  # type: ignore[override]  # it depends on the bits that this machine has
        return JobIdentity.INFERABLE if self._plan.busy is not None else JobIdentity.NONE

    @property
    def inferred_from(self) -> frozenset[str]:
        """Other skills may have other bits of the same word."""
        flags = {role: flag for role, flag in self._plan.flags.items() if role in ("busy", "trigger")}
        return frozenset(f"{f.address}#{f.bit}{f.equals}" for f in flags.values())

    @property
    def verbs(self) -> frozenset[JobVerb]:
        steering = frozenset({JobVerb.RESUME}) if JobVerb.PAUSE in self._plan.verbs else frozenset[JobVerb]()
        return frozenset({JobVerb.START, *self._plan.verbs}) | steering

    @property
    def parameters(self) -> Mapping[str, Any]:
        return self._parameters

    @property
    def results(self) -> Mapping[str, Any]:
        return self._results

    async def run(self, order: JobOrder, points: Points, report: Report) -> JobOutcome:
        plan = self._plan
        values = given_values(plan.parameters, order.parameters)
        async with points.watch(plan.addresses) as changes:
            seen = await self._until_free(order, points, changes)
            count = seen.count
            refused = await started(plan.parameters, values, points, lambda: plan.trigger.set(True, points))
            if refused is not None:
                return refused
            return await Cycle(plan, points, report, seen, changes, count).follow()

    async def resume(self, order: JobOrder, points: Points, report: Report) -> JobOutcome:
        """Busy, done or error: followed on. The trigger up and nothing else: waited for as after a start, then taken back.
        Nothing up: Unknown."""
        plan = self._plan
        if plan.busy is None:
            return unknown("without a busy bit nothing tells whether it still runs")
        async with points.watch(plan.addresses) as changes:
            seen = Seen(plan)
            if not await patient(changes, seen, lambda: not seen.silent, plan.start_within):
                return unknown(f"it does not tell {', '.join(seen.silent) or 'anything'}")
            if not any(seen.up(role) for role in ("busy", "done", "error", "trigger")):
                return unknown("neither busy nor done nor error is up: the job has ended, or it never started")
            return await Cycle(plan, points, report, seen, changes, seen.count, fresh=False).follow()

    async def command(self, verb: JobVerb, order: JobOrder, points: Points) -> None:
        up = verb is not JobVerb.RESUME
        switch = self._plan.verbs.get(verb if up else JobVerb.PAUSE)
        if switch is None:
            raise RefusedError(f"it has no bit to {verb.value} it by", where=order.skill, mend="use another verb")
        await switch.set(up, points)

    # --- before the start ----------------------------------------------------------------------------------------------------

    async def _until_free(self, order: JobOrder, points: Points, changes: AsyncIterator[Change]) -> Seen:
        """Raises RefusedError unless the machine may be triggered. Returns when the changes have come so far too, so that no done
        from before the trigger is taken for the answer to it."""
        plan = self._plan
        now = await Seen.now(plan, points)
        if now.up("error") and plan.reset_before_start and plan.reset is not None:
            now = await self._reset(points, changes)
        _refuse_if_not_free(now, order)
        seen = Seen(plan)
        if not await patient(changes, seen, lambda: not any(seen.obstacles()), plan.start_within):
            _refuse_if_not_free(seen, order)
            raise RefusedError("its bits do not come to rest", where=order.skill, mend="look at the machine")
        now = await Seen.now(plan, points)
        _refuse_if_not_free(now, order)
        if not await patient(changes, seen, lambda: seen.count == now.count, plan.start_within):
            raise RefusedError("what done counts does not come to rest", where=order.skill, mend="look at the machine")
        return now

    async def _reset(self, points: Points, changes: AsyncIterator[Change]) -> Seen:
        """The reset bit, for as long as error is up."""
        plan = self._plan
        assert plan.reset is not None, "only asked where there is one"
        await plan.reset.set(True, points)
        with anyio.move_on_after(plan.start_within):
            while (await Seen.now(plan, points)).up("error"):
                await anext(changes)
        await plan.reset.set(False, points, settling=True)
        return await Seen.now(plan, points)


def _refuse_if_not_free(seen: Seen, order: JobOrder) -> None:
    for obstacle, mend in seen.obstacles():
        raise RefusedError(obstacle, where=order.skill, mend=mend)
