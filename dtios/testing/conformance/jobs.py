"""Rules JOB: what a runtime makes of the adapter: a job is started once, however often it is asked for."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio

from dtios.model.errors import OutcomeUnknown, TemporaryError
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

    @check(
        "JOB-2",
        "a job whose start nobody answered is never started again, also when it is asked for again",
        Level.GOLD,
        Need.SKILL,
    )
    async def test_unanswered_start(self) -> None:
        async with self.rigged() as rig, _hosted(rig, keep_alive=1.0, timeout=0.8) as client:
            skill, parameters, counted = rig.skill
            machine = await _machine(client, skill, 3 * rig.patience)
            before = await rig.writes(counted)
            await rig.freeze()
            try:
                with suppress(TemporaryError, OutcomeUnknown):
                    await client.start(machine, skill, parameters, job="conformance-2")
                await _health(client, machine, "offline", 5.0)
            finally:
                await rig.thaw()
            await _health(client, machine, "online", 3 * rig.patience)
            await anyio.sleep(0.3)
            await client.start(machine, skill, parameters, job="conformance-2")
            await anyio.sleep(0.3)
            starts = await rig.writes(counted) - before
            assert starts <= 1, f"the machine was started {starts} times"
            shown = await client.job("conformance-2", machine)
            assert shown.state in (JobState.UNKNOWN, JobState.ENDED), f"nobody answered, and the job is {shown.state}"


@asynccontextmanager
async def _hosted(rig: Rig, **settings: float) -> AsyncIterator[Client]:
    """A runtime on the rig's machine, and a client of it."""
    from dtios.runtime.configuration.config import MachineSettings, RuntimeConfig
    from dtios.runtime.core import Runtime
    from dtios.runtime.registry import Registry
    from dtios.runtime.state import StateDirectory

    machine = MachineSettings(endpoint=rig.url, settings={**rig.settings, **settings})
    config = RuntimeConfig(profiles=list(rig.profiles), machines={"machine": machine})
    registry = Registry(adapters=[rig.adapter], installed=False)
    with TemporaryDirectory(prefix="dtios-") as folder:
        async with Runtime(config, StateDirectory(Path(folder)), registry) as runtime, anyio.create_task_group() as tasks:
            ours, theirs = memory_pair()
            tasks.start_soon(runtime.serve, theirs, "cli:conformance", name="conformance client")
            async with open_client(ours, "command") as client:
                yield client


async def _health(client: Client, machine: str, health: str, within: float) -> None:
    with anyio.move_on_after(within):
        while (await client.describe(machine)).health != health:  # noqa: ASYNC110  # a stream of changes would not be shorter
            await anyio.sleep(0.05)
    found = (await client.describe(machine)).health
    assert found == health, f"the machine was not {health} within {within:g} s, but {found}"


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
