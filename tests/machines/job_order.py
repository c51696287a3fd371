"""A station that takes ISA-95 job orders (OPC 10031-4 v2): `python -m tests.machines.job_order --log calls.jsonl`.

Parameters of an order: Count (Int32), Duration (Double, s), Fail (Boolean: it aborts by itself). Its response holds Made.
"""

import argparse
import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from asyncua import Node, Server, ua

from dtios_packml.hosting import hosted
from dtios_packml.lifecycle import CallLog, announce, ended
from tests.machines.job_shop import MOVES, STATES, SUBSTATES, Job, JobShop, Return
from tests.machines.job_types import build_job_types

__all__ = ["ISA95_URI", "URI", "JobOrderMachine", "job_order_machine"]

ISA95_URI: Final = "http://opcfoundation.org/UA/ISA95-JOBCONTROL_V2/"
URI: Final = "urn:dtios:station"
STEP: Final = 0.02
_ORDER_METHODS: Final = ("Store", "StoreAndStart", "Update")
_ID_METHODS: Final = (*MOVES, "Cancel", "Clear")


class JobOrderMachine:
    """One receiver and one response provider below the object `Station`."""

    def __init__(self, log: CallLog, uri: str, limit: int) -> None:
        self.log = log
        self.endpoint = ""
        self.shop = JobShop(limit, self._entered)
        self._uri = uri

    async def build(self, server: Server) -> None:
        self._server = server
        self._types = types = await build_job_types(server, self._uri)
        own = await server.register_namespace(URI)
        station = await server.nodes.objects.add_object(ua.NodeId("Station", own), f"{own}:Station")
        receiver = await station.add_object(ua.NodeId("Orders", own), f"{own}:Orders", types.receiver.nodeid, False)
        provider = await station.add_object(ua.NodeId("Answers", own), f"{own}:Answers", types.provider.nodeid, False)
        self._orders = await self._list(receiver, "JobOrderList", [], "ISA95JobOrderAndStateDataType")
        self._responses = await self._list(provider, "JobOrderResponseList", [], "ISA95JobResponseDataType")
        await self._list(receiver, "WorkMaster", [self._work_master()], "ISA95WorkMasterDataType")
        limit = (ua.NodeId("Orders.Max", own), f"{types.index}:MaxDownloadableJobOrders")
        await receiver.add_property(*limit, self.shop.limit, ua.VariantType.UInt16)
        await self._add_methods(receiver, provider)

    async def work(self) -> None:
        """Lets the orders run, for ever."""
        at = time.monotonic()
        while True:
            await asyncio.sleep(STEP)
            now = time.monotonic()
            if self.shop.advance(now - at):
                await self._show()
            at = now

    async def _list(self, owner: Node, name: str, value: list[Any], data_type: str) -> Node:
        node_id = ua.NodeId(f"{owner.nodeid.Identifier}.{name}", owner.nodeid.NamespaceIndex)
        kind = self._types.data_type(data_type)
        node = await owner.add_variable(node_id, f"{self._types.index}:{name}", [], ua.VariantType.ExtensionObject, kind)
        await node.write_value_rank(ua.ValueRank.OneDimension)
        await node.write_value(ua.Variant(value, ua.VariantType.ExtensionObject, is_array=True))
        return node

    async def _add_methods(self, receiver: Node, provider: Node) -> None:
        order, comment = _argument("JobOrder", self._types.data_type("ISA95JobOrderDataType")), _argument("Comment", 21, True)
        one, status = _argument("JobOrderID", 12), _argument("ReturnStatus", 9)
        for name in _ORDER_METHODS:
            await self._method(receiver, name, self._order_method(name), [order, comment], [status])
        for name in _ID_METHODS:
            await self._method(receiver, name, self._id_method(name), [one, comment], [status])
        response = self._types.data_type("ISA95JobResponseDataType")
        state = _argument("JobOrderState", self._types.data_type("ISA95StateDataType"), True)
        await self._method(
            provider, "RequestJobResponseByJobOrderID", self._response, [one], [_argument("JobResponse", response), status]
        )  # fmt: skip
        await self._method(
            provider, "RequestJobResponseByJobOrderState", self._by_state, [state],
            [_argument("JobResponses", response, True), status],
        )  # fmt: skip

    async def _method(self, owner: Node, name: str, act: Callable[..., Any], inputs: list[Any], outputs: list[Any]) -> None:
        node_id = ua.NodeId(f"{owner.nodeid.Identifier}.{name}", owner.nodeid.NamespaceIndex)
        await owner.add_method(node_id, f"{self._types.index}:{name}", act, inputs, outputs)

    def _order_method(self, name: str) -> Callable[..., Any]:
        async def call(_: ua.NodeId, order: ua.Variant, *comment: ua.Variant) -> ua.CallMethodResult:
            given = order.Value
            parameters = {p.ID: _plain(p.Value) for p in given.JobOrderParameters or []}
            if name == "Update":
                code = self.shop.update(given.JobOrderID, given, parameters)
            else:
                code = self.shop.store(given.JobOrderID, given, parameters, start=name == "StoreAndStart")
            return await self._answer(name, [{"id": given.JobOrderID, "parameters": parameters}], code)

        return call

    def _id_method(self, name: str) -> Callable[..., Any]:
        async def call(_: ua.NodeId, id: ua.Variant, *comment: ua.Variant) -> ua.CallMethodResult:
            return await self._answer(name, [id.Value], self.shop.command(name, id.Value))

        return call

    async def _answer(self, name: str, args: list[Any], code: Return) -> ua.CallMethodResult:
        self.log.add(name, args, returned=int(code))
        await self._show()
        return _result(code)

    async def _response(self, _: ua.NodeId, id: ua.Variant) -> ua.CallMethodResult:
        job = self.shop.jobs.get(id.Value)
        shown = self._types.make("ISA95JobResponseDataType") if job is None else self._as_response(job)
        return _result(Return.NO_ERROR if job else Return.UNKNOWN_JOB_ORDER, ua.Variant(shown, ua.VariantType.ExtensionObject))

    async def _by_state(self, _: ua.NodeId, states: ua.Variant) -> ua.CallMethodResult:
        wanted = {s.StateNumber for s in states.Value or []}
        found = [self._as_response(job) for job in self.shop.jobs.values() if STATES[job.state[0]] in wanted]
        return _result(Return.NO_ERROR, ua.Variant(found, ua.VariantType.ExtensionObject, is_array=True))

    async def _show(self) -> None:
        jobs = list(self.shop.jobs.values())
        orders = [self._types.make("ISA95JobOrderAndStateDataType", JobOrder=job.order, State=self._states(job)) for job in jobs]
        for node, value in ((self._orders, orders), (self._responses, [self._as_response(job) for job in jobs])):
            shown = ua.Variant(value, ua.VariantType.ExtensionObject, is_array=True)
            await self._server.write_attribute_value(node.nodeid, ua.DataValue(shown))

    def _as_response(self, job: Job) -> Any:
        made = self._types.make("ISA95ParameterDataType", ID="Made", Value=ua.Variant(job.made, ua.VariantType.Int32))
        return self._types.make(
            "ISA95JobResponseDataType",
            JobResponseID=f"{job.id}-response", JobOrderID=job.id, StartTime=job.started, EndTime=job.ended,
            JobState=self._states(job), JobResponseData=[made],
        )  # fmt: skip

    def _states(self, job: Job) -> list[Any]:
        state = self._types.make("ISA95StateDataType", StateText=ua.LocalizedText(job.state[0]), StateNumber=STATES[job.state[0]])
        below = [
            self._types.make(
            "ISA95StateDataType",
                BrowsePath=ua.RelativePath([ua.RelativePathElement(
                    IncludeSubtypes=True, TargetName=ua.QualifiedName(f"{job.state[0]}Substates", self._types.index)
                )]),
                StateText=ua.LocalizedText(substate), StateNumber=SUBSTATES[substate],
            )
            for substate in job.state[1:]
        ]  # fmt: skip
        return [state, *below]

    def _work_master(self) -> Any:
        defaults = {"Count": (1, ua.VariantType.Int32), "Duration": (0.3, ua.VariantType.Double)}
        parameters = [self._types.make("ISA95ParameterDataType", ID=k, Value=ua.Variant(v, t)) for k, (v, t) in defaults.items()]
        return self._types.make(
            "ISA95WorkMasterDataType",
            ID="Assemble",
            Description=ua.LocalizedText("Assembles Count pieces"),
            Parameters=parameters,
        )

    def _entered(self, job: Job) -> None:
        self.log.add("state", [job.id, *job.state])


