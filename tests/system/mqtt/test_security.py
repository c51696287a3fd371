"""TLS, client certificates, passwords and websockets against mosquitto; certificates made here."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from pydantic import ValidationError

from dtios.sdk.errors import ConfigurationError, DtiosError
from dtios_mqtt.session.messages import Outgoing
from dtios_mqtt.session.opening import Role, open_client
from dtios_mqtt.settings import MqttSettings, parse_url
from tests.brokers import Mosquitto, free_port, running_broker
from tests.certificates import make


async def tried(url: str, folder: Path, **settings: Any) -> None:
    """A session through which a message goes out and is acknowledged."""
    client = await open_client(parse_url(url), MqttSettings(**settings), folder, Role("one", True, ()))
    try:
        with anyio.fail_after(10):
            await client.hand_over(Outgoing("a", b"1", qos=1))
    finally:
        await client.close()


@asynccontextmanager
async def secured(folder: Path, more: str = "", **server: Any) -> AsyncIterator[tuple[Mosquitto, Path]]:
    """A broker with a certificate of a CA of its own, and the file of that CA."""
    ca = make("ca", ca=True)
    ca.write(folder / "ca")
    certificate, key = make("broker", by=ca, **server).write(folder / "broker")
    lines = f"user root\ncertfile {certificate}\nkeyfile {key}\ncafile {folder / 'ca/certificate.pem'}\n{more}"
    async with running_broker(Mosquitto(folder, lines)) as broker:
        assert isinstance(broker, Mosquitto)
        yield broker, folder / "ca/certificate.pem"


@pytest.mark.parametrize("version", ["3.1.1", "5"])
async def test_tls(version: str, tmp_path: Path) -> None:
    async with secured(tmp_path) as (broker, ca):
        await tried(broker.url.replace("mqtt:", "mqtts:"), tmp_path, ca=ca, version=version)


async def test_a_broker_of_another_ca(tmp_path: Path) -> None:
    other, _ = make("other", ca=True).write(tmp_path / "other")
    async with secured(tmp_path) as (broker, _):
        for given in ({}, {"ca": other}):
            with pytest.raises(DtiosError, match="certificate is not trusted"):
                await tried(broker.url.replace("mqtt:", "mqtts:"), tmp_path, **given)


async def test_a_broker_with_another_name(tmp_path: Path) -> None:
    async with secured(tmp_path, ips=(), dns=("elsewhere",)) as (broker, ca):
        with pytest.raises(DtiosError, match=r"127\.0\.0\.1"):
            await tried(broker.url.replace("mqtt:", "mqtts:"), tmp_path, ca=ca)


async def test_client_certificates(tmp_path: Path) -> None:
    mine, key = make("us", by=make("ca", ca=True), client=True).write(tmp_path / "us")
    async with secured(tmp_path, "require_certificate true\n") as (broker, ca):
        url = broker.url.replace("mqtt:", "mqtts:")
        await tried(url, tmp_path, ca=ca, certificate=mine, key=key)
        with pytest.raises(DtiosError):
            await tried(url, tmp_path, ca=ca)


async def test_passwords(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "passwords"
    await anyio.run_process(["mosquitto_passwd", "-b", "-c", str(file), "press", "secret"])
    async with running_broker(Mosquitto(tmp_path, f"allow_anonymous false\npassword_file {file}\nuser root\n")) as broker:
        monkeypatch.setenv("BROKER_PASSWORD", "secret")
        await tried(broker.url, tmp_path, user="press", password={"env": "BROKER_PASSWORD"})
        monkeypatch.setenv("BROKER_PASSWORD", "wrong")
        with pytest.raises(DtiosError, match="refused us"):
            await tried(broker.url, tmp_path, user="press", password={"env": "BROKER_PASSWORD"})


async def test_websockets(tmp_path: Path) -> None:
    """mosquitto 2.0.11 does not start with listeners for websockets alone."""
    ports = [free_port(), free_port()]
    plain = f"listener {ports[0]} 127.0.0.1\nprotocol websockets\n"
    files = f"certfile {tmp_path / 'broker/certificate.pem'}\nkeyfile {tmp_path / 'broker/key.pem'}\n"
    more = f"{plain}listener {ports[1]} 127.0.0.1\nprotocol websockets\n{files}"
    async with secured(tmp_path, more) as (_, ca):
        await tried(f"ws://127.0.0.1:{ports[0]}/mqtt", tmp_path)
        await tried(f"wss://127.0.0.1:{ports[1]}/mqtt", tmp_path, ca=ca)


async def test_files_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("not a certificate")
    for given in ({"ca": tmp_path / "none"}, {"ca": tmp_path / "text"}, {"certificate": tmp_path / "text"}):
        with pytest.raises(ConfigurationError, match="cannot be used"):
            await tried("mqtts://127.0.0.1:9", tmp_path, **given)


@pytest.mark.parametrize("given", [{"key": "k.pem"}, {"persistent": True}])
def test_settings_that_belong_together(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="give"):
        MqttSettings.model_validate(given)
