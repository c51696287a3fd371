"""Apps under a changed configuration: only what changed restarts, and a grant that is gone is gone at once."""

from pathlib import Path
from typing import Any

import anyio
import pytest

from dtios.model.errors import ConfigurationError, RefusedError
from dtios.model.job import JobState
from dtios.sdk import App, AppConfig, Context
from dtios.testing import job_order_machine, method_machine
from tests.runtimes import client_of
from tests.unit.configuration.changing import Line, changing
from tests.unit.configuration.test_changing import following, speed


class Config(AppConfig):
    n: int = 0


class Watcher:
    """An app that says how often it was started, with which configuration."""

    def __init__(self, name: str) -> None:
        self.starts: list[int] = []
        self.ends = 0
        self.app = App(name, config=Config)

        @self.app.main
        async def main(ctx: Context[Config]) -> None:
            self.starts.append(ctx.config.n)
            try:
                await anyio.sleep_forever()
            finally:
                self.ends += 1


def entry(n: int = 0, **more: Any) -> dict[str, Any]:
    return {"isolation": "inline", "config": {"n": n}, "grants": [{"machine": "one", "write": ["Speed"]}], **more}


async def test_only_the_app_that_changed_restarts_and_others_come_and_go(tmp_path: Path) -> None:
    one, a, b, c = method_machine("one"), Watcher("a"), Watcher("b"), Watcher("c")
    apps = {"a": entry(), "b": entry()}
    async with changing(tmp_path, one, apps=apps, given=(a.app, b.app, c.app)) as line:
        line.document["apps"] = {"a": entry(1), "b": entry()}
        assert await line.apply() == [("a", "changed", ("restarted",))]
        assert (a.starts, a.ends, b.starts, b.ends) == ([0, 1], 1, [0], 0)
        line.document["apps"] = {"a": entry(1), "c": entry(7)}
        assert await line.apply() == [("b", "removed", ("stopped",)), ("c", "added", ("started",))]
        assert (a.starts, b.ends, c.starts) == ([0, 1], 1, [7])
        line.document["apps"]["a"]["memory"] = 99
        assert await line.apply() == [("a", "changed", ("at once",))]
        assert {view.name: view.health for view in await line.client.apps()} == {"a": "ready", "c": "ready"}
        assert a.ends == 1
        assert one.opened == 1


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"config": {"n": "many"}}, "config.n"),
        ({"config": {"m": 1}}, "config.m"),
        ({"machines": {"press": "one"}}, "no role press"),
        ({"app": "nobody"}, "there is no app nobody"),
        ({"isolation": "process"}, "cannot be imported|Empty module name|no module"),
    ],
)
async def test_an_app_that_would_not_take_it_goes_on_as_it_was(tmp_path: Path, changed: dict[str, Any], says: str) -> None:
    a = Watcher("a")
    async with changing(tmp_path, method_machine("one"), apps={"a": entry()}, given=(a.app,)) as line:
        line.document["apps"]["a"] |= changed
        line.write()
        with pytest.raises(ConfigurationError, match=says) as wrong:
            await line.client.reload()
        assert "dtios.yaml:5" in wrong.value.where
        assert (a.starts, a.ends) == ([0], 0)


async def test_a_grant_changes_at_once_for_the_session_that_stands(tmp_path: Path) -> None:
    one, a = method_machine("one"), Watcher("a")
    async with (
        changing(tmp_path, one, apps={"a": entry()}, given=(a.app,)) as line,
        client_of(line.runtime, "a") as app,
        following(app, "one", "Speed") as stream,
    ):
        await app.write("one", "Speed", 41.0)
        await stream.until("Speed", 41.0)
        line.document["apps"]["a"]["grants"] = [{"machine": "one"}]
        assert await line.apply() == [("a", "changed", ("at once",))]
        with pytest.raises(RefusedError, match="no grant to write"):
            await app.write("one", "Speed", 42.0)
        one.set(speed(one), 43.0)
        await stream.until("Speed", 43.0)
        line.document["apps"]["a"]["grants"] = [{"machine": "one", "read": ["Level"]}]
        await line.apply()
        ended = await stream.until_ended()
        assert "the grant of a to read it is gone" in str(ended)
        with pytest.raises(RefusedError, match="no grant to read"):
            await app.read("one", ["Speed"])
        line.document["apps"]["a"]["grants"] = [{"machine": "one", "write": ["Speed"]}]
        await line.apply()
        await app.write("one", "Speed", 44.0)
        assert (a.ends, one.opened) == (0, 1)


