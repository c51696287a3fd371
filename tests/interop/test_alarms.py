"""Alarms of node-opcua as conditions, with their history; what is done about them is judged by the server's own log."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import jsonschema
import msgspec
import pytest

from dtios.cli.schema import schemas
from dtios.model.condition import Condition, ConditionVerb
from dtios.model.datatypes import BuiltinType, ValueType
from dtios.model.errors import DtiosError, RefusedError
from dtios.model.status import status_name
from dtios.sdk.adapter import Call
from dtios.sdk.client import Client
from dtios.sdk.observing import command_condition, conditions
from dtios.testing.conformance import Probe
from dtios_opcua import adapter
from tests.interop.node_server import node_server, running_node_server
from tests.interop.reach import runtime_of
from tests.machines.process import MachineProcess
from tests.system.cli.conftest import Dtios

pytestmark = pytest.mark.interop

OWN = "nsu=urn:interop:alarms;s="
Seen = dict[str, Condition]


@asynccontextmanager
async def press(folder: Path) -> AsyncIterator[tuple[MachineProcess, Client]]:
    async with running_node_server(folder / "calls.jsonl", script="alarms") as server:
        config = {
            "press": {"endpoint": server.endpoint, "machine": "Press"},
            "mill": {"endpoint": server.endpoint, "machine": "Mill"},
        }
        async with runtime_of(folder, {"machines": config}) as client:
            yield server, client


async def until(client: Client, good: Callable[[Seen], bool], machine: str = "press", seconds: float = 20.0) -> Seen:
    """The conditions as soon as they are so, by id without what all ids of this server begin with."""
    seen: Seen = {}
    with anyio.fail_after(seconds):
        async with client.follow_conditions(machine) as changes:
            seen = {_short(c): c for c in await conditions(client, machine)}
            while not good(seen):
                told = msgspec.convert((await anext(changes)).condition, Condition)
                seen.pop(_short(told), None)
                if told.retain:
                    seen[_short(told)] = told
    return seen


def _short(condition: Condition) -> str:
    return condition.condition.removeprefix(OWN)


def _branch(seen: Seen) -> str | None:
    return next((name for name in seen if "#" in name), None)


async def test_every_kind_of_alarm_is_told_as_what_it_is(tmp_path: Path) -> None:
    async with press(tmp_path) as (_, client):
        await client.write("press", "Level", 95.0)
        await client.write("press", "Pressure", 5.0)
        await client.write("press", "Door", True)
        await client.write("mill", "Door", True)
        seen = await until(client, lambda seen: len(seen) == 3)
        told = {c.name: (c.type, c.active, c.acknowledged, c.confirmed, c.shelved, status_name(c.status)) for c in seen.values()}
        fresh = (True, False, False, False, "Good")
        assert told == {
            "LevelAlarm": ("ExclusiveLimitAlarmType", *fresh),
            "PressureAlarm": ("NonExclusiveLimitAlarmType", *fresh),
            "DoorAlarm": ("OffNormalAlarmType", *fresh),
        }
        assert all(c.machine == "press" and c.time is not None and 1 <= c.severity <= 1000 and c.message for c in seen.values())
        assert set(await until(client, lambda seen: len(seen) == 1, "mill")) == {"Mill.DoorAlarm"}
        skills = [s.path for s in (await client.describe("press")).machine.skills]
        assert skills == [], "an alarm's methods are no skills"


async def test_history_is_acknowledged_and_confirmed_state_by_state(tmp_path: Path) -> None:
    async with press(tmp_path) as (server, client):
        await client.write("press", "Level", 95.0)
        await until(client, lambda seen: "Press.LevelAlarm" in seen)
        await client.write("press", "Level", 50.0)  # back to normal, and nobody has acknowledged
        seen = await until(client, lambda seen: _branch(seen) is not None and not seen["Press.LevelAlarm"].active)
        branch = _branch(seen)
        assert branch is not None
        assert (seen[branch].active, seen[branch].acknowledged) == (True, False), "the state that was, in its own words"
        for verb in (ConditionVerb.ACKNOWLEDGE, ConditionVerb.CONFIRM):
            await command_condition(client, "press", OWN + branch, verb, comment=f"{verb} the branch")
        await until(client, lambda seen: _branch(seen) is None)
        await command_condition(client, "press", OWN + "Press.LevelAlarm", ConditionVerb.CONFIRM, comment="over")
        assert await until(client, lambda seen: not seen) == {}
        done = [(call["method"], call["args"], call["branch"] is not None) for call in server.calls()]
        assert done == [
            ("acknowledge", ["acknowledge the branch"], True),
            ("confirm", ["confirm the branch"], True),
            ("confirm", ["over"], False),
        ]


async def test_shelving_is_seen_at_the_server(tmp_path: Path) -> None:
    async with press(tmp_path) as (server, client):
        await client.write("press", "Door", True)
        await until(client, lambda seen: bool(seen))
        await command_condition(client, "press", "DoorAlarm", ConditionVerb.SHELVE, duration=30.0)
        await until(client, lambda seen: seen["Press.DoorAlarm"].shelved)
        with pytest.raises(RefusedError, match="BadConditionAlreadyShelved"):
            await command_condition(client, "press", "DoorAlarm", ConditionVerb.SHELVE, duration=30.0)
        await command_condition(client, "press", "DoorAlarm", ConditionVerb.UNSHELVE)
        await until(client, lambda seen: not seen["Press.DoorAlarm"].shelved)
        await command_condition(client, "press", "DoorAlarm", ConditionVerb.SHELVE)
        await until(client, lambda seen: seen["Press.DoorAlarm"].shelved)
        await command_condition(client, "press", "DoorAlarm", ConditionVerb.UNSHELVE)
        with pytest.raises(RefusedError, match="not shelve it for so long"):
            await command_condition(client, "press", "DoorAlarm", ConditionVerb.SHELVE, duration=10_000.0)
        states = [call["args"][0] for call in server.calls("shelving")]
        assert states == ["TimedShelved", "Unshelved", "OneShotShelved", "Unshelved"]


@asynccontextmanager
async def beside(endpoint: str) -> AsyncIterator[Probe]:
    """Another client of the server."""
    probe = Probe(adapter.connect(endpoint, adapter.settings(), Path("/nonexistent")))
    async with anyio.create_task_group() as tasks:
        await tasks.start(probe.run)
        yield probe
        tasks.cancel_scope.cancel()


async def test_after_a_cut_connection_what_is_there_is_back_and_what_is_over_is_gone(tmp_path: Path) -> None:
    async with press(tmp_path) as (server, client):
        await client.write("press", "Level", 95.0)
        await client.write("press", "Pressure", 95.0)
        await until(client, lambda seen: len(seen) == 2)
        history: list[tuple[str, str]] = []
        async with client.follow_conditions("press") as changes, anyio.create_task_group() as tasks:

            async def listen() -> None:
                async for change in changes:
                    told = msgspec.convert(change.condition, Condition)
                    history.append((_short(told), status_name(told.status)))

            tasks.start_soon(listen)
            async with beside(server.endpoint) as other:
                with suppress(DtiosError):  # the level stays, that of the pressure is over, and the door is open
                    await other.connection.call(_cut(95.0, True), lambda: None)
            seen = await until(client, lambda seen: set(seen) == {"Press.LevelAlarm", "Press.DoorAlarm"})
            tasks.cancel_scope.cancel()
        assert all(c.status == 0 for c in seen.values())
        assert ("Press.LevelAlarm", "BadNoCommunication") in history, "meanwhile nobody could know"
        assert [call["args"] for call in server.calls("cut")] == [[95, True]]


def _cut(level: float, door: bool) -> Call:
    number, flag = ValueType(BuiltinType.Double), ValueType(BuiltinType.Boolean)
    return Call(f"{OWN}Faults", f"{OWN}Faults.Cut", [(level, number), (door, flag)], 5.0)


async def test_after_a_restart_of_the_server_the_alarms_of_before_are_over(tmp_path: Path) -> None:
    async with press(tmp_path) as (server, client):
        await client.write("press", "Door", True)
        await until(client, lambda seen: bool(seen))
        await anyio.to_thread.run_sync(server.kill)
        seen = await until(client, lambda seen: all(c.status for c in seen.values()))
        assert seen["Press.DoorAlarm"].active
        async with running_node_server(tmp_path / "second.jsonl", "--port", str(server.port), script="alarms"):
            assert await until(client, lambda seen: not seen, seconds=40.0) == {}
            await client.write("press", "Level", 5.0)
            assert set(await until(client, lambda seen: bool(seen))) == {"Press.LevelAlarm"}


def test_on_the_command_line(dtios: Dtios, tmp_path: Path) -> None:
    with node_server(tmp_path / "calls.jsonl", script="alarms") as server:
        target = [server.endpoint, "--machine", "Press"]

        def lines(command: Sequence[str], *arguments: str) -> list[dict[str, Any]]:
            done = dtios(*command, *target, *arguments, "--json")
            assert done.status == 0, done.out + done.err
            for line in done.lines:
                jsonschema.validate(line, schemas()[" ".join(command)])
            return done.lines

        assert lines(["condition", "list"]) == []
        lines(["write"], "Level", "95")
        (told,) = lines(["condition", "list"])
        assert (told["name"], told["active"], told["acknowledged"], told["status"]) == ("LevelAlarm", True, False, "Good")
        (acknowledged,) = lines(["condition", "acknowledge"], "LevelAlarm", "--comment", "seen")
        assert acknowledged["acknowledged"]
        (shelved,) = lines(["condition", "shelve"], told["condition"], "--seconds", "20")
        assert shelved["shelved"]
        (shown,) = lines(["condition", "unshelve"], "LevelAlarm")
        assert not shown["shelved"]
        refused = dtios("condition", "confirm", *target, "NoSuchAlarm", "--json")
        assert refused.status == 1
        assert refused.error["kind"] == "refused"
        assert "NoSuchAlarm" in refused.error["message"]
        assert [(c["method"], c["args"]) for c in server.calls()] == [
            ("acknowledge", ["seen"]), ("shelving", ["TimedShelved"]), ("shelving", ["Unshelved"]),
        ]  # fmt: skip
