"""Security against a third party's server: every policy and mode, users, certificates good and bad, and somebody in between.

What the server logs of its sessions is the judge.
"""

import asyncio
import json
import re
import shlex
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from asyncua import ua
from cryptography.hazmat.primitives.serialization import Encoding
from pydantic import SecretStr

from dtios.model.errors import CredentialsError, DtiosError
from dtios.sdk.adapter import Connection, Write
from dtios.sdk.pki import OwnCertificates, TrustList, thumbprint
from dtios.sdk.pki.making import VALID_FOR
from dtios.sdk.secrets import Secret
from dtios_opcua.session.channel import Channel
from tests.certificates import DAY, NOW, Made, make, make_ca, revocation_list
from tests.interop.secure_server import ALL, MODES, Secured, home_of, in_between, running_secured, secured, session
from tests.system.cli.conftest import Ended, runner
from tests.system.opcua.opcua_server import find

pytestmark = pytest.mark.interop

PASSWORD = "correct-horse-battery-staple"
ANNA: dict[str, Any] = {"user": "anna", "password": SecretStr(PASSWORD)}
OPERATOR = make("operator", client=True, uris=(), dns=(), ips=())
STRANGER = make("stranger", client=True, uris=(), dns=(), ips=())


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return home_of(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, home: Path) -> Iterator[Secured]:
    """Everything offered, both sides trusting each other."""
    folder = tmp_path_factory.mktemp("secured")
    with secured(folder, clients=(home,), users={"anna": PASSWORD}, trusted_users=(OPERATOR,)) as one:
        one.trusted_by(home)
        yield one


async def refused(url: str, home: Path, **settings: Any) -> DtiosError:
    with pytest.raises(DtiosError) as caught:
        async with session(url, home, **settings):
            pass
    assert "\n" not in str(caught.value)
    assert caught.value.mend
    return caught.value


async def use(connection: Connection, value: float) -> None:
    """Reads and writes over it."""
    level = find(await connection.browse(), "Level")
    assert await connection.write([Write(level.address, value, level.type)], lambda: None) == [0]
    assert (await connection.read([level.address]))[0].value == value


# --- policies, modes, users ---


@pytest.mark.parametrize("security", [f"{policy}:{mode}" for policy in ALL for mode in MODES])
@pytest.mark.parametrize("who", ["anonymous", "user", "certificate"])
async def test_every_policy_mode_and_user(server: Secured, home: Path, tmp_path: Path, security: str, who: str) -> None:
    certificate, key = OPERATOR.write(tmp_path)
    settings: dict[str, Any] = {
        "anonymous": {},
        "user": ANNA,
        "certificate": {"user_certificate": Secret("file", str(certificate)), "user_key": Secret("file", str(key))},
    }[who]
    token = {"anonymous": "AnonymousIdentityToken", "user": "UserNameIdentityToken", "certificate": "X509IdentityToken"}[who]
    before = len(server.sessions())
    async with session(server.url, home, security=security, **settings) as connection:
        await use(connection, float(before))
    (logged,) = server.sessions()[before:]
    assert (logged["security"], logged["token"], logged["user"]) == (security, token, "anna" if who == "user" else None)
    identity = OwnCertificates(home).identities()[0]
    assert logged["application"] == identity.application_uri
    assert logged["thumbprint"] == thumbprint(identity.certificate)
    assert float(before) in [call["args"][0] for call in server.machine.calls("write")]


@pytest.mark.parametrize(
    ("security", "taken"),
    [
        ("auto", "Aes256_Sha256_RsaPss:SignAndEncrypt"),
        ("none", "None:None"),
        ("Basic256Sha256", "Basic256Sha256:SignAndEncrypt"),
        ("aes128sha256rsaoaep:sign", "Aes128_Sha256_RsaOaep:Sign"),
    ],
)
async def test_what_is_taken_for_what_is_asked(server: Secured, home: Path, security: str, taken: str) -> None:
    async with session(server.url, home, security=security):
        assert server.sessions()[-1]["security"] == taken


async def test_a_password_over_no_security_is_encrypted_for_the_server(server: Secured, home: Path) -> None:
    """By the policy of the token; so the server's certificate has to be trusted even there."""
    async with session(server.url, home, security="none", **ANNA):
        assert server.sessions()[-1]["user"] == "anna"
    error = await refused(server.url, home / "stranger", security="none", **ANNA)
    assert "is not trusted yet" in error.message


