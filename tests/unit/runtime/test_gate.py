"""The gate refuses what may not be: each check on its own, with the machine's own log as judge of what reached it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from dtios.model.errors import ConfigurationError, RefusedError, TemporaryError
from dtios.runtime.core import Runtime
from dtios.sdk.client import Client
from dtios.testing import MemoryServer, method_machine, packml_machine
from tests.runtimes import client_of, running, with_apps


@asynccontextmanager
async def filler(
    state: Path, principal: str = "cli:tester", apps: dict[str, Any] | None = None, **settings: Any
) -> AsyncIterator[tuple[MemoryServer, Runtime, Client]]:
    async with (
        method_machine("filler") as server,
        running(state, server, machines={"filler": {"endpoint": "memory:filler", **settings}}) as runtime,
    ):
        if apps is not None:
            with_apps(runtime, apps)
        async with client_of(runtime, principal) as client:
            yield server, runtime, client


def writes(server: MemoryServer) -> list[Any]:
    return [r for r in server.commands if r.kind == "write"]


async def test_a_write_within_all_limits_is_confirmed_by_reading_back(tmp_path: Path) -> None:
    async with filler(tmp_path) as (server, _, client):
        written = await client.write("filler", "Speed", 80.0)
        assert written.confirmed
        assert written.value is not None
        assert written.value.value == 80.0
        assert len(writes(server)) == 1


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (121.0, "outside the machine's range"),
        (-0.5, "outside the machine's range"),
        (float("nan"), "finite"),
        (float("inf"), "finite"),
        ("fast", "Double"),
        (None, "Double"),
        (True, "Double"),
        ([1.0], "Double"),
    ],
)
async def test_what_is_no_value_for_it_never_reaches_the_machine(tmp_path: Path, value: object, why: str) -> None:
    async with filler(tmp_path) as (server, runtime, client):
        with pytest.raises(RefusedError, match=why) as refusal:
            await client.write("filler", "Speed", value)
        assert "Speed" in refusal.value.where
        assert refusal.value.mend
        assert writes(server) == []
        (line, *_) = await runtime.kernel.journal.audit()
        assert line.outcome is not None
        assert line.outcome.startswith("refused")


async def test_the_envelope_is_narrower_than_the_machine(tmp_path: Path) -> None:
    envelope = {"signals": {"Speed": [10, 90]}, "skills": {"Fill": {"Volume": [0, 5]}}}
    async with filler(tmp_path, envelope=envelope) as (server, _, client):
        await client.write("filler", "Speed", 90.0)
        with pytest.raises(RefusedError, match="the envelope"):
            await client.write("filler", "Speed", 90.5)
        with pytest.raises(RefusedError, match="the envelope"):
            await client.start("filler", "Fill", {"Volume": 5.1})
        assert [r.kind for r in server.commands] == ["write"]


async def test_an_envelope_for_what_is_not_there_is_a_wrong_configuration(tmp_path: Path) -> None:
    async with filler(tmp_path, envelope={"signals": {"Sped": [0, 1]}}) as (_, runtime, client):
        assert await client.machines() == [] or (await client.machines())[0].health == "failed"
        with pytest.raises(ConfigurationError, match="Sped"):
            raise next(iter(runtime.kernel.links._held.values())).link.error or AssertionError


async def test_read_only_signals_are_refused(tmp_path: Path) -> None:
    async with filler(tmp_path) as (server, _, client):
        with pytest.raises(RefusedError, match="does not let"):
            await client.write("filler", "Made", 3)
        assert writes(server) == []


async def test_unknown_names_say_what_may_have_been_meant(tmp_path: Path) -> None:
    async with filler(tmp_path) as (_, _, client):
        with pytest.raises(ConfigurationError, match="did you mean Speed"):
            await client.write("filler", "Sped", 1.0)
        with pytest.raises(ConfigurationError, match="did you mean filler"):
            await client.write("filer", "Speed", 1.0)
        with pytest.raises(ConfigurationError, match="did you mean Fill"):
            await client.start("filler", "Fil", {"Volume": 1.0})


@pytest.mark.parametrize(
    ("interlock", "set_to", "why"),
    [
        ({"equals": False}, True, "needed is equal to False"),
        ({"not_equals": True}, True, "needed is other than True"),
        ({"in": [False]}, True, "needed is one of"),
    ],
)
async def test_an_interlock_refuses_until_it_holds(tmp_path: Path, interlock: dict[str, Any], set_to: bool, why: str) -> None:
    rule = {"signal": "Running", **interlock}
    async with filler(tmp_path, interlocks=[rule]) as (server, _, client):
        running_signal = server.find("Machines/filler/Running").address
        await client.write("filler", "Speed", 70.0)
        server.set(running_signal, set_to)
        async with client.subscribe("filler", ["Running"]) as stream:
            async for delivery in stream:
                if delivery.batch is not None and delivery.batch.values[-1] is True:
                    break
        with pytest.raises(RefusedError, match=why):
            await client.write("filler", "Speed", 71.0)
        assert len(writes(server)) == 1


async def test_an_interlock_whose_signal_is_bad_refuses(tmp_path: Path) -> None:
    rule = {"signal": "Level", "below": 50}
    async with filler(tmp_path, interlocks=[rule]) as (server, _, client):
        await client.write("filler", "Speed", 70.0)
        server.set(server.find("Machines/filler/Level").address, None, status="BadSensorFailure")
        async with client.subscribe("filler", ["Level"]) as stream:
            async for delivery in stream:
                if delivery.batch is not None and delivery.batch.statuses[-1]:
                    break
        with pytest.raises(RefusedError, match="BadSensorFailure"):
            await client.write("filler", "Speed", 71.0)
        assert len(writes(server)) == 1


async def test_a_stale_interlock_refuses(tmp_path: Path) -> None:
    rule = {"signal": "Level", "below": 50, "max_age": 0.000001}
    async with filler(tmp_path, interlocks=[rule]) as (server, _, client):
        with pytest.raises(RefusedError, match="last heard of"):
            await client.write("filler", "Speed", 71.0)
        assert writes(server) == []


async def test_offline_means_refused_and_never_queued(tmp_path: Path) -> None:
    async with filler(tmp_path) as (server, _, client):
        server.freeze()
        server.drop()
        with pytest.raises(TemporaryError):
            await client.write("filler", "Speed", 71.0)
        with pytest.raises(TemporaryError):
            await client.start("filler", "Fill", {"Volume": 1.0})
        assert server.commands == []


APP = {
    "reader": {"grants": [{"machine": "filler", "read": ["Level"]}]},
    "writer": {"grants": [{"machine": "filler", "write": ["Speed"], "run": ["Fill"]}]},
    "other": {"grants": []},
    "able": {"grants": [{"capability": "urn:nobody:has"}]},
}


async def test_grants_say_what_an_app_may_do(tmp_path: Path) -> None:
    async with filler(tmp_path, "reader", APP) as (server, _, client):
        assert [path for path, _ in await client.read("filler", ["Level"])] == ["Level"]
        with pytest.raises(RefusedError, match="no grant to read"):
            await client.read("filler", ["Speed"])
        with pytest.raises(RefusedError, match="no grant to write"):
            await client.write("filler", "Speed", 71.0)
        with pytest.raises(RefusedError, match="no grant to run"):
            await client.start("filler", "Fill", {"Volume": 1.0})
        assert server.commands == []


async def test_a_machine_without_a_grant_is_not_even_seen(tmp_path: Path) -> None:
    for app in ("other", "able"):
        async with filler(tmp_path / app, app, APP) as (_, _, client):
            assert await client.machines() == []
            with pytest.raises(RefusedError, match="no grant"):
                await client.describe("filler")


async def test_commissioning_needs_its_grant(tmp_path: Path) -> None:
    async with filler(tmp_path, "writer", APP) as (_, _, client):
        for asked in (
            client.discover("memory:"),
            client.browse("memory:filler"),
            client.configure({}),
            client.open("memory:filler"),
            client.examine("memory:filler", {}),
            client.health(),
            client.propose("memory:filler", "filler"),
        ):
            with pytest.raises(RefusedError, match="commission"):
                await asked


async def test_a_deadline_that_passed_refuses(tmp_path: Path) -> None:
    async with filler(tmp_path) as (server, _, client):
        with pytest.raises(RefusedError, match="deadline"):
            await client.write("filler", "Speed", 71.0, deadline=-1.0)
        assert writes(server) == []


async def test_a_wrong_parameter_is_one_sentence(tmp_path: Path) -> None:
    async with filler(tmp_path) as (server, _, client):
        for parameters in ({}, {"Volume": "much"}, {"Volume": 1.0, "Colour": "red"}, {"Volume": float("nan")}):
            with pytest.raises((ConfigurationError, RefusedError)) as refusal:
                await client.start("filler", "Fill", parameters)
            assert "\n" not in str(refusal.value)
        assert server.commands == []


async def test_every_command_is_in_the_audit_with_its_outcome(tmp_path: Path) -> None:
    async with filler(tmp_path) as (_, runtime, client):
        await client.write("filler", "Speed", 70.0)
        job = await client.start("filler", "Fill", {"Volume": 1.0})
        await job.outcome()
        lines = await runtime.kernel.journal.audit()
        assert {(a.principal, a.machine, a.target) for a in lines} == {
            ("cli:tester", "filler", "Speed"),
            ("cli:tester", "filler", "Fill"),
        }
        assert [a.action.split()[0] for a in reversed(lines)] == ["write", "start"]


async def test_stop_needs_only_the_stop_grant(tmp_path: Path) -> None:
    apps = {
        "runner": {"grants": [{"machine": "press", "run": ["**"]}]},
        "guard": {"grants": [{"machine": "press", "stop": True}]},
        "watcher": {"grants": [{"machine": "press"}]},
    }
    async with (
        packml_machine("press", execute=30) as server,
        running(
            tmp_path,
            server,
            machines={
                "press": {
                    "endpoint": "memory:press",
                    "interlocks": [{"signal": "Status/MachSpeed", "above": 1e9, "writes": ["Status/MachSpeed"]}],
                }
            },
        ) as runtime,
    ):
        with_apps(runtime, apps)
        async with (
            client_of(runtime, "runner") as runner,
            client_of(runtime, "guard") as guard,
            client_of(runtime, "watcher") as watcher,
        ):
            (skill,) = [s.path for s in (await runner.describe("press")).machine.skills if s.binding == "packml"]
            job = await runner.start("press", skill)
            async for view in job:
                if view.state == "Running":
                    break
            from dtios.model.job import JobVerb

            with pytest.raises(RefusedError, match="no grant to stop"):
                await watcher.command_job("press", job.id, JobVerb.STOP)
            with pytest.raises(RefusedError, match="no grant to run"):
                await guard.command_job("press", job.id, JobVerb.PAUSE)
            await guard.command_job("press", job.id, JobVerb.STOP)
            assert (await job.outcome()).state == "Ended"
