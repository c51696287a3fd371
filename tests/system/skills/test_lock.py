"""A device that is locked for a job (OPC 10000-100): its own log is the judge. Here a lock belongs to the session."""

from pathlib import Path

import anyio
import pytest

from dtios.model.job import JobState
from tests.machines.plc import PlcMachine, plc_machine
from tests.system.skills.test_plc import PROFILE, commands, outcome_of, reached, until

LOCK = "    lock: {type: di:LockingServicesType}\n"


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    """The PLC's own, with the lock around each skill."""
    text = PROFILE.read_text("utf-8").replace(
        "role: machine\n", 'role: machine\nnamespaces: {di: "http://opcfoundation.org/UA/DI/"}\n'
    )
    lines = [line + LOCK if line.startswith("  - binding:") else line for line in text.splitlines(keepends=True)]
    (tmp_path / "locked.yaml").write_text("".join(lines))
    return tmp_path / "locked.yaml"


def locks(plc: PlcMachine) -> list[str]:
    return [str(what) for name, what in commands(plc.log) if name == "lock"]


async def test_held_for_longer_than_it_lasts_and_given_back(tmp_path: Path, profile: Path) -> None:
    async with plc_machine(lock=True) as plc, reached(tmp_path, plc.endpoint, [profile]) as client:
        assert (await outcome_of(client, "Station1", {"count": 30}, "long")).state is JobState.ENDED
        assert (await outcome_of(client, "Drive", {"count": 10}, "drive")).state is JobState.ENDED
    assert locks(plc) == ["InitLock job long", "ExitLock", "InitLock job drive", "ExitLock"]
    assert ("made 1", 30) in commands(plc.log)


async def test_somebody_elses(tmp_path: Path, profile: Path) -> None:
    async with plc_machine(lock=True) as plc, reached(tmp_path, plc.endpoint, [profile]) as client:
        assert plc.lock is not None
        await plc.lock.give("panel 7", "by the panel")
        outcome = await outcome_of(client, "Station1", {"count": 1}, "refused")
    assert (outcome.state, "locked by panel 7" in outcome.reason) == (JobState.ABORTED, True), outcome
    assert commands(plc.log) == [("lock", "by the panel")]


async def test_taken_away_while_it_works(tmp_path: Path, profile: Path) -> None:
    """It cannot be held, so it is aborted; the device takes no command without its lock, and that is said."""
    async with plc_machine(lock=True) as plc, reached(tmp_path, plc.endpoint, [profile]) as client:
        assert plc.lock is not None
        job = await client.start("plc", "Station1", {"count": 20}, job="robbed")
        await until(job, JobState.RUNNING)
        await plc.lock.give("panel 7", "broken by the panel")
        with anyio.fail_after(20):
            outcome = await job.outcome()
    assert "its lock was lost to panel 7" in outcome.reason
    assert "abort failed" in outcome.reason
    assert "BadRequiresLock" in outcome.reason


async def test_run_out_it_is_taken_again_to_abort(tmp_path: Path, profile: Path) -> None:
    async with plc_machine(lock=True) as plc, reached(tmp_path, plc.endpoint, [profile]) as client:
        assert plc.lock is not None
        job = await client.start("plc", "Station1", {"count": 500}, job="late")
        await until(job, JobState.RUNNING)
        await plc.lock.give(None, "opened")
        with anyio.fail_after(20):
            outcome = await job.outcome()
    assert (outcome.state, "asked to abort" in outcome.reason) == (JobState.ABORTED, True), outcome
    assert locks(plc) == ["InitLock job late", "opened", "InitLock job late", "ExitLock"]
    assert (plc.memory["S1_xStart"], plc.memory["S1_xAbort"]) == (False, False)
