"""`dtios doctor`, the adapter's part: servers that are wrong in one way, and what is said of them. Whatever happens, no session
is left on the server, by the server's own count."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import anyio
import pytest
from asyncua import ua
from asyncua.server.uaprocessor import UaProcessor

from dtios.mapping.facts import BrowseFacts, Node, NodeKind
from dtios.model.values import QualifiedName
from dtios.sdk.adapter import ConnectionSettings, Finding
from dtios_opcua import adapter
from tests.system.opcua.opcua_server import URI, free_port, plain, rich, serving

BRIEF = ConnectionSettings(timeout=2.0, keep_alive=2.0, publishing_interval=0.02)
UA = "http://opcfoundation.org/UA/"


class Sessions:
    """How many sessions a server had at once and has now, as it counts them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = self.most = 0
        create = UaProcessor._process_message

        async def process(processor, typeid, header, seqhdr, body):
            result = await create(processor, typeid, header, seqhdr, body)
            if typeid == ua.NodeId(ua.ObjectIds.CreateSessionRequest_Encoding_DefaultBinary):
                self.now += 1
                self.most = max(self.most, self.now)
            if typeid == ua.NodeId(ua.ObjectIds.CloseSessionRequest_Encoding_DefaultBinary):
                self.now -= 1
            return result

        monkeypatch.setattr(UaProcessor, "_process_message", process)


@pytest.fixture
def sessions(monkeypatch: pytest.MonkeyPatch) -> Sessions:
    return Sessions(monkeypatch)


async def examined(
    url: str, home: Path, settings: ConnectionSettings = BRIEF, known: BrowseFacts | None = None
) -> dict[str, Finding]:
    findings = await adapter.examine(url, settings, home, known)
    assert all(finding.message and finding.where == url for finding in findings)
    assert all(finding.mend for finding in findings if finding.level != "good")
    return {finding.check: finding for finding in findings}


def problems(found: dict[str, Finding]) -> list[str]:
    return [check for check, finding in found.items() if finding.level == "problem"]


async def test_a_sound_server(tmp_path: Path, sessions: Sessions):
    async with serving(rich) as (url, _):
        found = await examined(url, tmp_path)
        async with asyncio.timeout(5):
            while sessions.now:
                await asyncio.sleep(0.01)
    assert {finding.level for finding in found.values()} == {"good"}, found
    assert list(found) == [
        "name", "port", "protocol", "endpoints", "clock", "security", "session", "subscription", "rights", "limits", "namespaces",
    ]  # fmt: skip
    assert sessions.most == 1


async def test_a_name_nobody_knows_and_a_port_nobody_has(tmp_path: Path):
    found = await examined("opc.tcp://plc-that-no-dns-knows.invalid:4840", tmp_path)
    assert problems(found) == ["name"]
    found = await examined(f"opc.tcp://127.0.0.1:{free_port()}", tmp_path)
    assert problems(found) == ["port"]
    assert "nobody listens" in found["port"].message
    assert "dtios discover 127.0.0.1" in found["port"].mend


