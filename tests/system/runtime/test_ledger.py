"""Promise 1 over the runtime's own end: kill -9 while values flow over real sockets, judged by the machine's own log."""

import json
import random
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from dtios.model.gap import Gap, GapCause
from tests.brokers import Mosquitto, running_broker
from tests.faults.counting import values_of
from tests.faults.truth import SETTINGS, Truth
from tests.machines.counting_topics import PROFILE
from tests.machines.process import python_machine, running_machine
from tests.system.runtime.recorders import POLICIES

COUNTERS = tuple(f"Counter{n}" for n in range(3))
CHECKPOINT = 1.0
BEFORE = CHECKPOINT + 0.6
"""Seconds before the end at which a Gap may begin: the last checkpoint, its margin, and what a busy computer adds to both."""


@asynccontextmanager
async def recorders(state: Path, configuration: Path, folder: Path) -> AsyncIterator[subprocess.Popen[str]]:
    """A life of the runtime. It is gone after, whatever happened to it."""
    command = [sys.executable, "-m", "tests.system.runtime.recorders", str(state), str(configuration), str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert await anyio.to_thread.run_sync(process.stdout.readline) == "ready\n"
            yield process
        finally:
            process.kill()


def told(log: Path) -> Iterator[tuple[str, Gap | tuple[object, int, int]]]:
    """What a consumer wrote down, in all lives; a killed one may leave a torn line."""
    for line in log.read_text().splitlines(keepends=True):
        if line.endswith("\n"):
            signal, what = json.loads(line)
            yield signal, Gap(**{**what, "cause": GapCause(what["cause"])}) if isinstance(what, dict) else tuple(what)


def truth_of(log: Path) -> Truth:
    truth = Truth()
    for signal, what in told(log):
        if isinstance(what, Gap):
            truth.gap(signal, what)
        else:
            truth.value(signal, *what)
    return truth


async def grows(folder: Path, since: int) -> None:
    """Until each consumer was told a value of each signal that was received after `since`, and some more."""
    with anyio.fail_after(40):
        for policy in POLICIES:
            while True:
                new = [
                    signal for signal, what in told(folder / policy) if not isinstance(what, Gap) and what[2] > since and what[0]
                ]
                if all(new.count(signal) > 5 for signal in COUNTERS):
                    break
                await anyio.sleep(0.1)


@asynccontextmanager
async def opcua(folder: Path, values: Path) -> AsyncIterator[dict[str, Any]]:
    machine = python_machine("tests.faults.counting", "--values", str(values), "--rate", "100")
    async with running_machine(machine, folder / "log") as running:
        yield {"machines": {"m": {"endpoint": running.endpoint, "settings": SETTINGS}}}


@asynccontextmanager
async def topics(folder: Path, values: Path) -> AsyncIterator[dict[str, Any]]:
    async with running_broker(Mosquitto(folder)) as broker:
        machine = python_machine("tests.machines.counting_topics", "--values", str(values), "--broker", broker.url)
        async with running_machine(machine, folder / "log"):
            yield {"profiles": [str(PROFILE)], "machines": {"m": {"endpoint": broker.url, "machine": "m"}}}


@pytest.mark.parametrize("machine", [opcua, topics])
@pytest.mark.parametrize("kill", [True, False], ids=["kill -9", "orderly"])
async def test_each_value_was_delivered_or_lies_in_a_gap_when_the_runtime_ends(
    tmp_path: Path, machine: Callable[[Path, Path], AbstractAsyncContextManager[dict[str, Any]]], kill: bool
) -> None:
    chance, ends = random.Random(7), []
    values, folder, file = tmp_path / "values", tmp_path / "told", tmp_path / "dtios.json"
    folder.mkdir()
    async with machine(tmp_path, values) as configuration:
        file.write_text(json.dumps(configuration))
        for life in range(3):
            begun = time.time_ns()
            async with recorders(tmp_path / "state", file, folder) as process:
                await grows(folder, begun)
                await anyio.sleep(chance.uniform(CHECKPOINT, 2 * CHECKPOINT))
                assert process.stdin is not None
                if kill and life < 2:
                    process.kill()
                else:
                    process.stdin.close()
                ends.append(time.time_ns())
                await anyio.to_thread.run_sync(process.wait, 20)
    judge(folder, values_of(values), ends[:-1])


def judge(folder: Path, log: list[tuple[int, int]], ends: list[int]) -> None:
    for policy in POLICIES:
        truth = truth_of(folder / policy)
        restarts = [(signal, gap) for signal, gap in truth.gaps if gap.cause is GapCause.RUNTIME_RESTART]
        assert truth.gaps == restarts, policy
        assert len(restarts) == len(ends) * len(COUNTERS), "one Gap for each signal and end"
        for signal in COUNTERS:
            for end, gap in zip(ends, (gap for one, gap in restarts if one == signal), strict=True):
                assert gap.receive_from is not None
                assert gap.receive_to is not None
                assert end - BEFORE * 1e9 <= gap.receive_from <= end + 5e8, f"{policy}: {(end - gap.receive_from) / 1e9} s"
                assert gap.receive_to >= end
        if policy != "latest":
            assert truth.judge(log, COUNTERS) == []
    for page in json.loads((folder / "ledger").read_text()):
        assert page["balanced"], page
        assert page["delivered"] > 0
        assert page["told"] == {"runtime-restart": len(COUNTERS)}
