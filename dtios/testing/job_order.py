"""A job order receiver in memory, as OPC 10031-4 v2 describes it: methods, list of orders with their states, responses."""

from dataclasses import dataclass, field
from typing import Any, Final

import anyio

from dtios.mapping.facts import Node
from dtios.model.datatypes import BuiltinType, Field, ValueType
from dtios.model.job import FINAL_STATES, JobState, JobSubstate, JobVerb, allowed_verbs, next_states
from dtios.model.machine import Access
from dtios.model.values import DateTime, LocalizedText, QualifiedName, Record
from dtios.sdk.clock import Clock
from dtios.testing.server import UA, MemoryServer, value_type

__all__ = ["JOB_CONTROL", "JobOrderMachine"]

JOB_CONTROL: Final = "http://opcfoundation.org/UA/ISA95-JOBCONTROL_V2/"

OK, UNKNOWN_ORDER, WRONG_STATE, NOT_ACCEPTED = 0, 1, 4, 8
"""ReturnStatus, OPC 10031-4 v2, 6.2.1."""

_NUMBERS: Final = {
    JobState.NOT_ALLOWED_TO_START: 1,
    JobState.ALLOWED_TO_START: 2,
    JobState.RUNNING: 3,
    JobState.INTERRUPTED: 4,
    JobState.ENDED: 5,
    JobState.ABORTED: 6,
}
_SUBSTATES: Final = {
    JobState.NOT_ALLOWED_TO_START: (JobSubstate.READY, 2),
    JobState.ALLOWED_TO_START: (JobSubstate.READY, 2),
    JobState.INTERRUPTED: (JobSubstate.HELD, 1),
    JobState.ENDED: (JobSubstate.COMPLETED, 1),
}

_STRING = value_type(BuiltinType.String)
_TEXT = value_type(BuiltinType.LocalizedText)
_TEXTS = value_type(BuiltinType.LocalizedText, rank=1)
_TIME = value_type(BuiltinType.DateTime)
_STATUS = value_type(BuiltinType.UInt64)


def _structure(name: str, rank: int = -1, /, **fields: ValueType) -> ValueType:
    """Fields whose name ends in `_` are optional."""
    made = tuple(Field(n.removesuffix("_"), t, n.endswith("_")) for n, t in fields.items())
    return ValueType(BuiltinType.ExtensionObject, name, JOB_CONTROL, rank, fields=made, identifier=f"nsu={JOB_CONTROL};s={name}")


def _array(of: ValueType) -> ValueType:
    return _structure(of.name, 1, **{f.name + "_" * f.optional: f.type for f in of.fields})


_PATH = ValueType(BuiltinType.ExtensionObject, "RelativePath", UA)
_STATE = _structure("ISA95StateDataType", BrowsePath=_PATH, StateText=_TEXT, StateNumber=value_type(BuiltinType.UInt32))
_PARAMETER = _structure("ISA95ParameterDataType", ID=_STRING, Value=value_type(BuiltinType.Variant), Description_=_TEXTS)
_WORK_MASTER = _structure("ISA95WorkMasterDataType", ID=_STRING, Description_=_TEXT, Parameters_=_array(_PARAMETER))
_ORDER = _structure(
    "ISA95JobOrderDataType",
    JobOrderID=_STRING,
    Description_=_TEXTS,
    WorkMasterID_=_array(_WORK_MASTER),
    StartTime_=_TIME,
    EndTime_=_TIME,
    Priority_=value_type(BuiltinType.Int16),
    JobOrderParameters_=_array(_PARAMETER),
)
_ORDER_AND_STATE = _structure("ISA95JobOrderAndStateDataType", JobOrder=_ORDER, State=_array(_STATE))
_RESPONSE = _structure(
    "ISA95JobResponseDataType",
    JobResponseID=_STRING,
    Description_=_TEXT,
    JobOrderID=_STRING,
    StartTime_=_TIME,
    EndTime_=_TIME,
    JobState=_array(_STATE),
    JobResponseData_=_array(_PARAMETER),
)


