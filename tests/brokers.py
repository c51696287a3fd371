"""MQTT brokers of third parties in processes of their own, on 127.0.0.1 and a port that stays through restarts."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import ClassVar

import anyio
import anyio.to_thread
import pytest

__all__ = ["BROKERS", "BrokerProcess", "IotCore", "Mosquitto", "free_port", "running_broker"]

_READY = 10.0


class BrokerProcess(ABC):
    """A broker that can be stopped, started again, killed and frozen."""

    name: ClassVar[str]
    versions: ClassVar[tuple[str, ...]]

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    @abstractmethod
    def command(self) -> list[str]: ...

    async def start(self) -> None:
        self._process = subprocess.Popen(self.command(), stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
        with anyio.fail_after(_READY):
            while not await anyio.to_thread.run_sync(self._answers):
                assert self._process.poll() is None, f"{self.name} ended with {self._process.returncode}"
                await anyio.sleep(0.05)

    async def stop(self) -> None:
        await anyio.to_thread.run_sync(self._end, signal.SIGTERM)

    async def kill(self) -> None:
        await anyio.to_thread.run_sync(self._end, signal.SIGKILL)

    def freeze(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is not None:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.send_signal(number)
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(5)
            if process.stdin is not None:
                process.stdin.close()

    def _answers(self) -> bool:
        """On every port: one that listens says nothing of the others."""
        try:
            for port in self.ports:
                socket.create_connection(("127.0.0.1", port), 0.2).close()
        except OSError:
            return False
        return True

    @property
    def ports(self) -> list[int]:
        return [self.port]


class Mosquitto(BrokerProcess):
    """Eclipse mosquitto: MQTT 3.1.1 and 5 on one port. Lines of `configuration` are added to its file."""

    name = "mosquitto"
    versions = ("3.1.1", "5")

    def __init__(self, folder: Path, configuration: str = "") -> None:
        super().__init__(folder)
        if _mosquitto() is None:
            if os.environ.get("CI", "").lower() == "true":
                pytest.fail("mosquitto is not installed")
            pytest.skip("mosquitto is not installed")
        self.configuration = configuration

    @property
    def ports(self) -> list[int]:
        more = re.findall(r"^listener (\d+)", self.configuration, re.MULTILINE)
        return [self.port, *map(int, more)]

    def command(self) -> list[str]:
        file = self.folder / "mosquitto.conf"
        anonymous = "" if "allow_anonymous" in self.configuration else "allow_anonymous true\n"
        file.write_text(f"{anonymous}max_queued_messages 100000\nlistener {self.port} 127.0.0.1\n{self.configuration}\n", "utf-8")
        return [str(_mosquitto()), "-c", str(file)]


class IotCore(BrokerProcess):
    """rumqttd, as the embedded broker: MQTT 3.1.1."""

    name = "iotcore"
    versions = ("3.1.1",)

    def command(self) -> list[str]:
        options = {"listen": "127.0.0.1", "port": self.port, "max_payload_size": 16 * 2**20}
        return [sys.executable, "-c", "from iotcore._serve import main; main()", json.dumps(options)]


BROKERS: list[type[BrokerProcess]] = [IotCore, Mosquitto]


def _mosquitto() -> str | None:
    return shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


@asynccontextmanager
async def running_broker(broker: BrokerProcess) -> AsyncIterator[BrokerProcess]:
    await broker.start()
    try:
        yield broker
    finally:
        await broker.kill()
