"""A job is a job order of the machine (OPC 10031-4): stored and started, followed, commanded, found again by its id."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
import pytest

from dtios.model.errors import RefusedError
from dtios.model.job import JobState, JobSubstate
from dtios.sdk.client import Client
from dtios.sdk.running import JobHandle
from tests.interop.reach import reached
from tests.machines.process import MachineProcess
from tests.system.cli.conftest import Dtios

pytestmark = pytest.mark.interop

SKILLS = {"Assembler": "JobManagement/JobOrderControl", "Shop": "Orders"}


async def until(job: JobHandle, state: JobState) -> None:
    with anyio.fail_after(10):
        async for view in job:
            if view.state is state:
                return
    raise AssertionError(f"it ended {job.state}")


def starts(server: MachineProcess, job: str) -> list[Mapping[str, Any]]:
    return [c["args"][0] for c in server.calls("StoreAndStart") if c["args"][0]["id"] == job]


def verbs(server: MachineProcess, job: str) -> list[str]:
    return [c["method"] for c in server.calls() if c["args"] == [job]]


def test_on_the_command_line(dtios: Dtios, interop_server: MachineProcess) -> None:
    skill = SKILLS["Assembler"]
    assembler = (interop_server.endpoint, "--machine", "Assembler")
    arguments = (*assembler, skill, "Count=4", "Duration=0.2", "--job", "cli-1", "--json")
    ended = dtios("start", *arguments)
    assert ended.status == 0, ended
    states = [line["state"] for line in ended.lines]
    assert "Running" in states
    assert states[-1] == "Ended"
    assert ended.lines[-1]["result"]["Made"] == 4
    assert {(line["machine"], line["skill"], line["job"]) for line in ended.lines} == {("Assembler", skill, "cli-1")}
    again = dtios("start", *arguments)
    assert (again.status, again.lines[-1]["state"]) == (0, "Ended"), again
    assert [order["parameters"] for order in starts(interop_server, "cli-1")] == [{"Count": 4, "Duration": 0.2}]
    other = dtios("start", *[a.replace("=4", "=5") for a in arguments])
    assert (other.status, other.error["kind"]) == (1, "refused")


@pytest.mark.parametrize("machine", ["Assembler", "Shop"])
async def test_to_its_end_and_joined(tmp_path: Path, interop_server: MachineProcess, machine: str) -> None:
    id = f"whole-{machine}"
    async with reached(tmp_path, interop_server.endpoint) as client:
        given = {"Count": 3, "Duration": 0.3}
        job = await client.start(machine, SKILLS[machine], given, job=id)
        joined = await client.start(machine, SKILLS[machine], given, job=id)
        with pytest.raises(RefusedError, match=id):
            await client.start(machine, SKILLS[machine], {"Count": 4, "Duration": 0.3}, job=id)
        with anyio.fail_after(10):
            for one in (job, joined):
                outcome = await one.outcome()
                assert (outcome.state, outcome.substate) == (JobState.ENDED, JobSubstate.COMPLETED)
                assert outcome.results["Made"] == 3
        with pytest.raises(RefusedError):
            await job.pause()
        await cleared(client, machine, id)
    assert [order["parameters"] for order in starts(interop_server, id)] == [given]


@pytest.mark.parametrize("machine", ["Assembler", "Shop"])
async def test_paused_resumed_stopped_aborted(tmp_path: Path, interop_server: MachineProcess, machine: str) -> None:
    async with reached(tmp_path, interop_server.endpoint) as client:
        held = await begun(client, machine, f"held-{machine}", 0.5)
        assert (await held.pause()).machine == machine
        await until(held, JobState.INTERRUPTED)
        await held.resume()
        with anyio.fail_after(10):
            assert (await held.outcome()).substate is JobSubstate.COMPLETED
        await cleared(client, machine, held.id)
        stopped = await begun(client, machine, f"stopped-{machine}", 60)
        await stopped.stop()
        with anyio.fail_after(10):
            outcome = await stopped.outcome()
        assert (outcome.state, outcome.substate) == (JobState.ENDED, JobSubstate.CLOSED)
        await cleared(client, machine, stopped.id)
        aborted = await begun(client, machine, f"aborted-{machine}", 60)
        await aborted.abort()
        with anyio.fail_after(10):
            assert (await aborted.outcome()).state is JobState.ABORTED
        await cleared(client, machine, aborted.id)
    for name, wanted in (("held", ["Pause", "Resume"]), ("stopped", ["Stop"]), ("aborted", ["Abort"])):
        assert [v for v in verbs(interop_server, f"{name}-{machine}") if v != "Clear"] == wanted


async def begun(client: Client, machine: str, id: str, seconds: float) -> JobHandle:
    job = await client.start(machine, SKILLS[machine], {"Duration": seconds}, job=id)
    await until(job, JobState.RUNNING)
    return job


async def cleared(client: Client, machine: str, id: str) -> None:
    """By the receiver's own method, which takes a list of texts: the shop holds two orders only, ended ones too."""
    given = {"JobOrderID": id, "Comment": [{"text": "fertig", "locale": "de"}]}
    job = await client.start(machine, f"{SKILLS[machine]}/Clear", given)
    with anyio.fail_after(10):
        assert (await job.outcome()).results == {"ReturnStatus": "1"}


async def test_what_the_machine_does_not_take_is_refused(tmp_path: Path, interop_server: MachineProcess) -> None:
    async with reached(tmp_path, interop_server.endpoint) as client:
        painted = await client.start("Assembler", SKILLS["Assembler"], {"WorkMasterID": "Paint"}, job="paint")
        with anyio.fail_after(10):
            assert (await painted.outcome()).state is JobState.ABORTED
        assert painted.view.error is not None
        assert painted.view.error[0] == "refused"
        assert "cannot accept the job order" in painted.view.error[1]
        failing = await client.start("Assembler", SKILLS["Assembler"], {"Fail": True, "Duration": 0.1}, job="failing")
        with anyio.fail_after(10):
            assert (await failing.outcome()).state is JobState.ABORTED
        await cleared(client, "Assembler", failing.id)
