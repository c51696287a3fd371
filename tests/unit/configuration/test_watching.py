"""The file is taken up by itself, when it has settled, however an editor wrote it."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
import structlog
import yaml

from dtios.model.errors import RefusedError
from dtios.runtime.configuration import keeper, watching
from dtios.runtime.configuration.watching import signature
from dtios.testing import MemoryServer, method_machine
from tests.unit.configuration.changing import Line, changing

LOOK = 0.03


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "LOOK", LOOK)
    monkeypatch.setattr(keeper, "AGAIN", 5 * LOOK)


@asynccontextmanager
async def watched(folder: Path, *, duration: float = 0.05) -> AsyncIterator[tuple[MemoryServer, Line]]:
    one = method_machine("one", duration=duration)
    async with changing(folder, one, watch=True) as line:
        yield one, line


def limited(line: Line, high: float) -> str:
    line.document["machines"]["one"]["envelope"] = {"signals": {"Speed": [0, high]}}
    return yaml.safe_dump(line.document, sort_keys=False)


async def until(line: Line, high: float) -> None:
    with anyio.fail_after(10):
        while line.runtime.kernel.machines.get("one").envelope.signals.get("Speed") != (0, high):
            await anyio.sleep(LOOK / 3)


async def problem(line: Line, says: str) -> tuple[str, str, str, str]:
    with anyio.fail_after(10):
        while (told := (await line.client.configuration()).problem) is None or says not in " ".join(told):
            await anyio.sleep(LOOK / 3)
    return told


async def looks(count: int = 6) -> None:
    """So much time that a wrong thing would have happened by now."""
    await anyio.sleep(count * LOOK)


async def test_a_file_that_is_replaced_and_one_that_is_written_over(tmp_path: Path) -> None:
    async with watched(tmp_path) as (one, line):
        line.write(limited(line, 50))
        await until(line, 50)
        line.file.write_text(limited(line, 60))
        await until(line, 60)
        assert one.opened == 1


async def test_a_link_that_is_set_to_another_folder(tmp_path: Path) -> None:
    """As Kubernetes swaps a mounted configuration."""
    async with watched(tmp_path) as (_, line):
        for number in (50, 60):
            folder = tmp_path / f"v{number}"
            folder.mkdir()
            (folder / "dtios.yaml").write_text(limited(line, number))
            link = tmp_path / "swap"
            link.symlink_to(folder / "dtios.yaml")
            link.replace(line.file)
            await until(line, number)


async def test_what_is_still_being_written_is_left_alone(tmp_path: Path) -> None:
    async with watched(tmp_path) as (one, line):
        text = limited(line, 50)
        with structlog.testing.capture_logs() as events:
            for length in range(0, len(text), 3):
                line.file.write_text(text[:length])
                await anyio.sleep(LOOK / 2)
            line.file.write_text(text)
            await until(line, 50)
        assert [event for event in events if event["log_level"] == "error"] == []
        assert one.opened == 1


async def test_several_saves_in_a_row_are_one_change(tmp_path: Path) -> None:
    async with watched(tmp_path) as (_, line):
        with structlog.testing.capture_logs() as events:
            for number in range(40, 60):
                line.write(limited(line, number))
            await until(line, 59)
            await looks()
        assert len([event for event in events if event["event"] == "configuration changed"]) == 1


async def test_a_file_that_is_taken_away_and_put_back(tmp_path: Path) -> None:
    async with watched(tmp_path) as (one, line):
        text = limited(line, 50)
        line.file.unlink()
        await problem(line, "there is no such file")
        line.file.write_text(text)
        await until(line, 50)
        with anyio.fail_after(10):
            while (await line.client.configuration()).problem is not None:
                await anyio.sleep(LOOK / 3)
        assert one.opened == 1


async def test_an_empty_file_takes_nothing_away_unless_it_is_asked_for(tmp_path: Path) -> None:
    async with watched(tmp_path) as (one, line):
        line.file.write_text("\n")
        await problem(line, "would take everything away")
        assert one.sessions == 1
        await line.client.reload()
        assert one.sessions == 0


async def test_a_wrong_file_is_told_once_and_what_follows_is_taken_up(tmp_path: Path) -> None:
    async with watched(tmp_path) as (_, line):
        with structlog.testing.capture_logs() as events:
            line.file.write_text("machines: [")
            await problem(line, "dtios.yaml")
            await looks()
            line.file.write_text(limited(line, 50))
            await until(line, 50)
        assert len([event for event in events if event["log_level"] == "error"]) == 1


async def test_a_change_that_a_job_holds_up_is_made_when_the_job_is_over(tmp_path: Path) -> None:
    async with watched(tmp_path, duration=600) as (one, line):
        await line.client.start("one", "Fill", {"Volume": 1.0}, job="j")
        line.document["machines"]["one"]["settings"] = {"keep_alive": 7.0}
        line.write(limited(line, 50))
        await problem(line, "its job j is")
        with pytest.raises(RefusedError):
            await line.client.write("one", "Speed", 500.0)
        assert one.opened == 1
        one.drop()  # the call's answer never comes: the job is Unknown, and a person says what became of it
        await until(line, 50)


async def test_touching_the_file_changes_nothing(tmp_path: Path) -> None:
    async with watched(tmp_path) as (one, line):
        with structlog.testing.capture_logs() as events:
            os.utime(line.file, (1, 1))
            with anyio.fail_after(10):
                while line.runtime.configuration._seen != signature([line.file]):
                    await anyio.sleep(LOOK / 3)
        assert events == []
        assert one.opened == 1


async def test_without_watching_the_status_says_that_the_file_is_another(tmp_path: Path) -> None:
    async with changing(tmp_path, method_machine("one")) as line:
        line.write(limited(line, 50))
        told = (await line.client.configuration()).problem
        assert told is not None
        assert told[1:] == ("it was changed since it was applied", str(line.file), "`dtios reload` applies it")
        await looks()
        assert line.runtime.kernel.machines.get("one").envelope.signals == {}
