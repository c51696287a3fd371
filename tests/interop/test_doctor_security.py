"""`dtios doctor` at a secured server of a third party's stack: what stands against a session, and what mends it."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from dtios.sdk.adapter import Finding
from dtios_opcua import adapter
from dtios_opcua.security.settings import OpcUaSettings
from tests.certificates import NOW, make
from tests.interop.secure_server import Secured, home_of, running_secured
from tests.system.cli.conftest import runner

pytestmark = pytest.mark.interop

PASSWORD = "correct-horse-battery-staple"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return home_of(tmp_path / "home")


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Secured]:
    async with running_secured(tmp_path / "made", users={"anna": PASSWORD}, anonymous=False) as one:
        yield one


async def examined(url: str, home: Path, **settings: Any) -> dict[str, Finding]:
    chosen = OpcUaSettings(**({"publishing_interval": 0.05, "timeout": 10.0, "keep_alive": 10.0} | settings))
    findings = await adapter.examine(url, chosen, home)
    assert len({finding.check for finding in findings}) == len(findings)
    assert all(finding.mend for finding in findings if finding.level != "good")
    assert all(PASSWORD not in f"{finding.message}{finding.mend}" for finding in findings)
    return {finding.check: finding for finding in findings}


def problems(found: dict[str, Finding]) -> list[str]:
    return [check for check, finding in found.items() if finding.level == "problem"]


ANNA: dict[str, Any] = {"user": "anna", "password": SecretStr(PASSWORD)}


async def test_step_by_step_until_it_works(server: Secured, home: Path, tmp_path: Path):
    """Each mend is done, and the next thing is found."""
    found = await examined(server.url, home)
    assert problems(found) == ["user"]
    assert "--user" in found["user"].mend

    found = await examined(server.url, home, **ANNA)
    assert problems(found) == ["server"]
    assert "is not trusted yet" in found["server"].message
    command = found["server"].mend.partition("`dtios ")[2].rstrip("`").split()
    accepted = runner(tmp_path, home)(*command)
    assert accepted.status == 0, accepted.err

    found = await examined(server.url, home, **ANNA)
    assert problems(found) == ["certificate"]
    assert "dtios trust export" in found["certificate"].mend
    assert server.sessions() == []


async def test_when_both_trust_each_other(tmp_path: Path, home: Path):
    async with running_secured(tmp_path / "made", clients=(home,), users={"anna": PASSWORD}) as server:
        server.trusted_by(home)
        await _users(server, home)


async def _users(server: Secured, home: Path) -> None:
    wrong = await examined(server.url, home, user="anna", password=SecretStr("wrong-one"))
    assert problems(wrong) == ["user"]
    assert "wrong-one" not in str(wrong)

    found = await examined(server.url, home, **ANNA)
    assert problems(found) == []
    assert "Aes256_Sha256_RsaPss:SignAndEncrypt is taken" in found["security"].message
    assert found["server"].level == "good"
    assert len([one for one in server.sessions() if one["user"] == "anna"]) == 1


async def test_no_matching_policy(tmp_path: Path, home: Path):
    async with running_secured(tmp_path / "made", policies=("Basic256Sha256",), modes=("Sign",)) as server:
        found = await examined(server.url, home, security="Aes256_Sha256_RsaPss")
        assert problems(found) == ["security"]
        assert "Basic256Sha256:Sign" in found["security"].message
        found = await examined(server.url, home, security="Basic257")
        assert problems(found) == ["settings"]


@pytest.mark.parametrize(
    ("certificate", "words"),
    [
        ({"begins": NOW - timedelta(days=60), "ends": NOW - timedelta(days=30)}, "expired"),
        ({"dns": ("elsewhere.example",), "ips": ()}, "elsewhere.example"),
    ],
)
async def test_a_certificate_that_is_wrong(tmp_path: Path, home: Path, certificate: dict[str, Any], words: str):
    async with running_secured(tmp_path / "made", make(**certificate)) as server:
        server.both(home)
        found = await examined(server.url, home)
    assert problems(found) == ["server"]
    assert words in found["server"].message


async def test_a_certificate_that_ends_soon(tmp_path: Path, home: Path):
    async with running_secured(tmp_path / "made", make(ends=NOW + timedelta(days=5))) as server:
        server.both(home)
        found = await examined(server.url, home)
    assert (problems(found), found["server"].level) == ([], "warning")
