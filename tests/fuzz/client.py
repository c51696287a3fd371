"""The whole client at a socket: a server that answers one kind of request with what the input says, and the others rightly."""

import asyncio
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import anyio
import psutil

from dtios.model.batch import Batch
from dtios.model.datatypes import BuiltinType, ValueType
from dtios.model.event import Event
from dtios.model.values import QualifiedName
from dtios.sdk.adapter import Call, ConnectionSettings, EventFields, Loss, MonitoredPoint, Write
from dtios.sdk.errors import DtiosError
from dtios_opcua import adapter
from tests.faults.scripted import ScriptedServer, scripted
from tests.faults.space import URI
from tests.faults.wire import ACK, OPN

__all__ = ["KINDS", "Client", "client", "recorded"]

KINDS: Final = (
    ACK, OPN, "CreateSession", "ActivateSession", "Read", "Browse", "BrowseNext", "CreateSubscription", "CreateMonitoredItems",
    "Publish", "Write", "Call", "Republish", "DeleteMonitoredItems", "SetPublishingMode", "GetEndpoints", "FindServers",
    "DeleteSubscriptions", "whole message",
)  # fmt: skip
"""An input's first byte chooses one; the second, how many right answers of that kind come first; the rest is the answer."""
LIMIT: Final = 10.0
"""Seconds for one input, after which it has hung."""
_MOST_RIGHT: Final = 16
_SPACE: Final = ("Read", "Browse", "BrowseNext", "whole message")
_OBSERVED: Final = (
    "CreateSubscription", "CreateMonitoredItems", "Publish", "Republish", "DeleteMonitoredItems", "SetPublishingMode",
    "DeleteSubscriptions",
)  # fmt: skip
_INT, _DOUBLE = ValueType(BuiltinType.Int64), ValueType(BuiltinType.Double)
_SETTINGS = ConnectionSettings(timeout=0.3, keep_alive=1.0, publishing_interval=0.001)


class _Sink:
    def __init__(self) -> None:
        self.batches = 0

    async def deliver(self, batch: Batch) -> None:
        self.batches += 1
        assert len(batch.values) == len(batch.handles) == len(batch.statuses)

    async def event(self, event: Event) -> None: ...
    def lost(self, loss: Loss) -> None: ...
    def alive(self) -> None: ...
    def condition(self, source: str, condition: Any) -> None: ...
    def conditions_refreshed(self) -> None: ...
    def clock(self, offset: int, error: int) -> None: ...
    def changed(self) -> None: ...
    def presence(self, addresses: Any, detail: str) -> None: ...


