"""A connection under test."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
from anyio.abc import TaskStatus

from dtios.mapping.facts import BrowseFacts, Node
from dtios.model.datatypes import ValueType
from dtios.model.errors import DtiosError
from dtios.model.values import DataValue
from dtios.sdk.adapter import Connection, LastCheck, MonitoredPoint, Write
from dtios.testing.conformance.recorder import Recorder
from dtios.testing.conformance.rig import Rig, node_below

__all__ = ["Probe", "connected", "standing"]


class _Standing(TaskStatus[None]):
    """Notes whether the session stood."""

    def __init__(self, status: TaskStatus[None]) -> None:
        self._status = status
        self.said = False

    def started(self, value: None = None) -> None:
        self.said = True
        self._status.started()


class Probe:
    """A connection under test, with its sink and, once it is lost, its error. `rig` None: for tests that ask for no node by its
    name."""

    def __init__(self, connection: Connection, rig: Rig | None = None) -> None:
        self.connection = connection
        self.rig = rig
        self.sink = Recorder() if rig is None else Recorder(rig.patience)
        self.error: DtiosError | None = None
        self.ended = anyio.Event()
        self._facts: BrowseFacts | None = None

    async def run(self, *, task_status: TaskStatus[None]) -> None:
        standing = _Standing(task_status)
        try:
            await self.connection.run(self.sink, task_status=standing)
        except DtiosError as error:
            self.error = error
        finally:
            self.ended.set()
            if not standing.said:
                task_status.started()

    async def settle(self) -> None:
        """Until the adapter knows its machine."""
        if self.rig is not None and self.rig.found_within:
            await self.known("", self.rig.found_within)

    async def node(self, name: str) -> Node:
        """A node below `Conformance`. Raises AssertionError if browsing did not find it."""
        if self._facts is None:
            self._facts = await self.connection.browse()
        found = self._find(self._facts, name)
        assert found is not None, f"browsing did not find Conformance/{name}"
        return found

    def _find(self, facts: BrowseFacts, name: str) -> Node | None:
        return node_below(facts, name) if self.rig is None else self.rig.find(facts, name)

    async def typed(self, name: str) -> tuple[str, ValueType]:
        """Address and type of a variable below `Conformance`."""
        node = await self.node(name)
        assert node.type is not None, f"browsing found no type of {name}"
        return node.address, node.type

    async def write(self, name: str, value: Any, last_check: LastCheck) -> int:
        """One variable, of its own type. A StatusCode."""
        address, type = await self.typed(name)
        (status,) = await self.connection.write([Write(address, value, type)], last_check)
        return status

    async def read(self, name: str) -> DataValue:
        (reading,) = await self.connection.read([(await self.node(name)).address])
        return reading

    async def known(self, name: str, within: float) -> None:
        """Until browsing finds it: adapters that cannot browse learn of their machines as these speak."""
        with anyio.move_on_after(within):
            while True:
                self._facts = await self.connection.browse()
                if self._find(self._facts, name) is not None:
                    return
                await anyio.sleep(0.02)
        raise AssertionError(f"browsing did not find Conformance/{name} within {within:g} s")

    async def point(self, handle: int, name: str, queue: int | None = None) -> MonitoredPoint:
        address, type = await self.typed(name)
        return MonitoredPoint(handle, address, type, queue=queue)


@asynccontextmanager
async def connected(rig: Rig, url: str | None = None, **settings: Any) -> AsyncIterator[Probe]:
    """A standing session, at `url` if it is not the rig's own. Raises the error that connecting ended with."""
    async with standing(Probe(rig.connect(url, **settings), rig)) as probe:
        yield probe


@asynccontextmanager
async def standing(probe: Probe) -> AsyncIterator[Probe]:
    """A session of this connection, which may have had others before. Raises the error that connecting ended with."""
    probe.error, probe.ended = None, anyio.Event()
    async with anyio.create_task_group() as tasks:
        await tasks.start(probe.run, name="conformance connection")
        refused = probe.error
        if refused is None:
            await probe.settle()
            yield probe
            tasks.cancel_scope.cancel()
    if refused is not None:
        raise refused
