"""Promise 1 over real sockets, judged from the machine's own numbering: each value was delivered, or lies in a Gap.

The counters of the plain machine show 1, 2, 3 ...: where two values that follow each other are not neighbours there must be a
Gap between them, and where there is no fault there must be none.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from dtios.model.gap import Gap, GapCause
from dtios.model.status import is_good
from dtios.runtime.config import RuntimeConfig
from dtios.runtime.core import Runtime
from dtios.runtime.registry import Registry
from dtios.runtime.state import StateDirectory
from dtios.sdk.client import Client
from dtios.sdk.protocol import Policy
from tests.machines.process import MachineProcess, python_machine, running_machine
from tests.runtimes import client_of

COUNTERS = 5
RATE = 200.0
KEEP_ALIVE = 1.5


class Reckoning:
    """Holds what was delivered of each counter against the machine's numbering."""

    def __init__(self) -> None:
        self.last: dict[str, int] = {}
        self.good = 0
        self.bad = 0
        self.gaps: list[Gap] = []
        self.faults: list[str] = []
        self._excused: set[str] = set()
        self.moved = anyio.Event()

    def gap(self, signal: str, gap: Gap) -> None:
        self.gaps.append(gap)
        self._excused.add(signal)

    def value(self, signal: str, value: int, status: int) -> None:
        if not is_good(status):
            self.bad += 1
            if value is not None:
                self.faults.append(f"a value {value} came with status {status:#x}")
            return
        self.good += 1
        before = self.last.get(signal)
        if before is not None and value != before + 1 and signal not in self._excused:
            self.faults.append(f"{signal}: after {before} came {value}, and no Gap between them")
        self._excused.discard(signal)
        self.last[signal] = value
        moved, self.moved = self.moved, anyio.Event()
        moved.set()

    async def grows(self, by: int) -> None:
        """Until so many more good values came."""
        until = self.good + by
        with anyio.fail_after(30):
            while self.good < until:
                await self.moved.wait()


@asynccontextmanager
async def reckoned(
    state: Path, url: str, policy: Policy = "block", capacity: int = 10_000, pause: float = 0.0
) -> AsyncIterator[tuple[Reckoning, Runtime, Client]]:
    config = RuntimeConfig.model_validate({"machines": {"m": {"endpoint": url, "settings": {"keep_alive": KEEP_ALIVE}}}})
    reckoning = Reckoning()
    async with Runtime(config, StateDirectory(state), Registry()) as runtime, client_of(runtime) as client:
        async with anyio.create_task_group() as tasks, client.subscribe("m", ["Counter*"], policy, capacity) as stream:

            async def take() -> None:
                async for delivery in stream:
                    for signal, gap in delivery.gaps:
                        reckoning.gap(signal, gap)
                    if delivery.batch is not None:
                        for handle, reading in delivery.batch.rows():
                            reckoning.value(delivery.paths[handle], reading.value, reading.status)
                    await anyio.sleep(pause)

            tasks.start_soon(take, name="take values")
            yield reckoning, runtime, client
            tasks.cancel_scope.cancel()


def counters(port: int = 0) -> list[str]:
    return python_machine("tests.machines.plain", "--counters", str(COUNTERS), "--rate", str(RATE), "--port", str(port))


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
