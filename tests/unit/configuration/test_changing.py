"""A changed configuration touches only what changed: judged by what the machines in memory were asked."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from dtios.model.errors import ConfigurationError, DtiosError, RefusedError, TemporaryError
from dtios.model.gap import GapCause
from dtios.model.job import JobState, JobVerb
from dtios.model.status import status_name
from dtios.sdk.client import Client
from dtios.testing import METHOD_PROFILE, MemoryServer, job_order_machine, method_machine
from tests.unit.configuration.changing import changing


class Follower:
    """What came of one machine's signals: (signal, value or status name), and gaps."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, Any]] = []
        self.gaps: list[tuple[str, GapCause]] = []
        self.ended: DtiosError | None = None
        self._moved = anyio.Event()

    def take(self, delivery: Any) -> None:
        self.gaps += [(signal, gap.cause) for signal, gap in delivery.gaps]
        if delivery.batch is not None:
            for handle, reading in delivery.batch.rows():
                told = reading.value if not reading.is_bad else status_name(reading.status)
                self.rows.append((delivery.paths[handle], told))
        self.told()

    def told(self) -> None:
        moved, self._moved = self._moved, anyio.Event()
        moved.set()

    async def until(self, *row: Any) -> None:
        with anyio.fail_after(10):
            while row not in self.rows:
                await self._moved.wait()

    async def until_ended(self) -> DtiosError:
        with anyio.fail_after(10):
            while self.ended is None:
                await self._moved.wait()
        return self.ended


@asynccontextmanager
async def following(client: Client, machine: str, *signals: str) -> AsyncIterator[Follower]:
    follower = Follower()
    async with anyio.create_task_group() as tasks, client.subscribe(machine, list(signals)) as stream:

        async def take() -> None:
            try:
                async for delivery in stream:
                    follower.take(delivery)
            except DtiosError as error:
                follower.ended = error
                follower.told()

        tasks.start_soon(take, name="follow")
        yield follower
        tasks.cancel_scope.cancel()


def speed(server: MemoryServer) -> Any:
    return server.find(f"Machines/{server.name}/Speed")


def made(server: MemoryServer) -> tuple[int, int]:
    return server.opened, sum(server.monitored.values())


async def test_an_envelope_changes_in_place_for_the_next_command(tmp_path: Path) -> None:
    one, two = method_machine("one"), method_machine("two")
    async with changing(tmp_path, one, two) as line, following(line.client, "one", "Speed") as follower:
        await follower.until("Speed", 60.0)
        before = made(one), made(two)
        await line.client.write("one", "Speed", 100.0)
        line.document["machines"]["one"]["envelope"] = {"signals": {"Speed": [0, 50]}}
        assert await line.apply() == [("one", "changed", ("at once",))]
        with pytest.raises(RefusedError, match="outside the envelope"):
            await line.client.write("one", "Speed", 70.0)
        await line.client.write("one", "Speed", 40.0)
        await follower.until("Speed", 40.0)
        assert follower.gaps == []
        assert (made(one), made(two)) == before


async def test_an_interlock_is_read_before_it_counts(tmp_path: Path) -> None:
    one = method_machine("one")
    async with changing(tmp_path, one) as line:
        line.document["machines"]["one"]["interlocks"] = [{"signal": "Level", "below": 50.0, "writes": ["Speed"]}]
        assert await line.apply() == [("one", "changed", ("at once",))]
        await line.client.write("one", "Speed", 40.0)  # its signal is known: not "no reading yet"
        one.set(one.find("Machines/one/Level"), 80.0)
        async with following(line.client, "one", "Level") as follower:
            await follower.until("Level", 80.0)
        with pytest.raises(RefusedError, match="Level is 80"):
            await line.client.write("one", "Speed", 41.0)
        line.document["machines"]["one"]["interlocks"] = []
        await line.apply()
        await line.client.write("one", "Speed", 42.0)
        assert one.opened == 1


