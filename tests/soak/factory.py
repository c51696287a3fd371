"""All that the soak runs: brokers, servers, senders and proxies that can be broken one by one, each in a process of its own."""

import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import anyio.to_thread

from dtios.testing.proxy import FaultProxy
from tests.brokers import BrokerProcess, Mosquitto, running_broker
from tests.faults.counting import values_of
from tests.machines.process import MachineProcess, running_machine
from tests.soak.judge import Log
from tests.soak.line import COUNTERS, LIFE, MACHINES, Sender

__all__ = ["BROKERS", "Factory", "Machine", "running_factory"]

BROKERS: Final = ("broker1", "broker2")


@dataclass
class Machine:
    """A sender through its lives; a server keeps its port. `broker` is where an MQTT one is told to connect to."""

    sender: Sender
    home: Path
    broker: str = ""
    lives: int = 0
    running: MachineProcess | None = None
    _life: AsyncExitStack = field(default_factory=AsyncExitStack)
    _port: int = 0

    @property
    def values(self) -> Path:
        return self.home / f"{self.sender.name}.values"

    def log(self) -> Log:
        return values_of(self.values)

    async def start(self) -> None:
        first, rate = str(self.lives * LIFE), str(self.sender.rate)
        common = ["--values", str(self.values), "--first", first, "--rate", rate]
        if self.sender.kind == "opcua":
            kind = ["tests.faults.counting", "--port", str(self._port), "--counters", str(len(COUNTERS))]
        else:
            kind = ["tests.soak.sending", self.sender.kind, self.sender.name, "--broker", self.broker]
        self.lives += 1
        command = [sys.executable, "-m", *kind, *common]
        self.running = await self._life.enter_async_context(running_machine(command, self.home / f"{self.sender.name}.log"))
        if self.sender.kind == "opcua":
            self._port = self.running.port

    @property
    def port(self) -> int:
        assert self._port
        return self._port

    async def end(self, *, kill: bool) -> None:
        assert self.running is not None
        # its end is waited for in a thread: the proxies stand in this event loop, and a network does not stand still meanwhile
        await anyio.to_thread.run_sync(self.running.kill if kill else self.running.stop)
        await self.aclose()

    async def aclose(self) -> None:
        await self._life.aclose()


@dataclass
class Factory:
    """`links`: proxies between the runtime and a server or broker; `edges`: those between a sender and its broker."""

    machines: dict[str, Machine]
    brokers: dict[str, BrokerProcess]
    links: dict[str, FaultProxy]
    edges: dict[str, FaultProxy]

    def ports(self) -> dict[str, int]:
        return {name: link.port for name, link in self.links.items()}

    def behind(self, place: str) -> list[str]:
        """The machines whose values pass this server or broker."""
        return [name for name, machine in self.machines.items() if machine.sender.behind == place]

    def logs(self) -> dict[str, Log]:
        return {name: machine.log() for name, machine in self.machines.items()}


@asynccontextmanager
async def running_factory(home: Path) -> AsyncIterator[Factory]:
    async with AsyncExitStack() as stack:
        factory = Factory({}, {}, {}, {})
        for name in BROKERS:
            (home / name).mkdir()
            factory.brokers[name] = await stack.enter_async_context(running_broker(Mosquitto(home / name)))
            factory.links[name] = await stack.enter_async_context(FaultProxy(factory.brokers[name].port))
        for name, sender in MACHINES.items():
            machine = factory.machines[name] = Machine(sender, home)
            if sender.kind != "opcua":
                edge = await stack.enter_async_context(FaultProxy(factory.brokers[sender.behind].port))
                factory.edges[name], machine.broker = edge, f"mqtt://127.0.0.1:{edge.port}"
            await machine.start()
            stack.push_async_callback(machine.aclose)
            if sender.kind == "opcua":
                factory.links[name] = await stack.enter_async_context(FaultProxy(machine.port))
        yield factory
