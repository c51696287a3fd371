"""What is known of an address space: used at once, checked after a restart, and kept true while it changes."""

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from dtios.model.datatypes import BuiltinType
from dtios.model.errors import RefusedError, TemporaryError
from dtios.model.gap import GapCause
from dtios.model.job import JobState, JobVerb
from dtios.model.values import DataValue
from dtios.runtime.core import Runtime
from dtios.runtime.links.cache import FactsCache
from dtios.sdk.client import Client
from dtios.testing import MemoryServer, method_machine, packml_machine
from tests.runtimes import client_of, running

PLACE = "m"
PRODUCE = "urn:dtios:capability:produce"


@asynccontextmanager
async def at(tmp_path: Path, server: MemoryServer, **more: Any) -> AsyncIterator[tuple[Runtime, Client]]:
    machines = {PLACE: {"endpoint": server.url, **more}}
    async with running(tmp_path, server, machines=machines) as runtime, client_of(runtime) as client:
        yield runtime, client


async def eventually(condition: Callable[[], bool], within: float = 10.0) -> None:
    with anyio.fail_after(within):
        while not condition():
            await anyio.sleep(0.01)


class Stream:
    """All that one consumer is told: readings and gaps in one list."""

    def __init__(self) -> None:
        self.told: list[DataValue | GapCause] = []

    async def follow(self, client: Client, *signals: str, task_status: Any) -> None:
        async with client.subscribe(PLACE, signals, "block", 1000) as deliveries:
            task_status.started()
            async for delivery in deliveries:
                self.told += [gap.cause for _, gap in delivery.gaps]
                self.told += [DataValue(c.value, c.status) for c in delivery.changes()]

    @property
    def values(self) -> list[Any]:
        return [one.value for one in self.told if isinstance(one, DataValue) and one.is_good]

    def statuses(self, name: str) -> int:
        return sum(1 for one in self.told if isinstance(one, DataValue) and one.status_name == name)

    @property
    def gaps(self) -> list[GapCause]:
        return [one for one in self.told if isinstance(one, GapCause)]


def plain(name: str = "p") -> MemoryServer:
    server = MemoryServer(name)
    machine = server.object("Press")
    for signal in ("Speed", "Level", "Heat"):
        server.variable(signal, 0.0, parent=machine)
    return server


# --- the cache ---------------------------------------------------------------------------------------------------------------


async def test_the_next_start_browses_nothing_where_nothing_happened(tmp_path: Path) -> None:
    async with plain() as server:
        async with at(tmp_path, server) as (_, client):
            first = (await client.machines())[0].machine
        assert server.browses == 1
        async with at(tmp_path, server) as (runtime, client):
            view = (await client.machines())[0]
            assert view.machine == first
            assert (view.health, view.detail) == ("online", "")
            await client.write(PLACE, "Speed", 2.0)
            assert runtime.kernel.machines.get(PLACE).link.description.verified
        assert server.browses == 1
        assert server.get(server.find("Press/Speed")) == 2.0


async def test_a_stop_does_not_wait_for_the_check(tmp_path: Path) -> None:
    """Whatever stands behind the endpoint now: a stop that was right a moment ago leads towards standing still."""
    async with packml_machine("p", execute=60) as server, at(tmp_path, server) as (runtime, client):
        skill = (await client.describe(PLACE)).machine.skills[0]
        await client.start(PLACE, skill.path, {}, job="j")
        await eventually(lambda: server.state.name == "Execute")
        link, gate = runtime.kernel.machines.get(PLACE).link, anyio.Event()
        with held_back(gate):
            await server.restart()
            await eventually(lambda: link.online and not link.description.verified)
            with pytest.raises(TemporaryError, match="checked after a restart"):
                await client.command_job(PLACE, "j", JobVerb.PAUSE)
            await client.command_job(PLACE, "j", JobVerb.STOP)
            await eventually(lambda: server.state.name == "Stopped")
            gate.set()


async def test_after_a_restart_values_flow_at_once_and_commands_wait_for_the_check(tmp_path: Path) -> None:
    async with plain() as server:
        async with at(tmp_path, server):
            pass
        await server.restart()
        gate = anyio.Event()
        async with anyio.create_task_group() as tasks:
            with held_back(gate):
                async with at(tmp_path, server) as (runtime, client):
                    stream = Stream()
                    await tasks.start(stream.follow, client, "Speed")
                    server.set(server.find("Press/Speed"), 7.0)
                    await eventually(lambda: 7.0 in stream.values)
                    view = (await client.machines())[0]
                    assert (view.health, view.detail) == ("online", "its description is being checked after a restart")
                    with pytest.raises(TemporaryError, match="checked after a restart"):
                        await client.write(PLACE, "Speed", 2.0)
                    assert server.commands == []
                    gate.set()
                    await eventually(lambda: runtime.kernel.machines.get(PLACE).link.ready)
                    assert (await client.machines())[0].detail == ""
                    await client.write(PLACE, "Speed", 2.0)
                    assert stream.gaps == []
                    tasks.cancel_scope.cancel()
        assert [one.value for one in server.commands] == [2.0]
        assert server.browses == 2


