"""Connecting, losing and ending a session: one clear sentence, in time, with nothing left behind."""

import asyncio
import os
import signal
import socket
import sys
import time
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from asyncua import ua
from asyncua.server.binary_server_asyncio import OPCUAProtocol
from asyncua.server.uaprocessor import UaProcessor
from opcua_server import HOME, QUICK, URI, Sink, _run, connected, find, free_port, plain, points, rich, serving
from pydantic import SecretStr

from dtios.sdk.adapter import Call, ConnectionSettings, Write
from dtios.sdk.errors import (
    ConfigurationError,
    CredentialsError,
    DtiosError,
    OutcomeUnknown,
    RefusedError,
    TemporaryError,
)
from dtios_opcua import adapter


def allowed() -> None:
    """The gate has nothing against it."""


@asynccontextmanager
async def process_serving():
    """(url, process) of a server of its own, to be stopped and killed."""
    port = free_port()
    with_paths = {**os.environ, "PYTHONPATH": os.pathsep.join(one for one in sys.path if one)}
    script = Path(__file__).with_name("opcua_server.py")
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(script), str(port), stdout=asyncio.subprocess.PIPE, env=with_paths
    )
    try:
        assert await process.stdout.readline() == b"ready\n"
        yield f"opc.tcp://127.0.0.1:{port}/dtios", process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        process._transport.close()


async def until_lost(url: str, break_it, settings: ConnectionSettings = QUICK) -> tuple[DtiosError, float]:
    """The error that `run` ends with, and the seconds it took."""
    connection, sink = adapter.connect(url, settings, HOME), Sink()
    errors: list[DtiosError] = []
    ended = anyio.Event()

    async def run(*, task_status) -> None:
        try:
            await connection.run(sink, task_status=task_status)
        except TemporaryError as error:
            errors.append(error)
            ended.set()

    async with anyio.create_task_group() as tasks:
        await tasks.start(run)
        await connection.subscribe(points(await connection.browse(), "Speed"))
        await sink.until(lambda s: s.values(1) == [0.0])
        started = time.monotonic()
        await break_it()
        with anyio.fail_after(5):
            await ended.wait()
        took = time.monotonic() - started
    with pytest.raises(TemporaryError, match="not connected"):
        await connection.read(["i=2258"])
    return errors[0], took


async def test_a_killed_server_is_noticed_within_a_second():
    async with process_serving() as (url, process):

        async def kill():
            process.send_signal(signal.SIGKILL)

        error, took = await until_lost(url, kill)
    assert took < 1.0
    assert "closed the connection" in str(error)
    assert url in str(error)


async def test_a_frozen_server_is_noticed_within_the_keep_alive_time():
    async with process_serving() as (url, process):

        async def freeze():
            process.send_signal(signal.SIGSTOP)

        settings = ConnectionSettings(keep_alive=1.0, publishing_interval=0.05, timeout=10)
        error, took = await until_lost(url, freeze, settings)
        process.send_signal(signal.SIGCONT)
    assert took <= 1.0 + 0.3  # the goodbye is no longer than that
    assert "silent" in str(error)


async def test_a_quiet_server_is_not_silent():
    settings = ConnectionSettings(keep_alive=0.5, publishing_interval=0.05)
    async with serving(plain) as (url, _), connected(url, settings) as (connection, sink):
        await connection.subscribe(points(await connection.browse(), "Speed"))
        await sink.until(lambda s: s.values(1) == [0.0])
        lives = sink.lives
        await anyio.sleep(1.5)
        assert sink.lives - lives >= 5
        assert (await connection.read(["i=2259"]))[0].value == 0


async def test_a_blocked_event_loop_is_not_the_servers_silence():
    settings = ConnectionSettings(keep_alive=0.8, publishing_interval=0.05)
    async with process_serving() as (url, _), connected(url, settings) as (connection, _):
        time.sleep(1.4)  # noqa: ASYNC251 - an inline app that blocks
        await anyio.sleep(0.2)
        assert (await connection.read(["i=2259"]))[0].value == 0


