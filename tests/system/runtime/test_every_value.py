"""Promise 1 over real sockets, judged from the machine's own numbering: each value was delivered, or lies in a Gap.

Where two values that follow each other are not neighbours there must be a Gap between them, and where there is no fault there
must be none.
"""

from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import pytest

from dtios.model.gap import GapCause
from tests.machines.process import MachineProcess, running_machine
from tests.system.runtime.reckoning import COUNTERS, KEEP_ALIVE, counters, reckoned


async def test_without_a_fault_every_value_comes_once_and_in_order(tmp_path: Path) -> None:
    async with (
        running_machine(counters(), tmp_path / "log") as machine,
        reckoned(tmp_path / "state", machine.endpoint) as (reckoning, _, client),
    ):
        await reckoning.grows(5000)
        assert reckoning.faults[:3] == []
        assert reckoning.gaps == []
        rows = await client.counters()
        assert {signal for _, _, signal, *_ in rows} >= {f"Counter{n}" for n in range(COUNTERS)}
        for _, _, _, received, delivered, conflated, dropped, pending in rows:
            assert received == delivered + conflated + dropped + pending
            assert (conflated, dropped) == (0, 0) or _ == "StateCurrent"


async def freeze(machine: MachineProcess, start: Callable[[], Awaitable[None]]) -> None:
    machine.freeze()
    await anyio.sleep(2 * KEEP_ALIVE)
    machine.thaw()


async def kill_and_start_again(machine: MachineProcess, start: Callable[[], Awaitable[None]]) -> None:
    machine.kill()
    await anyio.sleep(1)
    await start()


async def stop_and_start_again(machine: MachineProcess, start: Callable[[], Awaitable[None]]) -> None:
    machine.stop()
    await start()


async def test_a_machine_that_is_replaced_by_a_smaller_one_goes_on_with_what_is_still_there(tmp_path: Path) -> None:
    async with running_machine(counters(), tmp_path / "log") as machine:
        async with reckoned(tmp_path / "state", machine.endpoint) as (reckoning, _, client):
            await reckoning.grows(500)
            machine.kill()
            async with running_machine(counters(machine.port, count=2), tmp_path / "log2"):
                await reckoning.grows(500)
                assert reckoning.faults == []
                assert {s for s, status in reckoning.status.items() if status == "BadNodeIdUnknown"} == {
                    f"Counter{n}" for n in range(2, COUNTERS)
                }
                view = await client.describe("m")
                assert "Counter1" in {s.path for s in view.machine.signals}
                assert {s.path for s in view.machine.signals if s.gone} == {"Counter2", "Counter3", "Counter4"}


@pytest.mark.parametrize("fault", [freeze, kill_and_start_again, stop_and_start_again])
async def test_what_a_fault_takes_lies_in_a_gap_and_values_are_bad_meanwhile(
    tmp_path: Path, fault: Callable[[MachineProcess, Callable[[], Awaitable[None]]], Awaitable[None]]
) -> None:
    async with anyio.create_task_group() as others, running_machine(counters(), tmp_path / "log") as machine:
        over = anyio.Event()

        async def again(*, task_status: anyio.abc.TaskStatus[None]) -> None:
            async with running_machine(counters(machine.port), tmp_path / "log2"):
                task_status.started()
                await over.wait()

        async def start() -> None:
            await others.start(again)

        async with reckoned(tmp_path / "state", machine.endpoint) as (reckoning, _, client):
            await reckoning.grows(1000)
            before = dict(reckoning.last)
            await fault(machine, start)
            await reckoning.grows(1000)
            assert reckoning.faults[:3] == []
            assert len(before) == COUNTERS
            lost = [g for g in reckoning.gaps if g.cause is GapCause.CONNECTION_LOST]
            assert len(lost) == COUNTERS, "one Gap for each signal"
            assert all(g.receive_from is not None and g.receive_to is not None and g.receive_from < g.receive_to for g in lost)
            assert reckoning.bad >= COUNTERS, "values were Bad while the machine was away"
            for _, _, _, received, delivered, conflated, dropped, pending in await client.counters():
                assert received == delivered + conflated + dropped + pending
        over.set()


async def test_a_consumer_that_is_too_slow_is_told_what_it_missed(tmp_path: Path) -> None:
    async with (
        running_machine(counters(), tmp_path / "log") as machine,
        reckoned(tmp_path / "state", machine.endpoint, "drop-oldest", 100, 0.5) as (reckoning, _, client),
    ):
        await reckoning.grows(300)
        assert reckoning.faults[:3] == []
        dropped = [g for g in reckoning.gaps if g.cause is GapCause.QUEUE_OVERFLOW]
        assert dropped
        assert all(g.count for g in dropped)
        rows = [row for row in await client.counters() if row[0].startswith("cli:")]
        assert sum(row[6] for row in rows) >= sum(g.count or 0 for g in dropped)
        assert all(row[3] == sum(row[4:8]) for row in rows)
