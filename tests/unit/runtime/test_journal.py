"""The journal keeps what it said it kept, also when the process is killed in the middle of writing."""

import subprocess
import sys
from pathlib import Path

import pytest

from dtios.model.errors import ConfigurationError
from dtios.model.job import JobOutcome, JobState
from dtios.model.values import DateTime, Record
from dtios.runtime.commands.journal import RETENTION, Journal
from dtios.sdk.protocol import JobEntry, JobView

WRITER = """
import anyio, sys
from pathlib import Path
from dtios.runtime.commands.journal import Journal

async def main():
    journal = await Journal.open(Path(sys.argv[1]), 1)
    for n in range(100_000):
        await journal.intend(n + 10**18, f"c{n}", "cli:t", "m", "write", "Speed", {"": n})
        print(n, flush=True)

anyio.run(main)
"""


def view(job: str = "a", created: int = 10**18) -> JobView:
    return JobView("m", "Fill", job, "cli:t", JobState.ALLOWED_TO_START, None, {"Volume": 1.0}, created, created, False)


async def test_an_intent_that_was_confirmed_survives_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        for _ in range(50):
            confirmed = int(writer.stdout.readline())
        writer.kill()
        rest = writer.stdout.read().split()
    confirmed = max([confirmed, *map(int, rest)])
    journal = await Journal.open(path, 10**18)
    try:
        lines = await journal.audit(limit=100_000)
        assert len(lines) in (confirmed + 1, confirmed + 2)  # one more may have been committed and not yet said
        assert all(line.outcome is None for line in lines)
        assert journal.epoch == 2
    finally:
        await journal.aclose()


async def test_a_job_comes_back_as_it_was_written(tmp_path: Path) -> None:
    journal = await Journal.open(tmp_path / "journal", 10**18)
    written = view()
    written.parameters = {"Volume": 1.0, "When": DateTime(5), "What": Record("Box", {"Depth": 3})}
    assert await journal.create_job("id:m", written) is None
    taken = await journal.create_job("id:m", view())
    assert taken is not None
    assert taken.parameters == written.parameters
    written.state, written.final = JobState.ENDED, True
    written.outcome = JobOutcome(JobState.ENDED, None, {"Made": [1, 2]}, "done")
    written.error = ("refused", "no", "here", "mend")
    await journal.change_job("id:m", written, JobEntry(10**18, "Ended", "cli:t"))
    await journal.aclose()
    again = await Journal.open(tmp_path / "journal", 10**18)
    try:
        stored = await again.job("id:m", "a")
        assert stored is not None
        assert stored.view == written
        assert [e.event for e in await again.history("id:m", "a")] == ["created", "Ended"]
        assert await again.jobs(open_only=True) == []
    finally:
        await again.aclose()


async def test_ids_stay_taken_for_thirty_days_and_open_jobs_for_ever(tmp_path: Path) -> None:
    journal = await Journal.open(tmp_path / "journal", 10**18)
    for job in ("ended", "open"):
        await journal.create_job("id:m", view(job))
    ended = view("ended")
    ended.final = True
    await journal.change_job("id:m", ended, JobEntry(10**18, "Ended", "cli:t"))
    await journal.aclose()
    for later, kept in ((RETENTION - 1, {"ended", "open"}), (RETENTION + 1, {"open"})):
        journal = await Journal.open(tmp_path / "journal", 10**18 + later)
        assert {s.view.job for s in await journal.jobs()} == kept
        await journal.aclose()


async def test_each_app_has_a_store_of_its_own(tmp_path: Path) -> None:
    journal = await Journal.open(tmp_path / "journal", 1)
    try:
        await journal.put("left", "count", {"made": 3, "box": Record("Box", {"Depth": 1})})
        assert await journal.get("left", "count") == {"made": 3, "box": Record("Box", {"Depth": 1})}
        assert await journal.get("right", "count") is None
        await journal.put("left", "count", None)
        assert await journal.keys("left", "") == []
    finally:
        await journal.aclose()


async def test_a_file_that_is_no_journal_is_a_wrong_configuration(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    path.write_text("this is a shopping list\n" * 100)
    with pytest.raises(ConfigurationError, match="journal"):
        await Journal.open(path, 1)
    assert path.read_text().startswith("this is a shopping list")