async def test_a_command_under_way_is_judged_by_the_new_rules(tmp_path: Path) -> None:
    one = method_machine("one")
    async with changing(tmp_path, one) as line:
        machine = line.runtime.kernel.machines.get("one")
        reached, go = anyio.Event(), anyio.Event()
        admitted = line.runtime.kernel.gate.admit

        async def slow(command: Any) -> Any:
            permit = await admitted(command)
            reached.set()
            await go.wait()
            return permit

        line.runtime.kernel.gate.admit = slow  # type: ignore[method-assign]
        refused: list[DtiosError] = []

        async def write() -> None:
            try:
                await line.client.write("one", "Speed", 100.0)
            except RefusedError as error:
                refused.append(error)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(write)
            await reached.wait()
            line.document["machines"]["one"]["envelope"] = {"signals": {"Speed": [0, 50]}}
            await line.apply()
            go.set()
        assert machine.envelope.signals == {"Speed": (0, 50)}
        assert "outside the envelope" in str(refused[0])
        assert [r for r in one.commands if r.kind == "write"] == []


async def test_a_machine_joins_a_connection_and_leaves_it(tmp_path: Path) -> None:
    both = MemoryServer("both")
    for name in ("A", "B"):
        both.variable("Speed", 1.0, parent=both.object(name))
    async with changing(tmp_path, both, machines={"a": {"endpoint": both.url, "machine": "A"}}) as line:
        async with following(line.client, "a", "Speed") as follower:
            await follower.until("Speed", 1.0)
            before = made(both)
            line.document["machines"]["b"] = {"endpoint": both.url, "machine": "B", "envelope": {"signals": {"Speed": [0, 5]}}}
            assert await line.apply() == [("b", "added", ("at once",))]
            assert {view.machine.name for view in await line.client.machines()} == {"a", "b"}
            with pytest.raises(RefusedError, match="envelope"):
                await line.client.write("b", "Speed", 9.0)
            del line.document["machines"]["b"]
            await line.apply()
            assert {view.machine.name for view in await line.client.machines()} == {"a", "B"}, "found, and nobody's"
            assert made(both) == before
            assert follower.gaps == []


async def test_a_renamed_machine_keeps_its_jobs_and_answers_to_its_former_name(tmp_path: Path) -> None:
    one = job_order_machine("one", duration=600)
    async with changing(tmp_path, one) as line:
        skill = (await line.client.describe("one")).machine.skills[0].path
        await line.client.start("one", skill, {}, job="j")
        line.document["machines"] = {"first": line.document["machines"]["one"]}
        assert await line.apply() == [("first", "renamed", ("at once",))]
        assert [view.machine.name for view in await line.client.machines()] == ["first"]
        (job,) = await line.client.jobs(open_only=True)
        assert (job.machine, job.job) == ("first", "j")
        async with line.client.follow_job("first", "j") as changes:
            await line.client.command_job("one", "j", JobVerb.STOP)
            with anyio.fail_after(10):
                while (change := await anext(changes)).view.state is not JobState.ABORTED and not change.view.final:
                    pass
        assert one.opened == 1


async def test_two_machines_change_names(tmp_path: Path) -> None:
    both = MemoryServer("both")
    for name in ("A", "B"):
        both.variable("Name", name, parent=both.object(name))
    machines = {"a": {"endpoint": both.url, "machine": "A"}, "b": {"endpoint": both.url, "machine": "B"}}
    async with changing(tmp_path, both, machines=machines) as line:
        line.document["machines"] = {"a": machines["b"], "b": machines["a"]}
        await line.apply()
        assert [dict(await line.client.read(m, ["Name"]))["Name"].value for m in ("a", "b")] == ["B", "A"]
        assert both.opened == 1