@contextlib.asynccontextmanager
async def answering(data: bytes) -> AsyncIterator[str]:
    """Something that takes connections, and says `data` or nothing."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.read(1)
            writer.write(data)
            await reader.read()
        finally:
            writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    try:
        yield f"opc.tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize("data", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
async def test_something_else_listens_there(tmp_path: Path, data: bytes):
    async with answering(data) as url:
        found = await examined(url, tmp_path, BRIEF.model_copy(update={"timeout": 0.5}))
    assert problems(found) == ["protocol"]
    assert "something else may listen" in found["protocol"].mend


@pytest.mark.parametrize(
    ("hours", "level", "words"), [(0.0, "good", "agree"), (2.0, "problem", "ahead of"), (-72.0, "problem", "3.0 days behind")]
)
async def test_a_clock_that_is_off(tmp_path: Path, monkeypatch, hours: float, level: str, words: str):
    original = UaProcessor.send_response

    def send(self, requesthandle, seqhdr, response, msgtype=ua.MessageType.SecureMessage):
        response.ResponseHeader.Timestamp += timedelta(hours=hours)
        return original(self, requesthandle, seqhdr, response, msgtype)

    monkeypatch.setattr(UaProcessor, "send_response", send)
    async with serving(plain) as (url, _):
        found = await examined(url, tmp_path)
    assert found["clock"].level == level, found["clock"]
    assert words in found["clock"].message
    assert ("certificates" in found["clock"].message) == (level == "problem")


async def test_no_session_left(tmp_path: Path, monkeypatch):
    original = UaProcessor._process_message

    async def full(self, typeid, header, seqhdr, body):
        if typeid == ua.NodeId(ua.ObjectIds.CreateSessionRequest_Encoding_DefaultBinary):
            raise ua.uaerrors.BadTooManySessions
        return await original(self, typeid, header, seqhdr, body)

    monkeypatch.setattr(UaProcessor, "_process_message", full)
    async with serving(plain) as (url, _):
        found = await examined(url, tmp_path)
    assert problems(found) == ["sessions"]
    assert "end another client" in found["sessions"].mend


async def test_a_user_who_is_rejected(tmp_path: Path):
    class Nobody:
        def get_user(self, *_args, **_kwargs):
            return None

    async with serving(plain) as (url, server):
        server.iserver.user_manager = Nobody()
        found = await examined(url, tmp_path)
    assert problems(found) == ["user"], found


async def test_a_subscription_that_does_not_deliver(tmp_path: Path, monkeypatch, sessions: Sessions):
    monkeypatch.setattr("dtios_opcua.examining.standing._DELIVERED", 0.5)
    original = UaProcessor._process_message

    async def swallow(self, typeid, header, seqhdr, body):
        if typeid == ua.NodeId(ua.ObjectIds.PublishRequest_Encoding_DefaultBinary):
            return True
        return await original(self, typeid, header, seqhdr, body)

    monkeypatch.setattr(UaProcessor, "_process_message", swallow)
    async with serving(plain) as (url, _):
        found = await examined(url, tmp_path, BRIEF.model_copy(update={"keep_alive": 20.0}))
        async with asyncio.timeout(5):
            while sessions.now:
                await asyncio.sleep(0.01)
    assert problems(found) == ["subscription"]
    assert "nothing came" in found["subscription"].message


async def test_a_server_that_goes_away_meanwhile(tmp_path: Path, monkeypatch):
    async with serving(plain) as (url, _):
        original = UaProcessor._process_message

        async def leave(self, typeid, header, seqhdr, body):
            if typeid == ua.NodeId(ua.ObjectIds.CreateSubscriptionRequest_Encoding_DefaultBinary):
                self._transport.close()
                return False
            return await original(self, typeid, header, seqhdr, body)

        monkeypatch.setattr(UaProcessor, "_process_message", leave)
        found = await examined(url, tmp_path)
    assert problems(found) == ["session"]
    assert "ended during the examination" in found["session"].message


async def test_a_machine_without_anything(tmp_path: Path):
    async with serving() as (url, _):
        found = await examined(url, tmp_path)
    assert problems(found) == ["rights"]
    assert "no variable" in found["rights"].message


async def test_namespaces_that_changed(tmp_path: Path):
    def described(*namespaces: str) -> BrowseFacts:
        return BrowseFacts("here", Node("i=85", QualifiedName(UA, "Objects"), NodeKind.OBJECT), namespaces)

    async with serving(plain) as (url, server):
        now = tuple(await server.get_namespace_array())
        same = await examined(url, tmp_path, known=described(*reversed(now)))
        gone = await examined(url, tmp_path, known=described(*now, "urn:old:version"))
        fresh = await examined(url, tmp_path, known=described(*(uri for uri in now if uri != URI)))
    assert (same["namespaces"].level, "another order" in same["namespaces"].message) == ("good", True)
    assert problems(gone) == ["namespaces"]
    assert "urn:old:version" in gone["namespaces"].message
    assert (fresh["namespaces"].level, URI in fresh["namespaces"].message) == ("warning", True)


async def test_cancelled_it_leaves_nothing(tmp_path: Path, monkeypatch, sessions: Sessions):
    stands = anyio.Event()

    async def wait(*_args) -> None:
        stands.set()
        await anyio.sleep_forever()

    monkeypatch.setattr("dtios_opcua.examining.examine.stand", wait)
    async with serving(plain) as (url, _):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(adapter.examine, url, BRIEF, tmp_path)
            with anyio.fail_after(10):
                await stands.wait()
            assert sessions.now == 1
            tasks.cancel_scope.cancel()
        async with asyncio.timeout(5):
            while sessions.now:
                await asyncio.sleep(0.01)


async def test_addresses_and_settings_that_cannot_be(tmp_path: Path):
    for url in ("opc.tcp://host:port", "http://host", "opc.tcp://"):
        found = await examined(url, tmp_path)
        assert problems(found) == ["settings"]
