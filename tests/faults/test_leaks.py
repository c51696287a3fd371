"""Two hundred times connected, broken and connected again: what is held at either end stays what it was."""

import asyncio
import gc
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import anyio
import psutil
import pytest

from dtios.runtime.links.link import HEALTHY_AFTER
from dtios.testing.proxy import BOTH, DOWN
from tests.faults.counting import values_of
from tests.faults.stage import COUNTERS, RECOVERY, Stage, staged
from tests.faults.truth import KEEP_ALIVE
from tests.machines.process import python_machine, running_machine

CYCLES = 200
WARM = 60
EVERY = 10
GROWTH = 4 * 2**20
"""Bytes from the WARMth cycle to the last."""
TAIL = 100_000
"""Bytes of the server's log that reach over a cycle."""
LEFT_OVER = 4
"""asyncua's server keeps the subscriptions of a broken connection for their lifetime, a minute: how many depends on the pace."""


@dataclass(frozen=True)
class Held:
    cycle: int
    memory: int
    files: int
    tasks: int
    connections: int
    subscriptions: int
    server_files: int
    server_tasks: int


def held(cycle: int, told: Path) -> Held:
    gc.collect()
    process, server = psutil.Process(), json.loads(told.read_text())
    return Held(
        cycle, process.memory_info().rss, process.num_fds(), len(asyncio.all_tasks()), server["connections"],
        server["subscriptions"], server["files"], server["tasks"],
    )  # fmt: skip


def breaks(stage: Stage) -> list[Callable[[], None]]:
    proxy = stage.proxy
    quick = [
        lambda: proxy.cut(reset=True),
        lambda: proxy.cut(reset=False),
        lambda: proxy.garble(DOWN, b"garbage!"),
        lambda: proxy.truncate(DOWN, 9),
    ]
    return [*quick, *quick, *quick, lambda: proxy.half_open(BOTH)]


@pytest.mark.slow
async def test_nothing_leaks(tmp_path: Path) -> None:
    values = tmp_path / "values"
    rows: list[Held] = []
    command = python_machine("tests.faults.counting", "--values", str(values))
    async with running_machine(command, tmp_path / "log") as machine:
        async with staged(tmp_path / "state", machine.port, lambda: values_of(values, last=TAIL), "/counting") as stage:
            for cycle in range(1, CYCLES + 1):
                begun = time.time_ns()
                await anyio.sleep(HEALTHY_AFTER * 1.1)  # a session that stood, so that the back-off begins anew
                breaks(stage)[cycle % 13]()
                await stage.truth.until(COUNTERS[0], "BadNoCommunication", 4 * KEEP_ALIVE + 5)
                await stage.truth.flows(COUNTERS, time.time_ns(), RECOVERY)
                stage.proxy.bury()
                assert stage.truth.judge(stage.log(), COUNTERS) == []
                assert all(one.receive_from >= begun - 2 * 10**9 for _, one in stage.truth.gaps if one.receive_from)
                stage.truth.forget()
                stage.proxy.log.clear()
                if cycle % EVERY == 0:
                    await anyio.sleep(0.3)  # the server writes down what it holds each 0.1 s
                    rows.append(held(cycle, values.with_suffix(".held")))
    for row in rows:
        print(
            f"{row.cycle:4} cycles: {row.memory / 2**20:7.1f} MiB, {row.files} files, {row.tasks} tasks; "
            f"server: {row.connections} connections, {row.subscriptions} subscriptions, "
            f"{row.server_files} files, {row.server_tasks} tasks"
        )
    settled = [row for row in rows if row.cycle >= WARM]
    assert settled[-1].memory - settled[0].memory < GROWTH
    for name in ("files", "tasks", "connections", "server_files"):
        seen = [getattr(row, name) for row in settled]
        assert max(seen) - min(seen) <= 2, f"{name}: {seen}"
    for name, each in (("subscriptions", 1), ("server_tasks", 2)):
        seen = [getattr(row, name) for row in settled]
        assert seen[-1] <= seen[0] + LEFT_OVER * each, f"{name}: {seen}"