class held_back:  # reads as a sentence
    """Browsing takes until the event is set."""

    def __init__(self, gate: anyio.Event) -> None:
        self._gate = gate
        self._patch = pytest.MonkeyPatch()

    def __enter__(self) -> None:
        from dtios.testing.memory import MemoryConnection

        original = MemoryConnection.browse
        gate = self._gate

        async def browse(self: MemoryConnection, progress: Any = None) -> Any:
            await gate.wait()
            return await original(self, progress)

        self._patch.setattr(MemoryConnection, "browse", browse)

    def __exit__(self, *_: object) -> None:
        self._patch.undo()


async def test_jobs_are_found_again_only_when_the_description_is_checked(tmp_path: Path) -> None:
    server = packml_machine("p", execute=30)
    async with server:
        async with at(tmp_path, server) as (runtime, client):
            runtime.kernel.jobs.owner_lost = _nobody  # type: ignore[method-assign]  # as after a kill
            await client.start(PLACE, PRODUCE, {}, job="a")
            await eventually(lambda: any(c.address.endswith("Start") for c in server.commands))
        await server.restart()
        gate = anyio.Event()
        with held_back(gate):
            async with at(tmp_path, server) as (runtime, client):
                assert not list(runtime.kernel.jobs._book.on(runtime.kernel.machines.get(PLACE)))
                gate.set()
                await eventually(lambda: bool(list(runtime.kernel.jobs._book.on(runtime.kernel.machines.get(PLACE)))))
                await client.command_job(PLACE, "a", JobVerb.STOP)
                with anyio.fail_after(10):
                    while (await client.show_job("a")).view.state is not JobState.ENDED:
                        await anyio.sleep(0.02)


async def _nobody(principal: object) -> None:
    return None