async def test_a_profile_that_says_something_else_subscribes_only_what_changed(tmp_path: Path) -> None:
    one, profile = method_machine("one"), tmp_path / "p.yaml"
    profile.write_text(METHOD_PROFILE + "signals:\n  - path: t:Speed\n")
    machines = {"one": {"endpoint": one.url, "profiles": ["p.yaml"]}}
    async with changing(tmp_path, one, machines=machines) as line:
        async with following(line.client, "one", "Speed", "Made") as follower:
            await follower.until("Speed", 60.0)
            await follower.until("Made", 0)
            profile.write_text(METHOD_PROFILE + "signals:\n  - path: t:Speed\n  # a remark\n")
            assert await line.apply() == []
            unit = "{source: C26, canonical: SEC}"
            profile.write_text(METHOD_PROFILE + f"signals:\n  - path: t:Speed\n    unit: {unit}\n")
            assert await line.apply() == [("one", "changed", ("described anew",))]
            await follower.until("Speed", 0.06)
            assert follower.gaps == [("Speed", GapCause.SUBSCRIPTION_RECREATED)]
            assert one.monitored[speed(one).address] == 2
            assert one.monitored[one.find("Machines/one/Made").address] == 1
            assert one.opened == 1


async def test_a_path_that_a_profile_takes_away_turns_bad(tmp_path: Path) -> None:
    one, profile = method_machine("one"), tmp_path / "p.yaml"
    profile.write_text(METHOD_PROFILE)
    machines = {"one": {"endpoint": one.url, "profiles": ["p.yaml"]}}
    async with changing(tmp_path, one, machines=machines) as line:
        async with following(line.client, "one", "Speed") as follower:
            await follower.until("Speed", 60.0)
            profile.write_text(METHOD_PROFILE + "signals:\n  - path: t:Speed\n    name: Tempo\n")
            await line.apply()
            await follower.until("Speed", "BadNodeIdUnknown")
            assert dict(await line.client.read("one", ["Tempo"]))["Tempo"].value == 60.0
            profile.write_text(METHOD_PROFILE)
            await line.apply()
            one.set(speed(one), 61.0)
            await follower.until("Speed", 61.0)


async def test_settings_connect_one_link_anew_and_its_streams_go_on_with_a_gap(tmp_path: Path) -> None:
    one, two = method_machine("one"), method_machine("two")
    async with (
        changing(tmp_path, one, two) as line,
        following(line.client, "one", "Speed") as touched,
        following(line.client, "two", "Speed") as untouched,
    ):
        await touched.until("Speed", 60.0)
        await untouched.until("Speed", 60.0)
        before = made(two)
        line.document["machines"]["one"]["settings"] = {"keep_alive": 7.0}
        assert await line.apply() == [("one", "changed", ("connection made anew",))]
        one.set(speed(one), 61.0)
        two.set(speed(two), 62.0)
        await touched.until("Speed", 61.0)
        await untouched.until("Speed", 62.0)
        assert touched.gaps == [("Speed", GapCause.CONNECTION_LOST)]
        assert untouched.gaps == []
        assert (one.opened, one.sessions) == (2, 1)
        assert made(two) == before


async def test_a_setting_that_a_connection_takes_as_it_stands(tmp_path: Path) -> None:
    one = method_machine("one")
    async with changing(tmp_path, one) as line, following(line.client, "one", "Speed") as follower:
        await follower.until("Speed", 60.0)
        line.document["machines"]["one"]["settings"] = {"timeout": 0.2}
        assert await line.apply() == [("one", "changed", ("at once",))]
        one.freeze()
        with pytest.raises(TemporaryError, match=r"within 0\.2 s"):
            await line.client.read("one", ["Speed"])
        one.thaw()
        assert (one.opened, follower.gaps) == (1, [])


