"""`broker: embedded`: a broker that lives as long as the runtime, and a Sparkplug machine that is reached through it by name."""

import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import anyio
import psutil
import pytest

from dtios.model.errors import ConfigurationError, DtiosError, TemporaryError
from dtios.runtime.configuration.config import RuntimeConfig
from dtios.runtime.configuration.loading import make_setup
from dtios.runtime.core import Runtime
from dtios.runtime.registry import Registry
from dtios.runtime.state import StateDirectory
from dtios.sdk.client import Client
from dtios.sdk.protocol import BrokerView
from dtios_packml.plant import Plant
from dtios_packml.sparkplug.face import on_broker
from tests.runtimes import client_of

PROFILE = Path(__file__).parents[3] / "simulators/dtios_packml/sparkplug.yaml"


def configuration(port: int = 0) -> RuntimeConfig:
    machine = {"endpoint": "mqtt:embedded", "machine": "Filler"}
    return RuntimeConfig.model_validate(
        {"broker": {"port": port} if port else "embedded", "profiles": [str(PROFILE)], "machines": {"filler": machine}}
    )


@asynccontextmanager
async def running(config: RuntimeConfig, state: Path) -> AsyncIterator[tuple[Client, BrokerView]]:
    async with Runtime(config, StateDirectory(state), Registry()) as runtime, client_of(runtime) as client:
        broker = await client.broker()
        assert broker is not None
        yield client, broker


async def online(client: Client) -> Any:
    with anyio.fail_after(20):
        async with client.follow_machines() as changes:
            async for change in changes:
                if change.view.machine.name == "filler" and change.view.health == "online":
                    return change.view
    raise AssertionError("the stream ended")


@contextmanager
def taken_port() -> Iterator[int]:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        one.listen()
        yield one.getsockname()[1]


async def test_a_machine_through_it_and_again_at_another_port(tmp_path: Path) -> None:
    """Who it is does not depend on where the broker listened."""
    known = []
    for again in (False, True):
        async with running(configuration(), tmp_path) as (client, broker):
            assert broker.health == "listening"
            assert broker.url.startswith("mqtt://127.0.0.1:")
            async with on_broker(Plant(), broker.url, factor=20):
                view = await online(client)
                assert view.machine.endpoint == "mqtt:embedded"
                if not again:
                    job = await client.start("filler", "Fill", {"count": 2}, job="order-1")
                    assert dict((await job.outcome()).results)["made"] == 2
                assert (await client.show_job("order-1", "filler")).view.final
                known.append((view.machine.identity, broker.url))
    assert known[0][0] == known[1][0]
    assert known[0][1] != known[1][1]


async def test_it_is_started_again_when_it_dies(tmp_path: Path) -> None:
    async with running(configuration(), tmp_path) as (client, broker):
        async with on_broker(Plant(), broker.url, factor=20):
            await online(client)
            assert broker.pid is not None
            os.kill(broker.pid, signal.SIGKILL)
            with anyio.fail_after(30):
                while (again := await client.broker()) is None or again.restarts < 1 or again.health != "listening":
                    await anyio.sleep(0.05)
                await _written(client)
            assert (again.url, again.health, again.restarts) == (broker.url, "listening", 1)
            assert again.pid != broker.pid
    assert not psutil.pid_exists(again.pid or 0)


async def _written(client: Client) -> None:
    """As soon as the machine is there and takes it."""
    while True:
        try:
            await client.write("filler", "Status/MachSpeed", 90.0)
        except DtiosError:
            await anyio.sleep(0.1)
        else:
            return


async def test_ctrl_c_at_the_terminal_is_not_for_it(tmp_path: Path) -> None:
    """What apps left on machines is still held or stopped through it."""
    async with running(configuration(), tmp_path) as (_, broker):
        assert os.getpgid(broker.pid or 0) != os.getpgid(0)


async def test_it_ends_with_a_runtime_that_was_killed(tmp_path: Path) -> None:
    (tmp_path / "dtios.yaml").write_text("broker: embedded\nstate: state\n")
    command = [sys.executable, "-m", "dtios.cli", "run", "--json"]
    process = await anyio.open_process(command, cwd=tmp_path, stderr=None)
    try:
        with anyio.fail_after(30):
            while not (found := psutil.Process(process.pid).children()):
                await anyio.sleep(0.05)
        process.kill()
        with anyio.fail_after(10):
            while any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in found):
                await anyio.sleep(0.05)
    finally:
        await process.aclose()


async def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with taken_port() as port:
        with pytest.raises(TemporaryError, match=f"something else listens at port {port}"):
            async with running(configuration(port), tmp_path):
                pass


def test_without_one_its_name_means_nothing(tmp_path: Path) -> None:
    config = RuntimeConfig.model_validate({"machines": {"filler": {"endpoint": "mqtt:embedded"}}})
    with pytest.raises(ConfigurationError, match="there is no embedded broker here"):
        make_setup(config, Registry(), tmp_path)
