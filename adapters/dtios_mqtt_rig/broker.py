"""The broker of the conformance checks: the embedded one (iotcore) in a process of its own, and before it a door that can be
shut, cuts what went through it, and knows who came."""

import asyncio
import json
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Final

from dtios.testing.proxy import FaultProxy

__all__ = ["Broker", "Door"]

_READY: Final = 10.0
_CONFIGURATION: Final = """\
id = 0
[router]
id = 0
max_connections = 1000
max_outgoing_packet_count = 200
max_segment_size = 104857600
max_segment_count = 10
"""
_LISTENER: Final = """\
[{kind}.1]
name = "{kind}"
listen = "127.0.0.1:{port}"
next_connection_delay_ms = 1
[{kind}.1.connections]
connection_timeout_ms = 60000
max_payload_size = 16777216
max_inflight_count = 100
dynamic_filters = true
"""


class Broker:
    """One process at a port that stays through restarts. All clients speak one version of MQTT: iotcore 0.4 breaks down where a
    message with properties of MQTT 5 goes to a client of 3.1.1."""

    def __init__(self, folder: Path, version: str) -> None:
        """`version` "3.1.1" or "5"."""
        self.version = version
        self.port = _free_port()
        self._file = folder / "broker.toml"
        listener = _LISTENER.format(kind="v5" if version == "5" else "v4", port=self.port)
        self._file.write_text(_CONFIGURATION + listener, "utf-8")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def runs(self) -> bool:
        return self._process is not None

    async def start(self) -> None:
        """Returns when it answers."""
        self._spawn()
        async with asyncio.timeout(_READY):
            while not await _answers(self.port):
                assert self._process is not None
                assert self._process.poll() is None, f"the broker ended with {self._process.returncode}"
                await asyncio.sleep(0.02)

    def _spawn(self) -> None:
        code = "from iotcore._serve import main; main()"
        command = [sys.executable, "-c", code, json.dumps({"config_path": str(self._file)})]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE)

    def kill(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)


class Door(FaultProxy):
    """Reads the CONNECT of each session, and no more. It stands in for a list of users: iotcore answers a wrong password by
    hanging up, as if it were gone."""

    def __init__(self, target: int) -> None:
        super().__init__(target, self._greet)
        self.allowed: tuple[str, str] | None = None
        """Only this user with this password; None: everybody."""

    async def _greet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes | None:
        first = await _packet(reader)
        user, password, five = _connect(first)
        if self.allowed is None or self.allowed == (user, password):
            return first
        writer.write(b"\x20\x03\0\x86\0" if five else b"\x20\x02\0\4")  # bad user name or password
        return None


def _connect(packet: bytes) -> tuple[str, str, bool]:
    """(user, password, MQTT 5) of a CONNECT (MQTT 5, 3.1)."""
    body = packet[2:] if packet[1] < 0x80 else packet[3:] if packet[2] < 0x80 else packet[4:]
    five, flags, at = body[6] == 5, body[7], 10

    def text() -> bytes:
        nonlocal at
        size = int.from_bytes(body[at : at + 2], "big")
        at += 2 + size
        return body[at - size : at]

    def skip_properties() -> None:
        nonlocal at
        if five:
            size, shift = 0, 0
            while True:
                byte, at = body[at], at + 1
                size |= (byte & 0x7F) << shift
                shift += 7
                if byte < 0x80:
                    break
            at += size

    skip_properties()
    text()  # the client's id
    if flags & 4:
        skip_properties()
        text()
        text()
    user = text().decode() if flags & 0x80 else ""
    password = text().decode() if flags & 0x40 else ""
    return user, password, five


async def _packet(reader: asyncio.StreamReader) -> bytes:
    data = await reader.readexactly(2)
    size = data[1] & 0x7F
    shift = 7
    while data[-1] & 0x80:
        data += await reader.readexactly(1)
        size |= (data[-1] & 0x7F) << shift
        shift += 7
    return data + await reader.readexactly(size)


async def _answers(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port
