"""Ways past the limits, tried one by one; the machine's own log says what reached it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from dtios.model.datatypes import BuiltinType
from dtios.model.errors import ConfigurationError, DtiosError, RefusedError
from dtios.model.job import JobState, JobVerb
from dtios.model.machine import Range
from dtios.model.values import Enumerated, LocalizedText, Record
from dtios.runtime.commands.gate import _holds
from dtios.runtime.configuration.config import Interlock
from dtios.runtime.core import Runtime
from dtios.sdk.client import Client
from dtios.testing import MemoryServer, job_order_machine, method_machine, packml_machine
from tests.runtimes import client_of, running

PRODUCE = "urn:dtios:capability:produce"


@asynccontextmanager
async def at(state: Path, server: MemoryServer, **settings: Any) -> AsyncIterator[tuple[Runtime, Client]]:
    async with (
        server,
        running(state, server, machines={"m": {"endpoint": server.url, **settings}}) as runtime,
        client_of(runtime) as client,
    ):
        yield runtime, client


def below_machine(server: MemoryServer, name: str) -> str:
    """The address of a node by its BrowseName."""
    return next(n.address for n in server.facts().root.walk() if n.name.name == name)


async def until(client: Client, job: str, state: JobState) -> None:
    async with client.follow_job("m", job) as changes:
        async for change in changes:
            if change.view.state is state:
                return


@pytest.mark.parametrize("value", ["99999", 99999, [5, 99999], "ninety", {"deep": [99999]}, True])
async def test_no_form_of_a_value_passes_the_envelope_of_an_open_parameter(tmp_path: Path, value: object) -> None:
    server = job_order_machine("j")
    async with at(tmp_path, server, envelope={"skills": {PRODUCE: {"Length": [5, 10]}}}) as (_, client):
        with pytest.raises(DtiosError):
            await client.start("m", PRODUCE, {"Length": value})
        assert server.commands == []


async def test_a_number_written_as_a_text_is_held_against_the_envelope(tmp_path: Path) -> None:
    server = method_machine("f")
    server.method(
        "Move",
        _nothing,
        parent=_above(server, "Fill"),
        inputs=[("Steps", BuiltinType.Int64)],
        namespace="urn:dtios:testing:methods",
    )
    async with at(tmp_path, server, envelope={"skills": {"Move": {"Steps": [0, 100]}}}) as (_, client):
        with pytest.raises(RefusedError, match="the envelope"):
            await client.start("m", "Move", {"Steps": "9000"})
        assert server.commands == []
        await (await client.start("m", "Move", {"Steps": "90"})).outcome()
        assert [r.value for r in server.commands] == [[90]]


async def _nothing(steps: int) -> None:
    return None


def _above(server: MemoryServer, name: str) -> str:
    return next(n.address for n in server.facts().root.walk() for _, c in n.children if c.name.name == name)


async def test_an_envelope_by_capability_limits_the_skill(tmp_path: Path) -> None:
    server = job_order_machine("j")
    async with at(tmp_path, server, envelope={"skills": {PRODUCE: {"Length": [0, 10]}}}) as (_, client):
        with pytest.raises(RefusedError, match="the envelope"):
            await client.start("m", PRODUCE, {"Length": 11})
        assert server.commands == []


@pytest.mark.parametrize(
    "settings",
    [
        {"envelope": {"skills": {"Fill": {"Volum": [0, 1]}}}},
        {"interlocks": [{"signal": "Running", "equals": False, "skills": ["Fil"]}]},
        {"interlocks": [{"signal": "Running", "equals": False, "writes": ["Sped"]}]},
    ],
)
async def test_a_limit_on_what_is_not_there_is_no_machine(tmp_path: Path, settings: dict[str, Any]) -> None:
    server = method_machine("f")
    async with at(tmp_path, server, **settings) as (_, client):
        assert [m.health for m in await client.machines()] == ["failed"]
        with pytest.raises(DtiosError):
            await client.write("m", "Speed", 1.0)
        assert server.commands == []


async def test_a_degenerate_range_is_no_limit_and_the_envelope_still_is(tmp_path: Path) -> None:
    server = method_machine("f")
    below = _above(server, "Speed")
    server.variable("Torque", 0.0, parent=below, range=Range(0, 0), namespace="urn:dtios:testing:methods")
    async with at(tmp_path, server, envelope={"signals": {"Torque": [0, 5]}}) as (_, client):
        assert (await client.write("m", "Torque", 4.0)).confirmed
        with pytest.raises(RefusedError, match="the envelope"):
            await client.write("m", "Torque", 6.0)


async def test_an_update_keeps_within_the_envelope_and_the_schema(tmp_path: Path) -> None:
    server = job_order_machine("j", duration=30)
    async with at(tmp_path, server, envelope={"skills": {PRODUCE: {"Length": [0, 10]}}}) as (_, client):
        job = await client.start("m", PRODUCE, {"Length": 1})
        await until(client, job.id, JobState.RUNNING)
        queued = await client.start("m", PRODUCE, {"Length": 1})
        await anyio.sleep(0.2)
        sent = len(server.commands)
        with pytest.raises(RefusedError, match="the envelope"):
            await client.command_job("m", queued.id, JobVerb.UPDATE, parameters={"Length": 11})
        with pytest.raises(RefusedError, match="takes no parameters"):
            await client.command_job("m", job.id, JobVerb.STOP, parameters={"Length": 11})
        assert len([r for r in server.commands[sent:] if r.kind == "call"]) == 0
        await client.command_job("m", job.id, JobVerb.STOP)


async def test_no_interlock_keeps_a_job_from_being_paused(tmp_path: Path) -> None:
    server = packml_machine("p", execute=30)
    rule = {"signal": "Status/MachSpeed", "below": 150}
    async with at(tmp_path, server, interlocks=[rule]) as (_, client):
        job = await client.start("m", PRODUCE)
        await until(client, job.id, JobState.RUNNING)
        server.set(below_machine(server, "MachSpeed"), 180.0)
        await client.command_job("m", job.id, JobVerb.PAUSE)
        await until(client, job.id, JobState.INTERRUPTED)
        with pytest.raises(RefusedError, match="interlock"):
            await client.command_job("m", job.id, JobVerb.RESUME)
        await client.command_job("m", job.id, JobVerb.STOP)


@pytest.mark.parametrize(
    ("rule", "value", "holds"),
    [
        ({"not_equals": "Open"}, Enumerated(2, "Open"), False),
        ({"not_equals": "Open"}, Enumerated(1, "Closed"), True),
        ({"not_equals": "Open"}, Enumerated(1), False),
        ({"not_equals": "Open"}, LocalizedText("Open", "en"), False),
        ({"not_equals": "Open"}, LocalizedText("Shut", "en"), True),
        ({"not_equals": "Open"}, 5, False),
        ({"not_equals": 5}, "5", False),
        ({"not_equals": 5}, float("nan"), False),
        ({"not_equals": 5}, None, False),
        ({"not_equals": 5}, [6], False),
        ({"equals": "Execute"}, LocalizedText("Execute"), True),
        ({"in": ["Idle", 3]}, Enumerated(3, "Held"), True),
        ({"in": ["Idle"]}, Record("T", {}), False),
        ({"equals": True}, True, True),
        ({"equals": True}, "true", False),
    ],
)
def test_what_cannot_be_compared_does_not_hold(rule: dict[str, Any], value: object, holds: bool) -> None:
    assert _holds(Interlock.model_validate({"signal": "Door", **rule}), value) is holds


async def test_a_reading_of_before_the_loss_is_no_reading_after_it(tmp_path: Path) -> None:
    """A session that came half up left a Good reading behind; the next one must not take it for its own."""
    server = method_machine("f")
    async with at(tmp_path, server, interlocks=[{"signal": "Running", "equals": False}]) as (runtime, _client):
        machine = runtime.kernel.machines.get("m")
        handle = machine.handle("Running")
        assert machine.last("Running") is not None
        seen: list[object] = []
        connection = machine.link._connection
        subscribe = connection.subscribe

        async def looked_at(points: Any) -> list[int]:
            seen.append(machine.link.last(handle))
            return await subscribe(points)

        connection.subscribe = looked_at  # type: ignore[method-assign]  # looked at from outside
        server.drop()
        with anyio.fail_after(5):
            while not seen:
                await anyio.sleep(0.01)
        assert seen[0] is None


async def test_a_machine_that_was_replaced_gets_no_command_meant_for_the_other(tmp_path: Path) -> None:
    server = packml_machine("p", execute=30)
    async with at(tmp_path, server) as (runtime, client):
        job = await client.start("m", PRODUCE)
        await until(client, job.id, JobState.RUNNING)
        old = runtime.kernel.machines.get("m")
        sent = len(server.commands)
        uri = below_machine(server, "ProductInstanceUri")
        server.set(uri, "urn:another:machine")
        await server.restart()
        with anyio.fail_after(5):
            while runtime.kernel.machines.get("m") is old or not runtime.kernel.machines.get("m").link.ready:
                await anyio.sleep(0.02)
        assert not old.present
        stored = (await client.show_job(job.id)).view
        assert stored.state is JobState.UNKNOWN
        with pytest.raises(RefusedError, match="no longer behind"):
            await runtime.kernel.writer.write(_everybody(), old, "Status/MachSpeed", 10.0)
        with pytest.raises(ConfigurationError, match="no such job"):
            await client.command_job("m", job.id, JobVerb.STOP)
        assert server.commands[sent:] == []


def _everybody() -> Any:
    from dtios.runtime.commands.principal import Principal

    return Principal("cli:tester", everything=True)
