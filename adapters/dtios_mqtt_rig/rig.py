"""A Sparkplug machine behind a broker, as the conformance suite wants it."""

import copy
import itertools
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

import anyio
import anyio.lowlevel
import anyio.to_thread

from dtios.model.datatypes import BuiltinType
from dtios.model.errors import TemporaryError
from dtios.model.status import is_bad, is_good, status_code
from dtios.sdk.adapter import Connection
from dtios.testing.conformance import SAMPLES, Bench, Need, Rig
from dtios_mqtt import adapter
from dtios_mqtt_rig.broker import Broker, Door
from dtios_mqtt_rig.node import SparkplugNode, Variable

__all__ = ["SparkplugBench"]

_TYPES: Final = {
    (BuiltinType.SByte, -1): "Int8", (BuiltinType.Byte, -1): "UInt8", (BuiltinType.ByteString, -1): "Bytes",
    (BuiltinType.Int32, 1): "Int32Array", (BuiltinType.String, 1): "StringArray", (BuiltinType.Double, 1): "DoubleArray",
}  # fmt: skip
"""Sparkplug's name of a type, where it is not OPC UA's."""
_TOLD: Final = 0.3
"""Seconds until an adapter that listens has been told."""
_BAD, _GOOD, _STALE = 0, 192, 500
_ABOVE: Final = "spb:Rig/Edge/Conformance"


def _variables() -> dict[str, Variable]:
    """Every second one has an alias, so that both ways of naming are tried."""
    made = {
        name: Variable(_TYPES.get((builtin, rank), builtin.name), samples[0], number if number % 2 else None)
        for number, (name, (builtin, rank, samples)) in enumerate(SAMPLES.items())
    }
    return made | {"Counter": Variable("Int64", 0, 100), "Fixed": Variable("Double", 0.5, 101, read_only=True)}


class SparkplugRig(Rig):
    wrong_url = "mqtt://127.0.0.1:0"
    resolution = 1_000_000
    profiles = (Path(__file__).parent / "profile.yaml",)
    skill = ("Set", {"value": 7}, "Int32")
    uncertain = status_code("UncertainLastUsableValue")
    found_within = 3.0
    lacks = {  # noqa: RUF012  # a default, replaced whole
        Need.METHODS: "Sparkplug has no methods",
        Need.EVENTS: "Sparkplug has no events and no conditions",
        Need.OVERFLOW: "a broker says nothing of what it drops",
        Need.TOLD_CLOCK: "Sparkplug has no way to ask for a node's time",
    }

    def __init__(self, broker: Broker, door: Door, node: SparkplugNode) -> None:
        self.adapter = adapter
        self.url = f"mqtt://127.0.0.1:{door.port}"
        self.settings = {"listen": 0.2, "version": broker.version}
        self._numbers = itertools.count()
        self._broker, self._door, self._node = broker, door, node
        self._connections: list[Connection] = []

    def connect(self, url: str | None = None, **settings: Any) -> Connection:
        """Two host applications with one name would think each other's STATE their own."""
        made = super().connect(url, **{"host_id": f"host{next(self._numbers)}", **settings})
        self._connections.append(made)
        return made

    async def set(self, name: str, value: Any, *, status: int = 0, source_time: int | None = None) -> None:
        """And every adapter has been told, unless it does not listen: over MQTT nobody can be asked what he has now."""
        quality = _BAD if is_bad(status) else _GOOD if is_good(status) else _STALE
        time = self._node.set(name, value, quality, None if source_time is None else source_time // 1_000_000)
        for connection in self._connections:
            with anyio.move_on_after(_TOLD), suppress(TemporaryError):
                await _until_told(connection, f"{_ABOVE}/{name}", time * 1_000_000)

    async def get(self, name: str) -> Any:
        return copy.copy(self._node.variables[name].value)

    async def count(self, first: int, last: int) -> None:
        for number in range(first, last + 1):
            self._node.set("Counter", number)
            if number % 50 == 0:
                await anyio.lowlevel.checkpoint()

    async def writes(self, name: str) -> int:
        return self._node.variables[name].writes

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
        self._node.skew(seconds)

    async def require(self, user: str, password: str) -> None:
        self._door.allowed = (user, password)

    async def remove(self, name: str) -> None:
        self._node.show(name, there=False)

    async def add(self, name: str) -> None:
        self._node.show(name, there=True)

    async def stop(self) -> None:
        self._door.refuse()
        await anyio.to_thread.run_sync(self._node.disconnect)
        self._broker.kill()

    async def start(self) -> None:
        await self._broker.start()
        await anyio.to_thread.run_sync(self._node.connect)
        await self._door.heal()


async def _until_told(connection: Connection, address: str, source_time: int) -> None:
    while (await connection.read([address]))[0].source_time != source_time:  # noqa: ASYNC110  # nobody tells of it
        await anyio.sleep(0.002)


class SparkplugBench(Bench):
    """One broker for all checks; an edge node and a door for each."""

    def __init__(self, version: str = "5") -> None:
        """`version` of MQTT: "3.1.1" or "5"."""
        self._folder = tempfile.TemporaryDirectory()
        self._broker = Broker(Path(self._folder.name), version)

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._broker.kill()
        self._folder.cleanup()

    @asynccontextmanager
    async def rig(self) -> AsyncIterator[Rig]:
        broker = self._broker
        if not broker.runs:
            await broker.start()
        node = SparkplugNode(broker.port, broker.version, _variables())
        async with Door(broker.port) as door:
            await anyio.to_thread.run_sync(node.connect)
            try:
                yield SparkplugRig(broker, door, node)
            finally:
                broker.thaw()
                await anyio.to_thread.run_sync(node.disconnect)
