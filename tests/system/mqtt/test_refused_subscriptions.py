"""A broker that does not let us read: said as what it is, at once or when a profile wants more."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from dtios.mapping.profiles.file import parse_profile
from dtios.mapping.profiles.library import ProfileLibrary
from dtios.sdk.adapter import Connection
from dtios.sdk.errors import CredentialsError
from dtios.testing.conformance import Probe, standing
from dtios_mqtt import adapter
from dtios_mqtt.settings import MqttSettings
from tests.conformance.mqtt_wire import ListeningBroker, Packet

SUBSCRIBE, UNSUBSCRIBE = 8, 10


class Guarded(ListeningBroker):
    """Nobody may read `secret` (128 in MQTT 3.1.1, 135 in MQTT 5)."""

    @staticmethod
    def _answer(packet: Packet, writer: asyncio.StreamWriter, five: bool) -> None:
        if packet.kind == SUBSCRIBE and b"secret" in packet.body:
            answer = packet.body[:2] + (b"\0\x87" if five else b"\x80")
            writer.write(bytes([0x90, len(answer)]) + answer)
        elif packet.kind == UNSUBSCRIBE:
            answer = packet.body[:2] + (b"\0\0" if five else b"")
            writer.write(bytes([0xB0, len(answer)]) + answer)
        else:
            ListeningBroker._answer(packet, writer, five)


@asynccontextmanager
async def guarded() -> AsyncIterator[str]:
    broker = Guarded()
    server = await asyncio.start_server(broker.serve, "127.0.0.1", 0)
    try:
        yield f"mqtt://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        if broker.writer is not None:
            broker.writer.close()


def library(topic: str) -> ProfileLibrary:
    text = f"""
profile: plant
topics:
  identity: [machine]
  messages: [{{topic: "{topic}", values: [{{path: a, name: A}}]}}]
"""
    return ProfileLibrary([parse_profile(text, "p.yaml")])


def reached(url: str, folder: Path, version: str) -> Connection:
    settings = MqttSettings(version=version, listen=0.0, vda_interfaces=())  # type: ignore[arg-type]  # one of its words
    return adapter.connect(url, settings, folder)


@pytest.mark.parametrize("version", ["3.1.1", "5"])
async def test_at_once(tmp_path: Path, version: str) -> None:
    async with guarded() as url:
        connection = reached(url, tmp_path, version)
        connection.learn(library("secret/{machine}"))
        with anyio.fail_after(5):
            with pytest.raises(CredentialsError, match=r"does not let us read secret/\+") as caught:
                async with standing(Probe(connection)):
                    pass
        assert caught.value.mend


@pytest.mark.parametrize("version", ["3.1.1", "5"])
async def test_when_a_profile_wants_more(tmp_path: Path, version: str) -> None:
    async with guarded() as url:
        connection = reached(url, tmp_path, version)
        connection.learn(library("open/{machine}"))
        probe = Probe(connection)
        async with standing(probe):
            connection.learn(library("secret/{machine}"))
            with anyio.fail_after(5):
                await probe.ended.wait()
        assert isinstance(probe.error, CredentialsError)
        assert "secret/+" in str(probe.error)