async def test_machines_come_and_go_with_their_endpoints(tmp_path: Path) -> None:
    one, two = method_machine("one"), method_machine("two")
    async with changing(tmp_path, one, two, machines={"one": {"endpoint": one.url}}) as line:
        assert two.opened == 0
        line.document["machines"]["two"] = {"endpoint": two.url}
        assert await line.apply() == [("two", "added", ("connected",))]
        await line.client.open(two.url, {})
        assert dict(await line.client.read("two", ["Speed"]))["Speed"].value == 60.0
        del line.document["machines"]["one"]
        assert await line.apply() == [("one", "removed", ("disconnected",))]
        assert [view.machine.name for view in await line.client.machines()] == ["two"]
        assert (one.sessions, two.sessions) == (0, 1)


async def test_who_has_a_machine_open_keeps_it_when_it_is_no_longer_configured(tmp_path: Path) -> None:
    one = method_machine("one")
    async with changing(tmp_path, one, machines={"m": {"endpoint": one.url}}) as line:
        await line.client.open(one.url, {})
        async with following(line.client, "m", "Speed") as follower:
            await follower.until("Speed", 60.0)
            line.document["machines"] = {}
            await line.apply()
            one.set(speed(one), 61.0)
            await follower.until("Speed", 61.0)
            assert (one.opened, follower.gaps) == (1, [])
            assert [view.machine.name for view in await line.client.machines()] == ["one"]


async def test_a_job_that_a_new_connection_would_lose_holds_the_change_up(tmp_path: Path) -> None:
    one = method_machine("one", duration=600)
    async with changing(tmp_path, one) as line:
        await line.client.start("one", "Fill", {"Volume": 1.0}, job="j")
        line.document["machines"]["one"]["settings"] = {"keep_alive": 7.0}
        line.write()
        with pytest.raises(TemporaryError, match=r"its job j is .*connecting anew would lose it"):
            await line.client.reload()
        assert one.opened == 1


