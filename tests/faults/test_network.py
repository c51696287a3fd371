"""Every fault of a network, between the runtime and a server that goes on: asyncua in a process of its own."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from dtios.model.gap import GapCause
from dtios.testing.proxy import BOTH, DOWN, UP
from tests.faults.counting import values_of
from tests.faults.stage import COUNTERS, Stage, staged
from tests.faults.truth import KEEP_ALIVE
from tests.machines.process import MachineProcess, machine_process, python_machine

LOST = GapCause.CONNECTION_LOST
Fault = Callable[[Stage], Awaitable[None]]


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[MachineProcess, Path]]:
    """One server for all: the network's faults do not change it."""
    home = tmp_path_factory.mktemp("counting")
    command = python_machine("tests.faults.counting", "--values", str(home / "values"))
    with machine_process(command, home / "log") as process:
        yield process, home / "values"


@asynccontextmanager
async def on_stage(machine: tuple[MachineProcess, Path], tmp_path: Path) -> AsyncIterator[Stage]:
    process, values = machine
    async with staged(tmp_path / "state", process.port, lambda: values_of(values), "/counting") as stage:
        yield stage


async def lost(stage: Stage) -> None:
    """Until the runtime says so; then the network is whole again."""
    await stage.truth.until(COUNTERS[0], "BadNoCommunication", 4 * KEEP_ALIVE + 4)
    await stage.proxy.heal()


async def cut_by_reset(stage: Stage) -> None:
    stage.proxy.cut(reset=True)


async def cut_by_fin(stage: Stage) -> None:
    stage.proxy.cut(reset=False)


async def dead_from_server(stage: Stage) -> None:
    stage.proxy.half_open(DOWN)
    await lost(stage)


async def dead_to_server(stage: Stage) -> None:
    stage.proxy.half_open(UP)
    await lost(stage)


async def black_hole(stage: Stage) -> None:
    stage.proxy.black_hole()
    await lost(stage)


async def cut_and_refused(stage: Stage) -> None:
    stage.proxy.refuse()
    stage.proxy.cut(reset=True)
    await anyio.sleep(2)
    await stage.proxy.heal()


async def cut_and_silent(stage: Stage) -> None:
    stage.proxy.silent()
    stage.proxy.cut(reset=True)
    await anyio.sleep(2)
    await stage.proxy.heal()


async def chunk_truncated(stage: Stage) -> None:
    stage.proxy.truncate(DOWN, 20)
    await anyio.sleep(0.5)


async def chunk_truncated_and_the_end(stage: Stage) -> None:
    stage.proxy.truncate(DOWN, 20)
    await anyio.sleep(0.3)
    stage.proxy.cut(reset=False)


async def garbage_from_server(stage: Stage) -> None:
    stage.proxy.garble(DOWN, b"\x00garbage" * 20)
    await anyio.sleep(0.5)


async def garbage_that_looks_like_a_message(stage: Stage) -> None:
    stage.proxy.garble(DOWN, b"MSGF\xff\xff\xff\x7f")
    await anyio.sleep(0.5)


async def garbage_to_server(stage: Stage) -> None:
    stage.proxy.garble(UP, b"\xff" * 64)
    await anyio.sleep(0.5)


async def chunks_duplicated(stage: Stage) -> None:
    stage.proxy.duplicate(DOWN)
    await anyio.sleep(0.5)


async def chunks_reordered(stage: Stage) -> None:
    stage.proxy.reorder(DOWN)
    await anyio.sleep(0.5)


QUICK: list[Fault] = [
    cut_by_reset, dead_from_server, black_hole, cut_and_refused, chunk_truncated, garbage_that_looks_like_a_message,
]  # fmt: skip
LONG: list[Fault] = [
    cut_by_fin, dead_to_server, cut_and_silent, chunk_truncated_and_the_end, garbage_from_server, garbage_to_server,
    chunks_duplicated, chunks_reordered,
]  # fmt: skip
BREAKS = [*QUICK, *(pytest.param(fault, marks=pytest.mark.slow) for fault in LONG)]


@pytest.mark.parametrize("fault", BREAKS)
async def test_a_fault_that_breaks_the_connection(machine: tuple[MachineProcess, Path], tmp_path: Path, fault: Fault) -> None:
    async with on_stage(machine, tmp_path) as stage:
        stage.begin()
        await fault(stage)
        await stage.recovers(LOST)
        print(f"{fault.__name__}: data again after {stage.took:.2f} s; {[one.fault for one in stage.proxy.log]}")


async def late(stage: Stage) -> None:
    stage.proxy.slow(BOTH, delay=0.3)


async def in_pieces(stage: Stage) -> None:
    stage.proxy.slow(BOTH, piece=7)


async def at_little_bandwidth(stage: Stage) -> None:
    stage.proxy.slow(DOWN, rate=20_000)


@pytest.mark.parametrize(
    "fault", [late, *(pytest.param(one, marks=pytest.mark.slow) for one in (in_pieces, at_little_bandwidth))]
)
async def test_a_slow_network_loses_nothing(machine: tuple[MachineProcess, Path], tmp_path: Path, fault: Fault) -> None:
    async with on_stage(machine, tmp_path) as stage:
        stage.begin()
        await fault(stage)
        await anyio.sleep(1.5)
        await stage.proxy.heal()
        await stage.recovers(gap=False)
        assert stage.truth.gaps == []
