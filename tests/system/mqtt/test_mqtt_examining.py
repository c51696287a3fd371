"""`dtios doctor` at a broker: each thing that may be wrong is found, and said as what it is."""

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from paho.mqtt import publish

from dtios.sdk.adapter import Finding
from dtios_mqtt import adapter
from dtios_mqtt.settings import MqttSettings
from tests.brokers import Mosquitto, free_port, running_broker
from tests.certificates import make
from tests.conformance.mqtt_wire import ListeningBroker, Packet
from tests.system.mqtt.test_discovery import dtios, talking

SUBSCRIBE = 8


async def examined(url: str, folder: Path, **settings: Any) -> list[Finding]:
    with anyio.fail_after(15):
        return await adapter.examine(url, MqttSettings(listen=0, **settings), folder)


async def only_problem(url: str, folder: Path, **settings: Any) -> Finding:
    """What stops it: with a mend, and where."""
    problems = [one for one in await examined(url, folder, **settings) if one.level == "problem"]
    assert len(problems) == 1, problems
    assert problems[0].mend
    assert problems[0].where == url
    return problems[0]


async def test_nobody_is_there(tmp_path: Path) -> None:
    found = await only_problem(f"mqtt://127.0.0.1:{free_port()}", tmp_path)
    assert (found.check, found.message) == ("port", "nobody listens there")
    found = await only_problem("mqtt://broker.invalid", tmp_path)
    assert (found.check, found.message) == ("name", "the host name cannot be resolved")
    found = await only_problem("mqtt://", tmp_path)
    assert found.check == "settings"


async def test_tls_and_passwords(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ca = make("ca", ca=True)
    trusted, _ = ca.write(tmp_path / "ca")
    certificate, key = make("broker", by=ca).write(tmp_path / "broker")
    passwords, port = tmp_path / "passwords", free_port()
    await anyio.run_process(["mosquitto_passwd", "-b", "-c", str(passwords), "press", "secret"])
    secured = f"listener {port} 127.0.0.1\ncertfile {certificate}\nkeyfile {key}\n"
    async with running_broker(
        Mosquitto(tmp_path, f"allow_anonymous false\npassword_file {passwords}\nuser root\n{secured}")
    ) as broker:
        known = {"user": "press", "password": {"env": "BROKER_PASSWORD"}}
        monkeypatch.setenv("BROKER_PASSWORD", "wrong")
        assert (await only_problem(broker.url, tmp_path)).check == "user"
        assert (await only_problem(broker.url, tmp_path, **known)).check == "user"
        monkeypatch.setenv("BROKER_PASSWORD", "secret")
        tls = f"mqtts://127.0.0.1:{port}"
        found = await only_problem(tls, tmp_path, **known)
        assert found.check == "server"
        assert "certificate is not trusted" in found.message
        assert (await only_problem(tls, tmp_path, ca=tmp_path / "none", **known)).check == "settings"
        assert (await only_problem(broker.url.replace("mqtt:", "mqtts:"), tmp_path, **known)).level == "problem"
        good = await examined(tls, tmp_path, ca=trusted, **known)
        assert [(one.check, one.level) for one in good] == [
            ("server", "good"), ("session", "good"), ("rights", "good"), ("values", "warning"),
        ]  # fmt: skip
        assert good[-1].message == "nothing was heard within 1 s"
        assert "may not read" in good[-1].mend


async def test_who_speaks(tmp_path: Path) -> None:
    async with running_broker(Mosquitto(tmp_path)) as broker:
        await anyio.to_thread.run_sync(
            lambda: publish.single("old/press", "1", qos=1, retain=True, hostname="127.0.0.1", port=broker.port)
        )
        values = (await examined(broker.url, tmp_path))[-1]
        assert (values.check, values.level) == ("values", "warning")
        assert "had retained what was said before on 1 of its topics" in values.message
        with talking(broker):
            values = (await examined(broker.url, tmp_path))[-1]
            assert (values.level, values.message) == ("good", "4 topics were heard within 1 s")
    shown = await dtios(tmp_path, "doctor", broker.url, "--state", "state", status=1)
    assert "nobody listens there" in shown
    assert "1 problem" in shown


@pytest.mark.parametrize("version", ["3.1.1", "5"])
@pytest.mark.parametrize(("answers", "level"), [((0, 0x87), "problem"), ((0x87, 0), "good"), ((0x87, 0x87), "problem")])
async def test_rights(tmp_path: Path, version: str, answers: tuple[int, int], level: str) -> None:
    """Of `#` and of what Sparkplug needs. In MQTT 3.1.1 every refusal is 128."""

    class Guarded(ListeningBroker):
        @staticmethod
        def _answer(packet: Packet, writer: asyncio.StreamWriter, five: bool) -> None:
            if packet.kind == SUBSCRIBE:
                codes = bytes(answers) if five else bytes(min(one, 0x80) for one in answers)
                answer = packet.body[:2] + (b"\0" if five else b"") + codes
                writer.write(bytes([0x90, len(answer)]) + answer)
            else:
                ListeningBroker._answer(packet, writer, five)

    broker = Guarded()
    server = await asyncio.start_server(broker.serve, "127.0.0.1", 0)
    try:
        url = f"mqtt://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        found = await examined(url, tmp_path, version=version, vda_interfaces=())
    finally:
        server.close()
        if broker.writer is not None:
            broker.writer.close()
            with contextlib.suppress(ConnectionError):
                await broker.writer.wait_closed()
    (rights,) = [one for one in found if one.check == "rights"]
    assert rights.level == level
    if level == "problem":
        assert "does not let us read spBv1.0/#" in rights.message
        assert "access list" in rights.mend
    else:
        assert "that a profile names" in rights.message
