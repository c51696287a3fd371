"""A skill run by job orders (OPC 10031-4 version 2): the machine keeps the job under our id, so that it is found again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from dtios.mapping.bindings.arguments import ASKED
from dtios.mapping.bindings.base import Report, SkillBinding
from dtios.mapping.bindings.job_order_data import (
    COMMENT,
    JOB_ORDER,
    JOB_ORDER_ID,
    JobParameter,
    empty,
    job_order,
    refusal,
)
from dtios.mapping.bindings.job_order_follow import Follower, Responses
from dtios.mapping.points import Points
from dtios.mapping.skills.schema import object_schema, schema_of
from dtios.model.datatypes import BuiltinType, ValueType
from dtios.model.errors import RefusedError, TemporaryError
from dtios.model.job import JobIdentity, JobOrder, JobOutcome, JobVerb

__all__ = ["JobOrderBinding", "ReceiverMethod", "ReceiverNodes"]

WORK_MASTER: Final = "WorkMasterID"
_VERBS: Final = {
    JobVerb.PAUSE: "Pause",
    JobVerb.RESUME: "Resume",
    JobVerb.STOP: "Stop",
    JobVerb.ABORT: "Abort",
    JobVerb.CANCEL: "Cancel",
    JobVerb.UPDATE: "Update",
}
_OPEN: Final = {"type": ["number", "string", "boolean"]}


@dataclass(frozen=True, slots=True)
class ReceiverMethod:
    """A method of the receiver; `inputs` as the machine declares them, empty where it does not tell."""

    address: str
    inputs: tuple[ValueType, ...] = ()


@dataclass(frozen=True, slots=True)
class ReceiverNodes:
    """Addresses of the receiver, of its JobOrderList and of its methods by BrowseName, and where responses are asked for."""

    receiver: str
    job_list: str
    methods: Mapping[str, ReceiverMethod]
    responses: Responses | None = None

    def method(self, name: str) -> ReceiverMethod:
        """Raises RefusedError for a method that this machine lacks."""
        found = self.methods.get(name)
        if found is None:
            raise RefusedError(f"this machine has no {name}", mend="use one of the verbs in its description")
        return found


class JobOrderBinding(SkillBinding):
    """`known` are the parameters with a name; without any, every name is taken and goes as it is. `work_master` fixes the
    WorkMasterID; without it the parameter WorkMasterID may give one."""

    name: ClassVar[str] = "job_order"
    identity: ClassVar[JobIdentity] = JobIdentity.NATIVE

    def __init__(
        self,
        nodes: ReceiverNodes,
        known: Sequence[JobParameter] = (),
        work_master: str | None = None,
        work_masters: Sequence[str] = (),
        results: Mapping[str, str] | None = None,
    ) -> None:
        self._nodes = nodes
        self._known = tuple(known)
        self._work_master = work_master
        self._renamed = {id: name for name, id in (results or {}).items()}
        self._parameters = self._parameters_schema(work_masters)
        self._results = object_schema({name: {} for name in results or ()}, open=True)

    def _parameters_schema(self, work_masters: Sequence[str]) -> dict[str, Any]:
        properties: dict[str, Any] = {}
        if self._work_master is None:
            properties[WORK_MASTER] = {"type": "string", "description": "which WorkMaster the job order is for"}
            if work_masters:
                properties[WORK_MASTER]["examples"] = list(work_masters)
        asked = [p for p in self._known if p.fixed is ASKED]
        properties |= {p.name: {**(_OPEN if p.type is None else schema_of(p.type)), **p.extra} for p in asked}
        return object_schema(properties, [p.name for p in asked if p.required], open=_OPEN if not self._known else False)

    @property
    def verbs(self) -> frozenset[JobVerb]:
        return frozenset({JobVerb.START, *(verb for verb, method in _VERBS.items() if method in self._nodes.methods)})

    @property
    def parameters(self) -> Mapping[str, Any]:
        return self._parameters

    @property
    def results(self) -> Mapping[str, Any]:
        return self._results

    async def run(self, order: JobOrder, points: Points, report: Report) -> JobOutcome:
        async with points.watch([self._nodes.job_list]) as changes:
            await self._start(order, points)
            follower = Follower(order.job, self._nodes.responses, points, report)
            return self._named(await follower.follow(changes, accepted=True))

    async def resume(self, order: JobOrder, points: Points, report: Report) -> JobOutcome:
        async with points.watch([self._nodes.job_list]) as changes:
            follower = Follower(order.job, self._nodes.responses, points, report)
            return self._named(await follower.follow(changes, accepted=False))

    async def command(self, verb: JobVerb, order: JobOrder, points: Points) -> None:
        name = _VERBS.get(verb)
        if name is None:
            raise RefusedError(f"a job order cannot be asked to {verb.value}", where=order.skill, mend="use another verb")
        await self._call(name, order, points)

    async def _start(self, order: JobOrder, points: Points) -> None:
        if "StoreAndStart" in self._nodes.methods:
            await self._call("StoreAndStart", order, points)
            return
        await self._call("Store", order, points)
        try:
            await self._call("Start", order, points)
        except RefusedError:
            await self._take_back(order, points)
            raise

    async def _take_back(self, order: JobOrder, points: Points) -> None:
        """A stored job that may not start is taken off the list. Left there it would only wait: nothing is lost by failing."""
        try:
            if "Cancel" in self._nodes.methods:
                await self._call("Cancel", order, points)
        except (RefusedError, TemporaryError):
            return

    async def _call(self, name: str, order: JobOrder, points: Points) -> None:
        """Raises RefusedError for a ReturnStatus that says so."""
        method = self._nodes.method(name)
        values = await points.call(self._nodes.receiver, method.address, self._arguments(name, method, order))
        reason = refusal(values[-1]) if values else None
        if reason is not None:
            raise RefusedError(f"{name} of job {order.job}: {reason}", where=order.skill, mend="look at the machine's job list")

    def _arguments(self, name: str, method: ReceiverMethod, order: JobOrder) -> list[tuple[Any, ValueType]]:
        whole = name in ("Store", "StoreAndStart", "Update")
        types = method.inputs or (JOB_ORDER if whole else JOB_ORDER_ID, COMMENT)
        first = self._record(order, types[0]) if types[0].builtin is BuiltinType.ExtensionObject else order.job
        return [(first, types[0]), *((empty(t), t) for t in types[1:])]

    def _record(self, order: JobOrder, type: ValueType) -> Any:
        parameters = dict(order.parameters)
        chosen = parameters.pop(WORK_MASTER, None) if self._work_master is None else self._work_master
        return job_order(order.job, [str(chosen)] if chosen else [], parameters, self._known, type)

    def _named(self, outcome: JobOutcome) -> JobOutcome:
        """Results under the profile's names."""
        results = {self._renamed.get(id, id): value for id, value in outcome.results.items()}
        return JobOutcome(outcome.state, outcome.substate, results, outcome.reason)
