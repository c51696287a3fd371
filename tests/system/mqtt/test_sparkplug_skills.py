"""Skills of a PLC's bits and of PackML, on metrics of Sparkplug devices; what the machine was sent is the judge."""

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import paho.mqtt.client as paho

from dtios.model.job import JobOutcome, JobState, JobSubstate
from dtios.runtime.configuration.config import RuntimeConfig
from dtios.runtime.core import Runtime
from dtios.runtime.registry import Registry
from dtios.runtime.state import StateDirectory
from dtios.sdk.client import Client
from dtios.sdk.running import JobHandle
from dtios_mqtt_rig.node import SparkplugNode, Variable
from dtios_packml.plant import Plant
from dtios_packml.sparkplug.face import on_broker
from tests.brokers import IotCore, running_broker
from tests.runtimes import client_of

HERE = Path(__file__).parent
PRESS = HERE / "sparkplug_press.yaml"
FILLER = HERE.parents[2] / "simulators/dtios_packml/sparkplug.yaml"
PIECE = 0.02
WORN = 13
"""As many pieces are asked for, the tool is worn."""


class Press(SparkplugNode):
    """Makes a piece in 20 ms while Start is up. `told` is what was written to it, in order."""

    def __init__(self, port: int) -> None:
        bits = {name: Variable("Boolean", False) for name in ("Start", "Stop")}
        shown = {name: Variable("Boolean", False, read_only=True) for name in ("Busy", "Done", "Error")}
        numbers = {name: Variable("Int32", 0, read_only=name != "Count") for name in ("Count", "Made", "ErrorCode")}
        super().__init__(port, "3.1.1", bits | shown | numbers)
        self.told: list[tuple[str, Any]] = []

    def take(self, message: paho.MQTTMessage) -> None:
        with self.lock:
            before = {name: (one.value, one.writes) for name, one in self.variables.items()}
            super().take(message)
            for name, one in self.variables.items():
                if one.writes > before[name][1]:
                    self.told.append((name, one.value))
            if self.value("Start") and not before["Start"][0]:
                self._put(Busy=True, Done=False, Error=False, Made=0)
                self._later()
            elif before["Start"][0] and not self.value("Start"):
                self._put(Done=False)

    def _put(self, **values: Any) -> None:
        for name, value in values.items():
            self.set(name, value, 0, None)

    def _later(self) -> None:
        threading.Timer(PIECE, self._piece).start()

    def _piece(self) -> None:
        with self.lock:
            if self.value("Count") == WORN:
                self._put(ErrorCode=7, Error=True, Busy=False)
            elif self.value("Stop") or self.value("Made") >= self.value("Count"):
                self._put(Done=True, Busy=False)
            else:
                self._put(Made=self.value("Made") + 1)
                self._later()


@asynccontextmanager
async def reached(folder: Path, endpoint: str, profile: Path, name: str) -> AsyncIterator[Client]:
    config = RuntimeConfig.model_validate(
        {"profiles": [str(profile)], "machines": {"it": {"endpoint": endpoint, "machine": name}}}
    )
    async with Runtime(config, StateDirectory(folder / "state"), Registry()) as runtime, client_of(runtime) as client:
        with anyio.fail_after(20):
            async with client.follow_machines() as changes:
                async for change in changes:
                    if change.view.machine.name == "it" and change.view.health == "online":
                        break
        yield client


@asynccontextmanager
async def pressing(folder: Path) -> AsyncIterator[tuple[Press, Client]]:
    async with running_broker(IotCore(folder)) as broker:
        press = Press(broker.port)
        await anyio.to_thread.run_sync(press.connect)
        try:
            async with reached(folder, broker.url, PRESS, "Conformance") as client:
                yield press, client
        finally:
            await anyio.to_thread.run_sync(press.disconnect)


async def ended(job: JobHandle) -> JobOutcome:
    with anyio.fail_after(20):
        return await job.outcome()


async def running(job: JobHandle) -> None:
    with anyio.fail_after(20):
        async for view in job:
            if view.state is JobState.RUNNING:
                return
    raise AssertionError(f"it ended {job.state}")


async def test_bits_start_a_job_once_and_tell_how_it_ended(tmp_path: Path) -> None:
    async with pressing(tmp_path) as (press, client):
        done = await ended(await client.start("it", "Press", {"count": 3}, job="j1"))
        assert (done.state, done.substate, done.results) == (JobState.ENDED, JobSubstate.COMPLETED, {"made": 3})
        again = await ended(await client.start("it", "Press", {"count": 3}, job="j1"))
        assert again.results == {"made": 3}
        worn = await ended(await client.start("it", "Press", {"count": WORN}, job="j2"))
        assert worn.state is JobState.ABORTED
        assert "the tool is worn" in worn.reason
    started = [("Count", 3), ("Start", True), ("Start", False), ("Count", WORN), ("Start", True), ("Start", False)]
    assert press.told == started


async def test_bits_stop_a_job(tmp_path: Path) -> None:
    async with pressing(tmp_path) as (press, client):
        job = await client.start("it", "Press", {"count": 1_000}, job="j1")
        await running(job)
        await job.stop()
        outcome = await ended(job)
        assert outcome.state is JobState.ENDED
        assert 0 <= outcome.results["made"] < 1_000
        assert ("Stop", True) in press.told


async def test_packml_commands_reach_a_device_once(tmp_path: Path) -> None:
    async with running_broker(IotCore(tmp_path)) as broker, on_broker(Plant(), broker.url, factor=20) as face:
        async with reached(tmp_path, broker.url, FILLER, "Filler") as client:
            done = await ended(await client.start("it", "Fill", {"count": 3, "speed": 120.0}, job="j1"))
            assert (done.state, done.results["made"]) == (JobState.ENDED, 3)
            long = await client.start("it", "Fill", {"count": 10_000}, job="j2")
            await running(long)
            await long.stop()
            stopped = await ended(long)
            assert stopped.state is JobState.ENDED
            assert stopped.results["made"] < 10_000
        sent = [entry["method"] for entry in face.log.entries if not entry["method"].startswith("write ")]
        assert sent.count("Start") == 2
        assert sent.count("Stop") == 1
