"""A PLC with flat names and bits behind the real adapter; its own log is the judge."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from dtios.model.errors import RefusedError, TemporaryError
from dtios.model.job import JobOutcome, JobState, JobSubstate
from dtios.runtime.configuration.config import RuntimeConfig
from dtios.runtime.core import Runtime
from dtios.runtime.registry import Registry
from dtios.runtime.state import StateDirectory
from dtios.sdk.client import Client
from dtios.sdk.running import JobHandle
from dtios_packml.lifecycle import CallLog
from tests.machines.plc import plc_machine
from tests.machines.process import python_machine, running_machine
from tests.runtimes import client_of

PROFILE = Path(__file__).parents[2] / "machines/plc.yaml"


@asynccontextmanager
async def reached(folder: Path, endpoint: str, profiles: Sequence[Path] = (PROFILE,)) -> AsyncIterator[Client]:
    config = RuntimeConfig.model_validate({
        "profiles": [str(p) for p in profiles], "machines": {"plc": {"endpoint": endpoint}},
    })  # fmt: skip
    async with Runtime(config, StateDirectory(folder / "state"), Registry()) as runtime, client_of(runtime) as client:
        await client.open(endpoint)
        yield client


async def outcome_of(client: Client, skill: str, parameters: dict[str, Any], job: str) -> JobOutcome:
    with anyio.fail_after(20):
        return await (await client.start("plc", skill, parameters, job=job)).outcome()


async def until(job: JobHandle, state: JobState) -> None:
    with anyio.fail_after(20):
        async for view in job:
            if view.state is state:
                return
    raise AssertionError(f"it ended {job.state}")


def commands(log: CallLog) -> list[tuple[str, Any]]:
    return [(entry["method"].removeprefix("write "), entry["args"][0]) for entry in log.entries]


async def test_it_is_described(tmp_path: Path) -> None:
    async with plc_machine() as plc, reached(tmp_path, plc.endpoint) as client:
        machine = (await client.describe("plc")).machine
        shown = {s.path: (s.binding, s.identity.value, sorted(s.verbs)) for s in machine.skills}
    assert shown == {
        "Station1": ("handshake", "inferable", ["abort", "start"]),
        "Station2": ("handshake", "inferable", ["start"]),
        "Oven": ("handshake", "inferable", ["start"]),
        "Drive": ("write", "inferable", ["start"]),
    }
    assert not machine.notes


async def test_each_function_runs_to_its_end(tmp_path: Path) -> None:
    async with plc_machine() as plc, reached(tmp_path, plc.endpoint) as client:
        done = (JobState.ENDED, JobSubstate.COMPLETED)
        for round_ in (1, 2):  # done falls between them
            one = await outcome_of(client, "Station1", {"count": 2}, f"one-{round_}")
            assert (one.state, one.substate, one.results) == (*done, {"made": 2})
        two = await outcome_of(client, "Station2", {}, "two")
        oven = await outcome_of(client, "Oven", {}, "oven")
        drive = await outcome_of(client, "Drive", {"count": 60}, "drive")
        assert [(o.state, o.substate) for o in (two, oven, drive)] == [done] * 3
        assert oven.results == {"batches": 1}
        assert drive.results == {"speed": 60.0}
    assert commands(plc.log)[:5] == [("S1_nCount", 2), ("S1_xStart", True), ("started 1", 2), ("made 1", 2), ("S1_xStart", False)]
    words = [value for name, value in commands(plc.log) if name == "CW_2"]
    assert words == [0b1000_1000, 0b1000_0000], "bit 7 is not ours and stays"


async def test_several_jobs_at_once_on_one_connection(tmp_path: Path) -> None:
    """Each skill has bits of its own, so that one does not wait for the other."""
    wanted = {"Station1": {"count": 12}, "Station2": {}, "Oven": {}, "Drive": {"count": 300}}
    outcomes: dict[str, JobOutcome] = {}
    async with plc_machine() as plc, reached(tmp_path, plc.endpoint) as client:

        async def run(skill: str) -> None:
            outcomes[skill] = await outcome_of(client, skill, wanted[skill], skill)

        async with anyio.create_task_group() as tasks:
            for skill in wanted:
                tasks.start_soon(run, skill)
    assert {skill: o.state for skill, o in outcomes.items()} == dict.fromkeys(wanted, JobState.ENDED)
    names = [name for name, _ in commands(plc.log)]
    assert names.index("made 1") > max(names.index(n) for n in ("CW_2", "Oven_Cmd", "Drv.nSet")), "they ran one after the other"


async def test_a_second_start_is_refused_while_it_runs(tmp_path: Path) -> None:
    async with plc_machine() as plc, reached(tmp_path, plc.endpoint) as client:
        job = await client.start("plc", "Station1", {"count": 10}, job="first")
        with pytest.raises(RefusedError):
            await client.start("plc", "Station1", {"count": 1}, job="second")
        with anyio.fail_after(20):
            assert (await job.outcome()).state is JobState.ENDED
    assert [c for c in commands(plc.log) if c[0] == "started 1"] == [("started 1", 10)]


async def test_busy_by_somebody_else_is_refused(tmp_path: Path) -> None:
    async with plc_machine() as plc, reached(tmp_path, plc.endpoint) as client:
        plc.memory.update({"S1_nCount": 100, "S1_xStart": True})
        with anyio.fail_after(10):
            while not plc.memory["Stn1.Busy"]:
                await anyio.sleep(0.01)
        job = await client.start("plc", "Station1", {"count": 1}, job="late")
        with anyio.fail_after(10):
            assert (await job.outcome()).state is JobState.ABORTED
        assert job.view.error is not None
        assert (job.view.error[0], "busy" in job.view.error[1]) == ("refused", True)
    assert commands(plc.log) == []


async def test_aborted_by_its_bit(tmp_path: Path) -> None:
    async with plc_machine() as plc, reached(tmp_path, plc.endpoint) as client:
        job = await client.start("plc", "Station1", {"count": 900}, job="long")
        with anyio.fail_after(20):
            await until(job, JobState.RUNNING)
            await job.abort()
            assert (await job.outcome()).state is JobState.ABORTED
    assert ("aborted 1", plc.memory["S1_nMade"]) in commands(plc.log)
    assert (plc.memory["S1_xStart"], plc.memory["S1_xAbort"]) == (False, False)


async def test_an_error_with_its_code(tmp_path: Path) -> None:
    async with plc_machine(jam=True) as plc, reached(tmp_path, plc.endpoint) as client:
        outcome = await outcome_of(client, "Station1", {"count": 3}, "jams")
        assert (outcome.state, "code 17 (jam in the feeder)" in outcome.reason) == (JobState.ABORTED, True), outcome
        again = await outcome_of(client, "Station1", {"count": 3}, "refused")
        assert (again.state, "error is up" in again.reason) == (JobState.ABORTED, True), again
    assert [c for c in commands(plc.log) if c == ("S1_xStart", True)] == [("S1_xStart", True)]


async def test_a_plc_that_never_answers(tmp_path: Path) -> None:
    short = tmp_path / "short.yaml"
    text = PROFILE.read_text("utf-8").replace("    trigger: S1_xStart\n", "    trigger: S1_xStart\n    start_within: 0.5\n")
    short.write_text(text)
    async with plc_machine(deaf=True) as plc, reached(tmp_path, plc.endpoint, [short]) as client:
        job = await client.start("plc", "Station1", {"count": 1}, job="deaf")
        await until(job, JobState.UNKNOWN)
        with pytest.raises(RefusedError, match="Unknown"):
            await client.start("plc", "Station1", {"count": 1}, job="again")
        with anyio.fail_after(10):
            while plc.memory["S1_xStart"]:
                await anyio.sleep(0.01)
    assert [c for c in commands(plc.log) if c[0] == "S1_xStart"] == [("S1_xStart", True), ("S1_xStart", False)]


async def test_a_start_while_the_connection_is_down_is_refused(tmp_path: Path) -> None:
    command, log = python_machine("tests.machines.plc"), tmp_path / "calls.jsonl"
    async with running_machine(command, log) as plc, reached(tmp_path, plc.endpoint) as client:
        await outcome_of(client, "Station1", {"count": 1}, "before")
        plc.kill()
        with anyio.fail_after(10):
            while (await client.describe("plc")).health == "online":
                await anyio.sleep(0.02)
        sent = plc.calls()
        with pytest.raises(TemporaryError):
            await client.start("plc", "Station1", {"count": 1}, job="down")
        async with running_machine([*command, "--port", str(plc.port)], log) as again:
            assert again.calls() == sent
            with anyio.fail_after(20):
                while (await client.describe("plc")).health != "online":
                    await anyio.sleep(0.05)
            assert (await outcome_of(client, "Station1", {"count": 2}, "after")).state is JobState.ENDED
            assert [c["args"] for c in again.calls("started 1")] == [[1], [2]]


async def test_whoever_started_it_is_gone_and_its_bits_are_taken_back_all_the_same(tmp_path: Path) -> None:
    """It cannot be held, so it is aborted; the trigger and the abort bit fall, though their sender has no say any more."""
    async with plc_machine() as plc:
        machines = {"plc": {"endpoint": plc.endpoint}}
        config = RuntimeConfig.model_validate({"profiles": [str(PROFILE)], "machines": machines})
        async with Runtime(config, StateDirectory(tmp_path / "state"), Registry()) as runtime:
            async with client_of(runtime) as client:
                await client.open(plc.endpoint)
                job = await client.start("plc", "Station1", {"count": 900}, job="orphan")
                await until(job, JobState.RUNNING)
            async with client_of(runtime, "cli:other") as client:
                with anyio.fail_after(20):
                    while not (view := (await client.show_job("orphan")).view).final:
                        await anyio.sleep(0.05)
                assert view.state is JobState.ABORTED
        with anyio.fail_after(10):
            while plc.memory["S1_xStart"] or plc.memory["S1_xAbort"]:
                await anyio.sleep(0.01)
    assert [c for c in commands(plc.log) if c[0] == "started 1"] == [("started 1", 900)]
    assert any(c[0] == "aborted 1" for c in commands(plc.log))


async def test_an_interlock_that_falls_does_not_leave_the_trigger_up(tmp_path: Path) -> None:
    interlock = {"signal": "Oven_State", "equals": 0, "message": "the oven is cold"}
    machine = {"interlocks": [interlock]}
    async with plc_machine() as plc:
        machine |= {"endpoint": plc.endpoint}
        config = RuntimeConfig.model_validate({"profiles": [str(PROFILE)], "machines": {"plc": machine}})
        async with Runtime(config, StateDirectory(tmp_path / "state"), Registry()) as runtime, client_of(runtime) as client:
            await client.open(plc.endpoint)
            job = await client.start("plc", "Station1", {"count": 20}, job="hot")
            await until(job, JobState.RUNNING)
            plc.memory.update({"Oven_State": 20})
            plc._left["oven"] = 1000.0
            with anyio.fail_after(20):
                outcome = await job.outcome()
            assert (outcome.state, outcome.reason) == (JobState.ENDED, "")
            with pytest.raises(RefusedError, match="the oven is cold"):
                await client.start("plc", "Station1", {"count": 1}, job="refused")
    assert plc.memory["S1_xStart"] is False
