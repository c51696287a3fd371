"""Encrypted sessions, and servers that are not who they should be."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from asyncua import Server, ua
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.server.uaprocessor import UaProcessor
from pydantic import SecretStr

from dtios.model.errors import CredentialsError, DtiosError, RefusedError, TemporaryError
from dtios.sdk.adapter import Write
from dtios.sdk.pki import TrustList
from dtios_opcua import adapter
from dtios_opcua.security.settings import OpcUaSettings
from tests.certificates import DAY, NOW, Made, make
from tests.system.opcua.opcua_server import Sink, find, points, rich, serving

POLICIES = [
    ua.SecurityPolicyType.NoSecurity,
    ua.SecurityPolicyType.Basic256Sha256_Sign,
    ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt,
    ua.SecurityPolicyType.Aes128Sha256RsaOaep_Sign,
    ua.SecurityPolicyType.Aes128Sha256RsaOaep_SignAndEncrypt,
    ua.SecurityPolicyType.Aes256Sha256RsaPss_Sign,
    ua.SecurityPolicyType.Aes256Sha256RsaPss_SignAndEncrypt,
]
SERVER = make(uris=("urn:freeopcua:python:server",))


@asynccontextmanager
async def secured(folder: Path, made: Made = SERVER) -> AsyncIterator[tuple[str, Server]]:
    """Trusted by the connector whose state directory is `folder`/home."""
    certificate, key = made.write(folder / "server")

    async def fill(server: Server, idx: int) -> None:
        await rich(server, idx)
        await server.load_certificate(str(certificate))
        await server.load_private_key(str(key))
        server.set_security_policy(POLICIES)

    (folder / "server.der").write_bytes(made.der)
    TrustList(folder / "home").add(folder / "server.der")
    async with serving(fill) as (url, server):
        yield url, server


@asynccontextmanager
async def session(url: str, home: Path, sink: Sink | None = None, **settings):
    chosen = OpcUaSettings(**({"publishing_interval": 0.02, "timeout": 10.0, "keep_alive": 5.0} | settings))
    connection = adapter.connect(url, chosen, home)

    async def run(*, task_status):
        await connection.run(sink or Sink(), task_status=task_status)

    async with anyio.create_task_group() as tasks:
        await tasks.start(run)
        yield connection
        tasks.cancel_scope.cancel()


async def refused(url: str, home: Path, **settings) -> DtiosError:
    connection = adapter.connect(url, OpcUaSettings(timeout=10.0, **settings), home)
    with anyio.fail_after(30), pytest.raises(DtiosError) as caught:
        await connection.run(Sink(), task_status=anyio.TASK_STATUS_IGNORED)
    return caught.value


@pytest.mark.parametrize("security", ["Basic256Sha256", "Aes128_Sha256_RsaOaep", "Aes256_Sha256_RsaPss"])
@pytest.mark.parametrize("mode", ["Sign", "SignAndEncrypt"])
async def test_values_and_commands_through_each_policy(tmp_path, security, mode):
    sink = Sink()
    async with secured(tmp_path) as (url, server):
        async with session(url, tmp_path / "home", sink, security=f"{security}:{mode}") as connection:
            facts = await connection.browse()
            (speed,) = points(facts, "Speed")
            assert await connection.subscribe([speed]) == [0]
            for number in range(20):
                assert await connection.write([Write(speed.address, float(number), speed.type)], lambda: None) == [0]
            await sink.until(lambda sink: sink.values(1)[-1:] == [19.0])
            (client,) = server.bserver.clients
            policy = client.processor._connection.security_policy
            assert (policy.URI.rpartition("#")[2], policy.Mode.name) == (security, mode)


async def test_the_last_check_happens_with_nothing_in_between_under_encryption(tmp_path):
    order: list[str] = []
    async with secured(tmp_path) as (url, _), session(url, tmp_path / "home", security="auto") as connection:
        speed = find(await connection.browse(), "Speed")
        protocol = connection._session.channel.protocol
        transport = protocol.transport

        def check() -> None:
            asyncio.get_running_loop().call_soon(order.append, "another task")
            order.append("check")

        def write(data):
            order.append("socket")
            transport.write(data)

        names = ("is_closing", "abort", "close")
        kept = {name: staticmethod(getattr(transport, name)) for name in names}
        protocol.transport = type("Spy", (), {"write": staticmethod(write), **kept})()
        assert await connection.write([Write(speed.address, 2.0, speed.type)], check) == [0]

        def no() -> None:
            raise RefusedError("no")

        sent = len(order)
        with pytest.raises(RefusedError):
            await connection.write([Write(speed.address, 3.0, speed.type)], no)
        assert order[sent:].count("socket") == 0
        assert await connection.write([Write(speed.address, 4.0, speed.type)], lambda: None) == [0]
        protocol.transport = transport
    assert order[:2] == ["check", "socket"]


# --- a server that is not who it should be ---


@pytest.fixture
def lying(monkeypatch):
    """Changes CreateSession's answer of the servers in this process, just before it is sent."""
    original = UaProcessor.send_response

    def say(change):
        def send(self, request_handle, seqhdr, response, *more, **others):
            if isinstance(response, ua.CreateSessionResponse):
                change(response.Parameters)
            return original(self, request_handle, seqhdr, response, *more, **others)

        monkeypatch.setattr(UaProcessor, "send_response", send)

    return say