@pytest.mark.parametrize("harm", ["cut short", "other bytes", "older", "of another", "empty", "a pickle"])
async def test_a_file_that_cannot_be_trusted_is_ignored_and_said(tmp_path: Path, log_events: list[Any], harm: str) -> None:
    import pickle

    import msgspec

    async with plain() as server:
        async with at(tmp_path, server):
            pass
        path = FactsCache(tmp_path / "browse").path(server.url, None)
        data = path.read_bytes()
        parts = msgspec.msgpack.decode(data)
        damaged = {
            "cut short": data[: len(data) // 2],
            "other bytes": data[:-20] + bytes(20),
            "older": msgspec.msgpack.encode([parts[0], 0, "whatever it held"]),
            "of another": msgspec.msgpack.encode([*parts[:2], "memory:other", *parts[3:]]),
            "empty": b"",
            "a pickle": pickle.dumps(parts),
        }[harm]
        path.write_bytes(damaged)
        async with at(tmp_path, server) as (_, client):
            assert (await client.machines())[0].health == "online"
        assert server.browses == 2
        told = [one for one in log_events if one["event"] == "what was known is not used"]
        assert len(told) == 1
        assert told[0]["reason"]
        assert path.read_bytes() == data  # written anew, whole


async def test_an_outdated_file_that_does_not_fit_the_configuration_is_no_obstacle(tmp_path: Path) -> None:
    async with plain() as server:
        async with at(tmp_path, server):
            pass
        server.variable("Limit", 5.0, parent=server.find("Press"))
        lock = {"signal": "Limit", "above": 1}
        async with at(tmp_path, server, interlocks=[lock]) as (_, client):
            assert (await client.machines())[0].health == "online"


async def test_what_nobody_configured_is_not_kept(tmp_path: Path) -> None:
    async with plain() as server, running(tmp_path, server) as runtime, client_of(runtime) as client:
        await client.open(server.url)
    assert "browse" not in os.listdir(tmp_path)


# --- changes while it runs -----------------------------------------------------------------------------------------------------


async def test_a_node_that_vanishes_is_bad_once_and_described_as_gone_and_comes_back(tmp_path: Path) -> None:
    async with plain() as server, anyio.create_task_group() as tasks:
        speed, level = server.find("Press/Speed"), server.find("Press/Level")
        async with at(tmp_path, server) as (runtime, client):
            gone, stays = Stream(), Stream()
            await tasks.start(gone.follow, client, "Speed")
            await tasks.start(stays.follow, client, "Level")
            machine = runtime.kernel.machines.get(PLACE)
            handle = machine.handle("Speed")
            server.remove(speed)
            await eventually(lambda: machine.signal("Speed").gone)
            await eventually(lambda: gone.statuses("BadNodeIdUnknown") == 1)
            assert (await client.read(PLACE, ["Speed"]))[0][1].status_name == "BadNodeIdUnknown"
            with pytest.raises(RefusedError, match="no longer"):
                await client.write(PLACE, "Speed", 1.0)
            server.set(level, 1.0)
            browses = server.browses
            server.restore(speed)
            await eventually(lambda: not machine.signal("Speed").gone)
            server.set(speed, 9.0)
            await eventually(lambda: 9.0 in gone.values)
            assert machine.handle("Speed") == handle
            assert gone.statuses("BadNodeIdUnknown") == 1
            assert gone.gaps == [GapCause.SUBSCRIPTION_RECREATED]
            server.set(level, 2.0)
            await eventually(lambda: 2.0 in stays.values)
            assert stays.values == [0.0, 1.0, 2.0]
            assert stays.gaps == []
            assert server.browses <= browses + 2
            tasks.cancel_scope.cancel()


async def test_a_server_that_tells_nothing_is_found_out_by_its_values(tmp_path: Path) -> None:
    async with plain() as server, anyio.create_task_group() as tasks:
        server.tells_changes = False
        async with at(tmp_path, server) as (runtime, client):
            stream = Stream()
            await tasks.start(stream.follow, client, "Speed")
            server.remove(server.find("Press/Speed"))
            await eventually(lambda: runtime.kernel.machines.get(PLACE).signal("Speed").gone)
            assert stream.statuses("BadNodeIdUnknown") == 1
            tasks.cancel_scope.cancel()


async def test_or_by_what_it_answers_to_a_read_and_not_again_and_again(tmp_path: Path) -> None:
    async with plain() as server:
        server.tells_changes = False
        async with at(tmp_path, server) as (runtime, client):
            server.remove(server.find("Press/Heat"))
            for _ in range(5):
                assert (await client.read(PLACE, ["Heat"]))[0][1].is_bad
            await eventually(lambda: runtime.kernel.machines.get(PLACE).signal("Heat").gone)
            for _ in range(5):
                await client.read(PLACE, ["Heat"])
            await anyio.sleep(0.5)
            assert server.browses == 2


async def test_a_type_that_changed_is_described_and_subscribed_anew(tmp_path: Path) -> None:
    async with plain() as server, anyio.create_task_group() as tasks:
        speed = server.find("Press/Speed")
        async with at(tmp_path, server) as (runtime, client):
            stream, other = Stream(), Stream()
            await tasks.start(stream.follow, client, "Speed")
            await tasks.start(other.follow, client, "Level")
            server.change_type(speed, BuiltinType.String, "fast")
            machine = runtime.kernel.machines.get(PLACE)
            await eventually(lambda: machine.signal("Speed").type.builtin is BuiltinType.String)
            await eventually(lambda: stream.gaps == [GapCause.SUBSCRIPTION_RECREATED])
            server.set(speed, "faster")
            await eventually(lambda: "faster" in stream.values)
            await client.write(PLACE, "Speed", "fastest")
            assert other.gaps == []
            tasks.cancel_scope.cancel()


async def test_a_machine_that_vanishes_and_returns(tmp_path: Path) -> None:
    server = method_machine("f")
    async with server, anyio.create_task_group() as tasks:
        async with at(tmp_path, server) as (_, client):
            stream = Stream()
            await tasks.start(stream.follow, client, "Made")
            node = next(n for n in server.root.walk() if n.name.name == "f")
            server.remove(node)
            with anyio.fail_after(10):
                while (view := (await client.machines())[0]).health != "failed":
                    await anyio.sleep(0.02)
            assert view.detail == "it is no longer behind its endpoint"
            assert all(signal.gone for signal in view.machine.signals)
            await eventually(lambda: stream.statuses("BadNodeIdUnknown") == 1)
            server.restore(node)
            with anyio.fail_after(10):
                while (view := (await client.machines())[0]).health != "online":
                    await anyio.sleep(0.02)
            assert not any(signal.gone for signal in view.machine.signals)
            server.set(server.find("Machines/f/Made"), 5)
            await eventually(lambda: 5 in stream.values)
            tasks.cancel_scope.cancel()


async def test_changes_in_a_row_are_taken_together(tmp_path: Path) -> None:
    async with plain() as server:
        async with at(tmp_path, server) as (runtime, _):
            for number in range(200):
                server.variable(f"New{number}", 0.0, parent=server.find("Press"))
                await anyio.lowlevel.checkpoint()
            await eventually(lambda: len(runtime.kernel.machines.get(PLACE).machine.signals) == 203)
            assert server.browses <= 4
