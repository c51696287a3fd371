"""A program (OPC UA Part 10) of another stack, known by its type alone."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from dtios.model.job import JobState, JobSubstate
from dtios.sdk.client import Client
from tests.interop.node_server import running_node_server
from tests.interop.reach import runtime_of
from tests.interop.test_job_orders import until
from tests.machines.process import MachineProcess

pytestmark = pytest.mark.interop

PROFILE = """\
profile: our-mill
extends: program
match: {name: Cutting}
skills:
  - binding: program
    reset_before_start: true
"""


@asynccontextmanager
async def mill(folder: Path, *, own: bool = False) -> AsyncIterator[tuple[MachineProcess, Client]]:
    (folder / "mill.yaml").write_text(PROFILE)
    async with running_node_server(folder / "calls.jsonl", script="program") as server:
        config = {"profiles": [str(folder / "mill.yaml")] if own else []}
        async with runtime_of(
            folder, {**config, "machines": {"mill": {"endpoint": server.endpoint, "machine": "Mill"}}}
        ) as client:
            await client.open(server.endpoint)
            yield server, client


def told(server: MachineProcess) -> list[str]:
    return [c["method"] for c in server.calls()]


async def test_reset_is_for_a_person(tmp_path: Path) -> None:
    async with mill(tmp_path) as (server, client):
        (skill,) = [s for s in (await client.describe("mill")).machine.skills if s.binding == "program"]
        assert (skill.path, sorted(skill.verbs)) == ("Cutting", ["abort", "pause", "resume", "start"])
        with anyio.fail_after(20):
            refused = await (await client.start("mill", "Cutting")).outcome()
            assert (refused.state, "Halted" in refused.reason) == (JobState.ABORTED, True)
            assert told(server) == []
            assert (await (await client.start("mill", "Cutting/Reset")).outcome()).state is JobState.ENDED
            done = await (await client.start("mill", "Cutting")).outcome()
        assert (done.state, done.substate, done.results) == (JobState.ENDED, JobSubstate.COMPLETED, {"Cut": 3})
        assert told(server) == ["Reset", "Start", "cut"]


async def test_held_resumed_halted_and_reset_where_the_profile_says_so(tmp_path: Path) -> None:
    async with mill(tmp_path, own=True) as (server, client):
        await client.write("mill", "Count", 100)
        job = await client.start("mill", "Cutting")
        await until(job, JobState.RUNNING)
        await job.pause()
        await until(job, JobState.INTERRUPTED)
        await job.resume()
        await until(job, JobState.RUNNING)
        await job.abort()
        with anyio.fail_after(20):
            assert (await job.outcome()).state is JobState.ABORTED
            await client.write("mill", "Count", 2)
            assert (await (await client.start("mill", "Cutting")).outcome()).results == {"Cut": 2}
        assert told(server) == ["Reset", "Start", "Suspend", "Resume", "Halt", "Reset", "Start", "cut"]