def _short_nonce(result) -> None:
    result.ServerNonce = b"\x01" * 8


def _other_certificate(result) -> None:
    result.ServerCertificate = make("attacker").der


def _no_certificate(result) -> None:
    result.ServerCertificate = None


def _fewer_endpoints(result) -> None:
    result.ServerEndpoints = result.ServerEndpoints[1:]


def _no_endpoints(result) -> None:
    result.ServerEndpoints = []


def _wrong_signature(result) -> None:
    result.ServerSignature.Signature = b"\x00" * 256


def _no_signature(result) -> None:
    result.ServerSignature.Signature = None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_short_nonce, "nonce has 8 bytes"),
        (_other_certificate, "another certificate"),
        (_no_certificate, "another certificate"),
        (_fewer_endpoints, "list of endpoints was changed"),
        (_no_endpoints, "list of endpoints was changed"),
        (_wrong_signature, "cannot prove"),
        (_no_signature, "cannot prove"),
    ],
)
async def test_what_a_session_has_to_prove(tmp_path, lying, change, words):
    lying(change)
    async with secured(tmp_path) as (url, _):
        error = await refused(url, tmp_path / "home", security="auto")
    assert isinstance(error, CredentialsError)
    assert words in error.message


async def test_a_server_that_closes_the_door_without_a_word(tmp_path, monkeypatch):
    """As many do that do not trust a certificate."""
    async with secured(tmp_path) as (url, server):
        from asyncua.common.connection import SecureConnection

        def select(self, uri, peer_certificate, mode=None):
            if "None" not in uri:
                for client in list(server.bserver.clients):
                    client.transport.close()
                raise ua.UaError("closed")
            return original(self, uri, peer_certificate, mode)

        original = SecureConnection.select_policy
        monkeypatch.setattr(SecureConnection, "select_policy", select)
        error = await refused(url, tmp_path / "home", security="auto")
    assert isinstance(error, CredentialsError)
    assert "dtios trust export" in error.mend


# --- users ---


class _Anna:
    def get_user(self, iserver, username=None, password=None, certificate=None):
        known = (username, password) == ("anna", "s" * 150)
        return User(role=UserRole.User) if known or (username is None and certificate is None) else None


async def test_a_long_password_takes_several_blocks(tmp_path):
    async with secured(tmp_path) as (url, server):
        server.iserver.user_manager = _Anna()
        async with session(url, tmp_path / "home", user="anna", password=SecretStr("s" * 150)):
            pass
        error = await refused(url, tmp_path / "home", user="anna", password=SecretStr("wrong"))
    assert isinstance(error, CredentialsError)
    assert "password" in error.mend
    assert "wrong" not in str(error).replace("the password is wrong", "")


async def test_a_secret_that_cannot_be_fetched_touches_no_network(tmp_path):
    from dtios.sdk.secrets import Secret

    error = await refused("opc.tcp://127.0.0.1:1", tmp_path, user="anna", password=Secret("env", "NO_SUCH_VARIABLE_HERE"))
    assert error.where == "$NO_SUCH_VARIABLE_HERE"
    assert not isinstance(error, TemporaryError)


@pytest.mark.parametrize(
    "settings",
    [
        {"user_certificate": {"file": "a"}},
        {"user_key": {"file": "a"}},
        {"user": "anna", "user_certificate": {"file": "a"}, "user_key": {"file": "b"}},
        {"password": {"file": "a"}},
        {"user_certificate": "a.pem", "user_key": "b.pem"},
    ],
)
def test_settings_that_do_not_fit(settings):
    with pytest.raises(ValueError, match=r".+"):
        OpcUaSettings.model_validate(settings)


async def test_the_doctor_names_every_fault_of_a_certificate(tmp_path):
    broken = make(uris=("urn:freeopcua:python:server",), dns=("elsewhere.example",), ips=(), begins=NOW - 9 * DAY, ends=NOW - DAY)
    async with secured(tmp_path, broken) as (url, _):
        found = await adapter.examine(url, OpcUaSettings(timeout=10.0), tmp_path / "stranger")
    problems = [(one.check, one.message, one.mend) for one in found if one.level == "problem"]
    assert [check for check, _, _ in problems] == ["server"] * 3
    assert f"dtios trust accept {broken.thumbprint}" in problems[0][2]
    assert "expired" in problems[1][1]
    assert "elsewhere.example" in problems[2][1]
