"""Few sessions, judged by the server: one for all that a runtime and its commands do, and a place that is free again."""

import json
from pathlib import Path
from typing import Any

import anyio
import pytest

from dtios.runtime.configuration.config import RuntimeConfig
from dtios.runtime.core import Runtime
from dtios.runtime.registry import Registry
from dtios.runtime.state import StateDirectory
from dtios.testing.proxy import FaultProxy
from tests.interop.node_server import running_node_server
from tests.machines.process import MachineProcess
from tests.runtimes import client_of

pytestmark = pytest.mark.interop


def logged(path: Path, method: str) -> list[dict[str, Any]]:
    lines = path.read_text().splitlines() if path.exists() else []
    return [one for one in map(json.loads, lines) if one["method"] == method]


def config(url: str) -> RuntimeConfig:
    settings = {"publishing_interval": 0.05, "keep_alive": 3}
    return RuntimeConfig.model_validate({"machines": {"press": {"endpoint": url, "machine": "Press", "settings": settings}}})


async def test_everything_over_one_session(tmp_path: Path) -> None:
    """An app's place, three commands and a look at the URL itself, on a server that has one session and no more."""
    async with running_node_server(tmp_path / "log", "--one-session", script="changing") as server:
        async with Runtime(config(server.endpoint), StateDirectory(tmp_path / "state"), Registry()) as runtime:
            async with client_of(runtime) as app, client_of(runtime) as watching, client_of(runtime) as commands:
                async with app.subscribe("press", ["**"]) as values, watching.subscribe("press", ["Steady"]) as more:
                    await anext(aiter(values))
                    await anext(aiter(more))
                    assert await commands.open(server.endpoint)
                    assert (await commands.describe("press")).health == "online"
                    await commands.write("press", "Speed", 4.0)
                    assert (await commands.read("press", ["Speed"]))[0][1].value == 4.0
        assert len(logged(server.log, "CreateSession")) == 1
        await closed(server.log, 1)


async def closed(log: Path, count: int) -> None:
    with anyio.fail_after(10):
        while len(logged(log, "SessionClosed")) < count:
            await anyio.sleep(0.05)


async def test_ended_in_order_its_place_is_free_at_once(tmp_path: Path) -> None:
    async with running_node_server(tmp_path / "log", "--one-session", script="changing") as server:
        for number in range(3):
            async with Runtime(config(server.endpoint), StateDirectory(tmp_path / "state"), Registry()) as runtime:
                assert runtime.kernel.machines.get("press").link.online, runtime.kernel.machines.get("press").link.detail
            await closed(server.log, number + 1)
        assert len(logged(server.log, "CreateSession")) == 3


async def test_after_a_cut_the_only_place_is_taken_by_ourselves_until_it_times_out(tmp_path: Path) -> None:
    async with running_node_server(tmp_path / "log", "--one-session", script="changing") as server:
        async with FaultProxy(server.port) as proxy:
            url = f"opc.tcp://127.0.0.1:{proxy.port}"
            async with (
                Runtime(config(url), StateDirectory(tmp_path / "state"), Registry()) as runtime,
                client_of(runtime) as client,
            ):
                link = runtime.kernel.machines.get("press").link
                async with client.subscribe("press", ["Steady"]) as values:
                    await anext(aiter(values))
                    proxy.cut(reset=True)
                    details = set()
                    with anyio.fail_after(60):
                        while link.online:
                            await anyio.sleep(0.02)
                        while not link.online:
                            details.add(link.detail)
                            await anyio.sleep(0.05)
                        assert (await client.read("press", ["Steady"]))[0][1].is_good
        sessions = logged(server.log, "CreateSession")
        assert len(sessions) >= 2
        assert all(one["timeout"] <= 30_000 for one in sessions)
        _told_of(details, server)


def _told_of(details: set[str], server: MachineProcess) -> None:
    """Either the server kept our place, and then that was said, or it gave it up with the socket."""
    kept = [one for one in logged(server.log, "SessionClosed") if "timeout" in str(one.get("reason")).lower()]
    if kept:
        assert any("BadTooManySessions" in one for one in details), details