def _plain(value: Any) -> Any:
    return value.Value if isinstance(value, ua.Variant) else value


def _argument(name: str, kind: int | ua.NodeId, array: bool = False) -> ua.Argument:
    data_type = kind if isinstance(kind, ua.NodeId) else ua.NodeId(kind)
    return ua.Argument(
        Name=name, DataType=data_type, ValueRank=ua.ValueRank(1 if array else -1), ArrayDimensions=[0] if array else []
    )  # fmt: skip


def _result(code: Return, *outputs: ua.Variant) -> ua.CallMethodResult:
    """An error that has a ReturnStatus is Uncertain: Bad would drop the outputs (annex B.2)."""
    status = ua.StatusCodes.Good if code is Return.NO_ERROR else ua.StatusCodes.Uncertain
    returned = ua.Variant(int(code), ua.VariantType.UInt64)
    return ua.CallMethodResult(StatusCode=ua.StatusCode(status), OutputArguments=[*outputs, returned])


@asynccontextmanager
async def job_order_machine(
    port: int = 0, log: CallLog | None = None, uri: str = ISA95_URI, limit: int = 8
) -> AsyncIterator[JobOrderMachine]:
    """The station in this process while the block runs. `uri`: the namespace of its types."""
    machine = JobOrderMachine(log or CallLog(), uri, limit)
    async with hosted("urn:dtios:station:server", "/station", port, machine.build) as endpoint:
        machine.endpoint = endpoint
        working = asyncio.create_task(machine.work(), name="orders")
        try:
            yield machine
        finally:
            working.cancel()
            await asyncio.wait([working])


async def _run(options: argparse.Namespace) -> None:
    with CallLog(options.log) as log:
        async with job_order_machine(options.port, log, options.namespace, options.limit) as machine:
            announce(endpoint=machine.endpoint)
            await ended(options.with_parent)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.machines.job_order")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--namespace", default=ISA95_URI, help="URI of the namespace of the job control types")
    parser.add_argument("--limit", type=int, default=8, help="MaxDownloadableJobOrders")
    parser.add_argument("--log", type=Path)
    parser.add_argument("--with-parent", action="store_true")
    asyncio.run(_run(parser.parse_args()))
