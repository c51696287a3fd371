"""The server does what the other tests of this folder rely on, judged with a bare client and the server's own log."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from asyncua import Client, Node, ua

from tests.machines.process import MachineProcess

pytestmark = pytest.mark.interop

PACKML = "http://opcfoundation.org/UA/PackML/"
JOBS = "http://opcfoundation.org/UA/Machinery/Jobs/"
ISA95 = "http://opcfoundation.org/UA/ISA95-JOBCONTROL_V2/"
MACHINERY = "http://opcfoundation.org/UA/Machinery/"
DI = "http://opcfoundation.org/UA/DI/"
STRANGE = "urn:interop:strange"


class Bare:
    """A client that finds nodes by (namespace URI, name)."""

    def __init__(self, client: Client, uris: list[str]) -> None:
        self.client, self.uris = client, uris

    def name(self, uri: str, name: str) -> ua.QualifiedName:
        return ua.QualifiedName(name, self.uris.index(uri))

    async def node(self, *path: tuple[str, str]) -> Node:
        return await self.client.nodes.objects.get_child([self.name(*p) for p in path])

    def make(self, uri: str, number: int, **fields: Any) -> Any:
        """A structure by its type's NodeId: asyncua keeps one class for a name, whichever server came first."""
        return ua.get_type(ua.NodeId(number, self.uris.index(uri)))(**fields)

    async def odd(self, *path: str) -> Node:
        return await self.node(*((STRANGE, p) for p in ("Oddball", *path)))


@asynccontextmanager
async def bare(server: MachineProcess, types: bool = False) -> AsyncIterator[Bare]:
    async with Client(server.endpoint) as client:
        if types:
            await client.load_data_type_definitions()
        yield Bare(client, await client.get_namespace_array())