WRONG = {
    "no yaml": ("machines: [", 1, "dtios.yaml"),
    "a tab": ("machines:\n\tone: {}", 2, "tab"),
    "unknown key": ("machines:\n  one:\n    endpoint: memory:one\n    envelop: {}", 4, "did you mean `envelope`"),
    "no such adapter": ("machines:\n  one:\n    endpoint: ftp://one", 3, "no adapter answers to ftp"),
    "no such endpoint": ("machines:\n  one:\n    endpoint: memory:two", 3, "no such machine in memory"),
    "wrong settings": ("machines:\n  one:\n    endpoint: memory:one\n    settings:\n      tiemout: 1", 4, "settings.tiemout"),
    "no profile": ("machines:\n  one:\n    endpoint: memory:one\n    profiles: [none.yaml]", 4, "no such file"),
    "no profile for all": ("profiles: [none.yaml]\nmachines:\n  one: {endpoint: 'memory:one'}", 1, "no such file"),
    "no such signal": (
        "machines:\n  one:\n    endpoint: memory:one\n    envelope:\n      signals:\n        Made: [0, 1]\n        Sped: [0, 1]",
        7, "did you mean Speed",
    ),
    "no such skill": ("machines:\n  one:\n    endpoint: memory:one\n    envelope: {skills: {Fil: {Volume: [0, 1]}}}", 4, "Fill"),
    "no such parameter": ("machines:\n  one:\n    endpoint: memory:one\n    envelope: {skills: {Fill: {Vol: [0, 1]}}}", 4, "Vol"),
    "no such interlock": (
        "machines:\n  one:\n    endpoint: memory:one\n    interlocks:\n      - signal: Door\n        equals: true", 5, "Door",
    ),
    "two names for one": ("machines:\n  one: {endpoint: 'memory:one'}\n  two: {endpoint: 'memory:one'}", 3, "same machine"),
    "grant for none": (
        "machines:\n  one: {endpoint: 'memory:one'}\napps:\n  app:\n    grants: [{machine: two}]", 1, "no such machine is",
    ),
    "no such app": ("machines:\n  one: {endpoint: 'memory:one'}\napps:\n  nobody: {}", 4, "there is no app nobody"),
    "another state": ("state: /elsewhere\nmachines:\n  one: {endpoint: 'memory:one'}", 1, "cannot change"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
async def test_a_wrong_file_leaves_the_old_one_running_and_names_the_line(tmp_path: Path, name: str) -> None:
    text, at, says = WRONG[name]
    one = method_machine("one")
    async with changing(tmp_path, one) as line, following(line.client, "one", "Speed") as follower:
        await follower.until("Speed", 60.0)
        running, before = line.runtime.configuration.running, made(one)
        line.write(text)
        with pytest.raises(ConfigurationError) as wrong:
            await line.client.reload()
        assert says in str(wrong.value)
        assert f"dtios.yaml:{at}" in wrong.value.where
        view = await line.client.configuration()
        assert view.problem is not None
        assert says in " ".join(view.problem)
        assert line.runtime.configuration.running is running
        one.set(speed(one), 61.0)
        await follower.until("Speed", 61.0)
        assert (made(one), follower.gaps) == (before, [])
        line.write()
        await line.client.reload()
        assert (await line.client.configuration()).problem is None


async def test_a_file_that_is_gone_says_so(tmp_path: Path) -> None:
    async with changing(tmp_path, method_machine("one")) as line:
        line.file.unlink()
        view = await line.client.configuration()
        assert view.problem is not None
        with pytest.raises(ConfigurationError, match="there is no such file"):
            await line.client.reload()


async def test_a_dry_run_tells_and_touches_nothing(tmp_path: Path) -> None:
    one = method_machine("one")
    async with changing(tmp_path, one) as line:
        line.document["machines"]["one"]["settings"] = {"keep_alive": 7.0}
        line.write()
        report = await line.client.reload(dry_run=True)
        assert (report.applied, [c.effects for c in report.changes]) == (False, [["connection made anew"]])
        assert one.opened == 1


async def test_who_changed_what_is_in_the_audit(tmp_path: Path) -> None:
    async with changing(tmp_path, method_machine("one")) as line:
        line.document["machines"]["one"]["envelope"] = {"signals": {"Speed": [0, 50]}}
        await line.apply()
        (audited,) = [a for a in await line.runtime.kernel.journal.audit() if a.action.startswith("configuration")]
        assert (audited.principal, audited.machine, audited.action) == ("cli:tester", "one", "configuration changed")
        assert (audited.target, audited.outcome) == ("machine one: envelope", "at once")


async def test_a_part_that_fails_is_told_stays_as_it_was_and_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = method_machine("one"), method_machine("two")
    async with changing(tmp_path, one, two) as line:
        links = line.runtime.kernel.links
        change = links.change

        async def failing(wanted: Any) -> None:
            if wanted.key[0] == one.url:
                raise TemporaryError("a fault that nobody foresaw")
            await change(wanted)

        monkeypatch.setattr(links, "change", failing)
        for machine in line.document["machines"].values():
            machine["envelope"] = {"signals": {"Speed": [0, 50]}}
        line.write()
        report = await line.client.reload()
        assert len(report.troubles) == 1
        assert "memory:one stays as it was: a fault that nobody foresaw" in report.troubles[0]
        await line.client.write("one", "Speed", 70.0)
        with pytest.raises(RefusedError):
            await line.client.write("two", "Speed", 70.0)
        view = await line.client.configuration()
        assert view.problem is not None
        monkeypatch.undo()
        report = await line.client.reload()
        assert [c.name for c in report.changes] == ["one"]
        with pytest.raises(RefusedError):
            await line.client.write("one", "Speed", 70.0)
        assert (await line.client.configuration()).problem is None


async def test_a_runtime_without_a_file_has_nothing_to_reload(tmp_path: Path) -> None:
    from tests.runtimes import client_of, running

    async with method_machine("one") as one, running(tmp_path, one) as runtime, client_of(runtime) as client:
        with pytest.raises(ConfigurationError, match="not started from a file"):
            await client.reload()
