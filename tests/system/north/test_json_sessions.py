"""The JSON publisher and its broker: users and access lists, what is retained, machines that come, change and go."""

import os
import signal
from collections.abc import AsyncIterator, MutableMapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
import yaml

from dtios.model.datatypes import BuiltinType
from dtios.runtime.configuration.config import load_config
from dtios.runtime.core import Runtime
from dtios.runtime.registry import Registry
from dtios.runtime.state import StateDirectory
from dtios.sdk.clock import SystemClock
from dtios.testing import METHOD_PROFILE, MemoryAdapter, MemoryServer, method_machine
from tests.brokers import BROKERS, BrokerProcess, Mosquitto, running_broker
from tests.runtimes import client_of
from tests.system.north.receiver import Receiver


@asynccontextmanager
async def line(folder: Path, *machines: MemoryServer, **config: Any) -> AsyncIterator[Runtime]:
    """Machines in memory and the publisher inline, from a dtios.yaml in the folder."""
    (folder / "profile.yaml").write_text(METHOD_PROFILE)
    file = folder / "dtios.yaml"
    config = {"enterprise": "acme", "signals": ["Speed", "Depth"], **config}
    written = {
        "profiles": ["profile.yaml"],
        "machines": {machine.name: {"endpoint": machine.url} for machine in machines},
        "publishers": {"json": {"isolation": "inline", "config": config}},
    }
    file.write_text(yaml.safe_dump(written))
    registry = Registry(adapters=[MemoryAdapter(*machines)])
    async with AsyncExitStack() as stack:
        for machine in machines:
            await stack.enter_async_context(machine)
        runtime = Runtime(load_config(file), StateDirectory(folder / "state"), registry, path=file)
        yield await stack.enter_async_context(runtime)


def speed_of(machine: MemoryServer) -> str:
    return machine.find(f"Machines/{machine.name}/Speed").address


async def test_a_broker_that_refuses_us_gets_everything_when_it_does_so_no_more(
    tmp_path: Path, log_events: list[MutableMapping[str, Any]]
) -> None:
    """First the password, whose file counts from the folder of dtios.yaml, is wrong; then the access list forbids."""
    passwords, access, secret = tmp_path / "passwords", tmp_path / "access", tmp_path / "secret"
    await anyio.run_process(["mosquitto_passwd", "-b", "-c", str(passwords), "line", "right"])
    access.write_text("topic read #\nuser line\ntopic write elsewhere/#\n")
    secret.write_text("wrong\n")
    broker = Mosquitto(tmp_path, f"allow_anonymous true\npassword_file {passwords}\nacl_file {access}\nuser root\n")
    machine = method_machine("m", clock=SystemClock())

    def why(event: str) -> str:
        return " ".join(str(one.get("why")) for one in log_events if one["event"] == event)

    async with running_broker(broker), Receiver(broker) as receiver:
        given = {"url": broker.url, "user": "line", "password": {"file": "secret"}, "interval": 0}
        async with line(tmp_path, machine, **given):
            await receiver.until(lambda: "refused us" in why("the broker is not reached"))
            machine.set(speed_of(machine), 1.0)
            secret.write_text("right\n")
            await receiver.until(lambda: "access list" in why("the broker is lost"))
            machine.set(speed_of(machine), 2.0)
            assert receiver.values == []
            access.write_text("topic read #\nuser line\ntopic write acme/#\n")
            assert broker._process is not None
            os.kill(broker._process.pid, signal.SIGHUP)
            await receiver.until(lambda: {1.0, 2.0} <= {row["value"] for row in receiver.rows()})
            assert all(one["historical"] for one in receiver.values)
            machine.set(speed_of(machine), 3.0)
            await receiver.until(lambda: [row["value"] for row in receiver.rows(historical=False)] == [3.0])
    assert receiver.of("/_publisher")[-1]["online"] is False


@pytest.mark.parametrize("kind", BROKERS, ids=lambda kind: kind.name)
async def test_who_comes_later_finds_what_is_retained_and_what_has_gone_is_no_more(
    tmp_path: Path, kind: type[BrokerProcess]
) -> None:
    one, two = method_machine("one", clock=SystemClock()), method_machine("two", clock=SystemClock())
    broker = kind(tmp_path)
    async with running_broker(broker), line(tmp_path, one, two, url=broker.url, machines={"two": {"site": "s"}}) as runtime:
        async with Receiver(broker) as receiver:
            await receiver.until(lambda: len({topic for topic, _, _ in receiver.messages}) >= 5 + 2)
        async with Receiver(broker, name="later") as receiver:
            await receiver.until(lambda: len(receiver.messages) >= 5)
            found = {topic: payload for topic, payload, retained in receiver.messages if retained}
            assert found.keys() == {
                "acme/_publisher", "acme/one/description", "acme/one/state", "acme/s/two/description", "acme/s/two/state",
            }  # fmt: skip
            assert found["acme/one/state"]["online"] is True
            one.switch_off()
            await receiver.until(lambda: receiver.of("one/state")[-1]["online"] is False)
            await receiver.until(lambda: "BadNoCommunication" in {row["status"] for row in receiver.rows()})
            one.switch_on()
            await receiver.until(lambda: receiver.of("one/state")[-1]["online"] is True)
            # a signal that the machine had not when it was subscribed
            two.variable("Depth", 4.5, BuiltinType.Double, parent=two.find("Machines/two"))
            await receiver.until(lambda: "Depth" in {signal["path"] for signal in receiver.of("two/description")[-1]["signals"]})
            await receiver.until(lambda: ("Depth", 4.5) in {(row["signal"], row["value"]) for row in receiver.rows()})
            written = yaml.safe_load((tmp_path / "dtios.yaml").read_text())
            del written["machines"]["one"]
            (tmp_path / "dtios.yaml").write_text(yaml.safe_dump(written))
            async with client_of(runtime) as client:
                await client.reload()
            await receiver.until(lambda: receiver.of("one/state")[-1]["health"] == "gone")
            assert receiver.of("one/description")[-1] is None


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({}, "config.url"),
        ({"url": "mqtt://b", "password": "hunter2"}, "config.password"),
        ({"url": "mqtt://b", "plant": "x"}, "it knows: url"),
    ],
)
async def test_a_wrong_configuration_is_one_sentence(tmp_path: Path, config: dict[str, Any], sentence: str) -> None:
    async with line(tmp_path, **config) as runtime:
        [view] = runtime.kernel.app_views()
        assert view.health == "failed"
        assert sentence in view.detail
        assert "hunter2" not in view.detail
