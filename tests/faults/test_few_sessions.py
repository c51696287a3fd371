"""A server of another stack (node-opcua) with room for a single session, as small controllers have it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

import pytest

from dtios.model.gap import GapCause
from tests.faults.stage import COUNTERS, Stage, staged
from tests.faults.truth import KEEP_ALIVE
from tests.interop.node_server import running_node_server
from tests.machines.process import MachineProcess

pytestmark = [pytest.mark.interop]


def values(server: MachineProcess) -> list[tuple[int, int]]:
    return [(int(datetime.fromisoformat(one["time"]).timestamp() * 1e9), one["args"][0]) for one in server.calls("set")]


@asynccontextmanager
async def on_stage(tmp_path: Path) -> AsyncIterator[tuple[MachineProcess, Stage]]:
    async with running_node_server(tmp_path / "log", script="few") as server:
        async with staged(tmp_path / "state", server.port, lambda: values(server)) as stage:
            yield server, stage


async def test_its_only_session_is_taken_over_after_a_cut(tmp_path: Path) -> None:
    async with on_stage(tmp_path) as (_, stage):
        stage.begin()
        stage.proxy.cut(reset=True)
        await stage.recovers(GapCause.CONNECTION_LOST)
        print(f"data again after {stage.took:.2f} s")


@pytest.mark.slow
async def test_its_only_session_is_taken_over_when_the_server_never_learns_of_the_loss(tmp_path: Path) -> None:
    async with on_stage(tmp_path) as (_, stage):
        stage.begin()
        stage.proxy.black_hole()
        await stage.truth.until(COUNTERS[0], "BadNoCommunication", 4 * KEEP_ALIVE + 4)
        await stage.proxy.heal()
        await stage.recovers(GapCause.CONNECTION_LOST)
        print(f"data again after {stage.took:.2f} s")
