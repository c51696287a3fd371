"""The JSON publisher through a real broker: each value of the sender's log arrives or lies in a Gap, whatever is ended."""

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio

from dtios.model.gap import GapCause
from dtios.runtime.configuration.config import RuntimeConfig
from dtios.runtime.core import Runtime
from dtios.runtime.registry import Registry
from dtios.runtime.state import StateDirectory
from dtios.sdk.clock import SystemClock
from dtios.testing import METHOD_PROFILE, MemoryAdapter, method_machine
from tests.brokers import Mosquitto, running_broker
from tests.faults.counting import values_of
from tests.faults.truth import SETTINGS, Truth
from tests.machines.process import python_machine, running_machine
from tests.system.north.receiver import Receiver, lasting_broker

COUNTERS = tuple(f"Counter{n}" for n in range(3))
LEVELS = {"enterprise": "acme", "site": "s/1", "line": "l1"}
BASE = "acme/s%2F1/l1"


@dataclass
class Stage:
    """A machine that counts and writes down what it sets, a runtime with the publisher in a process of its own, a receiver."""

    runtime: Runtime
    broker: Mosquitto
    receiver: Receiver
    log: Path

    @property
    def publisher(self) -> int:
        pid = self.runtime.kernel.app_views()[0].pid
        assert pid is not None
        return pid

    async def kill(self) -> None:
        os.kill(self.publisher, signal.SIGKILL)
        restarts = self.runtime.kernel.app_views()[0].restarts
        await self.receiver.until(lambda: self.runtime.kernel.app_views()[0].restarts > restarts)
        await self.receiver.until(lambda: self.runtime.kernel.app_views()[0].health == "ready")

    async def away(self, seconds: float) -> None:
        await self.broker.stop()
        await anyio.sleep(seconds)

    async def back(self) -> None:
        await self.broker.start()
        await self.receiver.flows(30)

    async def judge(self) -> dict[GapCause, int]:
        """All values are accounted for, when what was kept has drained; the causes of the Gaps."""
        with anyio.move_on_after(10):
            while self._faults(self.receiver.truth()):
                await anyio.sleep(0.2)
        truth = self.receiver.truth()
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
    broker = lasting_broker(folder)
    async with running_broker(broker), running_machine(counting, folder / "log") as machine, Receiver(broker) as receiver:
        written = {
            "machines": {"m": {"endpoint": machine.endpoint, "settings": SETTINGS}},
            "publishers": {"json": {"config": {"url": broker.url, **LEVELS, **config}}},
        }
        async with Runtime(RuntimeConfig.model_validate(written), StateDirectory(folder / "state"), Registry()) as runtime:
            await receiver.flows()
            yield Stage(runtime, broker, receiver, log)
            await receiver.flows()


async def test_a_broker_that_was_away_gets_every_value_later_and_the_present_at_once(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        for seconds in (0.4, 1.2):
            await on.away(seconds)
            await on.back()
        assert await on.judge() == {}
        assert len(on.receiver.rows(historical=True)) > 100 * len(COUNTERS)
        historical = [(one["epoch"], one["sequence"]) for one in on.receiver.values if one["historical"]]
        assert sorted(set(historical), key=historical.index) == sorted(set(historical))
        said = {topic.removeprefix(BASE): payload for topic, payload, _ in on.receiver.messages}
        assert said["/_publisher"]["online"] is True
        assert said["/m/state"] == {
            "machine": "m", "online": True, "health": "online", "detail": "", "packml": None, "unit_mode": None,
        }  # fmt: skip
        [counter] = [one for one in said["/m/description"]["signals"] if one["path"] == "Counter0"]
        assert (counter["data_type"], counter["unit"]) == ("Int64", None)
    # orderly ended: it said so itself
    assert on.receiver.of("/_publisher")[-1]["online"] is False


async def test_a_publisher_that_is_killed_leaves_a_gap_of_what_was_not_secured(tmp_path: Path) -> None:
    """Once while it sends, once while the broker is away; what was on disk then comes historical, with the numbers it had."""
    async with stage(tmp_path) as on:
        await on.kill()
        await on.receiver.flows()
        assert [one["online"] for one in on.receiver.of("/_publisher")] == [True, False, True], "the broker said the will"
        await on.away(0.5)
        await on.kill()
        await anyio.sleep(0.5)
        await on.back()
        assert await on.judge() == {GapCause.CONSUMER_STOPPED: 2 * len(COUNTERS)}
        assert len({one["epoch"] for one in on.receiver.values}) == 3
        assert len({one["epoch"] for one in on.receiver.values if one["historical"]}) == 2


async def test_a_store_that_overflows_drops_the_oldest_with_a_gap(tmp_path: Path) -> None:
    async with stage(tmp_path, store={"age": 1 / 86_400}) as on:
        await on.away(2.5)
        await on.back()
        causes = await on.judge()
        assert set(causes) == {GapCause.STORE_OVERFLOW}
        [first, *_] = [one for one in on.receiver.values if one["historical"]]
        assert {gap["signal"] for gap in first["gaps"]} == set(COUNTERS), "the Gap stands where the lost values were: first"
        assert all(gap["count"] > 30 for gap in first["gaps"])
        assert len(on.receiver.rows(historical=True)) > 50


async def test_live_values_overtake_what_was_kept(tmp_path: Path) -> None:
    """By order: while some of what was kept is still to come, each live value arrives with few kept messages before it."""
    machine = method_machine("m", clock=SystemClock())
    broker = lasting_broker(tmp_path)
    registry = Registry(adapters=[MemoryAdapter(machine)])
    config = {"url": broker.url, "interval": 0, "signals": ["Speed"]}
    (tmp_path / "profile.yaml").write_text(METHOD_PROFILE)
    written = {
        "profiles": [str(tmp_path / "profile.yaml")],
        "machines": {"m": {"endpoint": machine.url}},
        "publishers": {"json": {"isolation": "inline", "config": config}},
    }
    address = machine.find("Machines/m/Speed").address
    async with machine, Runtime(RuntimeConfig.model_validate(written), StateDirectory(tmp_path / "s"), registry) as runtime:
        for number in range(1, 1_001):
            machine.set(address, float(number))
            await anyio.sleep(0.002)
        outbox = tmp_path / "s" / "apps" / "json" / "outbox.sqlite3-wal"
        with anyio.fail_after(10):
            while outbox.stat().st_size < 50_000:
                await anyio.sleep(0.05)
        async with running_broker(broker), Receiver(broker) as receiver:
            number = 1_000
            with anyio.fail_after(30):
                while not receiver.rows(historical=True) or float(receiver.rows(historical=True)[-1]["value"]) < 1_000:
                    number += 1
                    machine.set(address, float(number))
                    await anyio.sleep(0.002)
            await receiver.until(lambda: receiver.rows(historical=False)[-1]["value"] == number)
        assert runtime.kernel.app_views()[0].health == "ready"
    kinds = [one["historical"] for one in receiver.values]
    historical = [row["value"] for row in receiver.rows(historical=True)]
    assert historical == sorted(historical)
    last = len(kinds) - 1 - kinds[::-1].index(True)
    before_the_last = kinds[:last].count(False)
    assert before_the_last > 10, "live values arrived while what was kept still came"