@dataclass(slots=True)
class _Job:
    order: Record
    state: JobState = JobState.NOT_ALLOWED_TO_START
    remaining: float = 0.0
    times: dict[str, DateTime] = field(default_factory=dict)


class JobOrderMachine(MemoryServer):
    """`states()` tells where each job stands; its result is `PartsMade`, the parameter `Parts` or 1."""

    def __init__(self, name: str, *, clock: Clock | None, duration: float) -> None:
        super().__init__(name, clock=clock)
        self._duration = duration
        self._jobs: dict[str, _Job] = {}
        self._changed = anyio.Event()
        self.background(self._run)

    def build(self, machine: Node) -> None:
        at = self.object(
            "JobOrderControl",
            parent=machine,
            types=(QualifiedName(JOB_CONTROL, "ISA95JobOrderReceiverObjectType"), QualifiedName(UA, "FiniteStateMachineType")),
            namespace=JOB_CONTROL,
        )
        order = [("JobOrder", _ORDER), ("Comment", _TEXTS)]
        for name in ("Store", "StoreAndStart", "Update"):
            self._add_method(at, name, order)
        for name in ("Start", "RevokeStart", "Pause", "Resume", "Stop", "Abort", "Cancel", "Clear"):
            self._add_method(at, name, [("JobOrderID", _STRING), ("Comment", _TEXTS)])
        list_type = _array(_ORDER_AND_STATE)
        self._list = self.variable("JobOrderList", [], list_type, parent=at, access=Access.READ, namespace=JOB_CONTROL)
        self.variable(
            "MaxDownloadableJobOrders",
            100,
            BuiltinType.UInt16,
            parent=at,
            access=Access.READ,
            namespace=JOB_CONTROL,
            property=True,
        )
        self._build_responses(machine)

    def _build_responses(self, machine: Node) -> None:
        at = self.object(
            "JobOrderResults",
            parent=machine,
            types=QualifiedName(JOB_CONTROL, "ISA95JobResponseProviderObjectType"),
            namespace=JOB_CONTROL,
        )
        self._responses = self.variable(
            "JobOrderResponseList", [], _array(_RESPONSE), parent=at, access=Access.READ, namespace=JOB_CONTROL
        )
        self.method(
            "RequestJobResponseByJobOrderID",
            self._response_by_id,
            parent=at,
            inputs=[("JobOrderID", _STRING)],
            outputs=[("JobResponse", _RESPONSE), ("ReturnStatus", _STATUS)],
            namespace=JOB_CONTROL,
        )

    def _add_method(self, at: Node, name: str, inputs: list[tuple[str, ValueType]]) -> None:
        async def call(argument: Any, _comment: Any) -> int:
            return await self._command(name, argument)

        self.method(name, call, parent=at, inputs=inputs, outputs=[("ReturnStatus", _STATUS)], namespace=JOB_CONTROL)

    def states(self) -> dict[str, JobState]:
        return {job: entry.state for job, entry in self._jobs.items()}

    # --- methods --------------------------------------------------------------------------------------------------------

    async def _command(self, name: str, argument: Any) -> int:
        if name in ("Store", "StoreAndStart"):
            return self._store(argument, start=name == "StoreAndStart")
        job = self._jobs.get(argument["JobOrderID"] if name == "Update" else argument)
        if job is None:
            return UNKNOWN_ORDER
        if name == "Clear":
            return self._forget(argument, job.state in FINAL_STATES)
        if name == "RevokeStart":
            return self._move(job, JobState.NOT_ALLOWED_TO_START, job.state is JobState.ALLOWED_TO_START)
        verb = JobVerb(name.lower())
        if verb not in allowed_verbs(job.state):
            return WRONG_STATE
        if verb is JobVerb.CANCEL:
            return self._forget(argument, True)
        if verb is JobVerb.UPDATE:
            job.order = argument
        (state,) = next_states(job.state, verb)
        return self._move(job, state, True)

    def _store(self, order: Record, *, start: bool) -> int:
        if order["JobOrderID"] in self._jobs or not order["JobOrderID"]:
            return NOT_ACCEPTED
        job = self._jobs[order["JobOrderID"]] = _Job(order, remaining=self._duration)
        return self._move(job, JobState.ALLOWED_TO_START if start else JobState.NOT_ALLOWED_TO_START, True)

    def _forget(self, job: str, allowed: bool) -> int:
        if not allowed:
            return WRONG_STATE
        del self._jobs[job]
        self._show()
        return OK

    def _move(self, job: _Job, state: JobState, allowed: bool) -> int:
        if not allowed:
            return WRONG_STATE
        job.state = state
        if state is JobState.RUNNING:
            job.times.setdefault("StartTime", DateTime(self.clock.now()))
        if state in FINAL_STATES:
            job.times["EndTime"] = DateTime(self.clock.now())
        self._show()
        self._changed.set()
        return OK

    async def _response_by_id(self, job: str) -> list[Any]:
        entry = self._jobs.get(job)
        return [_response(entry), OK] if entry is not None else [_NO_RESPONSE, UNKNOWN_ORDER]

    # --- work -----------------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            job = self._next()
            if job is None:
                self._changed = anyio.Event()
                await self._changed.wait()
                continue
            if job.state is JobState.ALLOWED_TO_START:
                self._move(job, JobState.RUNNING, True)
            begun = self.clock.monotonic()
            await self._work(job)
            job.remaining -= self.clock.monotonic() - begun
            if job.state is JobState.RUNNING:
                self._move(job, JobState.ENDED, True)

    def _next(self) -> _Job | None:
        """A running job before one that waits; an interrupted one keeps the machine."""
        for state in (JobState.INTERRUPTED, JobState.RUNNING, JobState.ALLOWED_TO_START):
            for job in self._jobs.values():
                if job.state is state:
                    return None if state is JobState.INTERRUPTED else job
        return None

    async def _work(self, job: _Job) -> None:
        """Until it is done or somebody moved it."""

        async def interrupted() -> None:
            while job.state is JobState.RUNNING:
                self._changed = anyio.Event()
                await self._changed.wait()
            group.cancel_scope.cancel()

        async with anyio.create_task_group() as group:
            group.start_soon(interrupted, name=f"{self.url} interruption")
            await self.clock.sleep(job.remaining)
            group.cancel_scope.cancel()

    def _show(self) -> None:
        orders = [
            Record("ISA95JobOrderAndStateDataType", {"JobOrder": job.order, "State": _state(job.state)})
            for job in self._jobs.values()
        ]
        self.set(self._list, orders)
        self.set(self._responses, [_response(job) for job in self._jobs.values()])


def _state(state: JobState) -> list[Record]:
    levels: list[tuple[str, int]] = [(state.value, _NUMBERS[state])]
    if state in _SUBSTATES:
        substate, number = _SUBSTATES[state]
        levels.append((substate.value, number))
    path = Record("RelativePath", {"Elements": []})
    return [
        Record("ISA95StateDataType", {"BrowsePath": path, "StateText": LocalizedText(text, "en"), "StateNumber": number})
        for text, number in levels
    ]


def _response(job: _Job) -> Record:
    parameters = {p["ID"]: p["Value"] for p in job.order.get("JobOrderParameters") or ()}
    made = Record("ISA95ParameterDataType", {"ID": "PartsMade", "Value": parameters.get("Parts", 1)})
    order = job.order["JobOrderID"]
    fields: dict[str, Any] = {"JobResponseID": f"{order}-response", "JobOrderID": order, **job.times}
    fields["JobState"] = _state(job.state)
    if job.state is JobState.ENDED:
        fields["JobResponseData"] = [made]
    return Record("ISA95JobResponseDataType", fields)


_NO_RESPONSE: Final = Record("ISA95JobResponseDataType", {"JobResponseID": "", "JobOrderID": "", "JobState": []})
