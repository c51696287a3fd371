"""A minute and a half of faults in a row: every value accounted for, and nothing that grows."""

import asyncio
import random
from pathlib import Path

import anyio
import psutil
import pytest

from tests.machines.process import MachineProcess, running_machine
from tests.system.runtime.reckoning import KEEP_ALIVE, counters, reckoned

SECONDS = 90.0
SETTLED = 30.0
GROWTH = 25 * 2**20
"""Bytes: what the process may grow by after SETTLED seconds, in which caches fill and connections were made anew."""


@pytest.mark.slow
async def test_faults_in_a_row(tmp_path: Path) -> None:
    chance = random.Random(1)
    process = psutil.Process()
    memory: list[tuple[float, int]] = []
    tasks: list[int] = []
    faults = 0
    clock = asyncio.get_running_loop().time
    async with anyio.create_task_group() as machines, running_machine(counters(), tmp_path / "log") as first:
        port, present, over = first.port, [first], [anyio.Event()]

        async def again(*, task_status: anyio.abc.TaskStatus[None]) -> None:
            over.append(anyio.Event())
            ended = over[-1]
            async with running_machine(counters(port), tmp_path / f"log{len(over)}") as machine:
                present.append(machine)
                task_status.started()
                await ended.wait()

        async def restart(machine: MachineProcess, kill: bool) -> None:
            machine.kill() if kill else machine.stop()
            over[-1].set()
            await machines.start(again)

        async with reckoned(tmp_path / "state", first.endpoint) as (reckoning, runtime, client):
            began = clock()
            while clock() - began < SECONDS:
                await reckoning.grows(chance.randrange(200, 2000))
                memory.append((clock() - began, process.memory_info().rss))
                tasks.append(len(asyncio.all_tasks()))
                machine, faults = present[-1], faults + 1
                match chance.choice(["freeze", "blink", "kill", "stop"]):
                    case "freeze":
                        machine.freeze()
                        await anyio.sleep(KEEP_ALIVE * chance.uniform(1.5, 3))
                        machine.thaw()
                    case "blink":
                        machine.freeze()
                        await anyio.sleep(KEEP_ALIVE / 4)
                        machine.thaw()
                    case fault:
                        await restart(machine, fault == "kill")
            await reckoning.grows(500)
            assert reckoning.faults == []
            for _, _, _, received, delivered, conflated, dropped, pending in await client.counters():
                assert received == delivered + conflated + dropped + pending
            assert len(runtime.kernel.router.consumers) <= 2
        over[-1].set()
    settled = [rss for at, rss in memory if at > SETTLED]
    grown = settled[-1] - settled[0]
    print(
        f"{faults} faults, {reckoning.good} values, {len(reckoning.gaps)} gaps; grown by {grown / 2**20:.1f} MiB; tasks {tasks}"
    )
    assert grown < GROWTH
    assert max(tasks[len(tasks) // 2 :]) <= max(tasks[: len(tasks) // 2 + 1]) + 2
