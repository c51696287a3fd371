"""`dtios discover` and `dtios profile` at a real broker; the proposal, put into a configuration, reads the machines."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from tests.brokers import BrokerProcess, Mosquitto, running_broker


@contextmanager
def talking(broker: BrokerProcess) -> Iterator[None]:
    """Two presses, a document each, again and again."""
    client = paho.Client(CallbackAPIVersion.VERSION2, "press")
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    over = threading.Event()

    def talk() -> None:
        number = 0
        while not over.wait(0.1):
            number += 1
            for press in ("p1", "p2"):
                state = {"ts": 1_767_225_600_000 + number, "oil": {"value": 21.5, "unit": "°C"}, "running": True, "parts": number}
                client.publish(f"acme/hall/{press}/state", json.dumps(state))
                client.publish(f"acme/hall/{press}/mode", "auto")

    thread = threading.Thread(target=talk, name="presses")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        client.loop_stop()
        client.disconnect()


async def dtios(folder: Path, *arguments: str, status: int = 0) -> str:
    command = [sys.executable, "-m", "dtios.cli", *arguments]

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)

    done = await anyio.to_thread.run_sync(run)
    assert done.returncode == status, done.stderr
    return done.stdout + ("" if status == 0 else done.stderr)


async def test_from_a_broker_to_described_machines(tmp_path: Path) -> None:
    async with running_broker(Mosquitto(tmp_path)) as broker:
        with talking(broker):
            lines = (await dtios(tmp_path, "discover", broker.url, "--seconds", "1", "--state", "state", "--json")).splitlines()
            found = [json.loads(line) for line in lines]
            assert [(one["name"], one["details"]["machine"]) for one in found] == [("p1", "p1"), ("p2", "p2")]
            text = await dtios(tmp_path, "discover", broker.url, "--seconds", "1", "--state", "state")
            assert "messages on acme/hall/p1/state" in text
            assert "dtios profile" in text
            proposed = await dtios(tmp_path, "profile", broker.url, "--seconds", "1", "--state", "state")
            (tmp_path / "press.yaml").write_text(proposed)
            (tmp_path / "dtios.yaml").write_text(
                f"profiles: [press.yaml]\nmachines:\n  press: {{endpoint: '{broker.url}', machine: p2}}\nstate: state\n"
            )
            await dtios(tmp_path, "check")
            (described,) = json.loads(await dtios(tmp_path, "describe", "press", "--json"))["machines"]
            signals: dict[str, Any] = {one["path"]: one for one in described["signals"]}
            assert set(signals) == {"state/oil/value", "state/oil/unit", "state/running", "state/parts", "mode"}
            assert signals["state/oil/value"]["unit"]["code"] == "CEL"
            assert signals["state/oil/value"]["value"] == 21.5
            assert signals["mode"]["value"] == "auto"


async def test_nothing_to_be_heard_and_nobody_there(tmp_path: Path) -> None:
    async with running_broker(Mosquitto(tmp_path)) as broker:
        assert "nothing was found" in await dtios(tmp_path, "discover", broker.url, "--seconds", "0.3", status=1)
        said = await dtios(tmp_path, "profile", broker.url, "--seconds", "0.3", status=1)
        assert "listen longer with --seconds" in said
    assert broker.url in await dtios(tmp_path, "discover", broker.url, "--seconds", "0.3", status=1)


async def test_a_broker_that_wants_a_password(tmp_path: Path) -> None:
    passwords = tmp_path / "passwords"
    await anyio.run_process(["mosquitto_passwd", "-b", "-c", str(passwords), "ann", "secret"])
    passwords.chmod(0o644)
    async with running_broker(Mosquitto(tmp_path, f"allow_anonymous false\npassword_file {passwords}\nuser root")) as broker:
        said = await dtios(tmp_path, "discover", broker.url, "--seconds", "0.3", status=1)
        assert "refused us" in said
        (tmp_path / "word").write_text("secret")
        (tmp_path / "dtios.yaml").write_text(
            f"machines:\n  press:\n    endpoint: '{broker.url}'\n    machine: p2\n"
            "    settings: {user: ann, password: {file: word}}\n"
        )
        said = await dtios(tmp_path, "discover", broker.url, "--seconds", "0.3", status=1)
        assert "nothing was found" in said


@pytest.mark.parametrize("arguments", [["discover", "mqtt://"], ["profile", "press", "--seconds", "1"]])
async def test_what_cannot_be_asked(tmp_path: Path, arguments: list[str]) -> None:
    said = await dtios(tmp_path, *arguments, status=2)
    assert len(said.strip().splitlines()) == 1