async def test_a_grant_that_goes_between_the_checks_never_passes(tmp_path: Path) -> None:
    one, a = method_machine("one"), Watcher("a")
    async with changing(tmp_path, one, apps={"a": entry()}, given=(a.app,)) as line, client_of(line.runtime, "a") as app:
        reached, go = anyio.Event(), anyio.Event()
        admitted = line.runtime.kernel.gate.admit

        async def slow(command: Any) -> Any:
            permit = await admitted(command)
            reached.set()
            await go.wait()
            return permit

        line.runtime.kernel.gate.admit = slow  # type: ignore[method-assign]
        refused: list[str] = []

        async def write() -> None:
            try:
                await app.write("one", "Speed", 50.0)
            except RefusedError as error:
                refused.append(str(error))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(write)
            await reached.wait()
            line.document["apps"]["a"]["grants"] = [{"machine": "one"}]
            await line.apply()
            go.set()
        assert "no grant to write" in refused[0]
        assert [r for r in one.commands if r.kind == "write"] == []


async def test_machines_come_into_sight_and_leave_it_with_their_grants(tmp_path: Path) -> None:
    one, two, a = method_machine("one"), method_machine("two"), Watcher("a")
    async with (
        changing(tmp_path, one, two, apps={"a": entry()}, given=(a.app,)) as line,
        client_of(line.runtime, "a") as app,
        app.follow_machines() as changes,
    ):
        assert [(c.view.machine.name, c.gone) for c in [await anext(changes)]] == [("one", False)]
        line.document["apps"]["a"]["grants"] = [{"machine": "two"}]
        await line.apply()
        with anyio.fail_after(10):
            seen = {(c.view.machine.name, c.gone) for c in [await anext(changes), await anext(changes)]}
        assert seen == {("one", True), ("two", False)}


async def test_a_renamed_machine_is_granted_under_its_new_name_without_a_gap(tmp_path: Path) -> None:
    one, a = method_machine("one"), Watcher("a")
    async with (
        changing(tmp_path, one, apps={"a": entry()}, given=(a.app,)) as line,
        client_of(line.runtime, "a") as app,
        following(app, "one", "Speed") as stream,
    ):
        await stream.until("Speed", 60.0)
        line.document["machines"] = {"first": line.document["machines"]["one"]}
        line.document["apps"]["a"]["grants"] = [{"machine": "first", "write": ["Speed"]}]
        assert await line.apply() == [("first", "renamed", ("at once",)), ("a", "changed", ("at once",))]
        await app.write("first", "Speed", 41.0)
        await stream.until("Speed", 41.0)
        assert (stream.gaps, stream.ended, a.ends) == ([], None, 0)


async def test_what_a_removed_app_left_is_held_or_stopped_as_the_skill_says(tmp_path: Path) -> None:
    one = job_order_machine("one", duration=600)
    grants = [{"machine": "one", "run": ["**"], "stop": True}]
    a = Watcher("a")
    async with changing(tmp_path, one, apps={"a": entry(grants=grants)}, given=(a.app,)) as line:
        skill = (await line.client.describe("one")).machine.skills[0].path
        async with client_of(line.runtime, "a") as app:
            await app.start("one", skill, {}, job="j")
            await _until_state(line, JobState.RUNNING)
            line.document["apps"] = {}
            await line.apply()
        await _until_state(line, JobState.INTERRUPTED)


async def _until_state(line: Line, state: JobState) -> None:
    with anyio.fail_after(10):
        while [job.state for job in await line.client.jobs()] != [state]:
            await anyio.sleep(0.01)


async def test_the_job_of_a_machine_that_is_taken_away_is_held(tmp_path: Path) -> None:
    one = job_order_machine("one", duration=600)
    async with changing(tmp_path, one) as line:
        skill = (await line.client.describe("one")).machine.skills[0].path
        await line.client.start("one", skill, {}, job="j")
        await _until_state(line, JobState.RUNNING)
        line.document["machines"] = {}
        await line.apply()
        assert one.sessions == 0
        told = [entry.event for entry in (await line.client.show_job("j")).history]
        assert "owner lost: hold" in told
