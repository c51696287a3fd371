"""The in-memory machine: it behaves as a machine on a wire does, faults included."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from dtios.model.batch import Batch
from dtios.model.condition import Condition
from dtios.model.datatypes import BuiltinType
from dtios.model.errors import ConfigurationError, OutcomeUnknown, RefusedError, TemporaryError
from dtios.model.gap import GapCause
from dtios.model.machine import Access
from dtios.model.status import is_overflow, status_code, status_name
from dtios.sdk import adapter as adapter_seam
from dtios.sdk.adapter import Call, Connection, ConnectionSettings, Loss, MonitoredPoint, Write
from dtios.testing import MemoryAdapter, MemoryServer, VirtualClock, settle
from dtios.testing.server import value_type

DOUBLE = value_type(BuiltinType.Double)
HOME = Path("no-such-home")
SETTINGS = ConnectionSettings(timeout=4, keep_alive=5)


class Sink(adapter_seam.Sink):
    def __init__(self) -> None:
        self.stream: list[Batch | Loss] = []
        self.open = anyio.Event()
        self.open.set()
        self.heard = 0
        self.conditions: list[tuple[str, Condition]] = []

    async def deliver(self, batch: Batch) -> None:
        await self.open.wait()
        self.stream.append(batch)

    def lost(self, loss: Loss) -> None:
        self.stream.append(loss)

    def alive(self) -> None:
        self.heard += 1

    def condition(self, source: str, condition: Condition) -> None:
        self.conditions.append((source, condition))

    @property
    def values(self) -> list[object]:
        return [value for item in self.stream if isinstance(item, Batch) for value in item.values]


class Client:
    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.sink = Sink()
        self.error: Exception | None = None


@asynccontextmanager
async def connected(server: MemoryServer) -> AsyncIterator[Client]:
    client = Client(MemoryAdapter(server).connect(server.url, SETTINGS, HOME))

    async def run(*, task_status: anyio.abc.TaskStatus[None]) -> None:
        try:
            await client.connection.run(client.sink, task_status=task_status)
        except TemporaryError as error:
            client.error = error

    async with anyio.create_task_group() as group:
        await group.start(run)
        yield client
        group.cancel_scope.cancel()


def point(handle: int, address: str, queue: int | None = None) -> MonitoredPoint:
    return MonitoredPoint(handle, address, DOUBLE, queue=queue)


def allowed() -> None:
    """A last check that has nothing against it."""


async def test_the_present_value_comes_first_and_then_every_change_in_order() -> None:
    server = MemoryServer()
    speed = server.variable("Speed", 1.0)
    async with server, connected(server) as client:
        assert await client.connection.subscribe([point(7, speed.address)]) == [0]
        for value in range(2, 5000):
            server.set(speed, float(value))
        await settle()
        assert client.sink.values == [float(v) for v in range(1, 5000)]


async def test_a_slow_sink_holds_the_machine_back_and_the_overflow_shows() -> None:
    server = MemoryServer()
    speed = server.variable("Speed", 0.0)
    async with server, connected(server) as client:
        client.sink.open = anyio.Event()
        await client.connection.subscribe([point(1, speed.address, queue=3)])
        await settle()
        for value in range(1, 11):
            server.set(speed, float(value))
        client.sink.open.set()
        await settle()
        assert client.sink.values == [0.0, 8.0, 9.0, 10.0]
        statuses = [s for batch in client.sink.stream if isinstance(batch, Batch) for s in batch.statuses]
        assert [is_overflow(s) for s in statuses] == [False, True, False, False]


async def test_a_loss_stands_between_the_values_it_happened_between() -> None:
    server = MemoryServer()
    speed = server.variable("Speed", 0.0)
    async with server, connected(server) as client:
        await client.connection.subscribe([point(4, speed.address)])
        server.set(speed, 1.0)
        server.lose([speed], GapCause.UNDECODABLE, count=2)
        server.set(speed, 2.0)
        await settle()
        shown = [item if isinstance(item, Loss) else item.values for item in client.sink.stream]
        assert shown == [[0.0, 1.0], Loss(GapCause.UNDECODABLE, (4,), 2), [2.0]]


async def test_the_last_check_has_the_last_word() -> None:
    server = MemoryServer()
    speed = server.variable("Speed", 0.0)

    def refuse() -> None:
        raise RefusedError("the lease is gone")

    async with server, connected(server) as client:
        with pytest.raises(RefusedError, match="lease"):
            await client.connection.write([Write(speed.address, 1.0, DOUBLE)], refuse)
        await settle()
        assert server.commands == []
        assert server.get(speed) == 0.0


async def test_a_swallowed_answer_leaves_the_outcome_unknown_and_the_deed_done() -> None:
    clock = VirtualClock()
    server = MemoryServer(clock=clock)
    speed = server.variable("Speed", 0.0)
    server.swallow(speed)
    async with server, connected(server) as client, anyio.create_task_group() as group:

        async def write() -> None:
            with pytest.raises(OutcomeUnknown, match="was sent"):
                await client.connection.write([Write(speed.address, 1.0, DOUBLE)], allowed)

        group.start_soon(write)
        await clock.advance(4)
    assert server.get(speed) == 1.0


async def test_a_method_goes_on_without_the_client_that_called_it() -> None:
    server, ended = MemoryServer(), anyio.Event()

    async def work(parts: int) -> int:
        await settle_a_little()
        ended.set()
        return parts * 2

    async def settle_a_little() -> None:
        await anyio.sleep(0.01)

    cell = server.object("Cell")
    method = server.method(
        "Work", work, parent=cell, inputs=[("Parts", BuiltinType.Int32)], outputs=[("Made", BuiltinType.Int32)]
    )
    arguments = [(3, value_type(BuiltinType.Int32))]
    async with server, connected(server) as client:
        assert await client.connection.call(Call(cell.address, method.address, arguments), allowed) == [6]
        ended = anyio.Event()
        with anyio.move_on_after(0.001):
            await client.connection.call(Call(cell.address, method.address, arguments), allowed)
        with anyio.fail_after(1):
            await ended.wait()
        with pytest.raises(RefusedError, match="BadArgumentsMissing"):
            await client.connection.call(Call(cell.address, method.address), allowed)
        with pytest.raises(RefusedError, match="BadMethodInvalid"):
            await client.connection.call(Call("i=85", method.address, arguments), allowed)


async def test_a_frozen_machine_is_lost_within_the_keep_alive_and_does_late_what_it_was_told() -> None:
    clock = VirtualClock()
    server = MemoryServer(clock=clock)
    speed = server.variable("Speed", 0.0)
    async with server, connected(server) as client, anyio.create_task_group() as group:
        server.freeze()

        async def write() -> None:
            with pytest.raises(OutcomeUnknown):
                await client.connection.write([Write(speed.address, 1.0, DOUBLE)], allowed)

        group.start_soon(write)
        await clock.advance(4)
        assert server.commands == []
        await clock.advance(1)
        assert "nothing was heard for 5 s" in str(client.error)
        assert server.sessions == 0
        server.thaw()
        await settle()
        assert server.get(speed) == 1.0


async def test_a_dropped_session_says_so_and_the_next_one_starts_anew() -> None:
    server = MemoryServer()
    speed = server.variable("Speed", 0.0)
    async with server:
        async with connected(server) as client:
            before = await client.connection.fingerprint()
            await server.restart()
            await settle()
            assert "restarted" in str(client.error)
            with pytest.raises(TemporaryError, match="no session"):
                await client.connection.read([speed.address])
        async with connected(server) as client:
            assert await client.connection.fingerprint() != before


async def test_statuses_say_why_a_point_cannot_be_had() -> None:
    server = MemoryServer()
    fixed = server.variable("Fixed", 1.0, access=Access.READ)
    secret = server.variable("Secret", 1.0, access=Access.WRITE)
    async with server, connected(server) as client:
        unknown = "nsu=urn:dtios:testing;s=Nowhere"
        readings = await client.connection.read([fixed.address, secret.address, unknown])
        assert [r.status_name for r in readings] == ["Good", "BadNotReadable", "BadNodeIdUnknown"]
        assert [r.value for r in readings] == [1.0, None, None]
        writes = [Write(a, 2.0, DOUBLE) for a in (fixed.address, secret.address, unknown)]
        statuses = await client.connection.write([*writes, Write(secret.address, 2, value_type(BuiltinType.Int32))], allowed)
        assert [status_name(s) for s in statuses] == ["BadNotWritable", "Good", "BadNodeIdUnknown", "BadTypeMismatch"]
        server.refuse(secret, "BadUserAccessDenied")
        assert await client.connection.write(writes[1:2], allowed) == [status_code("BadUserAccessDenied")]


async def test_no_more_sessions_than_the_machine_has() -> None:
    server = MemoryServer(sessions=1)
    async with server, connected(server):
        with pytest.raises(ExceptionGroup) as caught:
            async with connected(server):
                pytest.fail("a second session was given")
        assert caught.group_contains(TemporaryError, match="BadTooManySessions") or caught
    assert server.sessions == 0


async def test_a_machine_that_is_off_does_not_answer_and_an_unknown_name_is_a_mistake() -> None:
    server = MemoryServer("press")
    with pytest.raises(ConfigurationError, match="memory:press"):
        MemoryAdapter(server).connect("memory:pres", SETTINGS, HOME)
    async with connected_or_not(server) as error:
        assert "nothing answers" in str(error)


@asynccontextmanager
async def connected_or_not(server: MemoryServer) -> AsyncIterator[Exception]:
    connection = MemoryAdapter(server).connect(server.url, SETTINGS, HOME)
    with pytest.raises(TemporaryError) as caught:
        await connection.run(Sink(), task_status=anyio.TASK_STATUS_IGNORED)
    yield caught.value


async def test_a_mistake_in_a_machines_method_is_not_hidden() -> None:
    server = MemoryServer()

    async def broken() -> None:
        raise ZeroDivisionError

    method = server.method("Broken", broken)
    with pytest.raises(ExceptionGroup) as caught:
        async with server, connected(server) as client:
            await client.connection.call(Call("i=85", method.address), allowed)
    assert caught.group_contains(ZeroDivisionError)


async def test_browse_gives_a_copy_with_the_properties_values() -> None:
    server = MemoryServer()
    cell = server.object("Cell")
    server.variable("SerialNumber", "4711", parent=cell, property=True, access=Access.READ)
    async with server, connected(server) as client:
        facts = await client.connection.browse()
    node = facts.root.children[0][1].children[0][1]
    assert (node.name.name, node.value) == ("SerialNumber", "4711")
    assert node is not server.find("Cell/SerialNumber")
