"""Jobs on machines in memory: one id is one job, states follow the machine, owners that go are dealt with."""

from pathlib import Path

import anyio
import pytest

from dtios.model.errors import RefusedError, TemporaryError
from dtios.model.job import JobState, JobSubstate, JobVerb
from dtios.sdk.client import Client
from dtios.testing import MemoryServer, job_order_machine, method_machine, packml_machine
from tests.runtimes import client_of, running

PRODUCE = "urn:dtios:capability:produce"


def machines(server: MemoryServer) -> dict[str, object]:
    return {"m": {"endpoint": server.url}}


def calls(server: MemoryServer) -> list[str]:
    return [server.node(r.address).name.name for r in server.commands if r.kind == "call"]  # type: ignore[union-attr]  # it was called


async def until(client: Client, job: str, state: JobState) -> None:
    async with client.follow_job("m", job) as changes:
        async for change in changes:
            if change.view.state is state:
                return


async def test_the_same_id_with_the_same_parameters_is_the_same_job(tmp_path: Path) -> None:
    async with method_machine("fill") as server, running(tmp_path, server, machines=machines(server)) as runtime:
        async with client_of(runtime) as client:
            first = await client.start("m", "Fill", {"Volume": 2.0}, job="a")
            again = await client.start("m", "Fill", {"Volume": 2.0}, job="a")
            outcomes = [await first.outcome(), await again.outcome()]
            after = await client.start("m", "Fill", {"Volume": 2.0}, job="a")
            assert (await after.outcome()).results == outcomes[0].results
        assert calls(server) == ["Fill"]


async def test_two_that_ask_at_once_for_one_id_start_one_job(tmp_path: Path) -> None:
    async with method_machine("fill") as server, running(tmp_path, server, machines=machines(server)) as runtime:
        async with client_of(runtime) as left, client_of(runtime) as right, anyio.create_task_group() as tasks:

            async def ask(client: Client) -> None:
                await (await client.start("m", "Fill", {"Volume": 2.0}, job="a")).outcome()

            for client in (left, right, left, right):
                tasks.start_soon(ask, client)
        assert calls(server) == ["Fill"]


async def test_an_id_with_other_parameters_is_refused(tmp_path: Path) -> None:
    async with method_machine("fill") as server, running(tmp_path, server, machines=machines(server)) as runtime:
        async with client_of(runtime) as client:
            await (await client.start("m", "Fill", {"Volume": 2.0}, job="a")).outcome()
            with pytest.raises(RefusedError, match="taken by another job"):
                await client.start("m", "Fill", {"Volume": 3.0}, job="a")
            with pytest.raises(RefusedError, match="taken by another job"):
                await client.start("m", "Produce", {}, job="a")
        assert calls(server) == ["Fill"]


async def test_a_packml_job_is_paused_resumed_and_stopped(tmp_path: Path) -> None:
    async with packml_machine("p", execute=20) as server, running(tmp_path, server, machines=machines(server)) as runtime:
        async with client_of(runtime) as client:
            job = await client.start("m", PRODUCE)
            await until(client, job.id, JobState.RUNNING)
            await client.command_job("m", job.id, JobVerb.PAUSE)
            await until(client, job.id, JobState.INTERRUPTED)
            await client.command_job("m", job.id, JobVerb.RESUME)
            await until(client, job.id, JobState.RUNNING)
            await client.command_job("m", job.id, JobVerb.STOP)
            outcome = await job.outcome()
            assert (outcome.state, outcome.substate) == (JobState.ENDED, JobSubstate.CLOSED)
            with pytest.raises(RefusedError, match="cannot be asked"):
                await client.command_job("m", job.id, JobVerb.STOP)
        assert calls(server) == ["Start", "Hold", "Unhold", "Stop"]


async def test_one_packml_machine_does_one_job_at_a_time(tmp_path: Path) -> None:
    async with packml_machine("p", execute=20) as server, running(tmp_path, server, machines=machines(server)) as runtime:
        async with client_of(runtime) as client:
            job = await client.start("m", PRODUCE)
            await until(client, job.id, JobState.RUNNING)
            with pytest.raises(RefusedError, match="is Running"):
                await client.start("m", PRODUCE)
        assert calls(server) == ["Start", "Hold"]


async def test_a_lost_owner_leaves_its_job_held(tmp_path: Path) -> None:
    async with packml_machine("p", execute=20) as server, running(tmp_path, server, machines=machines(server)) as runtime:
        async with client_of(runtime) as client:
            job = await client.start("m", PRODUCE)
            await until(client, job.id, JobState.RUNNING)
        async with client_of(runtime) as other:
            await until(other, job.id, JobState.INTERRUPTED)
            record = await other.show_job(job.id)
        assert calls(server) == ["Start", "Hold"]
        assert [e.event for e in record.history if "owner lost" in e.event] == ["owner lost: hold"]
        assert any(
            a.action == "owner lost" and a.outcome and a.outcome.startswith("hold") for a in await runtime.kernel.journal.audit()
        )


async def test_a_lost_owner_whose_job_has_only_begun_is_held_once_it_runs(tmp_path: Path) -> None:
    async with (
        packml_machine("p", execute=20, acting=0.2) as server,
        running(tmp_path, server, machines=machines(server)) as runtime,
    ):
        async with client_of(runtime) as client:
            await client.start("m", PRODUCE)
            while not calls(server):
                await anyio.sleep(0.01)
        assert calls(server)[:1] == ["Start"]
        with anyio.fail_after(3):
            while "Hold" not in calls(server):
                await anyio.sleep(0.01)


