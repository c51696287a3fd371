"""Servers that end, freeze and come back as something else, judged from what all their lives wrote down."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import pytest
from anyio.abc import TaskStatus

from dtios.model.gap import GapCause
from tests.faults.counting import values_of
from tests.faults.stage import COUNTERS, Stage, staged
from tests.faults.truth import KEEP_ALIVE
from tests.machines.process import MachineProcess, python_machine, running_machine

LOST = GapCause.CONNECTION_LOST
LIFE = 1_000_000
"""Each life counts on from a number of its own, so that the order of all values is known."""


@dataclass
class Lives:
    """One server after the other on the same port."""

    home: Path
    values: list[Path] = field(default_factory=list)
    machines: list[MachineProcess] = field(default_factory=list)
    _over: list[anyio.Event] = field(default_factory=list)

    @property
    def present(self) -> MachineProcess:
        return self.machines[-1]

    async def live(self, *options: str, task_status: TaskStatus[None]) -> None:
        number = len(self.values)
        self.values.append(self.home / f"values{number}")
        self._over.append(anyio.Event())
        over = self._over[-1]
        port = self.machines[0].port if self.machines else 0
        command = python_machine(
            "tests.faults.counting",
            "--values",
            str(self.values[-1]),
            "--port",
            str(port),
            "--first",
            str(number * LIFE),
            *options,
        )
        async with running_machine(command, self.home / f"log{number}") as machine:
            self.machines.append(machine)
            task_status.started()
            await over.wait()

    def end(self, *, kill: bool) -> None:
        self.present.kill() if kill else self.present.stop()
        self._over[-1].set()


@asynccontextmanager
async def lives(tmp_path: Path, **settings: object) -> AsyncIterator[tuple[Lives, Stage, anyio.abc.TaskGroup]]:
    all_of_them = Lives(tmp_path)
    async with anyio.create_task_group() as tasks:
        await tasks.start(all_of_them.live)
        port = all_of_them.present.port
        async with staged(tmp_path / "state", port, lambda: values_of(*all_of_them.values), "/counting", **settings) as stage:
            yield all_of_them, stage, tasks
        tasks.cancel_scope.cancel()


CHANGES = {
    "the same": (),
    "namespaces in another order": ("--before", "urn:before", "--before", "urn:and-another"),
    "other node ids": ("--numeric",),
    "another type": ("--type", "Double"),
}


async def restart(all_of_them: Lives, stage: Stage, tasks: anyio.abc.TaskGroup, *options: str, kill: bool = True) -> None:
    stage.begin()
    all_of_them.end(kill=kill)
    await tasks.start(all_of_them.live, *options)


@pytest.mark.slow
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("kill", [True, False])
async def test_a_restarted_server(tmp_path: Path, change: str, kill: bool) -> None:
    async with lives(tmp_path) as (all_of_them, stage, tasks):
        await restart(all_of_them, stage, tasks, *CHANGES[change], kill=kill)
        await stage.recovers(LOST)
        print(f"{change}, kill {kill}: data again {stage.took:.2f} s after the server was ready")


@pytest.mark.slow
async def test_a_server_that_comes_back_with_fewer_nodes_and_then_with_all(tmp_path: Path) -> None:
    async with lives(tmp_path) as (all_of_them, stage, tasks):
        await restart(all_of_them, stage, tasks, "--counters", "2")
        await stage.recovers(LOST, signals=COUNTERS[:2])
        assert stage.truth.status["Counter2"] != "Good"
        await restart(all_of_them, stage, tasks)
        await stage.truth.flows(COUNTERS[:2], stage.begin(), 20)


@pytest.mark.parametrize("seconds", [KEEP_ALIVE * 2, pytest.param(12.0, marks=pytest.mark.slow)])
async def test_a_frozen_server(tmp_path: Path, seconds: float) -> None:
    async with lives(tmp_path) as (all_of_them, stage, _):
        stage.begin()
        all_of_them.present.freeze()
        await anyio.sleep(seconds)
        all_of_them.present.thaw()
        await stage.recovers(LOST)
        print(f"frozen {seconds:g} s: data again after {stage.took:.2f} s")


@pytest.mark.slow
async def test_a_server_frozen_for_less_than_the_keep_alive_loses_nothing(tmp_path: Path) -> None:
    async with lives(tmp_path, keep_alive=4.0) as (all_of_them, stage, _):
        stage.begin()
        all_of_them.present.freeze()
        await anyio.sleep(1.0)
        all_of_them.present.thaw()
        await stage.recovers(gap=False)
        assert stage.truth.gaps == []
