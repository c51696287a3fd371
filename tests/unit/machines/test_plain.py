"""The plain machine and its process do what the system tests rely on."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from asyncua import Client, Node, ua
from asyncua.common.subscription import DataChangeNotif

from tests.machines.plain import URI, plain_machine
from tests.machines.process import python_machine, running_machine


async def node(client: Client, name: str = "") -> Node:
    index = await client.get_namespace_index(URI)
    return await client.nodes.objects.get_child([f"{index}:{n}" for n in ("Plain", name) if n])


async def make(client: Client, count: int, speed: float) -> Any:
    owner = await node(client)
    arguments = (ua.Variant(count, ua.VariantType.Int32), ua.Variant(speed, ua.VariantType.Double))
    return await owner.call_method(f"{await client.get_namespace_index(URI)}:Make", *arguments)


class Seen:
    def __init__(self, until: int) -> None:
        self.values: list[int] = []
        self.enough = asyncio.Event()
        self._until = until

    def datachange_notification(self, _: Node, value: int, __: DataChangeNotif) -> None:
        self.values.append(value)
        if value >= self._until:
            self.enough.set()


async def test_counters_leave_no_number_out() -> None:
    async with plain_machine(counters=2, rate=200) as machine, Client(machine.endpoint) as client:
        seen = Seen(until=60)
        subscription = await client.create_subscription(50, seen)
        await subscription.subscribe_data_change(await node(client, "Counter1"), queuesize=1000)
        async with asyncio.timeout(10):
            await seen.enough.wait()
        await (await node(client, "Counting")).write_value(False)
        last = machine.written
        await subscription.delete()
        numbers = sorted(seen.values)
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        await asyncio.sleep(0.1)
        assert machine.written == last


async def test_make_leaves_the_connection_free_and_can_be_stopped() -> None:
    async with plain_machine() as machine, Client(machine.endpoint) as client:
        assert await make(client, 3, 100.0) == 3
        with pytest.raises(ua.UaStatusCodeError) as refusal:
            await make(client, 1, float("nan"))
        assert refusal.value.code == ua.StatusCodes.BadOutOfRange
        long = asyncio.ensure_future(make(client, 1000, 20.0))
        made = await node(client, "MadeEver")
        async with asyncio.timeout(5):
            while await made.read_value() < 3 + 2:
                assert not long.done()
        with pytest.raises(ua.UaStatusCodeError) as refusal:
            await make(client, 1, 1.0)
        assert refusal.value.code == ua.StatusCodes.BadInvalidState
        await (await node(client)).call_method(f"{await client.get_namespace_index(URI)}:Stop")
        assert 2 <= await asyncio.wait_for(long, 5) < 1000
        speed = await node(client, "Speed")
        with pytest.raises(ua.UaStatusCodeError):
            await speed.write_value(1001.0)
        await speed.write_value(5.0)
        assert await speed.read_value() == 5.0
        wanted = ["Make", "made", "Make", "Make", "Make", "Stop", "made", "write Speed", "write Speed"]
        assert [method for method in machine.log.methods() if not method.startswith("Create")] == wanted


async def test_a_killed_machine_leaves_its_log_and_the_work_outlives_its_caller(tmp_path: Path) -> None:
    async with running_machine(python_machine("tests.machines.plain"), tmp_path / "calls.jsonl") as machine:
        client = Client(machine.endpoint)
        await client.connect()
        call = asyncio.ensure_future(make(client, 10, 20.0))
        async with asyncio.timeout(5):
            while not machine.calls("Make"):
                await asyncio.sleep(0.01)
        client.disconnect_socket()  # as a caller that is gone
        await asyncio.wait([call], timeout=2)
        async with asyncio.timeout(5):
            while not machine.calls("made"):
                await asyncio.sleep(0.01)
        assert machine.calls("made")[0]["args"] == [10]
        machine.freeze()
        machine.thaw()
        machine.kill()
        assert len(machine.calls("Make")) == 1
        call.cancel()
        await asyncio.gather(call, client.disconnect(), return_exceptions=True)
