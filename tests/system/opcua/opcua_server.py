"""An asyncua server on a free port with one of everything, and a sink that keeps what it is given."""

import asyncio
import gc
import pickle
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import anyio
from asyncua import Server, ua
from asyncua.common.structures104 import new_enum, new_struct, new_struct_field
from asyncua.server.internal_server import InternalServer

from dtios.mapping.facts import BrowseFacts, Node
from dtios.model.batch import Batch
from dtios.sdk import adapter as adapter_seam
from dtios.sdk.adapter import Connection, ConnectionSettings, Loss, MonitoredPoint
from dtios_opcua import adapter

URI = "urn:dtios:test:machine"
HOME = Path(tempfile.gettempdir()) / "dtios-tests"
QUICK = ConnectionSettings(keep_alive=2.0, publishing_interval=0.02, timeout=10.0)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class _QuickServer(InternalServer):
    """Starts in a quarter of the time: the standard address space is built once and kept as bytes."""

    _standard: bytes = b""

    async def _set_current_time_loop(self) -> None:
        """Nothing here needs the server's clock, and stopping would wait for it."""

    async def load_standard_address_space(self, shelf_file: Path | None = None) -> None:
        if not _QuickServer._standard:
            await super().load_standard_address_space(shelf_file)
            nodes = self.aspace._nodes
            _QuickServer._standard = await asyncio.to_thread(pickle.dumps, nodes, pickle.HIGHEST_PROTOCOL)
            return
        gc.disable()  # the collector would walk a hundred thousand new objects again and again
        try:
            self.aspace._nodes = pickle.loads(_QuickServer._standard)
        finally:
            gc.enable()


@asynccontextmanager
async def serving(
    fill: Callable | None = None, port: int | None = None, before: tuple[str, ...] = ()
) -> AsyncIterator[tuple[str, Server]]:
    """(url, server); `before` are namespaces declared before the machine's own."""
    port = port or free_port()
    server = Server(iserver=_QuickServer())
    await server.init()
    server.set_endpoint(f"opc.tcp://127.0.0.1:{port}/dtios")
    server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    for uri in before:
        await server.register_namespace(uri)
    if fill is not None:
        await fill(server, await server.register_namespace(URI))
    gc.freeze()  # the collector need not look at a whole address space again and again
    async with server:
        yield f"opc.tcp://127.0.0.1:{port}/dtios", server
    gc.unfreeze()


class Sink(adapter_seam.Sink):
    """Keeps batches and losses in one list, in their order."""

    def __init__(self) -> None:
        self.stream: list[Batch | Loss] = []
        self.lives = 0
        self._news = asyncio.Event()

    async def deliver(self, batch: Batch) -> None:
        self.stream.append(batch)
        self._news.set()

    def lost(self, loss: Loss) -> None:
        self.stream.append(loss)
        self._news.set()

    def alive(self) -> None:
        self.lives += 1
        self._news.set()

    @property
    def batches(self) -> list[Batch]:
        return [one for one in self.stream if isinstance(one, Batch)]

    @property
    def losses(self) -> list[Loss]:
        return [one for one in self.stream if isinstance(one, Loss)]

    def values(self, handle: int) -> list:
        return [value for batch in self.batches for at, value in zip(batch.handles, batch.values, strict=True) if at == handle]

    async def until(self, condition: Callable[["Sink"], bool], seconds: float = 5.0) -> None:
        with anyio.fail_after(seconds):
            while not condition(self):
                self._news.clear()
                await self._news.wait()


@asynccontextmanager
async def connected(
    url: str, settings: ConnectionSettings = QUICK, sink: Sink | None = None
) -> AsyncIterator[tuple[Connection, Sink]]:
    connection = adapter.connect(url, settings, HOME)
    sink = sink or Sink()
    async with anyio.create_task_group() as tasks:
        await tasks.start(partial(_run, connection, sink))
        yield connection, sink
        tasks.cancel_scope.cancel()


