"""Jobs when everything goes wrong at once: two at a time, no journal, no machine, no owner."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from dtios.model.errors import DtiosError, RefusedError, TemporaryError
from dtios.model.job import JobState, JobVerb
from dtios.runtime.core import Runtime
from dtios.sdk.client import Client
from dtios.testing import MemoryServer, job_order_machine, method_machine, packml_machine
from tests.runtimes import client_of, running, with_apps

PRODUCE = "urn:dtios:capability:produce"


@asynccontextmanager
async def at(state: Path, server: MemoryServer, **settings: Any) -> AsyncIterator[tuple[Runtime, Client]]:
    async with (
        server,
        running(state, server, machines={"m": {"endpoint": server.url, **settings}}) as runtime,
        client_of(runtime) as client,
    ):
        yield runtime, client


def calls(server: MemoryServer) -> list[str]:
    return [server.node(r.address).name.name for r in server.commands if r.kind == "call"]  # type: ignore[union-attr]  # it was called


async def until(client: Client, job: str, state: JobState) -> None:
    with anyio.fail_after(10):
        async with client.follow_job("m", job) as changes:
            async for change in changes:
                if change.view.state is state:
                    return


async def eventually(check: Any) -> None:
    with anyio.fail_after(10):
        while not check():
            await anyio.sleep(0.01)


class Disk:
    """The journal's disk: `full` makes every transaction fail as SQLite does."""

    def __init__(self, runtime: Runtime) -> None:
        self.full = False
        journal = runtime.kernel.journal
        transact = journal._transact

        async def checked(work: Any) -> Any:
            if self.full:
                await anyio.lowlevel.checkpoint()
                raise TemporaryError("the journal cannot be used (database or disk is full)")
            return await transact(work)

        journal._transact = checked  # type: ignore[method-assign]  # a full disk


# --- two at once -------------------------------------------------------------------------------------------------------------


async def test_of_two_jobs_that_start_at_once_on_one_unit_one_is_refused(tmp_path: Path) -> None:
    server = packml_machine("p", execute=0.3)
    async with at(tmp_path, server) as (runtime, client), client_of(runtime) as other:
        came: list[str] = []

        async def ask(who: Client, job: str) -> None:
            try:
                await who.start("m", PRODUCE, job=job)
                came.append("started")
            except RefusedError:
                came.append("refused")

        async with anyio.create_task_group() as tasks:
            for number in range(6):
                tasks.start_soon(ask, client if number % 2 else other, f"job-{number}")
        assert sorted(came) == ["refused"] * 5 + ["started"]
        await eventually(lambda: server.parts == 1)
        assert calls(server) == ["Start"]


async def test_two_is_the_same_number_as_two_point_zero(tmp_path: Path) -> None:
    server = method_machine("f")
    async with at(tmp_path, server) as (_, client):
        await (await client.start("m", "Fill", {"Volume": 2}, job="a")).outcome()
        await (await client.start("m", "Fill", {"Volume": 2.0}, job="a")).outcome()
        with pytest.raises(RefusedError, match="taken by another job"):
            await client.start("m", "Fill", {"Volume": 2.5}, job="a")
        assert calls(server) == ["Fill"]


async def test_who_may_only_look_takes_no_job_over(tmp_path: Path) -> None:
    server = method_machine("f", duration=0.5)
    async with at(tmp_path, server) as (runtime, looker):
        apps = {"watcher": {"grants": [{"machine": "m"}]}}
        with_apps(runtime, apps)
        async with client_of(runtime) as owner:
            await owner.start("m", "Fill", {"Volume": 2.0}, job="a")
            await until(looker, "a", JobState.RUNNING)
        async with client_of(runtime, "watcher") as watcher:
            await watcher.start("m", "Fill", {"Volume": 2.0}, job="a")
            active = next(iter(runtime.kernel.jobs._book._active.values()))
            assert active.owner is None or active.owner.name != "watcher"
        await until(looker, "a", JobState.ENDED)


# --- no journal --------------------------------------------------------------------------------------------------------------


async def test_with_a_full_disk_nothing_is_started_or_written_and_all_goes_on_after(tmp_path: Path) -> None:
    server = method_machine("f")
    async with at(tmp_path, server) as (runtime, client):
        disk = Disk(runtime)
        disk.full = True
        with pytest.raises(TemporaryError, match="journal"):
            await client.start("m", "Fill", {"Volume": 2.0}, job="a")
        with pytest.raises(TemporaryError, match="journal"):
            await client.write("m", "Speed", 50.0)
        with pytest.raises(RefusedError, match="range"):
            await client.write("m", "Speed", 5000.0)
        assert server.commands == []
        disk.full = False
        await (await client.start("m", "Fill", {"Volume": 2.0}, job="a")).outcome()
        assert calls(server) == ["Fill"]


