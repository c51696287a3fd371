"""A PackML unit (OPC 30050) of another stack: commands move its state, and a job is one run from Idle to Complete."""

from pathlib import Path
from typing import Any

import anyio
import pytest

from dtios.model.errors import RefusedError
from dtios.model.job import JobState, JobSubstate
from dtios.sdk.client import Client
from tests.interop.reach import reached
from tests.interop.test_job_orders import until
from tests.machines.process import MachineProcess
from tests.system.cli.conftest import Dtios

pytestmark = pytest.mark.interop

RUN = "BaseStateMachine"
EXECUTE = f"{RUN}/MachineState/ExecuteState"


def told(server: MachineProcess, unit: str) -> list[Any]:
    return [c["method"] for c in server.calls() if c.get("unit") == unit and c["method"] != "state"]


async def commanded(client: Client, unit: str, *path: str) -> None:
    """One of the unit's methods as a job of its own."""
    with anyio.fail_after(10):
        job = await client.start(unit, "/".join((RUN, *path)))
        assert (await job.outcome()).state is JobState.ENDED


async def idle(client: Client, unit: str) -> None:
    """Reset is accepted at once; the unit takes its time."""
    with anyio.fail_after(10):
        while (await client.describe(unit)).packml != "Idle":
            await anyio.sleep(0.02)


@pytest.mark.parametrize("unit", ["Unit1", "Labeller"])
async def test_a_run_with_a_hold_and_one_that_is_stopped(tmp_path: Path, interop_server: MachineProcess, unit: str) -> None:
    begun = len(told(interop_server, unit))
    async with reached(tmp_path, interop_server.endpoint) as client:
        job = await client.start(unit, RUN, {"Count": 4}, job=f"run-{unit}")
        await until(job, JobState.RUNNING)
        with pytest.raises(RefusedError):
            await client.start(unit, RUN, {"Count": 4}, job=f"second-{unit}")
        await job.pause()
        await until(job, JobState.INTERRUPTED)
        await job.resume()
        with anyio.fail_after(10):
            outcome = await job.outcome()
        assert (outcome.state, outcome.substate) == (JobState.ENDED, JobSubstate.COMPLETED)
        await commanded(client, unit, "MachineState", "ExecuteState", "Reset")
        await idle(client, unit)
        stopped = await client.start(unit, RUN, {"Count": 1000}, job=f"stopped-{unit}")
        await until(stopped, JobState.RUNNING)
        await stopped.stop()
        with anyio.fail_after(10):
            outcome = await stopped.outcome()
        assert (outcome.state, outcome.substate) == (JobState.ENDED, JobSubstate.CLOSED)
        await commanded(client, unit, "MachineState", "Reset")
        await idle(client, unit)
    wanted = ["Start", "Hold", "Unhold", "Reset", "Start", "Stop", "Reset"]
    assert told(interop_server, unit)[begun:] == wanted
    (parameters,) = [c["args"] for c in interop_server.calls("Start") if c.get("unit") == unit and c["args"] != []][-2:-1]
    assert parameters == [{"name": "Count", "value": 4}]


async def test_aborted_and_cleared(tmp_path: Path, interop_server: MachineProcess) -> None:
    async with reached(tmp_path, interop_server.endpoint) as client:
        job = await client.start("Unit1", RUN, {"Count": 1000}, job="aborted-unit")
        await until(job, JobState.RUNNING)
        await job.abort()
        with anyio.fail_after(10):
            assert (await job.outcome()).state is JobState.ABORTED
        refused = await client.start("Unit1", RUN, {}, job="while-aborted")
        with anyio.fail_after(10):
            assert (await refused.outcome()).state is JobState.ABORTED
        assert refused.view.error is not None
        assert (refused.view.error[0], "Aborted" in refused.view.error[1]) == ("refused", True), refused.view.error
        assert told(interop_server, "Unit1")[-1] == "Abort"  # it was not even asked
        await commanded(client, "Unit1", "Clear")
        with anyio.fail_after(10):
            while (await client.describe("Unit1")).packml != "Stopped":
                await anyio.sleep(0.02)
        await commanded(client, "Unit1", "MachineState", "Reset")
        await idle(client, "Unit1")


def test_a_wrong_state_is_told_with_the_reason(dtios: Dtios, interop_server: MachineProcess) -> None:
    ended = dtios("start", interop_server.endpoint, "--machine", "Labeller", f"{EXECUTE}/ToComplete", "--json")
    assert ended.status == 1
    assert ended.lines[-1]["error"]["kind"] == "refused"
    assert "BadInvalidState" in ended.lines[-1]["error"]["message"]
    assert told(interop_server, "Labeller")[-1] == "ToComplete"


def test_a_run_on_the_command_line(dtios: Dtios, interop_server: MachineProcess) -> None:
    labeller = (interop_server.endpoint, "--machine", "Labeller")
    ended = dtios("start", *labeller, RUN, "Count=2", "--json")
    assert (ended.status, ended.lines[-1]["state"]) == (0, "Ended"), ended
    assert told(interop_server, "Labeller")[-1] == "Start"
    reset = dtios("start", *labeller, f"{EXECUTE}/Reset", "--json")
    assert (reset.status, reset.lines[-1]["result"]) == (0, {}), reset
