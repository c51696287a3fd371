"""Skills of the Smart Machine Interface, by the OpenSMI framework in a process of its own; its log is the judge."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from dtios.model.job import JobOutcome, JobState, JobSubstate
from dtios.sdk.client import Client
from dtios.sdk.running import JobHandle
from tests.interop.reach import reached
from tests.interop.test_job_orders import until
from tests.machines.process import MachineProcess, python_machine, running_machine

pytest.importorskip("opensmi.core", reason="opensmi-server is not installed")
pytestmark = pytest.mark.interop

STAMP = "SkillSet/Stamp"
COMPLETED = (JobState.ENDED, JobSubstate.COMPLETED)


@asynccontextmanager
async def press(folder: Path, *options: str) -> AsyncIterator[tuple[MachineProcess, Client]]:
    command = python_machine("tests.machines.smart", *options)
    async with running_machine(command, folder / "calls.jsonl") as server, reached(folder, server.endpoint) as client:
        yield server, client


async def ended(job: JobHandle) -> JobOutcome:
    with anyio.fail_after(20):
        return await job.outcome()


async def locked(client: Client) -> tuple[bool, str]:
    values = dict(await client.read("Press", ["Lock/Locked", "Lock/LockingUser"]))
    return values["Lock/Locked"].value, values["Lock/LockingUser"].value


async def unlocked(client: Client) -> None:
    with anyio.fail_after(5):
        while (await locked(client))[0]:
            await anyio.sleep(0.05)


async def test_a_skill_runs_to_its_end_and_is_locked_meanwhile(tmp_path: Path) -> None:
    async with press(tmp_path) as (server, client):
        machine = (await client.describe("Press")).machine
        shown = {s.path: (s.binding, sorted(s.verbs)) for s in machine.skills if s.path.count("/") == 1 and "Skill" in s.path}
        assert shown == {
            STAMP: ("opensmi, locked", ["abort", "pause", "resume", "start"]),
            "SkillSet/Polish": ("opensmi, locked", ["abort", "start"]),
        }
        for number in (1, 2):  # Completed is reset by the second start
            job = await client.start("Press", STAMP, {"count": 4}, job=f"stamp-{number}")
            await until(job, JobState.RUNNING)
            assert await locked(client) == (True, "operator")
            outcome = await ended(job)
            assert (outcome.state, outcome.substate, outcome.results["Stamped"]) == (*COMPLETED, "4"), outcome
            await unlocked(client)
        assert [(c["args"], c["locked_by"]) for c in server.calls("Start")] == [([4], "operator")] * 2
        assert [c["locked"] for c in server.calls("stamped")] == [True, True]


async def test_the_lock_is_renewed_in_time(tmp_path: Path) -> None:
    """The work takes more than twice as long as the lock lasts."""
    async with press(tmp_path) as (server, client):
        assert (await ended(await client.start("Press", STAMP, {"count": 70}))).state is JobState.ENDED
        assert [c["locked"] for c in server.calls("stamped")] == [True]
        await unlocked(client)


async def test_somebody_elses_lock_refuses_and_says_whose(tmp_path: Path) -> None:
    async with press(tmp_path, "--other") as (server, client):
        job = await client.start("Press", STAMP, {"count": 1})
        assert (await ended(job)).state is JobState.ABORTED
        assert job.view.error is not None
        kind, message = job.view.error[:2]
        assert (kind, "locked by watchdog" in message) == ("refused", True), message
        assert server.calls() == []


async def test_held_resumed_and_halted(tmp_path: Path) -> None:
    async with press(tmp_path) as (server, client):
        job = await client.start("Press", STAMP, {"count": 40})
        await until(job, JobState.RUNNING)
        await job.pause()
        await until(job, JobState.INTERRUPTED)
        await job.resume()
        await until(job, JobState.RUNNING)
        await job.abort()
        assert (await ended(job)).state is JobState.ABORTED
        await unlocked(client)
        refused = await client.start("Press", STAMP, {"count": 1})
        assert "Halted" in (await ended(refused)).reason, "a halted skill is reset by a person"
        reset = await client.start("Press", f"{STAMP}/SkillExecution/StateMachine/Reset")
        assert (await ended(reset)).state is JobState.ENDED
        assert (await ended(await client.start("Press", STAMP, {"count": 1}))).state is JobState.ENDED
    assert [c["args"] for c in server.calls("stamped")] == [[1]]


async def test_jobs_of_one_runtime_share_the_lock(tmp_path: Path) -> None:
    async with press(tmp_path) as (server, client):
        polish = await client.start("Press", "SkillSet/Polish", {})
        await until(polish, JobState.RUNNING)
        assert (await ended(await client.start("Press", STAMP, {"count": 2}))).state is JobState.ENDED
        assert await locked(client) == (True, "operator"), "the other job still has it"
        await polish.abort()
        assert (await ended(polish)).state is JobState.ABORTED
        await unlocked(client)
    assert len(server.calls("stamped")) == 1


async def test_the_machine_is_recognised(tmp_path: Path) -> None:
    async with press(tmp_path) as (_, client):
        machine = (await client.describe("Press")).machine
        assert machine.profiles == ("opensmi-machine", "di-lock", "opensmi")
        told = machine.identification
        assert (told.manufacturer, told.serial_number, told.product_instance_uri) == (
            "DTI-OS",
            "press-1",
            "urn:dtios:smart:press-1",
        )
        assert machine.notes == ()