async def test_a_disk_that_fills_up_during_a_job_ends_neither_it_nor_the_runtime(tmp_path: Path) -> None:
    server = method_machine("f", duration=0.2)
    async with at(tmp_path, server) as (runtime, client):
        disk = Disk(runtime)
        job = await client.start("m", "Fill", {"Volume": 2.0}, job="a")
        await until(client, "a", JobState.RUNNING)
        disk.full = True
        await anyio.sleep(0.5)
        assert (await client.read("m", ["Speed"]))[0][1].is_good
        disk.full = False
        assert (await job.outcome()).state is JobState.ENDED
        assert (await client.show_job("a")).view.final


async def test_a_disk_that_fills_up_before_the_wire_sends_nothing(tmp_path: Path) -> None:
    server = method_machine("f")
    async with at(tmp_path, server) as (runtime, client):
        disk = Disk(runtime)
        mark = runtime.kernel.journal.mark_sent

        async def full(identity: str, job: str) -> None:
            disk.full = True
            await mark(identity, job)

        runtime.kernel.journal.mark_sent = full  # type: ignore[method-assign]  # at this step
        job = await client.start("m", "Fill", {"Volume": 2.0}, job="a")
        await anyio.sleep(0.2)
        disk.full = False
        assert (await job.outcome()).state is JobState.ABORTED
        assert server.commands == []


async def test_a_stop_is_given_though_it_cannot_be_journalled(tmp_path: Path) -> None:
    server = packml_machine("p", execute=30)
    async with at(tmp_path, server) as (runtime, client):
        disk = Disk(runtime)
        job = await client.start("m", PRODUCE)
        await until(client, job.id, JobState.RUNNING)
        disk.full = True
        await client.command_job("m", job.id, JobVerb.STOP)
        assert calls(server) == ["Start", "Stop"]
        await anyio.sleep(0.1)
        disk.full = False
        assert (await job.outcome()).state is JobState.ENDED


async def test_an_owner_lost_with_a_full_disk_is_held_and_its_session_ends(tmp_path: Path) -> None:
    server = packml_machine("p", execute=30)
    async with at(tmp_path, server) as (runtime, client):
        disk = Disk(runtime)
        async with client_of(runtime) as owner:
            job = await owner.start("m", PRODUCE)
            await until(client, job.id, JobState.RUNNING)
            disk.full = True
        await eventually(lambda: calls(server) == ["Start", "Hold"])
        await eventually(lambda: len(runtime.kernel.sessions) == 1)
        disk.full = False


# --- no owner ----------------------------------------------------------------------------------------------------------------


async def test_an_owner_lost_while_the_connection_is_lost_is_held_when_it_is_back(tmp_path: Path) -> None:
    server = packml_machine("p", execute=30)
    async with at(tmp_path, server) as (runtime, client):
        link = runtime.kernel.machines.get("m").link
        async with client_of(runtime) as owner:
            job = await owner.start("m", PRODUCE)
            await until(client, job.id, JobState.RUNNING)
            answer = link._connection.fingerprint
            gate = anyio.Event()

            async def later() -> str:
                await gate.wait()
                return await answer()

            link._connection.fingerprint = later  # type: ignore[method-assign]  # it does not come back yet
            server.drop()
            await eventually(lambda: not link.online)
        assert calls(server) == ["Start"]
        gate.set()
        await until(client, job.id, JobState.INTERRUPTED)
        assert calls(server) == ["Start", "Hold"]


async def test_an_owner_lost_long_before_its_job_runs_is_held_then(tmp_path: Path) -> None:
    server = packml_machine("p", execute=30, acting=1.2)
    async with at(tmp_path, server) as (runtime, client):
        server.swallow()
        async with client_of(runtime) as owner:
            job = await owner.start("m", PRODUCE)
            await eventually(lambda: calls(server) == ["Start"])
        server.drop()
        await until(client, job.id, JobState.INTERRUPTED)
        assert "Hold" in calls(server) or "Stop" in calls(server)


async def test_a_queued_job_of_a_lost_owner_does_not_run_on_unwatched(tmp_path: Path) -> None:
    server = job_order_machine("j", duration=1.5)
    async with at(tmp_path, server) as (runtime, client):
        await client.start("m", PRODUCE, {}, job="first")
        await until(client, "first", JobState.RUNNING)
        async with client_of(runtime) as owner:
            await owner.start("m", PRODUCE, {}, job="second")
            await eventually(lambda: calls(server).count("StoreAndStart") == 2)
        await until(client, "second", JobState.INTERRUPTED)
        assert calls(server).count("Pause") == 1