async def test_users_that_are_not_let_in(server: Secured, home: Path, tmp_path: Path) -> None:
    error = await refused(server.url, home, user="anna", password=SecretStr("wrong-one"))
    assert isinstance(error, CredentialsError)
    assert "the password is wrong" in error.message
    assert "wrong-one" not in str(error)
    certificate, key = (Secret("file", str(path)) for path in STRANGER.write(tmp_path))
    error = await refused(server.url, home, user_certificate=certificate, user_key=key)
    assert isinstance(error, CredentialsError)
    assert "user" in error.message
    error = await refused(server.url, home, user_certificate=certificate, user_key=Secret("file", str(home / "server.der")))
    assert "not a private key" in error.message


async def test_the_channel_is_renewed_under_encryption_and_nothing_is_lost(
    server: Secured, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    renewed = [0]
    enough = asyncio.Event()
    original = Channel.renew

    async def renew(self: Channel) -> None:
        await original(self)
        renewed[0] += 1
        if renewed[0] == 4:
            enough.set()

    monkeypatch.setattr(Channel, "renew", renew)
    monkeypatch.setattr(Channel, "renewal", 0.2)
    before = len(server.machine.calls("write"))
    written = []
    async with session(server.url, home, security="auto", keep_alive=2.0) as connection:
        level = find(await connection.browse(), "Level")
        while not enough.is_set():
            written.append(1000.0 + len(written))
            assert await connection.write([Write(level.address, written[-1], level.type)], lambda: None) == [0]
    assert [call["args"][0] for call in server.machine.calls("write")][before:] == written


# --- the server's certificate ---


def ended() -> Made:
    return make(begins=NOW - 30 * DAY, ends=NOW - DAY)


def elsewhere() -> Made:
    return make(dns=("elsewhere.example",), ips=())


@pytest.mark.parametrize(("broken", "fault"), [(ended, "expired"), (elsewhere, "is for elsewhere.example")])
async def test_a_broken_certificate_is_refused_until_it_is_accepted_knowingly(tmp_path: Path, broken: Any, fault: str) -> None:
    home = home_of(tmp_path / "home")
    dtios = _commands(tmp_path, home)
    async with running_secured(tmp_path / "server", broken(), clients=(home,)) as server:
        error = await refused(server.url, home)
        assert isinstance(error, CredentialsError)
        assert fault in error.message
        assert "is not trusted yet" in error.message
        assert server.sessions() == []
        plainly = await dtios("trust", "accept", server.certificate.thumbprint)
        assert (plainly.status, "add --broken" in plainly.out) == (0, True)
        error = await refused(server.url, home)
        assert fault in error.message
        assert (await _obey(dtios, error)).status == 0
        async with session(server.url, home, security="auto"):
            assert server.sessions()[-1]["security"] == "Aes256_Sha256_RsaPss:SignAndEncrypt"
        assert (await dtios("trust", "reject", server.certificate.thumbprint)).status == 0
        assert fault in (await refused(server.url, home)).message


def _commands(folder: Path, home: Path) -> Callable[..., Awaitable[Ended]]:
    """The real command line, beside the event loop."""
    run = runner(folder, home)
    return lambda *arguments: asyncio.to_thread(run, *arguments)


async def _obey(dtios: Callable[..., Awaitable[Ended]], error: DtiosError) -> Ended:
    """Give the very command that the error names."""
    command = re.findall(r"`(dtios [^`]+)`", error.mend)[-1]
    return await dtios(*shlex.split(command)[1:])


async def test_a_plant_with_a_ca_of_its_own(tmp_path: Path) -> None:
    home = home_of(tmp_path / "home")
    dtios = _commands(tmp_path, home)
    ca = make_ca()
    machine = make(by=ca)
    for name, data in (("ca.der", ca.der), ("empty.crl", revocation_list(ca)), ("plant.crl", revocation_list(ca, machine))):
        (tmp_path / name).write_bytes(data)
    async with running_secured(tmp_path / "server", machine, clients=(home,)) as server:
        assert "is not trusted yet" in (await refused(server.url, home)).message
        assert (await dtios("trust", "accept", "ca.der")).status == 0
        error = await refused(server.url, home)
        assert "there is no revocation list of plant CA" in error.message
        assert "trust accept FILE" in error.mend
        assert (await dtios("trust", "accept", "empty.crl")).status == 0
        async with session(server.url, home):
            assert len(server.sessions()) == 1
        assert (await dtios("trust", "accept", "plant.crl")).status == 0
        error = await refused(server.url, home)
        assert "was revoked by plant CA" in error.message
        assert "accept" not in error.mend
        assert len(server.sessions()) == 1


# --- our own certificate ---


async def test_a_server_that_does_not_trust_us_yet(tmp_path: Path) -> None:
    home = home_of(tmp_path / "home")
    dtios = _commands(tmp_path, home)
    async with running_secured(tmp_path / "server") as server:
        server.trusted_by(home)
        error = await refused(server.url, home)
        assert isinstance(error, CredentialsError)
        assert "does not trust our certificate yet" in error.message
        assert (await _obey(dtios, error)).status == 0
        exported = (tmp_path / "dtios.der").read_bytes()
        for rejected in (server.pki / "rejected").iterdir():
            rejected.unlink()
        (server.pki / "trusted" / "certs" / "dtios.der").write_bytes(exported)
        for _ in range(50):  # the server looks at its folder from time to time
            try:
                async with session(server.url, home):
                    break
            except CredentialsError:
                await asyncio.sleep(0.2)
        assert server.sessions()[-1]["thumbprint"] == thumbprint(OwnCertificates(home).identities()[0].certificate)


async def test_a_renewed_certificate_is_used_when_the_server_trusts_it_and_the_old_one_until_then(tmp_path: Path) -> None:
    home = tmp_path / "home"
    past = datetime.now(UTC) - VALID_FOR + timedelta(days=30)
    (old,) = OwnCertificates(home, lambda: past).identities()
    async with running_secured(tmp_path / "server") as server:
        server.trusted_by(home)
        folder = server.pki / "trusted" / "certs"
        (folder / "old.der").write_bytes(old.certificate.public_bytes(Encoding.DER))
        await _until_taken(server, home, old.certificate)
        new, still = OwnCertificates(home).identities()
        assert still.certificate == old.certificate
        assert new.certificate != old.certificate
        for rejected in (server.pki / "rejected").iterdir():
            rejected.unlink()
        (folder / "new.der").write_bytes(new.certificate.public_bytes(Encoding.DER))
        await _until_taken(server, home, new.certificate)
        assert {entry["application"] for entry in server.sessions()} == {old.application_uri}


async def _until_taken(server: Secured, home: Path, certificate: Any) -> None:
    for _ in range(50):
        try:
            async with session(server.url, home):
                if server.sessions()[-1]["thumbprint"] == thumbprint(certificate):
                    return
        except CredentialsError:
            pass
        await asyncio.sleep(0.2)
    raise AssertionError("it never took this certificate")


# --- somebody in between ---

Endpoints = list[ua.EndpointDescription]


def without_the_strongest(endpoints: Endpoints) -> Endpoints:
    return [one for one in endpoints if "Aes256" not in one.SecurityPolicyUri]


def signed_only(endpoints: Endpoints) -> Endpoints:
    return [one for one in endpoints if one.SecurityMode != ua.MessageSecurityMode.SignAndEncrypt]


def tokens_in_clear(endpoints: Endpoints) -> Endpoints:
    for one in endpoints:
        for token in one.UserIdentityTokens:
            token.SecurityPolicyUri = "http://opcfoundation.org/UA/SecurityPolicy#None"
    return endpoints


def other_levels(endpoints: Endpoints) -> Endpoints:
    for one in endpoints:
        one.SecurityLevel = 0
    return endpoints


def other_address(endpoints: Endpoints) -> Endpoints:
    for one in endpoints:
        one.EndpointUrl = "opc.tcp://attacker.example:4840"
    return endpoints


@pytest.mark.parametrize("tamper", [without_the_strongest, signed_only, tokens_in_clear, other_levels, other_address])
async def test_a_changed_list_of_endpoints_is_found_out(server: Secured, home: Path, tamper: Any) -> None:
    before = len(server.sessions())
    async with in_between(server.url, lambda endpoints: endpoints) as url, session(url, home):
        assert len(server.sessions()) == before + 1
    async with in_between(server.url, tamper) as url:
        error = await refused(url, home, **ANNA)
    assert isinstance(error, CredentialsError)
    assert "the list of endpoints was changed" in error.message
    assert len(server.sessions()) == before + 1


async def test_a_list_with_the_security_taken_away_is_found_out(server: Secured, home: Path) -> None:
    """On loopback None would be taken without a word; a password would be refused at once."""

    def nothing_but_none(endpoints: Endpoints) -> Endpoints:
        return [one for one in tokens_in_clear(endpoints) if one.SecurityMode == ua.MessageSecurityMode.None_]

    before = len(server.sessions())
    async with in_between(server.url, nothing_but_none) as url:
        assert "the list of endpoints was changed" in (await refused(url, home)).message
        assert "clear text" in (await refused(url, home, **ANNA)).message
    assert len(server.sessions()) == before


async def test_another_certificate_put_in_between(server: Secured, home: Path) -> None:
    attacker = make("attacker")

    def exchanged(endpoints: Endpoints) -> Endpoints:
        for one in endpoints:
            one.ServerCertificate = attacker.der
        return endpoints

    before = len(server.sessions())
    async with in_between(server.url, exchanged) as url:
        error = await refused(url, home)
        assert "attacker" in error.message
        assert "is not trusted yet" in error.message
        TrustList(home).accept(attacker.thumbprint)
        await refused(url, home)  # even then: the real server cannot read what is encrypted for the other one
        TrustList(home).reject(attacker.thumbprint)
    assert len(server.sessions()) == before


# --- what is asked and not there ---


async def test_a_server_without_what_is_asked(tmp_path: Path) -> None:
    home = home_of(tmp_path / "home")
    async with running_secured(
        tmp_path / "server",
        clients=(home,),
        policies=("Basic256Sha256",),
        modes=("Sign",),
        anonymous=False,
        users={"anna": PASSWORD},
    ) as server:
        server.trusted_by(home)
        error = await refused(server.url, home, security="Aes256_Sha256_RsaPss")
        assert error.message == "the server does not offer Aes256_Sha256_RsaPss, but Basic256Sha256:Sign"
        error = await refused(server.url, home, security="none", **ANNA)
        assert "does not offer a connection without security" in error.message
        error = await refused(server.url, home)
        assert "does not take an anonymous user" in error.message
        assert "--user NAME" in error.mend
        error = await refused(server.url, home, security="none")
        assert error.kind in ("configuration", "credentials")
        async with session(server.url, home, **ANNA):
            assert server.sessions()[-1]["security"] == "Basic256Sha256:Sign"


# --- the command line, and what must never be seen ---


def test_from_nothing_to_a_described_machine_and_no_secret_is_ever_shown(tmp_path: Path) -> None:
    home = tmp_path / "state"
    dtios = runner(tmp_path, home)
    outputs = []

    def run(*arguments: str, **more: Any) -> Any:
        ended = dtios(*arguments, env={"DTIOS_PASSWORD": PASSWORD, "DTIOS_LOG": "debug", "DTIOS_DEBUG": "1"}, **more)
        outputs.append(ended.out + ended.err)
        return ended

    (tmp_path / "anna.secret").write_text(PASSWORD + "\n")
    assert run("trust", "export", "own.der", "--json").status == 0
    with secured(tmp_path / "server", users={"anna": PASSWORD}, clients=(home,)) as server:
        ended = run("describe", server.url, "--user", "anna", "--json")
        assert (ended.status, ended.error["kind"]) == (1, "credentials")
        command = re.findall(r"`(dtios [^`]+)`", ended.error["mend"])[-1]
        assert run(*shlex.split(command)[1:], "--json").lines[0]["added"] == [f"server, {server.certificate.thumbprint}"]
        ended = run("describe", server.url, "--user", "anna", "--json")
        assert "Vault" in [machine["name"] for machine in ended.lines[0]["machines"]], ended
        assert server.sessions()[-1]["user"] == "anna"
        config = {
            "machines": {"vault": {"endpoint": server.url, "settings": {"user": "anna", "password": {"file": "anna.secret"}}}}
        }
        (tmp_path / "dtios.yaml").write_text(json.dumps(config))
        assert run("check", "--online", "--json").status == 0
        assert run("read", "vault", "--json").status == 0
        (tmp_path / "anna.secret").write_text("wrong-" + PASSWORD)
        assert run("read", "vault", "--json").error["kind"] == "credentials"
    for store in ("own", "trusted"):
        assert store in [line["store"] for line in run("trust", "list", "--json").lines]
    (key_file,) = (home / "pki" / "own" / "private").iterdir()
    hidden = [PASSWORD, *key_file.read_text().splitlines()[1:-1]]
    files = [path for path in home.rglob("*") if path.is_file() and path != key_file]
    assert len(files) > 4
    texts = [*outputs, *(path.read_bytes().decode("latin-1") for path in files)]
    assert [secret for secret in hidden if any(secret in text for text in texts)] == []
    assert "Traceback" not in "".join(outputs)