async def test_cancelling_closes_the_session_and_leaves_no_task():
    async with serving(plain) as (url, server):
        before = asyncio.all_tasks()
        async with connected(url) as (connection, sink):
            await connection.subscribe(points(await connection.browse(), "Speed"))
            await sink.until(lambda s: s.values(1) == [0.0])
            assert server.iserver.subscription_service.subscriptions
            started = time.monotonic()
        assert time.monotonic() - started < 0.5
        await anyio.sleep(0.05)
        assert not server.iserver.subscription_service.subscriptions
        left = [task for task in asyncio.all_tasks() - before if "opcua" in task.get_name() or "asyncua/client" in repr(task)]
        assert left == []


async def test_cancelling_does_not_wait_for_a_frozen_server():
    async with process_serving() as (url, process):
        async with connected(url) as (connection, sink):
            await connection.subscribe(points(await connection.browse(), "Speed"))
            await sink.until(lambda s: s.values(1) == [0.0])
            process.send_signal(signal.SIGSTOP)
            started = time.monotonic()
        assert time.monotonic() - started < 0.5
        process.send_signal(signal.SIGCONT)


async def test_the_same_connection_runs_again_after_a_restart():
    port, sink = free_port(), Sink()
    connection = adapter.connect(f"opc.tcp://127.0.0.1:{port}/dtios", QUICK, HOME)
    marks = []
    for before in ((), ("urn:other",)):
        async with serving(rich, port, before), anyio.create_task_group() as tasks:
            await tasks.start(lambda *, task_status: _run(connection, sink, task_status=task_status))
            marks.append(await connection.fingerprint())
            assert (await connection.read([f"nsu={URI};s=Speed"]))[0].value == 10.0
            tasks.cancel_scope.cancel()
    assert marks[0] != marks[1]


# --- refused, unreachable, not what it seems ---


async def failed_opening(url: str, settings: ConnectionSettings = QUICK) -> DtiosError:
    connection = adapter.connect(url, settings, HOME)
    with pytest.raises(DtiosError) as caught:
        await connection.run(Sink(), task_status=anyio.TASK_STATUS_IGNORED)
    return caught.value


async def test_nobody_listens():
    error = await failed_opening(f"opc.tcp://127.0.0.1:{free_port()}")
    assert type(error) is TemporaryError
    assert "is the server running" in error.mend


async def test_a_host_that_does_not_exist():
    settings = ConnectionSettings(security="none", timeout=2)
    error = await failed_opening("opc.tcp://no-such-host.invalid:4840", settings)
    assert type(error) is TemporaryError
    assert "cannot be reached" in error.message


async def test_a_listener_that_says_nothing():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        started = time.monotonic()
        error = await failed_opening(f"opc.tcp://127.0.0.1:{listener.getsockname()[1]}", ConnectionSettings(timeout=0.3))
    assert "did not answer in time" in error.message
    assert time.monotonic() - started < 2


async def test_a_web_server_is_no_opc_ua_server():
    async def answer(reader, writer):
        await reader.read(10)
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n" * 3)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        url = f"opc.tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        error = await failed_opening(url, ConnectionSettings(timeout=1))
    assert isinstance(error, TemporaryError)
    assert "OPC UA server" in error.message


@pytest.mark.parametrize(
    ("url", "settings", "kind", "words"),
    [
        ("http://127.0.0.1", {}, ConfigurationError, "not an OPC UA URL"),
        ("127.0.0.1:4840", {}, ConfigurationError, "URL"),
        ("opc.tcp://:4840", {}, ConfigurationError, "not an OPC UA URL"),
        ("opc.tcp://host:99999", {}, ConfigurationError, "not a URL"),
        ("opc.tcp://host:port", {}, ConfigurationError, "not a URL"),
        ("opc.tcp://user:secret@host:4840", {}, ConfigurationError, "do not belong into the URL"),
        ("opc.tcp://127.0.0.1", {"security": "Basic256:Sign"}, ConfigurationError, "deprecated"),
        ("opc.tcp://127.0.0.1", {"security": "Basic256Sha265"}, ConfigurationError, "no security policy"),
        ("opc.tcp://127.0.0.1", {"security": "Basic256Sha256:Encrypt"}, ConfigurationError, "no security mode"),
    ],
)
def test_what_cannot_be_is_said_before_any_connection(url, settings, kind, words):
    with pytest.raises(kind, match=words) as caught:
        adapter.connect(url, ConnectionSettings(**settings), HOME)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("security", ["auto", "none"])