# --- no machine --------------------------------------------------------------------------------------------------------------


async def test_a_changed_configuration_does_not_lose_a_running_job(tmp_path: Path) -> None:
    server = packml_machine("p", execute=30)
    async with at(tmp_path, server) as (runtime, client):
        async with client_of(runtime) as owner:
            job = await owner.start("m", PRODUCE)
            await until(client, job.id, JobState.RUNNING)
            await client.configure({"m": {"envelope": {"signals": {"Status/MachSpeed": [0, 50]}}}})
            await eventually(
                lambda: runtime.kernel.machines.find("m") is not None and runtime.kernel.machines.get("m").link.online
            )
            with pytest.raises(RefusedError, match="envelope"):
                await client.write("m", "Status/MachSpeed", 60.0)
            with pytest.raises(RefusedError, match="is Running"):
                await client.start("m", PRODUCE)
        await eventually(lambda: "Hold" in calls(server))
        await until(client, job.id, JobState.INTERRUPTED)
        await client.command_job("m", job.id, JobVerb.STOP)
        await until(client, job.id, JobState.ENDED)
        assert calls(server) == ["Start", "Hold", "Stop"]


async def test_a_skill_that_goes_during_its_job_leaves_it_unknown_and_the_runtime_alive(tmp_path: Path) -> None:
    server = method_machine("f", duration=30)
    async with at(tmp_path, server) as (runtime, client):
        await client.start("m", "Fill", {"Volume": 1.0}, job="a")
        await until(client, "a", JobState.RUNNING)
        live = runtime.kernel.machines.get("m")
        skills = {k: v for k, v in live.mapped.skills.items() if k != "Fill"}
        live.mapped = type(live.mapped)(
            **{name: getattr(live.mapped, name) for name in live.mapped.__dataclass_fields__ if name != "skills"}, skills=skills
        )
        server.drop()
        await until(client, "a", JobState.UNKNOWN)
        with pytest.raises(DtiosError):
            await client.command_job("m", "a", JobVerb.STOP)
        assert (await client.resolve_job("a", JobState.ABORTED, "seen")).final
        await eventually(lambda: live.link.online)
        assert (await client.read("m", ["Speed"]))[0][1].is_good


async def test_a_job_that_ended_while_the_runtime_was_away_tells_its_end(tmp_path: Path) -> None:
    """The list has forgotten it; the response, which is asked without any grant, has not."""
    server = job_order_machine("j", duration=0.3)
    named = {"m": {"endpoint": server.url}}
    async with server:
        async with running(tmp_path, server, machines=named) as runtime, client_of(runtime) as client:
            runtime.kernel.jobs.owner_lost = _nobody  # type: ignore[method-assign]  # as after a kill
            await client.start("m", PRODUCE, {}, job="away")
            await until(client, "away", JobState.RUNNING)
        await anyio.sleep(0.5)
        async with running(tmp_path, server, machines=named) as runtime, client_of(runtime) as client:
            await until(client, "away", JobState.ENDED)
            outcome = (await client.show_job("away")).view.outcome
            assert outcome is not None
            assert outcome.reason == ""
        assert calls(server).count("StoreAndStart") == 1


async def _nobody(principal: object) -> None:
    return None


async def test_several_that_ask_for_a_machine_that_is_off_all_get_an_answer(tmp_path: Path) -> None:
    server = method_machine("f")
    async with server, running(tmp_path, server) as runtime:
        links = runtime.kernel.links
        connection = runtime._registry.adapter_for(server.url)
        assert connection is not None
        server.drop()
        came: list[str] = []

        async def ask() -> None:
            try:
                link = await links.open("memory:f", {}, None)
                came.append("open")
                await links.close(link)
            except DtiosError as error:
                came.append(error.kind)

        first = await links.open("memory:f", {}, None)
        answer = first._connection.fingerprint

        async def broken() -> str:
            await anyio.sleep(0.05)
            raise TemporaryError("not now")

        first._connection.fingerprint = broken  # type: ignore[method-assign]  # it fails every time
        server.drop()
        await eventually(lambda: first.health == "offline")
        with anyio.fail_after(5):
            async with anyio.create_task_group() as tasks:
                for _ in range(5):
                    tasks.start_soon(ask)
        assert came == ["temporary"] * 5
        first._connection.fingerprint = answer  # type: ignore[method-assign]
        with anyio.fail_after(5):
            await ask()
        assert came[-1] == "open"
        known = len(runtime.kernel.router._sequences)
        await links.close(first)
        assert len(runtime.kernel.router._sequences) < known