async def test_a_lost_owner_of_what_can_neither_hold_nor_stop_lets_it_finish(tmp_path: Path) -> None:
    async with method_machine("fill", duration=0.3) as server, running(tmp_path, server, machines=machines(server)) as runtime:
        async with client_of(runtime) as client:
            job = await client.start("m", "Fill", {"Volume": 2.0})
            await until(client, job.id, JobState.RUNNING)
        async with client_of(runtime) as other:
            await until(other, job.id, JobState.ENDED)
            assert [e.event for e in (await other.show_job(job.id)).history if "owner" in e.event] == ["owner lost: finish"]
        assert calls(server) == ["Fill"]


async def test_a_job_order_is_found_again_after_its_connection_was_lost(tmp_path: Path) -> None:
    async with job_order_machine("j", duration=1.0) as server, running(tmp_path, server, machines=machines(server)) as runtime:
        async with client_of(runtime) as client:
            job = await client.start("m", PRODUCE, {}, job="order-1")
            await until(client, "order-1", JobState.RUNNING)
            server.drop()
            outcome = await job.outcome()
            assert (outcome.state, outcome.substate) == (JobState.ENDED, JobSubstate.COMPLETED)
        assert calls(server).count("StoreAndStart") == 1


async def test_a_call_whose_answer_never_comes_is_unknown_until_a_person_says(tmp_path: Path) -> None:
    async with method_machine("fill") as server, running(tmp_path, server, machines=machines(server)) as runtime:
        async with client_of(runtime) as client:
            server.swallow()
            job = await client.start("m", "Fill", {"Volume": 2.0}, job="a")
            while not calls(server):
                await anyio.sleep(0.01)
            server.drop()
            await until(client, "a", JobState.UNKNOWN)
            with pytest.raises((RefusedError, TemporaryError), match=r"Unknown|offline"):
                await client.start("m", "Fill", {"Volume": 2.0}, job="b")
            resolved = await client.resolve_job("a", JobState.ABORTED, "the tank is empty")
            assert resolved.final
            assert (await job.outcome()).reason == "the tank is empty"
            with pytest.raises(RefusedError, match="not Unknown"):
                await client.resolve_job("a", JobState.ENDED, "again")
        assert calls(server) == ["Fill"]


async def test_what_the_machine_refuses_ends_aborted_with_its_reason(tmp_path: Path) -> None:
    async with method_machine("fill") as server, running(tmp_path, server, machines=machines(server)) as runtime:
        async with client_of(runtime) as client:
            server.refuse(None, "BadInvalidState")
            job = await client.start("m", "Fill", {"Volume": 2.0})
            outcome = await job.outcome()
            assert outcome.state is JobState.ABORTED
            view = (await client.show_job(job.id)).view
            assert view.error is not None
            assert view.error[0] == "refused"
            assert "BadInvalidState" in view.error[1]


async def test_a_restart_finds_jobs_again_ends_them_or_leaves_them_unknown(tmp_path: Path) -> None:
    """The runtime is cancelled in mid-job, as nearly a kill -9 as one process allows; the machines go on."""
    async with job_order_machine("j", duration=0.4) as orders, method_machine("f", duration=5) as methods:
        servers = (orders, methods)
        named = {"orders": {"endpoint": orders.url}, "methods": {"endpoint": methods.url}}
        with anyio.CancelScope() as first:
            async with running(tmp_path, *servers, machines=named) as runtime:
                runtime.kernel.jobs.owner_lost = _nobody  # type: ignore[method-assign, assignment]  # a kill leaves no time for it
                async with client_of(runtime) as client:
                    await client.start("orders", PRODUCE, {}, job="kept")
                    await client.start("methods", "Fill", {"Volume": 1.0}, job="gone")
                    while "StoreAndStart" not in calls(orders) or "Fill" not in calls(methods):
                        await anyio.sleep(0.01)
                    first.cancel()
                    await anyio.sleep(1)
        async with running(tmp_path, *servers, machines=named) as runtime, client_of(runtime) as client:
            with anyio.fail_after(5):
                assert (await (await client.job("kept")).outcome()).state is JobState.ENDED
                while (await client.show_job("gone")).view.state is not JobState.UNKNOWN:
                    await anyio.sleep(0.01)
            joined = await client.start("orders", PRODUCE, {}, job="kept")
            assert (await joined.outcome()).state is JobState.ENDED
        assert calls(orders).count("StoreAndStart") == 1
        assert calls(methods).count("Fill") == 1


async def _nobody(principal: object) -> None:
    return None


async def test_a_lost_owner_of_what_can_only_be_aborted_leaves_it_aborted(tmp_path: Path) -> None:
    async with packml_machine("p", execute=20) as server:
        base = "Machines/p/BaseStateMachine/MachineState"
        server.remove(server.find(f"{base}/Stop"))
        server.remove(server.find(f"{base}/ExecuteState/Hold"))
        async with running(tmp_path, server, machines=machines(server)) as runtime:
            async with client_of(runtime) as client:
                job = await client.start("m", PRODUCE)
                await until(client, job.id, JobState.RUNNING)
            async with client_of(runtime) as other:
                await until(other, job.id, JobState.ABORTED)
        assert calls(server) == ["Start", "Abort"]
