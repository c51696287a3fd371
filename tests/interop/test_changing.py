"""An address space that changes while the runtime runs, at a third party's server: told by model change events, and not told."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from asyncua import Client as RawClient
from asyncua import ua

from dtios.model.datatypes import BuiltinType
from dtios.model.gap import GapCause
from dtios.model.values import DataValue
from dtios.sdk.client import Client
from tests.interop.node_server import running_node_server
from tests.interop.reach import runtime_of
from tests.machines.process import MachineProcess

pytestmark = pytest.mark.interop

MACHINE = "urn:interop:changing:machine"
PRESS = "press"


class Stream:
    def __init__(self) -> None:
        self.told: list[DataValue | GapCause] = []

    async def follow(self, client: Client, *signals: str, task_status: Any) -> None:
        async with client.subscribe(PRESS, signals, "block", 10_000) as deliveries:
            task_status.started()
            async for delivery in deliveries:
                self.told += [gap.cause for _, gap in delivery.gaps]
                self.told += [DataValue(c.value, c.status) for c in delivery.changes()]

    @property
    def values(self) -> list[Any]:
        return [one.value for one in self.told if isinstance(one, DataValue) and one.is_good]

    def statuses(self, start: str) -> int:
        return sum(1 for one in self.told if isinstance(one, DataValue) and one.status_name.startswith(start))

    @property
    def gaps(self) -> list[GapCause]:
        return [one for one in self.told if isinstance(one, GapCause)]


async def eventually(condition: Callable[[], bool], within: float = 20.0) -> None:
    with anyio.fail_after(within):
        while not condition():
            await anyio.sleep(0.02)


def config(endpoint: str, recheck: float = 300.0) -> dict[str, Any]:
    settings = {"publishing_interval": 0.05, "keep_alive": 3, "recheck": recheck}
    return {"machines": {PRESS: {"endpoint": endpoint, "machine": "Press", "settings": settings}}}


@asynccontextmanager
async def hand(server: MachineProcess) -> AsyncIterator[Callable[[str, str], Any]]:
    """Changes the machine, by a client of its own."""
    async with RawClient(server.endpoint) as raw:
        index = await raw.get_namespace_index(MACHINE)

        async def change(verb: str, name: str) -> None:
            control = raw.get_node(ua.NodeId("Control", index))
            await control.call_method(ua.NodeId(verb, index), ua.Variant(name, ua.VariantType.String))

        yield change


async def signals(client: Client) -> dict[str, Any]:
    return {signal.path: signal for signal in (await client.describe(PRESS)).machine.signals}


async def until_described(client: Client, fits: Callable[[dict[str, Any]], bool]) -> None:
    with anyio.fail_after(20):
        while not fits(await signals(client)):
            await anyio.sleep(0.05)


@pytest.mark.parametrize("told", [True, False])
async def test_nodes_go_and_come_and_change_their_type(tmp_path: Path, told: bool) -> None:
    options = [] if told else ["--quietly"]
    async with running_node_server(tmp_path / "log", *options, script="changing") as server, hand(server) as change:
        async with (
            runtime_of(tmp_path, config(server.endpoint, 0.5)) as client,
            anyio.create_task_group() as tasks,
        ):
            speed, level, steady = Stream(), Stream(), Stream()
            for stream, name in ((speed, "Speed"), (level, "Level"), (steady, "Steady")):
                await tasks.start(stream.follow, client, name)
            await eventually(lambda: bool(speed.values and level.values and steady.values))

            await change("Remove", "Speed")
            await until_described(client, lambda s: s["Speed"].gone)
            await eventually(lambda: speed.statuses("BadNodeId") == 1)
            await change("Add", "Speed")
            await until_described(client, lambda s: not s["Speed"].gone)
            count = len(speed.values)
            await change("Set", "Speed")
            await eventually(lambda: len(speed.values) > count and speed.values[-1] == 2.5)
            assert speed.statuses("Bad") == 1
            assert speed.gaps == [GapCause.SUBSCRIPTION_RECREATED]

            await change("Retype", "Level")
            await until_described(client, lambda s: s["Level"].type.builtin is BuiltinType.String)
            await eventually(lambda: "text" in level.values)
            assert (await client.read(PRESS, ["Level"]))[0][1].value == "text"

            assert steady.gaps == []
            assert steady.statuses("Bad") == 0
            assert steady.values == sorted(steady.values)
            tasks.cancel_scope.cancel()


async def test_restarted_with_its_namespaces_in_another_order(tmp_path: Path) -> None:
    async with anyio.create_task_group() as tasks:
        async with running_node_server(tmp_path / "log", script="changing") as server:
            port = str(server.port)
            async with runtime_of(tmp_path, config(server.endpoint)) as client:
                before = await signals(client)
                stream = Stream()
                await tasks.start(stream.follow, client, "Speed", "Mark")
                await eventually(lambda: {1.5, "other"} <= set(stream.values))
                server.kill()
                await eventually(lambda: stream.statuses("BadNoCommunication") == 2)
                stream.told.clear()
                async with running_node_server(tmp_path / "second", "--port", port, "--reversed", script="changing"):
                    await eventually(lambda: {1.5, "other"} <= set(stream.values), within=30)
                    assert stream.gaps == [GapCause.CONNECTION_LOST] * 2
                    with anyio.fail_after(20):
                        while (await client.machines())[0].detail:
                            await anyio.sleep(0.05)
                    await client.write(PRESS, "Speed", 8.0)
                    assert await signals(client) == before
                    assert before["Mark"].address == "nsu=urn:interop:changing:other;s=Mark"
                    tasks.cancel_scope.cancel()
        assert '"args":[8]' in (tmp_path / "second").read_text()


async def test_the_next_start_sends_no_browse_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Judged at the socket. Events are left out: who looks for their sources and types browses for itself."""
    from dtios_opcua.connection import OpcUaConnection
    from dtios_opcua.session.channel import Channel
    from dtios_opcua.session.services import Service

    sent: list[int] = []
    original = Channel.hand_over

    def counted(self: Channel, service: int, *rest: Any, **more: Any) -> Any:
        sent.append(service)
        return original(self, service, *rest, **more)

    async def nothing(_self: OpcUaConnection, _wanted: Any) -> None:
        return None

    monkeypatch.setattr(Channel, "hand_over", counted)
    monkeypatch.setattr(OpcUaConnection, "watch_events", nothing)
    async with running_node_server(tmp_path / "log", script="changing") as server:
        async with runtime_of(tmp_path, config(server.endpoint)) as client:
            first = await signals(client)
        assert sent.count(Service.BROWSE) > 3
        sent.clear()
        async with runtime_of(tmp_path, config(server.endpoint)) as client:
            assert await signals(client) == first
            assert (await client.machines())[0].detail == ""
            await client.write(PRESS, "Speed", 3.0)
            assert (await client.read(PRESS, ["Speed"]))[0][1].value == 3.0
        assert Service.BROWSE not in sent
        assert Service.READ in sent


async def test_a_dead_band_in_percent_and_absolute(tmp_path: Path) -> None:
    """node-opcua takes percent only for analog items: this is none, so every change comes; an absolute one it takes."""
    wanted = config("")
    async with running_node_server(tmp_path / "log", script="changing") as server, hand(server) as change:
        wanted["machines"][PRESS] |= {
            "endpoint": server.endpoint,
            "signals": {"Speed": {"dead_band": "5%"}, "Level": {"dead_band": 2.5, "sampling": 0.05}},
        }
        async with runtime_of(tmp_path, wanted) as client, anyio.create_task_group() as tasks:
            speed, level = Stream(), Stream()
            await tasks.start(speed.follow, client, "Speed")
            await tasks.start(level.follow, client, "Level")
            await eventually(lambda: speed.values == [1.5] and level.values == [2.5])
            for number in range(3):
                await change("Set", "Speed")
                await change("Set", "Level")
                await eventually(lambda number=number: speed.values[-1:] == [2.5 + number])  # type: ignore[misc]
            await eventually(lambda: level.values[-1:] == [5.5])
            assert level.values == [2.5, 5.5]
            tasks.cancel_scope.cancel()
