"""What all rigs of MQTT share: a broker that can be harmed, and a machine that is told of and asked beside the adapter."""

import copy
import tempfile
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final, Protocol

import anyio
import anyio.lowlevel
import anyio.to_thread

from dtios.model.errors import TemporaryError
from dtios.sdk.adapter import Connection
from dtios.testing.conformance import Bench, Need, Rig
from dtios_mqtt import adapter
from dtios_mqtt_rig.broker import Broker, Door

__all__ = ["LACKS", "Machine", "MqttBench", "MqttRig"]

LACKS: Final[dict[Need, str]] = {
    Need.METHODS: "MQTT has no methods",
    Need.EVENTS: "neither Sparkplug nor plain topics have events or conditions",
    Need.OVERFLOW: "this broker drops nothing; that a number was left out is tried with Sparkplug's own rules",
    Need.TOLD_CLOCK: "over MQTT nobody can be asked for his time",
}
_TOLD: Final = 0.3
"""Seconds until an adapter that listens has been told."""


class Machine(Protocol):
    """A client of the broker with the variables of the suite. Its methods return at once but for `connect` and `disconnect`."""

    def connect(self) -> None:
        """Returns when it has told all that it has."""

    def disconnect(self) -> None: ...

    def set(self, name: str, value: Any, status: int, time: int | None) -> int:
        """`time` in ns, None: now. Returns the time that it told."""

    def value(self, name: str) -> Any: ...

    def writes(self, name: str) -> int: ...

    def skew(self, seconds: float) -> None: ...


class MqttRig(Rig):
    wrong_url = "mqtt://127.0.0.1:0"
    found_within = 3.0
    above: str
    """Addresses of the machine's points begin with it."""

    def __init__(self, broker: Broker, door: Door, machine: Machine) -> None:
        self.adapter = adapter
        self.url = f"mqtt://127.0.0.1:{door.port}"
        self.settings = {"listen": 0.2, "version": broker.version}
        self._broker, self._door, self._machine = broker, door, machine
        self._connections: list[Connection] = []

    def connect(self, url: str | None = None, **settings: Any) -> Connection:
        made = super().connect(url, **settings)
        self._connections.append(made)
        return made

    async def set(self, name: str, value: Any, *, status: int = 0, source_time: int | None = None) -> None:
        """And every adapter has been told, unless it does not listen: over MQTT nobody can be asked what he has now."""
        time = self._machine.set(name, value, status, source_time)
        for connection in self._connections:
            with anyio.move_on_after(_TOLD), suppress(TemporaryError):
                await _until_told(connection, self.above + name, time)

    async def get(self, name: str) -> Any:
        return copy.copy(self._machine.value(name))

    async def count(self, first: int, last: int) -> None:
        for number in range(first, last + 1):
            self._machine.set("Counter", number, 0, None)
            if number % 50 == 0:
                await anyio.lowlevel.checkpoint()

    async def writes(self, name: str) -> int:
        return self._machine.writes(name)

    async def sessions(self) -> int:
        """The adapter has two with a broker: Sparkplug's own, and one for all the rest."""
        return (self._door.connections + 1) // 2

    async def cut(self) -> None:
        self._door.cut(reset=False)

    async def freeze(self) -> None:
        self._broker.freeze()

    async def thaw(self) -> None:
        self._broker.thaw()

    async def skew(self, seconds: float) -> None:
        self._machine.skew(seconds)

    async def require(self, user: str, password: str) -> None:
        self._door.allowed = (user, password)

    async def stop(self) -> None:
        self._door.refuse()
        await anyio.to_thread.run_sync(self._machine.disconnect)
        self._broker.kill()

    async def start(self) -> None:
        await self._broker.start()
        await anyio.to_thread.run_sync(self._machine.connect)
        await self._door.heal()


async def _until_told(connection: Connection, address: str, source_time: int) -> None:
    while (await connection.read([address]))[0].source_time != source_time:  # noqa: ASYNC110  # nobody tells of it
        await anyio.sleep(0.002)


class MqttBench(Bench, ABC):
    """One broker for all checks; a machine and a door for each."""

    def __init__(self, version: str = "5") -> None:
        """`version` of MQTT: "3.1.1" or "5"."""
        self._folder = tempfile.TemporaryDirectory()
        self._broker = Broker(Path(self._folder.name), version)

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._broker.kill()
        self._folder.cleanup()

    @abstractmethod
    def made(self, broker: Broker) -> Machine:
        """A machine that is not connected yet."""

    @abstractmethod
    def around(self, broker: Broker, door: Door, machine: Any) -> MqttRig:
        """The rig of a machine that `made` made."""

    @asynccontextmanager
    async def rig(self) -> AsyncIterator[Rig]:
        broker = self._broker
        if not broker.runs:
            await broker.start()
        machine = self.made(broker)
        async with Door(broker.port) as door:
            await anyio.to_thread.run_sync(machine.connect)
            try:
                yield self.around(broker, door, machine)
            finally:
                broker.thaw()
                await anyio.to_thread.run_sync(machine.disconnect)
