"""The Sparkplug publisher through a real broker: each value of the sender's log arrives or lies in a Gap, whatever is ended."""

import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest

from dtios.model.gap import GapCause
from dtios.runtime.configuration.config import RuntimeConfig
from dtios.runtime.core import Runtime
from dtios.runtime.registry import Registry
from dtios.runtime.state import StateDirectory
from dtios.testing.proxy import FaultProxy
from dtios_mqtt.north.edge.node import REBIRTH
from dtios_mqtt.sparkplug.metric import Metric
from tests.brokers import Mosquitto, running_broker
from tests.faults.counting import values_of
from tests.faults.truth import SETTINGS, Truth
from tests.machines.process import python_machine, running_machine
from tests.runtimes import client_of
from tests.system.north.edge_receiver import EdgeReceiver

COUNTERS = tuple(f"Counter{n}" for n in range(3))


@dataclass
class Stage:
    runtime: Runtime
    broker: Mosquitto
    host: EdgeReceiver
    log: Path
    proxy: FaultProxy

    async def kill(self) -> None:
        [view] = self.runtime.kernel.app_views()
        assert view.pid is not None
        os.kill(view.pid, signal.SIGKILL)
        await self.host.until(lambda: self.runtime.kernel.app_views()[0].restarts > view.restarts)
        await self.host.until(lambda: self.runtime.kernel.app_views()[0].health == "ready")

    async def judge(self) -> dict[GapCause, int]:
        """All values are accounted for when what was kept has drained; the causes of the Gaps."""
        with anyio.move_on_after(10):
            while self._faults(self.host.truth()):
                await anyio.sleep(0.2)
        truth = self.host.truth()
        assert self._faults(truth) == []
        causes = [gap.cause for _, gap in truth.gaps]
        return {cause: causes.count(cause) for cause in causes}

    def _faults(self, truth: Truth) -> list[str]:
        log = values_of(self.log)
        assert len(log) > 100
        return truth.judge(log, COUNTERS)


@asynccontextmanager
async def stage(folder: Path, **config: Any) -> AsyncIterator[Stage]:
    log = folder / "values"
    counting = python_machine("tests.faults.counting", "--values", str(log), "--rate", "100")
    broker = Mosquitto(folder)
    async with running_broker(broker), running_machine(counting, folder / "log") as machine, EdgeReceiver(broker) as host:
        async with FaultProxy(broker.port) as proxy:
            north = {"url": f"mqtt://127.0.0.1:{proxy.port}", "group": "Plant", "node": "Edge", "host_id": "judge", **config}
            written = {
                "machines": {
                    "m": {"endpoint": machine.endpoint, "settings": SETTINGS},
                    "own": {"endpoint": broker.url, "machine": "Plant/Edge/m", "settings": {"host_id": "us"}},
                },
                "publishers": {"sparkplug": {"config": north}},
            }
            async with Runtime(RuntimeConfig.model_validate(written), StateDirectory(folder / "state"), Registry()) as runtime:
                await host.flows()
                yield Stage(runtime, broker, host, log, proxy)
                await host.flows()


async def test_a_broker_that_was_away_gets_every_value_later_and_the_present_at_once(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        for seconds in (0.4, 1.2):
            await on.broker.stop()
            await anyio.sleep(seconds)
            await on.broker.start()
            await on.host.flows(30)
        assert await on.judge() == {}
        assert sum(one.historical for one in on.host.values) > 100
        async with client_of(on.runtime) as client:
            views = {view.machine.name: view for view in await client.machines()}
        assert views["m"].health == "online"
        assert views["own"].health != "online", "our own host leaves our own edge node out"
    assert on.host.kinds()[-1] == "NDEATH"


async def test_data_that_nobody_acknowledged_comes_again_after_a_cut(tmp_path: Path) -> None:
    """What lies in sockets and is lost with them: the broker was silent when it was sent."""
    async with stage(tmp_path) as on:
        for _ in range(3):
            on.proxy.black_hole()
            await anyio.sleep(0.5)
            on.proxy.cut(reset=True)
            await on.proxy.heal()
            await on.host.flows(30)
        assert await on.judge() == {}


async def test_a_publisher_that_is_killed_is_dead_at_once_and_leaves_a_gap(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        await on.kill()
        await on.host.until(lambda: "NDEATH" in on.host.kinds())
        await on.host.flows(30)
        assert await on.judge() == {GapCause.CONSUMER_STOPPED: len(COUNTERS)}
        births = [payload for kind, _, payload in on.host.messages if kind == "NBIRTH"]
        deaths = [payload for kind, _, payload in on.host.messages if kind == "NDEATH"]
        numbers = [[m.value for m in one.metrics if m.name == "bdSeq"] for one in births]
        assert numbers == [[0], [1]]
        assert [[m.value for m in one.metrics] for one in deaths] == [[0]]


async def test_a_rebirth_under_load_loses_nothing(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        for _ in range(5):
            on.host.command("NCMD", Metric(REBIRTH, datatype=11, value=True))
            await on.host.flows(10)
        assert await on.judge() == {}
        assert on.host.kinds().count("NBIRTH") == 6
        kinds = on.host.kinds()
        for at, kind in enumerate(kinds):
            if kind == "NBIRTH":
                assert kinds[at + 1] == "DBIRTH"


@pytest.mark.slow
async def test_a_runtime_that_is_killed(tmp_path: Path) -> None:
    """All of it, with kill -9: the broker says the will, the next life is another session, and what was lost lies in a Gap."""
    log = tmp_path / "values"
    counting = python_machine("tests.faults.counting", "--values", str(log), "--rate", "100")
    broker = Mosquitto(tmp_path)
    async with running_broker(broker), running_machine(counting, tmp_path / "log") as machine, EdgeReceiver(broker) as host:
        written = {
            "state": "state",
            "machines": {"m": {"endpoint": machine.endpoint, "settings": SETTINGS}},
            "publishers": {"sparkplug": {"config": {"url": broker.url, "group": "Plant", "node": "Edge"}}},
        }
        (tmp_path / "dtios.yaml").write_text(json.dumps(written))
        for life in (0, 1):
            command = [sys.executable, "-m", "dtios.cli", "run", "--json"]
            process = await anyio.open_process(command, cwd=tmp_path, stdout=None, stderr=None)
            try:
                await host.flows()
                births = [payload for kind, _, payload in host.messages if kind == "NBIRTH"]
                assert [m.value for m in births[-1].metrics if m.name == "bdSeq"] == [life]
                if life:
                    with anyio.fail_after(10):
                        while faults := host.truth().judge(values_of(log), COUNTERS):
                            await anyio.sleep(0.2)
                    assert faults == []
                process.kill()
                await host.until(lambda life=life: host.kinds().count("NDEATH") == life + 1)
            finally:
                if process.returncode is None:
                    process.kill()
                await process.aclose()
    causes = [gap.cause for _, gap in host.truth().gaps]
    assert set(causes) <= {GapCause.RUNTIME_RESTART, GapCause.CONSUMER_STOPPED}
    assert 1 <= len(causes) <= 2 * len(COUNTERS)
    deaths = [[m.value for m in payload.metrics] for kind, _, payload in host.messages if kind == "NDEATH"]
    assert deaths == [[0], [1]]
