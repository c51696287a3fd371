"""A skill run by an order of VDA 5050: the vehicle keeps the job's id as its orderId, so that the job is found again."""

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

import anyio

from dtios.mapping.bindings.base import Report, SkillBinding
from dtios.mapping.bindings.vda_documents import ROUTE, Action, instant, instant_id, order, stops_of, update
from dtios.mapping.bindings.vda_follow import APPEAR, OrderFollower, states
from dtios.mapping.bindings.vda_state import VehicleState, rejection
from dtios.mapping.points import Change, Points, Publish
from dtios.mapping.skills.schema import object_schema
from dtios.model.errors import OutcomeUnknown, RefusedError, TemporaryError
from dtios.model.job import JobIdentity, JobOrder, JobOutcome, JobVerb
from dtios.model.status import BAD_NO_COMMUNICATION

__all__ = ["OrderPlan", "Parameter", "VdaOrderBinding"]

_INSTANT: Final = {
    JobVerb.STOP: "cancelOrder",
    JobVerb.ABORT: "cancelOrder",
    JobVerb.CANCEL: "cancelOrder",
    JobVerb.PAUSE: "startPause",
    JobVerb.RESUME: "stopPause",
}
RESULTS: Final = object_schema({"lastNodeId": {"type": "string"}, "resultDescription": {"type": "string"}})


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter by its name in the factory: the key of the action's parameter (or of the route) and its JSON Schema.
    `fixed` is given always, and not for the app to choose."""

    name: str
    key: str
    schema: Mapping[str, Any] = field(default_factory=dict)
    required: bool = True
    fixed: Any = None


@dataclass(frozen=True, slots=True)
class OrderPlan:
    """`vehicle` is its address; its topics are below that. Without `action` the order only drives. Parameters whose key is one
    of `ROUTE` say where to. `pausing`: it knows startPause and stopPause."""

    vehicle: str
    action: str | None = None
    blocking: str = "HARD"
    parameters: tuple[Parameter, ...] = ()
    pausing: bool = True

    def point(self, topic: str) -> str:
        return f"{self.vehicle}/{topic}"

    @property
    def schema(self) -> dict[str, Any]:
        """Of its parameters. One that drives and no more must be told where to."""
        renamed = {parameter.key for parameter in self.parameters if parameter.key in ROUTE}
        route = {name: dict(schema) for name, schema in ROUTE.items() if name not in renamed}
        asked = [p for p in self.parameters if p.fixed is None]
        own = {p.name: {**(ROUTE.get(p.key, {})), **p.schema} for p in asked}
        schema = object_schema({**own, **route}, [p.name for p in asked if p.required])
        if self.action is None and not renamed:
            schema["anyOf"] = [{"required": ["nodeId"]}, {"required": ["nodes"]}]
        return schema

    def route(self, given: Mapping[str, Any]) -> dict[str, Any]:
        said = self._said(given)
        plain = {key: value for key, value in given.items() if key in ROUTE and key not in {p.name for p in self.parameters}}
        return {**plain, **{key: value for key, value in said.items() if key in ROUTE}}

    def actions(self, given: Mapping[str, Any]) -> list[Action]:
        if self.action is None:
            return []
        said = {key: value for key, value in self._said(given).items() if key not in ROUTE}
        return [Action(self.action, self.blocking, said)]

    def _said(self, given: Mapping[str, Any]) -> dict[str, Any]:
        said = {p.key: given.get(p.name) if p.fixed is None else p.fixed for p in self.parameters}
        return {key: value for key, value in said.items() if value is not None}


class VdaOrderBinding(SkillBinding):
    """One order of a vehicle at a time, whoever gave it: a second one is refused while the first is not over."""

    name: ClassVar[str] = "vda_order"
    identity: ClassVar[JobIdentity] = JobIdentity.NATIVE

    def __init__(self, plan: OrderPlan) -> None:
        self._plan = plan
        self._state = plan.point("state")

    @property
    def verbs(self) -> frozenset[JobVerb]:
        """cancelOrder is everybody's duty (6.8.2). Only what drives and no more can be extended."""
        pausing = {JobVerb.PAUSE, JobVerb.RESUME} if self._plan.pausing else set()
        update = {JobVerb.UPDATE} if self._plan.action is None else set()
        return frozenset({JobVerb.START, JobVerb.STOP, JobVerb.ABORT} | pausing | update)

    @property
    def updates_while_running(self) -> bool:
        return self._plan.action is None

    @property
    def parameters(self) -> Mapping[str, Any]:
        return self._plan.schema

    @property
    def results(self) -> Mapping[str, Any]:
        return RESULTS

    # --- running ---

    async def run(self, order_: JobOrder, points: Points, report: Report) -> JobOutcome:
        with self._alone(order_, points):
            async with points.watch([self._state]) as changes:
                before = await self._present(changes)
                if before.is_busy:
                    raise RefusedError(
                        f"the vehicle is busy with the order {before.order}", mend="wait for its end, or cancel it"
                    )
                route = self._plan.route(order_.parameters)
                await self._send(points, order(order_.job, before, route, self._plan.actions(order_.parameters)))
                return await self._follower(order_, points, report).follow(changes, before)

    async def resume(self, order_: JobOrder, points: Points, report: Report) -> JobOutcome:
        with self._alone(order_, points):
            async with points.watch([self._state]) as changes:
                return await self._follower(order_, points, report).follow(changes, None)

    @contextmanager
    def _alone(self, order_: JobOrder, points: Points) -> Iterator[None]:
        """Between an order that was sent and the state that shows it, only we know that there is one."""
        if points.holders[self._plan.vehicle]:
            raise RefusedError("the vehicle has another order of ours", where=order_.skill, mend="wait for its end, or stop it")
        points.holders[self._plan.vehicle] += 1
        try:
            yield
        finally:
            points.holders[self._plan.vehicle] -= 1

    def _follower(self, order_: JobOrder, points: Points, report: Report) -> OrderFollower:
        stops = stops_of(self._plan.route(order_.parameters))
        action = Action("cancelOrder").document(instant_id(order_.job, "failed"))

        async def cancel() -> None:
            await points.publish(Publish(self._plan.point("instantActions"), instant(action), APPEAR), settling=True)

        return OrderFollower(order_.job, report, cancel, 2 * max(len(stops) - 1, 0))

    async def _send(self, points: Points, document: dict[str, Any]) -> None:
        await points.publish(Publish(self._plan.point("order"), json.dumps(document).encode(), APPEAR))

    @staticmethod
    async def _present(changes: AsyncIterator[Change]) -> VehicleState:
        """Raises TemporaryError where the vehicle does not tell its state: nothing is sent to it later on."""
        with anyio.move_on_after(APPEAR):
            async for _, reading in changes:
                if reading.is_good and isinstance(reading.value, str):
                    return VehicleState.parse(reading.value)
                if reading.status == BAD_NO_COMMUNICATION:
                    break
        raise TemporaryError("the vehicle does not tell its state", mend="is it switched on and connected?")

    # --- verbs ---

    async def command(self, verb: JobVerb, order_: JobOrder, points: Points) -> None:
        """Returns when the vehicle has taken it. Raises RefusedError with its words, OutcomeUnknown where it says nothing."""
        if verb is JobVerb.UPDATE:
            await self._update(order_, points)
            return
        kind = _INSTANT.get(verb)
        if kind is None:
            raise RefusedError(f"an order cannot be asked to {verb.value}", where=order_.skill, mend="use another verb")
        id = instant_id(order_.job, verb.value)
        async with points.watch([self._state]) as changes:
            document = instant(Action(kind).document(id))
            await points.publish(Publish(self._plan.point("instantActions"), document, APPEAR))
            await self._taken(changes, kind, id)

    @staticmethod
    async def _taken(changes: AsyncIterator[Change], kind: str, id: str) -> None:
        with anyio.move_on_after(APPEAR):
            async for state in states(changes, None):
                action, why = state.action(id), state.why("actionId", id)
                if (action is not None and action.status == "FAILED") or (action is None and why):
                    said = why or (action.result if action is not None else "")
                    raise RefusedError(f"the vehicle refused {kind} ({said or 'it does not say why'})")
                if action is not None:
                    return
        raise OutcomeUnknown(f"the vehicle did not show within {APPEAR:g} s that it took {kind}", mend="look at the vehicle")

    async def _update(self, order_: JobOrder, points: Points) -> None:
        async with points.watch([self._state]) as changes:
            before = await self._present(changes)
            route = self._plan.route(order_.parameters)
            if before.order != order_.job:
                raise RefusedError(f"the vehicle has not this order but {before.order or 'none'}", where=order_.skill)
            document = update(order_.job, before, route)
            await self._send(points, document)
            wanted = document["orderUpdateId"]
            with anyio.move_on_after(APPEAR):
                async for state in states(changes, None):
                    if state.order == order_.job and state.update >= wanted:
                        return
                    refused = rejection(state, order_.job, wanted, before)
                    if refused is not None:
                        raise RefusedError(f"the vehicle refused the update ({refused.shown})", where=order_.skill)
        raise OutcomeUnknown(f"the vehicle did not show the update within {APPEAR:g} s", mend="look at the vehicle")