async def until(check: Callable[[], Any], seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not await check():
            await asyncio.sleep(0.02)


async def test_identification(interop_server: MachineProcess) -> None:
    async with bare(interop_server) as it:
        machine = [(MACHINERY, "Machines"), (STRANGE, "Assembler"), (DI, "Identification")]
        node = await it.node(*machine)
        kind = await it.client.get_node(await node.read_type_definition()).read_browse_name()
        assert kind == it.name(MACHINERY, "MachineIdentificationType")
        names = ("SerialNumber", "ProductInstanceUri", "Manufacturer")
        read = {n: await (await node.get_child(it.name(DI, n))).read_value() for n in names}
        assert read["SerialNumber"] == "SN-0042"
        assert read["ProductInstanceUri"] == "urn:interop:assembler:SN-0042"
        assert read["Manufacturer"].Text == "Interop Works"
        state = await it.node(*machine[:2], (MACHINERY, "MachineryItemState"), ("http://opcfoundation.org/UA/", "CurrentState"))
        assert (await state.read_value()).Text == "NotExecuting"


@pytest.mark.parametrize("unit", ["Unit1", "Labeller"])
async def test_packml_moves_on_commands(interop_server: MachineProcess, unit: str) -> None:
    before = len(commands(interop_server, unit))
    async with bare(interop_server) as it:
        base = await it.node((PACKML, "PackMLObjects"), (STRANGE, unit), (PACKML, "BaseStateMachine"))
        execute = await base.get_child([it.name(PACKML, "MachineState"), it.name(PACKML, "ExecuteState")])
        current = await execute.get_child("0:CurrentState")

        async def state() -> str | None:
            reading = await current.read_data_value(raise_on_bad_status=False)
            return reading.Value.Value.Text if reading.StatusCode.is_good() else reading.StatusCode.name

        assert await state() == "Idle"
        with pytest.raises(ua.UaStatusCodeError) as refusal:
            await execute.call_method(it.name(PACKML, "Hold"))
        assert refusal.value.code == ua.StatusCodes.BadInvalidState
        await execute.call_method(it.name(PACKML, "Start"), ua.Variant([], ua.VariantType.ExtensionObject, is_array=True))
        await until(lambda: _is(state, "Complete"))
        await execute.call_method(it.name(PACKML, "Reset"))
        await until(lambda: _is(state, "Idle"))
        machine = await base.get_child(it.name(PACKML, "MachineState"))
        await machine.call_method(it.name(PACKML, "Stop"))
        await until(lambda: _is(state, "BadStateNotActive"))
        await asyncio.sleep(0.2)
        await machine.call_method(it.name(PACKML, "Reset"))
        await until(lambda: _is(state, "Idle"))
    assert commands(interop_server, unit)[before:] == ["Hold", "Start", "Reset", "Stop", "Reset"]


def commands(server: MachineProcess, unit: str) -> list[str]:
    return [e["method"] for e in server.calls() if e.get("unit") == unit and e["method"] != "state"]


async def _is(state: Callable[[], Any], wanted: str) -> bool:
    return bool(await state() == wanted)


async def test_empty_dimensions_and_derived_types(interop_server: MachineProcess) -> None:
    async with bare(interop_server) as it:
        unit = await it.node((PACKML, "PackMLObjects"), (STRANGE, "Labeller"))
        kind, names = it.client.get_node(await unit.read_type_definition()), []
        while True:
            names.append((await kind.read_browse_name()).Name)
            above = await kind.get_references(ua.ObjectIds.HasSubtype, ua.BrowseDirection.Inverse)
            if not above:
                break
            kind = it.client.get_node(above[0].NodeId)
        assert names == ["FastLabellerType", "LabellerType", "PackMLBaseObjectType", "BaseObjectType"]
        times = await it.node((PACKML, "PackMLObjects"), (STRANGE, "Unit1"), (PACKML, "Admin"), (PACKML, "StateCumulativeTime"))
        with pytest.raises(IndexError):  # the very trap that an adapter has to step over
            await times.read_value()


PLACES = {
    "Assembler": [(MACHINERY, "Machines"), (STRANGE, "Assembler"), (JOBS, "JobManagement")],
    "Shop": [(STRANGE, "Shop")],
}
PARTS = {"Assembler": ((JOBS, "JobOrderControl"), (JOBS, "JobOrderResults")), "Shop": ((STRANGE, "Orders"), (STRANGE, "Answers"))}


class Shop:
    def __init__(self, it: Bare, receiver: Node, provider: Node) -> None:
        self.it, self.receiver, self.provider = it, receiver, provider

    async def call(self, method: str, subject: Any) -> int:
        comment = ua.Variant([], ua.VariantType.LocalizedText, is_array=True)
        return int((await self.raw(self.receiver, method, ua.Variant(subject), comment))[0])

    async def raw(self, owner: Node, method: str, *arguments: ua.Variant) -> list[Any]:
        """asyncua's own call drops the outputs of an Uncertain answer."""
        node = await owner.get_child(self.it.name(ISA95, method))
        request = ua.CallMethodRequest(ObjectId=owner.nodeid, MethodId=node.nodeid, InputArguments=list(arguments))
        [answer] = await self.it.client.uaclient.call([request])
        assert not answer.StatusCode.is_bad()
        outputs = [v.Value for v in answer.OutputArguments]
        assert answer.StatusCode.is_good() == (outputs[-1] == 1)
        return outputs

    async def states(self, job: str) -> list[str] | None:
        listed = await (await self.receiver.get_child(self.it.name(ISA95, "JobOrderList"))).read_value()
        return next(([s.StateText.Text for s in o.State] for o in listed or [] if o.JobOrder.JobOrderID == job), None)

    async def response(self, job: str) -> Any:
        return await self.raw(self.provider, "RequestJobResponseByJobOrderID", ua.Variant(job))


def order(it: Bare, job: str, **parameters: Any) -> Any:
    kind = {int: ua.VariantType.Int32, float: ua.VariantType.Double, bool: ua.VariantType.Boolean}
    given = [it.make(ISA95, 3003, ID=k, Value=ua.Variant(v, kind[type(v)])) for k, v in parameters.items()]
    return it.make(ISA95, 3008, JobOrderID=job, JobOrderParameters=given)


@pytest.mark.parametrize("place", ["Assembler", "Shop"])
async def test_job_orders(interop_server: MachineProcess, place: str) -> None:
    async with bare(interop_server, types=True) as it:
        shop = Shop(it, *[await it.node(*PLACES[place], part) for part in PARTS[place]])
        one = f"{place}-1"
        assert await shop.call("StoreAndStart", order(it, one, Count=4, Duration=0.5)) == 1
        assert await shop.call("StoreAndStart", order(it, one)) == 1 << 4
        await until(lambda: _among(shop, one, ["Running"]))
        assert await shop.call("Pause", one) == 1
        assert await shop.states(one) == ["Interrupted", "Held"]
        assert await shop.call("Pause", one) == 1 << 3
        assert await shop.call("Resume", one) == 1
        await until(lambda: _among(shop, one, ["Ended", "Completed"]))
        response, returned = await shop.response(one)
        assert returned == 1
        assert [(p.ID, p.Value.Value) for p in response.JobResponseData] == [("Made", 4)]
        assert await shop.call("Clear", one) == 1
        assert await shop.states(one) is None
        assert await shop.call("Stop", one) == 1 << 1
        assert (await shop.response(one))[1] == 1 << 1
        two = f"{place}-2"
        assert await shop.call("Store", order(it, two, Duration=30.0)) == 1
        assert await shop.states(two) == ["NotAllowedToStart", "Ready"]
        assert await shop.call("Start", two) == 1
        await until(lambda: _among(shop, two, ["Running"]))
        assert await shop.call("Abort", two) == 1
        assert await shop.states(two) == ["Aborted"]
        assert await shop.call("Clear", two) == 1
        failing = f"{place}-3"
        assert await shop.call("StoreAndStart", order(it, failing, Fail=True, Duration=0.1)) == 1
        await until(lambda: _among(shop, failing, ["Aborted"]))
        assert await shop.call("Clear", failing) == 1
    starts = [e["args"][0]["id"] for e in interop_server.calls("StoreAndStart") if e["shop"] == place]
    assert [id for id in starts if id in (one, two, failing)] == [one, one, failing]


async def _among(shop: Shop, job: str, wanted: list[str]) -> bool:
    return await shop.states(job) == wanted


async def test_strange_values(interop_server: MachineProcess) -> None:
    async with bare(interop_server, types=True) as it:
        names = ("UInt64", "Int64", "String", "Guid", "Anything", "SByte")
        read = {n: await (await it.odd("Scalars", n)).read_value() for n in names}
        assert read["UInt64"] == 2**64 - 1
        assert read["Int64"] == -(2**63)
        assert read["String"] == "naïve ☃"
        assert read["SByte"] == -128
        assert read["Anything"] == 2.5
        assert await (await it.odd("Arrays", "Matrix")).read_value() == [[1, 2, 3], [4, 5, 6]]
        assert await (await it.odd("Arrays", "Empty")).read_value() == []
        assert await (await it.odd("Arrays", "Int64s")).read_value() == [1, 2**63 - 1]
        with pytest.raises(IndexError):
            await (await it.odd("Arrays", "HalfEmptyMatrix")).read_value()
        full = await (await it.odd("Structures", "FullRoute")).read_value()
        bare_route = await (await it.odd("Structures", "BareRoute")).read_value()
        assert (full.Name, full.Colour.name, [(p.X, p.Y) for p in full.Points], full.Limit, full.Marks) == (
            "full", "Blue", [(0, 0), (1, 1)], 2.5, [1, 2, 3],
        )  # fmt: skip
        assert (bare_route.Name, bare_route.Comment, bare_route.Limit, bare_route.Points) == ("bare", None, None, [])


async def test_strange_access_and_names(interop_server: MachineProcess) -> None:
    async with bare(interop_server) as it:
        codes = {}
        for name in ("WriteOnly", "NoAccess", "Failing", "Doubtful", "Waiting", "ReadOnly"):
            reading = await (await it.odd("Access", name)).read_data_value(raise_on_bad_status=False)
            codes[name] = reading.StatusCode.name
        assert codes == {
            "WriteOnly": "BadNotReadable", "NoAccess": "BadNotReadable", "Failing": "BadDeviceFailure",
            "Doubtful": "UncertainInitialValue", "Waiting": "BadWaitingForInitialData", "ReadOnly": "Good",
        }  # fmt: skip
        for name, code in (("ReadOnly", "BadNotWritable"), ("NotForYou", "BadUserAccessDenied")):
            with pytest.raises(ua.UaStatusCodeError) as refusal:
                await (await it.odd("Access", name)).write_value(ua.DataValue(ua.Variant(2, ua.VariantType.Int32)))
            assert refusal.value.code in (getattr(ua.StatusCodes, code), ua.StatusCodes.BadUserAccessDenied)
        names = [(await c.read_browse_name()).Name for c in await (await it.odd("Names")).get_children()]
        assert {"a/b", "c~d", "e/f~g", "grün", "Oddball"} <= set(names)
        assert names.count("Twin") == 2


async def test_set_points_are_logged(interop_server: MachineProcess) -> None:
    async with bare(interop_server) as it:
        length = await it.odd("SetPoints", "Length")
        await length.write_value(ua.DataValue(ua.Variant(42.5, ua.VariantType.Double)))
        assert await length.read_value() == 42.5
        limits = await (await length.get_child("0:EURange")).read_value()
        units = await (await length.get_child("0:EngineeringUnits")).read_value()
        assert (limits.Low, limits.High, units.UnitId) == (0, 100, 0x4D4D54)
        await (await it.odd("SetPoints", "AnyUInt64")).write_value(ua.DataValue(ua.Variant(2**64 - 1, ua.VariantType.UInt64)))
    written = {e["node"]: e["args"][0] for e in interop_server.calls("write")}
    assert written["Length"] == 42.5
    assert "AnyUInt64" in written


async def test_methods(interop_server: MachineProcess) -> None:
    async with bare(interop_server, types=True) as it:
        owner, name = await it.odd("Methods"), it.name
        assert await owner.call_method(name(STRANGE, "Add"), 1.5, 2.0) == 3.5
        assert await owner.call_method(name(STRANGE, "Scale"), [1.0, 2.0], 2.0) == [[2.0, 4.0], 2]
        assert await owner.call_method(name(STRANGE, "Norm"), it.make(STRANGE, 3002, X=3.0, Y=4.0)) == 5
        with pytest.raises(ua.UaStatusCodeError) as refusal:
            await owner.call_method(name(STRANGE, "Refuse"))
        assert refusal.value.code == ua.StatusCodes.BadInvalidState
        counter = await it.odd("Counter")
        begun, before = time.monotonic(), await counter.read_value()
        slow = asyncio.ensure_future(owner.call_method(name(STRANGE, "Slow"), 0.5))
        await until(lambda: _greater(counter, before))
        assert not slow.done()
        assert await slow == 0.5
        assert time.monotonic() - begun >= 0.5


async def _greater(node: Node, value: int) -> bool:
    return bool(await node.read_value() > value)