async def _run(connection: Connection, sink: Sink, *, task_status) -> None:
    await connection.run(sink, task_status=task_status)


def find(facts: BrowseFacts, name: str) -> Node:
    return next(node for node in facts.root.walk() if node.name.name == name)


def points(facts: BrowseFacts, *names: str) -> list[MonitoredPoint]:
    nodes = [find(facts, name) for name in names]
    return [MonitoredPoint(handle, node.address, node.type) for handle, node in enumerate(nodes, start=1)]


async def plain(server: Server, idx: int) -> None:
    """Two numbers on a machine."""
    machine = await server.nodes.objects.add_object(ua.NodeId("Machine", idx), ua.QualifiedName("Machine", idx))
    for name in ("Speed", "Level"):
        variable = await machine.add_variable(ua.NodeId(name, idx), ua.QualifiedName(name, idx), 0.0)
        await variable.set_writable()


async def rich(server: Server, idx: int) -> None:
    """What browse facts can show."""
    base = await server.nodes.base_object_type.add_object_type(idx, "BaseMachineType")
    kind = await base.add_object_type(idx, "MillType")
    machine = await server.nodes.objects.add_object(ua.NodeId("Mill", idx), ua.QualifiedName("Mill", idx), kind.nodeid)
    speed = await machine.add_variable(ua.NodeId("Speed", idx), ua.QualifiedName("Speed", idx), 10.0)
    await speed.set_writable()
    await speed.add_property(0, "EURange", ua.Range(0, 100))
    unit = ua.EUInformation("http://www.opcfoundation.org/UA/units/un/cefact", 5067858, ua.LocalizedText("m"))
    await speed.add_property(0, "EngineeringUnits", unit)
    own = await machine.add_variable(idx, "Pressure", ua.Variant(3, ua.VariantType.UInt16))
    await own.add_property(0, "EngineeringUnits", ua.EUInformation("urn:maker", 7, ua.LocalizedText("blob")))
    await machine.add_variable(idx, "Matrix", ua.Variant([[1, 2], [3, 4]], ua.VariantType.Int16))
    point, _ = await new_struct(
        server, idx, "Point", [new_struct_field("X", ua.VariantType.Double), new_struct_field("Y", ua.VariantType.Double)]
    )
    path, _ = await new_struct(
        server,
        idx,
        "Path",
        [
            new_struct_field("Points", point.nodeid, array=True),
            new_struct_field("Name", ua.VariantType.String, optional=True),
            new_struct_field("Started", ua.VariantType.DateTime),
        ],
    )
    color = await new_enum(server, idx, "Color", ["Red", "Green"])
    await server.load_data_type_definitions()
    made = ua.extension_objects_by_datatype[path.nodeid]()
    made.Points = [ua.extension_objects_by_datatype[point.nodeid](X=1.0, Y=2.0)]
    track = await machine.add_variable(idx, "Track", made, datatype=path.nodeid)
    await track.set_writable()
    await machine.add_variable(idx, "Light", ua.Variant(1, ua.VariantType.Int32), datatype=color.nodeid)

    async def double(_parent, value):
        if value.Value < 0:
            return ua.StatusCode(ua.StatusCodes.BadInvalidState)
        return [ua.Variant(value.Value * 2, ua.VariantType.Double)]

    given = ua.Argument(Name="value", DataType=ua.NodeId(11), ValueRank=-1, Description=ua.LocalizedText("what to double"))
    result = ua.Argument(Name="result", DataType=ua.NodeId(11), ValueRank=-1)
    await machine.add_method(ua.NodeId("Double", idx), ua.QualifiedName("Double", idx), double, [given], [result])


async def _alone(port: int) -> None:
    async with serving(plain, port):
        print("ready", flush=True)
        await anyio.sleep_forever()


if __name__ == "__main__":
    asyncio.run(_alone(int(sys.argv[1])))
