"""Rules JOB: what a runtime makes of the adapter: a job is started once, however often it is asked for."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio

from dtios.model.job import JobState, JobSubstate
from dtios.sdk.client import Client, open_client
from dtios.sdk.grade import Level
from dtios.sdk.transport import memory_pair
from dtios.testing.conformance.base import Suite
from dtios.testing.conformance.rig import Rig
from dtios.testing.conformance.rule import Need, check

__all__ = ["Working"]


class Working(Suite):
    @check("JOB-1", "the same job id with the same parameters is the same job, and is started once", Level.GOLD, Need.SKILL)
    async def test_repeated_job(self) -> None:
        async with self.rigged() as rig, _hosted(rig) as client:
            skill, parameters, counted = rig.skill
            before = await rig.writes(counted)
            machine = await _machine(client, skill, 3 * rig.patience)
            jobs = [await client.start(machine, skill, parameters, job="conformance-1") for _ in range(2)]
            outcomes = [await job.outcome() for job in jobs]
            states = [(job.view.state, job.view.substate) for job in jobs]
            starts = await rig.writes(counted) - before
            assert starts == 1, f"the machine was started {starts} times"
            assert set(states) == {(JobState.ENDED, JobSubstate.COMPLETED)}, f"the job ended as {outcomes[0]}"


@asynccontextmanager
async def _hosted(rig: Rig) -> AsyncIterator[Client]:
    """A runtime on the rig's machine, and a client of it."""
    from dtios.runtime.configuration.config import MachineSettings, RuntimeConfig
    from dtios.runtime.core import Runtime
    from dtios.runtime.registry import Registry
    from dtios.runtime.state import StateDirectory

    machine = MachineSettings(endpoint=rig.url, settings=rig.settings)
    config = RuntimeConfig(profiles=list(rig.profiles), machines={"machine": machine})
    registry = Registry(adapters=[rig.adapter], installed=False)
    with TemporaryDirectory(prefix="dtios-") as folder:
        async with Runtime(config, StateDirectory(Path(folder)), registry) as runtime, anyio.create_task_group() as tasks:
            ours, theirs = memory_pair()
            tasks.start_soon(runtime.serve, theirs, "cli:conformance", name="conformance client")
            async with open_client(ours, "command") as client:
                yield client


async def _machine(client: Client, skill: str, within: float) -> str:
    """The name of the machine that has this skill."""
    with anyio.move_on_after(within):
        while True:
            for view in await client.machines():
                if view.machine is not None and any(one.path == skill for one in view.machine.skills):
                    return str(view.machine.name)
            await anyio.sleep(0.05)
    known = [one.path for view in await client.machines() if view.machine is not None for one in view.machine.skills]
    raise AssertionError(f"no machine with the skill {skill} was described within {within:g} s, but {known}")
