"""The rig of the OPC UA adapter."""

import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio.to_thread

from dtios.model.values import QualifiedName
from dtios.sdk.pki import TrustList
from dtios.testing.conformance import Bench, Need, Rig
from dtios_opcua import adapter
from dtios_opcua_rig.alarms import EVENT
from dtios_opcua_rig.machine import NAMESPACE
from dtios_opcua_rig.process import ServerProcess

__all__ = ["OpcUaBench", "OpcUaRig"]


class OpcUaRig(Rig):
    """A server of asyncua's in a process of its own, reached unencrypted, and encrypted where a password goes along."""

    wrong_url = "opc.tcp://:99999/nowhere"
    resolution = 1_000
    settings: dict[str, Any] = {"security": "none"}  # noqa: RUF012
    secured: dict[str, Any] = {"security": "Basic256Sha256:SignAndEncrypt"}  # noqa: RUF012
    skill = ("Add", {"argument1": 1.0, "argument2": 2.0}, "Add")
    lacks: Mapping[Need, str] = {Need.OVERFLOW: "asyncua's server does not set the overflow bit"}
    event_type = QualifiedName(NAMESPACE, EVENT)
    event_field = (QualifiedName(NAMESPACE, "Number"),)

    def __init__(self, server: ServerProcess) -> None:
        self.server = server
        self.url = f"opc.tcp://127.0.0.1:{server.port}"
        self.adapter = adapter
        self.home = server.folder / "home"

    async def _ask(self, *question: Any) -> Any:
        return await anyio.to_thread.run_sync(self.server.ask, *question)

    async def set(self, name: str, value: Any, *, status: int = 0, source_time: int | None = None) -> None:
        await self._ask("set", name, value, status, source_time)

    async def get(self, name: str) -> Any:
        return await self._ask("get", name)

    async def count(self, first: int, last: int) -> None:
        await self._ask("count", first, last)

    async def tell(self, number: int) -> None:
        await self._ask("tell", number)

    async def alarm(self, name: str, *, active: bool) -> None:
        await self._ask("alarm", name, active)

    async def handled(self) -> list[tuple[str, str, str]]:
        found: list[tuple[str, str, str]] = await self._ask("handled")
        return found

    async def writes(self, name: str) -> int:
        return int(await self._ask("writes_of", name))

    async def sessions(self) -> int:
        return int(await self._ask("sessions"))

    async def cut(self) -> None:
        await self._ask("cut")

    async def freeze(self) -> None:
        self.server.signal(signal.SIGSTOP)

    async def thaw(self) -> None:
        self.server.signal(signal.SIGCONT)

    async def skew(self, seconds: float) -> None:
        await self._ask("skew", seconds)

    async def require(self, user: str, password: str) -> None:
        await self._ask("require", user, password)

    async def remove(self, name: str) -> None:
        await self._ask("remove", name)

    async def add(self, name: str) -> None:
        await self._ask("add", name)

    async def stop(self) -> None:
        await anyio.to_thread.run_sync(self.server.stop)

    async def start(self) -> None:
        await anyio.to_thread.run_sync(self.server.start)


class OpcUaBench(Bench):
    """One server for all checks. `start` and `stop` block; `async with` does not."""

    def __init__(self) -> None:
        self._folder = TemporaryDirectory(prefix="dtios-conformance-")
        self._server = ServerProcess(Path(self._folder.name))

    def start(self) -> None:
        self._server.start()
        TrustList(self._server.folder / "home").add(self._server.folder / "server.der")

    def stop(self) -> None:
        self._server.stop()
        self._folder.cleanup()

    async def __aenter__(self) -> "OpcUaBench":
        await anyio.to_thread.run_sync(self.start)
        return self

    async def __aexit__(self, *_: object) -> None:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self.stop)

    @asynccontextmanager
    async def rig(self) -> AsyncIterator[Rig]:
        rig = OpcUaRig(self._server)
        if self._server.process is None:
            await rig.start()
        try:
            yield rig
        finally:
            with anyio.CancelScope(shield=True):
                if self._server.process is not None:
                    await rig.thaw()
                    await anyio.to_thread.run_sync(self._server.ask, "forget")