class Client:
    """Runs inputs one after the other against one server. `seen`: the true answers of each kind."""

    def __init__(self, server: ScriptedServer) -> None:
        self.server = server
        self.seen: dict[str, list[bytes]] = {}
        self.outcomes: dict[str, int] = {}
        self.runs = self.stood = 0
        self._kind = ""
        self._right = 0
        self._instead = b""
        server.tamper = self._tamper

    def _tamper(self, name: str, body: bytes) -> bytes:
        seen = self.seen.setdefault(name, [])
        if len(seen) < 24 and body not in seen:
            seen.append(body)
        if name == self._kind:
            if self._right == 0:
                return self._instead
            self._right -= 1
        elif self._kind == "whole message" and name == "Read":
            self.server.links[-1].raw(self._instead)
        return body

    async def run(self, data: bytes) -> None:
        """Raises what must never come out, TimeoutError for a hang and AssertionError for tasks that are left."""
        if len(data) < 2:
            return
        self._kind, self._right, self._instead = KINDS[data[0] % len(KINDS)], data[1] % _MOST_RIGHT, data[2:]
        before = asyncio.all_tasks()
        self.runs += 1
        async with asyncio.timeout(LIMIT):
            await self._session()
            await self._discover()
        await self._settled(before)

    async def whole(self) -> None:
        """Everything, with nothing changed."""
        self._kind = ""
        self.runs += 1
        await self._session()

    async def _session(self) -> None:
        connection, sink = adapter.connect(self.server.url, _SETTINGS, Path("unused")), _Sink()

        async def serve(*, task_status: Any) -> None:
            try:
                await connection.run(sink, task_status=task_status)
            except DtiosError as error:
                self._count(error)
            tasks.cancel_scope.cancel()

        async with anyio.create_task_group() as tasks:
            await tasks.start(serve)
            self.stood += 1
            for step in self._steps():
                try:
                    await step(connection, sink)
                except DtiosError as error:
                    self._count(error)
            tasks.cancel_scope.cancel()

    def _steps(self) -> tuple[Callable[[Any, _Sink], Awaitable[None]], ...]:
        """What asks for answers of the kind; all, when nothing is changed."""
        if self._kind in _SPACE:
            return (self._browse, self._observe) if self._kind == "Read" and self._right > _MOST_RIGHT / 2 else (self._browse,)
        if self._kind in _OBSERVED:
            return (self._observe,)
        return (self._command,) if self._kind else (self._browse, self._observe, self._command)

    async def _browse(self, connection: Any, sink: _Sink) -> None:
        await connection.fingerprint()
        facts = await connection.browse()
        assert sum(1 for _ in facts.root.walk()) < 100_000

    async def _observe(self, connection: Any, sink: _Sink) -> None:
        wanted = [MonitoredPoint(n + 1, f"nsu={URI};s=Counter{n}", _INT) for n in range(3)]
        statuses = await connection.subscribe(wanted)
        assert len(statuses) == 3
        await connection.watch_events([EventFields(QualifiedName("http://opcfoundation.org/UA/", "BaseEventType"))])
        for subscription in self.server.subscriptions.values():
            subscription.drop = 1 if self._kind == "Republish" else 0
        for _ in range(2):
            self.server.step()
            await asyncio.sleep(0.003)
        await connection.unsubscribe([1])

    async def _command(self, connection: Any, sink: _Sink) -> None:
        counter, machine = f"nsu={URI};s=Counter0", f"nsu={URI};s=Machine"
        readings = await connection.read([counter, machine])
        assert len(readings) == 2
        try:
            assert len(await connection.write([Write(counter, 1, _INT)], lambda: None)) == 1
        except DtiosError as error:
            self._count(error)
        await connection.call(Call(machine, f"nsu={URI};s=Reset", [(1.0, _DOUBLE)], timeout=0.3), lambda: None)

    async def _discover(self) -> None:
        if self._kind not in ("GetEndpoints", "FindServers"):
            return
        try:
            await adapter.discover(self.server.url)
        except DtiosError as error:
            self._count(error)

    def _count(self, error: DtiosError) -> None:
        self.outcomes[type(error).__name__] = self.outcomes.get(type(error).__name__, 0) + 1

    @staticmethod
    async def _settled(before: set[asyncio.Task[Any]]) -> None:
        for _ in range(200):
            left = [one for one in asyncio.all_tasks() - before if "StreamReader" not in repr(one) and "accept" not in repr(one)]
            if not left:
                return
            await asyncio.sleep(0.005)
        raise AssertionError(f"tasks are left: {left}")


@asynccontextmanager
async def client() -> AsyncIterator[Client]:
    async with scripted(3, 20.0) as server:
        server.counting, server.tick = False, 0.001
        yield Client(server)


async def recorded(one: Client) -> list[bytes]:
    """Seeds: the true answers of a run without a fault."""
    await one.whole()
    await one.run(bytes([KINDS.index("FindServers"), 3]))
    found = []
    for number, name in enumerate(KINDS):
        found += [bytes([number, at % _MOST_RIGHT]) + body for at, body in enumerate(one.seen.get(name, []))]
    message = b"MSGF" + struct.pack("<IIIII", 24, 7, 1, 4, 4)
    return [*found, bytes([len(KINDS) - 1, 0]) + message]


def memory() -> int:
    rss: int = psutil.Process().memory_info().rss
    return rss
