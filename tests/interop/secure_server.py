"""The secured node-opcua server (secure.mjs) with its certificates and its own trust list, and a man in the middle."""

import asyncio
import json
import shutil
import struct
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import struct_from_binary, struct_to_binary

from dtios.sdk.adapter import Connection
from dtios.sdk.pki import OwnCertificates, TrustList, as_der
from dtios_opcua import adapter
from dtios_opcua.security.settings import OpcUaSettings
from tests.certificates import SERVER_URI, Made, make
from tests.interop.node_server import node_server
from tests.machines.process import MachineProcess
from tests.system.opcua.opcua_server import Sink

__all__ = ["ALL", "MODES", "Secured", "home_of", "in_between", "running_secured", "secured", "session"]

ALL = ("Aes256_Sha256_RsaPss", "Basic256Sha256", "Aes128_Sha256_RsaOaep")
MODES = ("Sign", "SignAndEncrypt")


@dataclass
class Secured:
    """`pki` is the server's own trust list."""

    machine: MachineProcess
    certificate: Made
    pki: Path

    @property
    def url(self) -> str:
        return self.machine.endpoint

    def sessions(self) -> list[dict[str, Any]]:
        """What the server says of the sessions it had."""
        return self.machine.calls("session")

    def trust(self, home: Path) -> None:
        """Its administrator takes all the certificates that the connector with this state directory has."""
        for identity in OwnCertificates(home).identities():
            _put(self.pki, as_der(identity.certificate))

    def trusted_by(self, home: Path) -> None:
        _trust(home, self.certificate)

    def both(self, home: Path) -> Path:
        """As a person leaves it who has done everything."""
        self.trust(home)
        self.trusted_by(home)
        return home


def _put(pki: Path, data: bytes) -> None:
    folder = pki / "trusted" / "certs"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{len(list(folder.iterdir()))}.der").write_bytes(data)


def _trust(home: Path, made: Made) -> None:
    path = home / "server.der"
    home.mkdir(parents=True, exist_ok=True)
    path.write_bytes(made.der)
    TrustList(home).add(path)


def home_of(folder: Path) -> Path:
    """A state directory with a certificate of our own."""
    OwnCertificates(folder).identities()
    return folder


@contextmanager
def secured(
    folder: Path, certificate: Made | None = None, *, clients: tuple[Path, ...] = (), users: dict[str, str] | None = None,
    policies: tuple[str, ...] = ("None", *ALL), modes: tuple[str, ...] = ("None", *MODES), anonymous: bool = True,
    trusted_users: tuple[Made, ...] = (), uri: str = SERVER_URI,
) -> Iterator[Secured]:  # fmt: skip
    """`clients` are the state directories whose certificates it trusts from the start."""
    made = certificate or make()
    certificate_file, key_file = made.write(folder / "server")
    pki = folder / "pki"
    for home in clients:
        for identity in OwnCertificates(home).identities():
            _put(pki, as_der(identity.certificate))
    for user in trusted_users:
        _put(pki / "users", user.der)
    setup = {
        "certificate": str(certificate_file), "key": str(key_file), "pki": str(pki), "policies": policies, "modes": modes,
        "anonymous": anonymous, "users": users or {}, "uri": uri,
    }  # fmt: skip
    (folder / "setup.json").write_text(json.dumps(setup))
    with node_server(folder / "log.jsonl", "--setup", str(folder / "setup.json"), script="secure") as machine:
        yield Secured(machine, made, pki)
    shutil.rmtree(pki, ignore_errors=True)


@asynccontextmanager
async def running_secured(folder: Path, certificate: Made | None = None, **more: Any) -> AsyncIterator[Secured]:
    """`secured` that leaves the event loop free while the server gets ready."""
    server = secured(folder, certificate, **more)
    started = await asyncio.to_thread(server.__enter__)
    try:
        yield started
    finally:
        await asyncio.to_thread(server.__exit__, None, None, None)


@asynccontextmanager
async def session(url: str, home: Path, **settings: Any) -> AsyncIterator[Connection]:
    """A session that stands."""
    chosen = OpcUaSettings(**({"publishing_interval": 0.05, "timeout": 10.0, "keep_alive": 10.0} | settings))
    connection = adapter.connect(url, chosen, home)
    started: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    class Status:
        def started(self, value: None = None) -> None:
            started.set_result(None)

    running = asyncio.create_task(connection.run(Sink(), task_status=Status()), name="session")  # type: ignore[arg-type]
    try:
        await asyncio.wait([running, started], return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            await running
        yield connection
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


Tamper = Callable[[list[ua.EndpointDescription]], list[ua.EndpointDescription]]


@asynccontextmanager
async def in_between(url: str, tamper: Tamper) -> AsyncIterator[str]:
    """The URL of somebody who hands everything on, but for GetEndpoints' answer, which goes through `tamper`."""
    port = int(url.rpartition(":")[2].partition("/")[0])
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            await asyncio.gather(_up(reader, upstream_writer), _down(upstream_reader, writer, tamper))
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            for one in (writer, upstream_writer):
                one.transport.abort()
            tasks.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"opc.tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.transport.abort()
    raise ConnectionError


async def _down(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, tamper: Tamper) -> None:
    while True:
        head = await reader.readexactly(8)
        body = await reader.readexactly(struct.unpack("<I", head[4:])[0] - 8)
        if head[:4] == b"MSGF":
            body = _tampered(body, tamper)
            head = head[:4] + struct.pack("<I", len(body) + 8)
        writer.write(head + body)
        await writer.drain()


def _tampered(body: bytes, tamper: Tamper) -> bytes:
    """Channel, token, sequence number and request id (16 bytes), then the message, where nothing is encrypted."""
    if body[16:20] != b"\x01\x00" + struct.pack("<H", ua.ObjectIds.GetEndpointsResponse_Encoding_DefaultBinary):
        return body
    answer = struct_from_binary(ua.GetEndpointsResponse, Buffer(body[16:]))
    answer.Endpoints = tamper(answer.Endpoints)
    return body[:16] + struct_to_binary(answer)
