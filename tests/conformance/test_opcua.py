"""The OPC UA adapter keeps the promises of every adapter, on a real server in a process of its own."""

import base64
import json
import pickle
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import anyio.to_thread
import pytest

from dtios.model.values import QualifiedName
from dtios.testing.conformance import AdapterConformance, Need, Rig
from dtios_opcua import adapter
from tests.conformance.opcua_alarms import EVENT
from tests.conformance.opcua_server import NAMESPACE


class Server:
    """The process. One serves all checks; a check that switches it off starts it again."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.process: subprocess.Popen[bytes] | None = None
        self.frozen = False

    def start(self) -> None:
        command = [sys.executable, "-m", "tests.conformance.opcua_server", str(self.port)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        assert int(self.process.stdout.readline()) == self.port

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None

    def ask(self, name: str, *arguments: Any) -> Any:
        if self.process is None:
            self.start()
        assert self.process is not None
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        question = base64.b64encode(pickle.dumps((name, arguments))).decode()
        self.process.stdin.write(json.dumps(question).encode() + b"\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        assert answer, f"the server died of {name}{arguments}"
        return pickle.loads(base64.b64decode(json.loads(answer)))

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


class OpcUaRig(Rig):
    wrong_url = "opc.tcp://:99999/nowhere"
    resolution = 1_000
    lacks: ClassVar = {Need.OVERFLOW: "asyncua's server does not set the overflow bit"}
    event_type = QualifiedName(NAMESPACE, EVENT)
    event_field = (QualifiedName(NAMESPACE, "Number"),)

    def __init__(self, server: Server) -> None:
        self.server = server
        self.url = f"opc.tcp://127.0.0.1:{server.port}"
        self.adapter = adapter

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

    async def stop(self) -> None:
        await anyio.to_thread.run_sync(self.server.stop)

    async def start(self) -> None:
        await anyio.to_thread.run_sync(self.server.start)


@pytest.fixture(autouse=True, scope="module")
def one_server() -> Iterator[None]:
    TestOpcUa.server = Server(_free_port())
    yield
    TestOpcUa.server.stop()


class TestOpcUa(AdapterConformance):
    server: ClassVar[Server]

    @asynccontextmanager
    async def rig(self) -> AsyncIterator[Rig]:
        rig = OpcUaRig(self.server)
        if self.server.process is None:
            await rig.start()
        try:
            yield rig
        finally:
            if self.server.process is not None:
                await rig.thaw()
                await anyio.to_thread.run_sync(self.server.ask, "forget_alarms")
