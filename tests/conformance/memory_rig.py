"""The rig of the in-memory adapter."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import anyio

from dtios.model.condition import Condition
from dtios.model.datatypes import BuiltinType
from dtios.model.errors import RefusedError
from dtios.model.machine import Access
from dtios.model.values import QualifiedName
from dtios.testing import MemoryAdapter, MemoryServer
from dtios.testing.conformance import SAMPLES, Bench, Line, Rig
from dtios.testing.proxy import Direction
from dtios.testing.server import NAMESPACE, value_type

PATH = "nsu=urn:dtios:testing;s=Conformance"


class MemoryRig(Rig):
    wrong_url = "memory:nobody"
    event_type = QualifiedName(NAMESPACE, "NumberEventType")
    event_field = (QualifiedName(NAMESPACE, "Number"),)
    skill = ("Add", {"a": 1.0, "b": 2.0}, "Add")

    def __init__(self) -> None:
        self.server = MemoryServer("conformance")
        self.server.tells_clock = True
        self.url = self.server.url
        self.adapter = MemoryAdapter(self.server)
        at = self.server.object("Conformance")
        for name, (builtin, rank, samples) in SAMPLES.items():
            self.server.variable(name, samples[0], value_type(builtin, rank), parent=at)
        self.server.variable("Counter", 0, BuiltinType.Int64, parent=at)
        self.server.variable("Fixed", 0.5, parent=at, access=Access.READ)
        double = BuiltinType.Double
        self.server.method("Add", self._add, parent=at, inputs=[("a", double), ("b", double)], outputs=[("sum", double)])
        self.server.method("Refuse", self._refuse, parent=at)
        self.server.method("Slow", anyio.sleep, parent=at, inputs=[("seconds", double)])

    async def _add(self, a: float, b: float) -> float:
        return a + b

    async def _refuse(self) -> None:
        raise RefusedError("the machine answered BadInvalidState")

    async def set(self, name: str, value: Any, *, status: int = 0, source_time: int | None = None) -> None:
        self.server.set(f"{PATH}/{name}", value, status=status, source_time=source_time)

    async def get(self, name: str) -> Any:
        return self.server.get(f"{PATH}/{name}")

    async def count(self, first: int, last: int) -> None:
        for number in range(first, last + 1):
            self.server.set(f"{PATH}/Counter", number)

    async def tell(self, number: int) -> None:
        self.server.event(PATH, QualifiedName(NAMESPACE, "OtherEventType"), {"Number": -1})
        self.server.event(PATH, self.event_type, {"Number": number})

    async def alarm(self, name: str, *, active: bool) -> None:
        alarm = Condition("", f"{PATH}/{name}", "Conformance", "tried", 500, active=active, acknowledged=False, name=name)
        self.server.condition(PATH, replace(alarm, retain=active))

    async def handled(self) -> list[tuple[str, str, str]]:
        return [(r.address.rpartition("/")[2], *r.value[:2]) for r in self.server.commands if r.kind == "condition"]

    async def writes(self, name: str) -> int:
        return sum(command.address == f"{PATH}/{name}" for command in self.server.commands)

    async def sessions(self) -> int:
        return self.server.sessions

    async def cut(self) -> None:
        self.server.drop()

    async def freeze(self) -> None:
        self.server.freeze()

    async def thaw(self) -> None:
        self.server.thaw()

    async def skew(self, seconds: float) -> None:
        self.server.skew = int(seconds * 1e9)

    async def require(self, user: str, password: str) -> None:
        self.server.users = {user: password}

    async def remove(self, name: str) -> None:
        self.server.remove(f"{PATH}/{name}")

    async def add(self, name: str) -> None:
        self.server.restore(f"{PATH}/{name}")

    @asynccontextmanager
    async def line(self) -> AsyncIterator[tuple[str, Line]]:
        yield self.url, MemoryLine(self.server)

    async def stop(self) -> None:
        self.server.switch_off()

    async def start(self) -> None:
        self.server.switch_on()


class MemoryLine:
    """There is no network to a machine in memory: the machine itself behaves as if there were one."""

    def __init__(self, server: MemoryServer) -> None:
        self._server = server

    def cut(self, *, reset: bool) -> None:
        self._server.drop("RST" if reset else "FIN")

    def half_open(self, ways: tuple[Direction, ...]) -> None:
        self._server.freeze()

    def black_hole(self) -> None:
        self._server.freeze()

    def silent(self) -> None:
        self._server.freeze()

    def slow(self, ways: tuple[Direction, ...], *, delay: float = 0.0, piece: int = 0, rate: float = 0.0) -> None:
        self._server.latency = delay * len(ways)

    async def heal(self) -> None:
        self._server.latency = 0.0
        self._server.thaw()


class MemoryBench(Bench):
    @asynccontextmanager
    async def rig(self) -> AsyncIterator[Rig]:
        rig = MemoryRig()
        async with rig.server:
            yield rig