async def test_a_password_never_goes_in_clear(security, monkeypatch):
    """Judged by the bytes that the server's sockets receive."""
    seen: list[bytes] = []
    original = OPCUAProtocol.data_received
    monkeypatch.setattr(OPCUAProtocol, "data_received", lambda self, data: (seen.append(bytes(data)), original(self, data)))
    async with serving(plain) as (url, server):
        server.iserver.endpoints[0].UserIdentityTokens = [
            ua.UserTokenPolicy(PolicyId="name", TokenType=ua.UserTokenType.UserName)
        ]
        settings = ConnectionSettings(security=security, user="me", password=SecretStr("hunter2-secret"))
        error = await failed_opening(url, settings)
    assert isinstance(error, CredentialsError)
    assert "clear text" in error.message
    assert seen
    assert b"hunter2" not in b"".join(seen)


async def test_without_encryption_off_loopback_one_must_ask_for_it():
    address = socket.gethostbyname(socket.gethostname())
    if address.startswith("127."):
        pytest.skip("this machine has no address but loopback")
    async with serving(plain) as (url, server):
        await server.stop()
        server.set_endpoint(url.replace("127.0.0.1", "0.0.0.0"))
        await server.start()
        outside = url.replace("127.0.0.1", address)
        error = await failed_opening(outside)
        assert isinstance(error, ConfigurationError)
        assert "--security none" in error.mend
        async with connected(outside, ConnectionSettings(security="none")) as (connection, _):
            assert (await connection.read(["i=2259"]))[0].value == 0


async def test_a_server_that_calls_itself_something_unreachable():
    async with serving(plain) as (url, server):
        for endpoint in server.iserver.endpoints:
            endpoint.EndpointUrl = "opc.tcp://plc-17.factory.invalid:4840/"
        async with connected(url) as (connection, _):
            assert (await connection.read(["i=2259"]))[0].value == 0


async def test_an_identity_that_is_not_accepted():
    async with serving(plain) as (url, server):

        class Nobody:
            def get_user(self, *_args, **_kwargs):
                return None

        server.iserver.user_manager = Nobody()
        error = await failed_opening(url, ConnectionSettings(user="stranger"))
    assert isinstance(error, CredentialsError)


async def test_discovery_finds_the_server_and_how_it_may_be_used():
    async with serving(plain) as (url, _):
        host_and_port = url.removeprefix("opc.tcp://").partition("/")[0]
        found = await adapter.discover(host_and_port)
    assert [one.url for one in found] == [f"opc.tcp://{host_and_port}"]
    assert found[0].details["security"] == ["None"]
    assert "Anonymous" in found[0].details["users"]
    with pytest.raises(TemporaryError):
        await adapter.discover(host_and_port)


# --- commands whose answer never comes ---


@pytest.fixture
def stuck(monkeypatch):
    """The server takes Write and Call requests and never answers; the event tells that one arrived."""
    original = UaProcessor._process_message
    arrived = asyncio.Event()
    held = (ua.ObjectIds.WriteRequest_Encoding_DefaultBinary, ua.ObjectIds.CallRequest_Encoding_DefaultBinary)

    async def process(self, typeid, requesthdr, seqhdr, body):
        if typeid.Identifier in held:
            arrived.set()
            return True
        return await original(self, typeid, requesthdr, seqhdr, body)

    monkeypatch.setattr(UaProcessor, "_process_message", process)
    return arrived


