"""kill -9 of the whole runtime while the broker is away: what the publisher had on disk comes, the rest lies in a Gap."""

import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from dtios.model.gap import GapCause
from tests.brokers import running_broker
from tests.faults.counting import values_of
from tests.faults.truth import SETTINGS
from tests.machines.process import python_machine, running_machine
from tests.system.north.receiver import Receiver, lasting_broker

COUNTERS = tuple(f"Counter{n}" for n in range(3))


@asynccontextmanager
async def runtime(file: Path) -> AsyncIterator[subprocess.Popen[bytes]]:
    """`dtios run` in a process of its own. It is gone after, and its publisher with it."""
    command = [sys.executable, "-m", "dtios.cli", "run", str(file)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()
            await anyio.to_thread.run_sync(process.wait)


@pytest.mark.slow
async def test_a_runtime_that_is_killed_leaves_what_was_on_disk_and_a_gap(tmp_path: Path) -> None:
    log, file = tmp_path / "values", tmp_path / "dtios.yaml"
    counting = python_machine("tests.faults.counting", "--values", str(log), "--rate", "100")
    broker = lasting_broker(tmp_path)
    async with running_broker(broker), running_machine(counting, tmp_path / "log") as machine, Receiver(broker) as receiver:
        written = {
            "state": str(tmp_path / "state"),
            "machines": {"m": {"endpoint": machine.endpoint, "settings": SETTINGS}},
            "publishers": {"json": {"config": {"url": broker.url}}},
        }
        file.write_text(json.dumps(written))
        async with runtime(file):
            await receiver.flows()
            await broker.stop()
            await anyio.sleep(1.5)
        await broker.start()
        async with runtime(file):
            await receiver.flows()
            with anyio.move_on_after(10):
                while receiver.truth().judge(values_of(log), COUNTERS):
                    await anyio.sleep(0.2)
            truth = receiver.truth()
            assert truth.judge(values_of(log), COUNTERS) == []
            assert {(signal, gap.cause) for signal, gap in truth.gaps} == {(one, GapCause.RUNTIME_RESTART) for one in COUNTERS}
            [first, second] = sorted({one["epoch"] for one in receiver.values})
            historical = [one for one in receiver.values if one["historical"]]
            assert {one["epoch"] for one in historical} >= {first}
            assert sum(len(one["values"]) for one in historical if one["epoch"] == first) > 50 * len(COUNTERS)
            assert second > first
