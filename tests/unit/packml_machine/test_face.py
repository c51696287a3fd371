"""The simulated PackML machine as a client sees it: over a real socket, in a process of its own."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from asyncua import Client, Node, ua

from dtios_packml.plant import Plant, State
from dtios_packml.server import Face, serve
from tests.machines.process import python_machine, running_machine

EXECUTE = ["BaseStateMachine", "MachineState", "ExecuteState"]


class Hand:
    """An operator with a bare OPC UA client."""

    def __init__(self, client: Client, index: int, name: str = "Filler") -> None:
        self.client, self.index, self.name = client, index, name

    async def node(self, *path: str) -> Node:
        names = [p if ":" in p else f"{self.index}:{p}" for p in (self.name, *path)]
        return await self.client.nodes.objects.get_child(names)

    async def read(self, *path: str) -> Any:
        return await (await self.node(*path)).read_value()

    async def call(self, *path: str, args: tuple[Any, ...] = ()) -> Any:
        owner = await self.node(*path[:-1])
        return await owner.call_method(f"{self.index}:{path[-1]}", *args)

    async def until(self, state: int) -> None:
        async with asyncio.timeout(10):
            while await self.read("Status", "StateCurrent") != state:
                await asyncio.sleep(0.02)


@asynccontextmanager
async def hand_on(plant: Plant, factor: float = 20.0) -> AsyncIterator[tuple[Hand, Face]]:
    async with serve(plant, factor=factor) as face, Client(face.endpoint) as client:
        yield Hand(client, await client.get_namespace_index("urn:dtios:packml")), face


async def test_an_order_from_start_to_reset() -> None:
    async with hand_on(Plant(seed=1)) as (hand, face):
        await hand.client.load_data_type_definitions()
        await (await hand.node("Process", "PartsOrdered")).write_value(ua.DataValue(ua.Variant(12, ua.VariantType.UInt32)))
        await hand.call("SetMachSpeed", args=(ua.Variant(200.0, ua.VariantType.Float),))
        await hand.call(*EXECUTE, "Start", args=(ua.Variant([], ua.VariantType.ExtensionObject, is_array=True),))
        await hand.until(17)
        assert await hand.read("Process", "PartsMade") == 12
        counts = await hand.read("Admin", "ProdProcessedCount")
        assert (counts[0].Count, counts[0].AccCount, counts[0].Name) == (12, 12, "Bottle")
        assert await hand.read("Status", "MachSpeed") == pytest.approx(200)
        await hand.call(*EXECUTE, "Reset")
        await hand.until(4)
        assert await hand.read("Process", "PartsMade") == 0
        assert face.log.methods() == ["write PartsOrdered", "SetMachSpeed", "Start", "Reset"]


async def test_the_three_state_machines_agree() -> None:
    async with hand_on(Plant()) as (hand, _):
        current = [await hand.node(*EXECUTE[:n], "0:CurrentState") for n in (1, 2, 3)]
        assert [(await n.read_value()).Text for n in current] == ["Cleared", "Running", "Idle"]
        assert await hand.read(*EXECUTE, "0:CurrentState", "0:Number") == 4
        state = hand.client.get_node(await hand.read(*EXECUTE, "0:CurrentState", "0:Id"))
        assert (await state.read_browse_name()).Name == "Idle"
        await hand.call("BaseStateMachine", "MachineState", "Stop")
        await hand.until(2)
        readings = [await n.read_data_value(raise_on_bad_status=False) for n in current]
        assert [r.Value.Value.Text for r in readings[:2]] == ["Cleared", "Stopped"]
        assert readings[2].StatusCode.name == "BadStateNotActive"
        await hand.call("BaseStateMachine", "Abort")
        await hand.until(9)
        assert await hand.read("BaseStateMachine", "0:CurrentState", "0:Number") == 9


async def test_commands_in_a_wrong_state_are_refused() -> None:
    async with hand_on(Plant()) as (hand, face):
        for command in ("Unhold", "Suspend", "Unsuspend", "ToComplete", "Hold", "Reset"):
            with pytest.raises(ua.UaStatusCodeError) as refusal:
                await hand.call(*EXECUTE, command)
            assert refusal.value.code == ua.StatusCodes.BadInvalidState
            assert face.plant.state.name == "Idle"
            assert face.log.entries[-1]["status"] == "BadInvalidState"


async def test_writes_that_are_refused() -> None:
    real, double, whole, codes = ua.VariantType.Float, ua.VariantType.Double, ua.VariantType.UInt32, ua.StatusCodes
    async with hand_on(Plant()) as (hand, _):
        for path, value, kind, code in (
            (("Status", "MachSpeed"), 241.0, real, codes.BadOutOfRange),
            (("Status", "MachSpeed"), float("nan"), real, codes.BadOutOfRange),
            (("Status", "MachSpeed"), 100.0, double, codes.BadTypeMismatch),
            (("Process", "PartsOrdered"), 100_001, whole, codes.BadOutOfRange),
            (("Process", "PartsMade"), 1, whole, codes.BadUserAccessDenied),
        ):
            node = await hand.node(*path)
            before = await node.read_value()
            with pytest.raises(ua.UaStatusCodeError) as refusal:
                await node.write_value(ua.DataValue(ua.Variant(value, kind)))
            assert refusal.value.code == code
            assert await node.read_value() == before


async def test_start_takes_descriptors_and_refuses_strange_ones() -> None:
    async with hand_on(Plant(), factor=1.0) as (hand, face):
        await hand.client.load_data_type_definitions()
        unit = ua.EUInformation()

        def given(name: str, value: float) -> tuple[ua.Variant]:
            return (ua.Variant([face.space.make("PackMLDescriptorDataType", 1, name, unit, value)]),)

        for wrong in [("Colour", 1.0), ("PartsOrdered", 1.5), ("PartsOrdered", -1.0), ("MachSpeed", 500.0)]:
            with pytest.raises(ua.UaStatusCodeError) as refusal:
                await hand.call(*EXECUTE, "Start", args=given(*wrong))
            assert refusal.value.code == ua.StatusCodes.BadOutOfRange
        assert face.plant.state.name == "Idle"
        await hand.call(*EXECUTE, "Start", args=given("PartsOrdered", 7.0))
        assert face.plant.ordered == 7
        with pytest.raises(ua.UaStatusCodeError) as refusal:
            await hand.call(*EXECUTE, "Hold", args=(1,))
        assert refusal.value.code == ua.StatusCodes.BadTooManyArguments


async def test_types_units_and_identification() -> None:
    async with hand_on(Plant(state=State.Stopped)) as (hand, _):
        inactive = await (await hand.node(*EXECUTE, "0:CurrentState")).read_data_value(raise_on_bad_status=False)
        assert inactive.StatusCode.name == "BadStateNotActive"
        machine = await hand.node()
        kind = hand.client.get_node(await machine.read_type_definition())
        assert (await kind.read_browse_name()).to_string() == f"{hand.index}:PackMLBaseObjectType"
        assert await hand.read("Identification", "SerialNumber") == "F240-0001"
        limits = await hand.read("Status", "MachSpeed", "0:EURange")
        assert (limits.Low, limits.High) == (0, 240)
        assert (await hand.read("Process", "Temperature", "0:EngineeringUnits")).UnitId == 4408652
        base = hand.client.get_node(await (await hand.node("BaseStateMachine")).read_type_definition())
        parents = await base.get_references(ua.ObjectIds.HasSubtype, ua.BrowseDirection.Inverse)
        assert parents[0].NodeId == ua.NodeId(ua.ObjectIds.FiniteStateMachineType)


@pytest.mark.parametrize("how", ["SIGTERM", "SIGINT", "stdin"])
async def test_a_process_ends_within_a_second(tmp_path: Path, how: str) -> None:
    async with running_machine(python_machine("dtios_packml", "--speed", "20"), tmp_path / "calls.jsonl") as machine:
        async with Client(machine.endpoint) as client:
            hand = Hand(client, await client.get_namespace_index("urn:dtios:packml"))
            await hand.call("BaseStateMachine", "MachineState", "Stop")
        begun = time.monotonic()
        if how == "stdin":
            assert machine.process.stdin is not None
            machine.process.stdin.close()
        else:
            machine.process.send_signal(signal.Signals[how])
        assert await asyncio.to_thread(machine.process.wait, 5) == 0
        assert time.monotonic() - begun < 1.0
        assert [call["method"] for call in machine.calls()] == ["Stop"]