async def test_a_command_without_an_answer_in_time_is_unknown(stuck):
    async with serving(rich) as (url, _), connected(url, ConnectionSettings(timeout=0.3)) as (connection, _):
        facts = await connection.browse()
        speed, mill, double = (find(facts, name) for name in ("Speed", "Mill", "Double"))
        with pytest.raises(OutcomeUnknown, match=r"within 0\.3 s"):
            await connection.write([Write(speed.address, 1.0, speed.type)], allowed)
        with pytest.raises(OutcomeUnknown, match=r"within 0\.1 s"):
            await connection.call(Call(mill.address, double.address, [(1.0, speed.type)], timeout=0.1), allowed)
        assert (await connection.read([speed.address]))[0].value == 10.0


async def test_a_command_under_way_when_the_connection_breaks_is_unknown(stuck):
    outcome: list[Exception] = []
    async with serving(rich) as (url, server):
        connection = adapter.connect(url, QUICK, HOME)

        async def run(*, task_status):
            with pytest.raises(TemporaryError):
                await connection.run(Sink(), task_status=task_status)

        async def call(owner, method, type_):
            try:
                await connection.call(Call(owner, method, [(1.0, type_)]), allowed)
            except DtiosError as error:
                outcome.append(error)

        async with anyio.create_task_group() as tasks:
            await tasks.start(run)
            facts = await connection.browse()
            mill, double, speed = (find(facts, name) for name in ("Mill", "Double", "Speed"))
            tasks.start_soon(call, mill.address, double.address, speed.type)
            with anyio.fail_after(2):
                await stuck.wait()
            for client in list(server.bserver.clients):
                client.transport.close()
    assert [type(one) for one in outcome] == [OutcomeUnknown]


async def test_offline_nothing_is_sent():
    connection = adapter.connect("opc.tcp://127.0.0.1:1", QUICK, HOME)
    for attempt in (
        lambda: connection.read(["i=2258"]),
        lambda: connection.browse(),
        lambda: connection.subscribe([]),
        lambda: connection.write([], allowed),
        lambda: connection.call(Call("i=1", "i=2"), allowed),
        lambda: connection.fingerprint(),
    ):
        with pytest.raises(TemporaryError, match="not connected") as caught:
            await attempt()
        assert not isinstance(caught.value, OutcomeUnknown)


async def test_the_last_check_happens_with_nothing_in_between():
    """Other tasks get no turn between the last check and the bytes."""
    order: list[str] = []
    async with serving(rich) as (url, _), connected(url) as (connection, _):
        facts = await connection.browse()
        speed = find(facts, "Speed")
        transport = connection._session.channel.protocol.transport
        original = transport.write

        def check() -> None:
            asyncio.get_running_loop().call_soon(order.append, "another task")
            order.append("check")

        def write(data):
            order.append("socket")
            original(data)

        connection._session.channel.protocol.transport = type(
            "Spy",
            (),
            {
                "write": staticmethod(write),
                "is_closing": staticmethod(transport.is_closing),
                "abort": staticmethod(transport.abort),
                "close": staticmethod(transport.close),
            },
        )()
        assert await connection.write([Write(speed.address, 2.0, speed.type)], check) == [0]
        connection._session.channel.protocol.transport = transport
    assert order[:2] == ["check", "socket"]


async def test_many_commands_at_once_on_one_session():
    """asyncua issue 1987: concurrent writes on a shared client timed out."""
    async with serving(rich) as (url, _), connected(url) as (connection, _):
        facts = await connection.browse()
        speed = find(facts, "Speed")
        answers: list[list[int]] = []

        async def write(value):
            answers.append(await connection.write([Write(speed.address, value, speed.type)], allowed))

        async with anyio.create_task_group() as tasks:
            for number in range(200):
                tasks.start_soon(write, float(number))
        assert answers == [[0]] * 200


async def test_a_gate_that_says_no_leaves_the_session_whole():
    def no():
        raise RefusedError("no")

    async with serving(rich) as (url, _), connected(url) as (connection, _):
        speed = find(await connection.browse(), "Speed")
        for _ in range(20):
            with pytest.raises(RefusedError):
                await connection.write([Write(speed.address, 1.0, speed.type)], no)
        assert await connection.write([Write(speed.address, 3.0, speed.type)], allowed) == [0]
