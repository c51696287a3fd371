"""Conditions on the board, through a lost connection, and what may be done about them. The machine's own log is the judge."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest

from dtios.model.condition import Condition, ConditionVerb
from dtios.model.errors import ConfigurationError, OutcomeUnknown, RefusedError, TemporaryError
from dtios.model.status import status_name
from dtios.runtime.core import Runtime
from dtios.runtime.links import conditions as board
from dtios.sdk.adapter import ConditionCommand
from dtios.sdk.client import Client
from dtios.sdk.observing import command_condition, conditions
from dtios.testing import MemoryServer, method_machine
from tests.runtimes import client_of, running, with_apps

HOT = Condition("", "hot", "Motor", "too hot", 700, active=True, acknowledged=False, confirmed=False, name="HotAlarm")
LOW = Condition("", "low", "Tank", "level is low", 200, active=True, acknowledged=False, name="LowAlarm")


@asynccontextmanager
async def press(
    state: Path, principal: str = "cli:tester", apps: dict[str, Any] | None = None, **settings: Any
) -> AsyncIterator[tuple[MemoryServer, Runtime, Client]]:
    async with (
        method_machine("press") as server,
        running(state, server, machines={"press": {"endpoint": server.url, **settings}}) as runtime,
    ):
        if apps is not None:
            with_apps(runtime, apps)
        async with client_of(runtime, principal) as client:
            yield server, runtime, client


def complain(server: MemoryServer, *said: Condition) -> None:
    for condition in said:
        server.condition("i=85", condition)


async def until(client: Client, good: Callable[[dict[str, Condition]], bool], machine: str = "press") -> dict[str, Condition]:
    """The conditions as soon as they are so, followed as an app does."""
    seen: dict[str, Condition] = {}
    with anyio.fail_after(10):
        async with client.follow_conditions(machine) as changes:
            seen = {c.condition: c for c in await conditions(client, machine)}
            while not good(seen):
                told = msgspec.convert((await anext(changes)).condition, Condition)
                seen.pop(told.condition, None)
                if told.retain:
                    seen[told.condition] = told
    return seen


def handled(server: MemoryServer) -> list[tuple[str, Any]]:
    return [(r.address, r.value) for r in server.commands if r.kind == "condition"]


async def test_conditions_that_were_there_before_are_told(tmp_path: Path) -> None:
    async with press(tmp_path) as (server, _, client):
        complain(server, HOT, LOW)
        seen = await until(client, lambda seen: len(seen) == 2)
        assert seen["hot"] == replace(HOT, machine="press")
        complain(server, replace(HOT, active=False, retain=False))
        assert set(await until(client, lambda seen: len(seen) == 1)) == {"low"}


async def test_no_configuration_is_needed_to_list_them(tmp_path: Path) -> None:
    async with method_machine("press") as server, running(tmp_path, server) as runtime, client_of(runtime) as client:
        complain(server, HOT)
        (machine,) = await client.open(server.url)
        assert [c.condition for c in await conditions(client, machine)] == ["hot"]


async def test_while_the_connection_is_lost_a_condition_is_bad(tmp_path: Path) -> None:
    async with press(tmp_path) as (server, _, client):
        complain(server, HOT, LOW)
        await until(client, lambda seen: len(seen) == 2)
        server.freeze()  # nobody gets in again, so that what comes next can be seen at leisure
        server.drop()
        seen = await until(client, lambda seen: all(c.status for c in seen.values()))
        assert {status_name(c.status) for c in seen.values()} == {"BadNoCommunication"}
        assert seen["hot"].active, "what it was last is still to be seen"
        server.alarms.clear("hot")
        server.thaw()
        seen = await until(client, lambda seen: all(c.status == 0 for c in seen.values()))
        assert set(seen) == {"low"}, "what the refresh did not tell is over"


async def test_acknowledge_confirm_and_shelve_reach_the_machine(tmp_path: Path) -> None:
    async with press(tmp_path) as (server, runtime, client):
        complain(server, HOT)
        await until(client, lambda seen: "hot" in seen)
        after = await command_condition(client, "press", "hot", ConditionVerb.ACKNOWLEDGE, comment="seen")
        assert after.acknowledged
        await command_condition(client, "press", "HotAlarm", ConditionVerb.SHELVE, duration=60.0)
        await command_condition(client, "press", "Motor", ConditionVerb.UNSHELVE)
        await command_condition(client, "press", "hot", ConditionVerb.CONFIRM, comment="fan replaced")
        await until(client, lambda seen: seen["hot"].acknowledged and seen["hot"].confirmed)
        assert handled(server) == [
            ("hot", ["acknowledge", "seen", None]),
            ("hot", ["shelve", "", 60.0]),
            ("hot", ["unshelve", "", None]),
            ("hot", ["confirm", "fan replaced", None]),
        ]
        audit = [(line.action, line.target, line.outcome) for line in await runtime.kernel.journal.audit()]
        assert ("confirm", "hot", "Good") in audit
        assert len(audit) == 4


@pytest.mark.parametrize(
    ("wanted", "verb", "duration", "error", "why"),
    [
        ("cold", ConditionVerb.ACKNOWLEDGE, None, RefusedError, "no condition 'cold'"),
        ("hot", ConditionVerb.UNSHELVE, None, RefusedError, "BadConditionNotShelved"),
        ("hot", ConditionVerb.SHELVE, float("nan"), ConfigurationError, "no time"),
        ("hot", ConditionVerb.SHELVE, -1.0, ConfigurationError, "no time"),
        ("hot", ConditionVerb.CONFIRM, 5.0, ConfigurationError, "only shelving"),
        ("Twin", ConditionVerb.ACKNOWLEDGE, None, ConfigurationError, "several conditions"),
    ],
)
async def test_what_cannot_be_is_refused_with_a_sentence(
    tmp_path: Path, wanted: str, verb: ConditionVerb, duration: float | None, error: type[Exception], why: str
) -> None:
    async with press(tmp_path) as (server, runtime, client):
        complain(server, HOT, replace(LOW, condition="a", name="Twin"), replace(LOW, condition="b", name="Twin"))
        await until(client, lambda seen: len(seen) == 3)
        with pytest.raises(error, match=why):
            await command_condition(client, "press", wanted, verb, duration=duration)
        (line, *_) = await runtime.kernel.journal.audit()
        assert line.action == verb.value
        assert (line.outcome or "").partition(":")[0] in ("refused", "configuration")


GRANTS = {"machine": "press", "conditions": ["acknowledge"]}


async def test_an_app_may_do_what_it_is_granted_and_no_more(tmp_path: Path) -> None:
    apps = {"keeper": {"app": "none", "grants": [GRANTS]}}
    async with press(tmp_path, "keeper", apps) as (server, _, client):
        complain(server, HOT)
        await until(client, lambda seen: "hot" in seen)
        await command_condition(client, "press", "hot", ConditionVerb.ACKNOWLEDGE)
        for verb in (ConditionVerb.CONFIRM, ConditionVerb.SHELVE, ConditionVerb.UNSHELVE):
            with pytest.raises(RefusedError, match=f"keeper has no grant to {verb}"):
                await command_condition(client, "press", "hot", verb)
        assert [value[0] for _, value in handled(server)] == ["acknowledge"]


async def test_an_interlock_on_everything_keeps_back_what_may_release_the_machine(tmp_path: Path) -> None:
    async with press(tmp_path, interlocks=[{"signal": "Running", "equals": True}]) as (server, _, client):
        complain(server, HOT)
        await until(client, lambda seen: "hot" in seen)
        for verb in (ConditionVerb.ACKNOWLEDGE, ConditionVerb.CONFIRM):
            with pytest.raises(RefusedError, match="interlock on Running"):
                await command_condition(client, "press", "hot", verb)
        await command_condition(client, "press", "hot", ConditionVerb.SHELVE)
        assert [value[0] for _, value in handled(server)] == ["shelve"]


async def test_offline_means_refused_and_a_lost_answer_is_unknown(tmp_path: Path) -> None:
    async with press(tmp_path, settings={"timeout": 0.2}) as (server, runtime, client):
        complain(server, HOT)
        await until(client, lambda seen: "hot" in seen)
        server.swallow("hot")
        acknowledge = ConditionCommand("hot", ConditionVerb.ACKNOWLEDGE)
        with pytest.raises(OutcomeUnknown):
            await runtime.kernel.condition_commands.give(
                runtime._principal("cli:tester")[0], runtime.kernel.machines.get("press"), acknowledge
            )
        server.freeze()
        server.drop()
        await until(client, lambda seen: seen["hot"].status != 0)
        with pytest.raises(TemporaryError, match="offline"):
            await command_condition(client, "press", "hot", ConditionVerb.CONFIRM)
        assert [value[0] for _, value in handled(server)] == ["acknowledge"]


async def test_the_board_is_bounded_and_the_least_severe_give_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(board, "MOST", 10)
    async with press(tmp_path) as (server, runtime, client):
        complain(server, *(replace(HOT, condition=f"c{number}", severity=1 + number) for number in range(15)))
        seen = await until(client, lambda seen: "c14" in seen)
        assert set(seen) == {f"c{number}" for number in range(5, 15)}
        assert runtime.kernel.conditions.dropped == 5


async def test_a_condition_belongs_to_the_machine_whose_node_it_comes_from(tmp_path: Path) -> None:
    async with method_machine("press") as server:
        folder = server.find("Machines")
        for name in ("mill", "lathe"):
            machine = server.object(name, parent=folder)
            server.variable("Load", 0.5, parent=machine)
            identification = server.object("Identification", parent=machine, namespace="http://opcfoundation.org/UA/DI/")
            server.variable(
                "ProductInstanceUri", f"urn:test:{name}", parent=identification, property=True,
                namespace="http://opcfoundation.org/UA/DI/",
            )  # fmt: skip
        async with running(tmp_path, server) as runtime, client_of(runtime) as client:
            names = await client.open(server.url)
            assert {"mill", "lathe"} <= set(names)
            await conditions(client, "mill")
            server.condition(server.find("Machines/mill/Load"), HOT)
            server.condition(server.find("Machines/lathe"), LOW)
            server.condition("i=2253", replace(HOT, condition="nobody's"))
            seen = await until(client, lambda seen: "hot" in seen, "mill")
            assert set(seen) == {"hot"}
            assert [c.condition for c in await conditions(client, "lathe")] == ["low"]
            assert {m.machine.name for m, _ in runtime.kernel.conditions.present()} == {"mill", "lathe"}
