"""The runtime as a Sparkplug host, against an edge node on sparkplug-client: births, data, deaths, rebirths, commands."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from dtios.model.gap import Gap, GapCause
from dtios.model.values import DateTime, Record
from dtios.sdk.client import Client
from dtios.sdk.errors import TemporaryError
from tests.brokers import BrokerProcess, IotCore, Mosquitto, running_broker
from tests.interop.reach import runtime_of
from tests.interop.sparkplug_node import edge_node

pytestmark = pytest.mark.interop

LIMIT = 20.0


@pytest.fixture(params=[IotCore, Mosquitto], ids=lambda kind: kind.name)
async def broker(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[BrokerProcess]:
    async with running_broker(request.param(tmp_path)) as running:
        yield running


@pytest.fixture
async def mosquitto(tmp_path: Path) -> AsyncIterator[BrokerProcess]:
    async with running_broker(Mosquitto(tmp_path)) as running:
        yield running


def press(broker: BrokerProcess, device: str = "Press1") -> dict[str, Any]:
    return {"machines": {"press": {"endpoint": broker.url, "machine": device}}}


async def health(client: Client, machine: str, wanted: str) -> str:
    """Waits for it; returns the detail."""
    with anyio.fail_after(LIMIT):
        while True:
            view = next((view for view in await client.machines() if view.machine.name == machine), None)
            if view is not None and view.health == wanted:
                return view.detail
            await anyio.sleep(0.02)


class Follower:
    """One signal of a machine: values as they come, `Gap` where some are missing, status names where they are not Good."""

    def __init__(self) -> None:
        self.seen: list[Any] = []
        self._news = anyio.Event()

    async def run(self, client: Client, machine: str, signal: str, *, task_status: Any) -> None:
        async with client.subscribe(machine, [signal]) as deliveries:
            task_status.started()
            async for delivery in deliveries:
                self.seen += [gap for _, gap in delivery.gaps]
                self.seen += [c.value if c.status == 0 else c.status_name for c in delivery.changes()]
                self._news.set()
                self._news = anyio.Event()

    async def until(self, *wanted: Any) -> None:
        """The last ones are these; a Gap is given by its cause."""
        with anyio.fail_after(LIMIT):
            while [one.cause if isinstance(one, Gap) else one for one in self.seen][-len(wanted) :] != list(wanted):
                await self._news.wait()


@asynccontextmanager
async def following(client: Client, machine: str, signal: str) -> AsyncIterator[Follower]:
    follower = Follower()
    async with anyio.create_task_group() as tasks:
        await tasks.start(follower.run, client, machine, signal)
        yield follower
        tasks.cancel_scope.cancel()


async def test_births_become_machines(broker: BrokerProcess, tmp_path: Path) -> None:
    async with edge_node(broker, tmp_path), runtime_of(tmp_path, {}) as client:
        names = await client.open(broker.url)
        assert sorted(names) == ["Edge1", "Press1"]
        machine = (await client.describe("Press1")).machine
        edge = {signal.path for signal in (await client.describe("Edge1")).machine.signals}
        values = {path: reading.value for path, reading in await client.read("Press1")}
    assert machine.identification.manufacturer == "Interop Works"
    assert machine.identification.serial_number == "S-Press1"
    assert "sparkplug" in machine.profiles
    signals = {signal.path: signal for signal in machine.signals}
    force = signals["Process/Force"]
    assert force.unit is not None
    assert force.unit.code == "KGM"
    assert force.range is not None
    assert (force.range.low, force.range.high) == (0, 50)
    assert values["Process/Force"] == 1.5
    assert (values["Process/Count"], values["Process/Wide"], values["Process/Below"]) == (0, 4_000_000_000, -5)
    assert (values["Process/Running"], values["Process/Text"], values["Process/Nothing"]) == (False, "Größe", None)
    assert values["Process/Since"] == DateTime(1_700_000_000_123_000_000)
    assert values["Process/Table"] == [Record("DataSet", {"n": 1, "s": "a"}), Record("DataSet", {"n": 2, "s": "b"})]
    assert (values["Process/Motor/Speed"], values["Process/Motor/Hot"]) == (10.5, False)
    assert not {"bdSeq", "Node Control/Rebirth"} & edge


async def test_data_death_and_rebirth_of_a_device(broker: BrokerProcess, tmp_path: Path) -> None:
    async with (
        edge_node(broker, tmp_path, "--devices", "2") as node,
        runtime_of(tmp_path, press(broker, "Plant/Edge1/Press1")) as client,
    ):
        await health(client, "press", "online")
        async with following(client, "press", "Process/Count") as count, following(client, "Press2", "Process/Count") as other:
            await count.until(0)
            node.data("Process/Count", "Int64", 1)
            node.data("Process/Count", "Int64", 2)
            await count.until(1, 2)
            node.tell("death", device="Press1")
            await count.until(2, "BadNoCommunication")
            assert "dead" in await health(client, "press", "offline")
            with pytest.raises(TemporaryError, match="offline"):
                await client.write("press", "Command/Force", 3.0)
            assert (await client.describe("Press2")).health == "online"
            node.tell("birth")
            await count.until("BadNoCommunication", GapCause.CONNECTION_LOST, 2)
            await health(client, "press", "online")
            await other.until(0)
            assert other.seen.count("BadNoCommunication") == 0
            assert not any(isinstance(one, Gap) for one in other.seen)
    assert node.commands("dcmd") == []


async def test_a_sudden_end_of_the_edge_node(broker: BrokerProcess, tmp_path: Path) -> None:
    async with runtime_of(tmp_path, press(broker)) as client:
        async with edge_node(broker, tmp_path) as node:
            await health(client, "press", "online")
            async with following(client, "press", "Process/Force") as force:
                await force.until(1.5)
                node.machine.kill()
                await force.until(1.5, "BadNoCommunication")
                await health(client, "press", "offline")
                async with edge_node(broker, tmp_path):
                    await force.until("BadNoCommunication", GapCause.CONNECTION_LOST, 1.5)
                    await health(client, "press", "online")


async def test_a_command_is_confirmed_by_its_metric(broker: BrokerProcess, tmp_path: Path) -> None:
    async with edge_node(broker, tmp_path) as node, runtime_of(tmp_path, press(broker)) as client:
        await health(client, "press", "online")
        await client.write("press", "Command/Force", 12.5)
        assert dict(await client.read("press", ["Command/Force"]))["Command/Force"].value == 12.5
        ((command,),) = node.commands("dcmd")
        assert (command["name"], command["type"], command["value"]) == ("Command/Force", "Double", 12.5)
        await client.write("press", "Command/Force", 12.5)  # the same again: it is confirmed as well
        assert len(node.commands("dcmd")) == 2


async def test_a_machine_that_was_not_heard_of_is_awaited(mosquitto: BrokerProcess, tmp_path: Path) -> None:
    config = {"machines": {"press": {"endpoint": mosquitto.url, "machine": "Press1", "settings": {"listen": 0.1}}}}
    async with runtime_of(tmp_path, config) as client:
        assert "not heard of yet" in await health(client, "press", "offline")
        with pytest.raises(TemporaryError, match="not heard of yet"):
            await client.read("press", ["Process/Force"])
        async with edge_node(mosquitto, tmp_path):
            await health(client, "press", "online")
            assert dict(await client.read("press", ["Process/Force"]))["Process/Force"].value == 1.5
    async with runtime_of(tmp_path, config) as client:  # known from the state directory, and not there
        assert "not heard of yet" in await health(client, "press", "offline")
        assert "Process/Force" in {signal.path for signal in (await client.describe("press")).machine.signals}


async def test_the_broker_is_restarted(broker: BrokerProcess, tmp_path: Path) -> None:
    async with edge_node(broker, tmp_path) as node, runtime_of(tmp_path, press(broker)) as client:
        await health(client, "press", "online")
        async with following(client, "press", "Process/Count") as count:
            await count.until(0)
            await broker.kill()
            await count.until("BadNoCommunication")
            await broker.start()
            await health(client, "press", "online")
            await count.until(GapCause.CONNECTION_LOST, 0)
            node.data("Process/Count", "Int64", 7)
            await count.until(0, 7)


async def test_a_runtime_that_comes_late_asks_for_the_birth(mosquitto: BrokerProcess, tmp_path: Path) -> None:
    async with edge_node(mosquitto, tmp_path) as node, runtime_of(tmp_path, press(mosquitto)) as client:
        node.data("Process/Count", "Int64", 3)
        await health(client, "press", "online")
        async with following(client, "press", "Process/Count") as count:
            await count.until(3)
    assert [metric["name"] for (metric,) in node.commands("ncmd")] == ["Node Control/Rebirth"]


async def test_two_hundred_devices(mosquitto: BrokerProcess, tmp_path: Path) -> None:
    async with runtime_of(tmp_path, press(mosquitto, "Press200")) as client:
        async with edge_node(mosquitto, tmp_path, "--devices", "200") as node:
            await health(client, "press", "online")
            with anyio.fail_after(LIMIT):
                while len(views := await client.machines()) < 201:
                    await anyio.sleep(0.1)
            async with following(client, "press", "Process/Count") as count:
                node.data("Process/Count", "Int64", 5, device="Press200")
                await count.until(5)
            node.machine.kill()
            await health(client, "press", "offline")
            with anyio.fail_after(LIMIT):
                while any(view.health == "online" for view in await client.machines()):
                    await anyio.sleep(0.1)
    assert len({view.machine.name for view in views}) == 201


async def test_compressed_payloads(mosquitto: BrokerProcess, tmp_path: Path) -> None:
    for algorithm in ("DEFLATE", "GZIP"):
        folder = tmp_path / algorithm
        folder.mkdir()
        async with edge_node(mosquitto, folder, "--compress", algorithm) as node, runtime_of(folder, press(mosquitto)) as client:
            await health(client, "press", "online")
            async with following(client, "press", "Process/Count") as count:
                node.data("Process/Count", "Int64", 9)
                await count.until(9)
