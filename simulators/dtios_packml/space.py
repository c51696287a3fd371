"""The address space: types in the spirit of OPC 30050 in a namespace of their own, and one machine of them.

The types are built here because no NodeSet is shipped with this simulator; BrowseNames and places are those of OPC 30050.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final

from asyncua import ua
from asyncua.common.node import Node
from asyncua.common.structures104 import new_enum, new_struct, new_struct_field
from asyncua.server.server import Server
from asyncua.ua.object_ids import ObjectIds

from dtios_packml.plant import DESIGN_SPEED, MAX_ORDER, Mode, State
from dtios_packml.wire import node_id

__all__ = ["LEVELS", "PIECES", "URI", "Space", "build_space"]

URI: Final = "urn:dtios:packml"
Call = Callable[..., Awaitable[Any]]

LEVELS: Final[dict[str, dict[str, int]]] = {
    "Base": {"Aborting": 8, "Aborted": 9, "Cleared": 19},
    "Machine": {"Clearing": 1, "Stopped": 2, "Stopping": 7, "Running": 18},
    "Execute": {
        s.name: s.value
        for s in State
        if s not in (State.Aborting, State.Aborted, State.Clearing, State.Stopped, State.Stopping)
    },
}  # fmt: skip
"""The states of the three nested state machines, with their numbers (OPC 30050, 6.3)."""

_PER_MINUTE: Final = ua.EUInformation("http://www.opcfoundation.org/UA/units/un/cefact", 0x433934, ua.LocalizedText("1/min"))
_CELSIUS: Final = ua.EUInformation("http://www.opcfoundation.org/UA/units/un/cefact", 0x43454C, ua.LocalizedText("°C"))
PIECES: Final = ua.EUInformation("http://www.opcfoundation.org/UA/units/un/cefact", 0x483837, ua.LocalizedText("pcs"))


@dataclass
class Space:
    """Where things are: `points` by a short name, `states` as (level, state name) -> NodeId, `structures` by name.

    A structure is made by the NodeId of its type: asyncua keeps one class for a name, whichever server of the process came
    first.
    """

    server: Server
    index: int
    name: str
    machine: Node
    points: dict[str, Node] = field(default_factory=dict)
    states: dict[tuple[str, str], ua.NodeId] = field(default_factory=dict)
    structures: dict[str, ua.NodeId] = field(default_factory=dict)

    def make(self, name: str, *fields: Any) -> Any:
        return ua.get_type(self.structures[name])(*fields)


async def build_space(server: Server, name: str, calls: dict[str, Call]) -> Space:
    """`calls`: what answers each method, by its name."""
    index = await server.register_namespace(URI)
    types = await _DataTypes.build(server, index)
    states: dict[tuple[str, str], ua.NodeId] = {}
    machines = {level: await _state_machine_type(server, index, level, states) for level in LEVELS}
    base = await _object_type(server, index, "PackMLBaseObjectType", ObjectIds.BaseObjectType)
    await _object_type(server, index, "PackMLStatusObjectType", ObjectIds.BaseObjectType)
    await _object_type(server, index, "PackMLAdminObjectType", ObjectIds.BaseObjectType)
    machine = await server.nodes.objects.add_object(node_id(name, index), f"{index}:{name}", base.nodeid)
    structures = {"PackMLCountDataType": types.count, "PackMLDescriptorDataType": types.descriptor}
    space = Space(server, index, name, machine, states=states, structures=structures)
    face = _Face(space, types, machines, calls)
    await face.identification()
    await face.status()
    await face.admin()
    await face.process()
    await face.state_machines()
    await face.methods()
    return space


async def _object_type(server: Server, index: int, name: str, base: int) -> Node:
    return await server.get_node(base).add_object_type(node_id(name, index), f"{index}:{name}")


async def _state_machine_type(server: Server, index: int, level: str, states: dict[tuple[str, str], ua.NodeId]) -> Node:
    of = await _object_type(server, index, f"PackML{level}StateMachineType", ObjectIds.FiniteStateMachineType)
    for name, number in LEVELS[level].items():
        state = await of.add_object(node_id(f"{level}.{name}", index), f"{index}:{name}")
        await state.delete_reference(ObjectIds.BaseObjectType, ObjectIds.HasTypeDefinition)
        await state.add_reference(ObjectIds.StateType, ObjectIds.HasTypeDefinition)
        await state.add_property(0, "StateNumber", number, ua.VariantType.UInt32)
        states[level, name] = state.nodeid
    return of


@dataclass
class _DataTypes:
    mode: ua.NodeId
    count: ua.NodeId
    descriptor: ua.NodeId

    @classmethod
    async def build(cls, server: Server, index: int) -> "_DataTypes":
        mode = await new_enum(server, index, "ProductionMaintenanceModeEnum", [m.name for m in Mode])
        unit = node_id(ObjectIds.EUInformation)
        whole, text, real = ua.VariantType.Int32, ua.VariantType.String, ua.VariantType.Float
        head = (new_struct_field("ID", whole), new_struct_field("Name", text), new_struct_field("Unit", unit))
        count, _ = await new_struct(
            server, index, "PackMLCountDataType",
            [*head, new_struct_field("Count", whole), new_struct_field("AccCount", whole)],
        )  # fmt: skip
        descriptor, _ = await new_struct(
            server, index, "PackMLDescriptorDataType", [*head, new_struct_field("Value", real)]
        )  # fmt: skip
        await server.load_data_type_definitions()
        return cls(mode.nodeid, count.nodeid, descriptor.nodeid)


@dataclass
class _Face:
    """Builds the machine's nodes, one method for each part of it."""

    space: Space
    types: _DataTypes
    machines: dict[str, Node]
    calls: dict[str, Call]

    def _id(self, path: str) -> ua.NodeId:
        return node_id(f"{self.space.name}.{path}", self.space.index)

    def _name(self, path: str) -> str:
        return f"{self.space.index}:{path.rsplit('.', 1)[-1]}"

    async def _object(self, path: str) -> Node:
        return await self.space.machine.add_object(self._id(path), self._name(path))

    async def _variable(self, parent: Node, path: str, value: Any, kind: Any, **more: Any) -> Node:
        node = await parent.add_variable(self._id(path), self._name(path), value, kind, **more)
        self.space.points[path] = node
        return node

    async def _analog(self, node: Node, low: float, high: float, unit: ua.EUInformation) -> None:
        await node.delete_reference(ObjectIds.BaseDataVariableType, ObjectIds.HasTypeDefinition)
        await node.add_reference(ObjectIds.AnalogUnitRangeType, ObjectIds.HasTypeDefinition)
        await node.add_property(0, "EURange", ua.Range(low, high))
        await node.add_property(0, "EngineeringUnits", unit)

    async def identification(self) -> None:
        part = await self._object("Identification")
        localized = {"Manufacturer", "Model"}
        facts = {
            "Manufacturer": "DTI-OS", "ManufacturerUri": "urn:dtios", "Model": "Filler 240", "ProductCode": "FILLER-240",
            "SerialNumber": "F240-0001", "ProductInstanceUri": "urn:dtios:filler:F240-0001",
            "SoftwareRevision": "1.0", "DeviceClass": "Filling machine",
        }  # fmt: skip
        for name, text in facts.items():
            value = ua.LocalizedText(text) if name in localized else text
            await part.add_property(self._id(f"Identification.{name}"), self._name(name), value)

    async def status(self) -> None:
        part = await self._object("Status")
        await self._variable(part, "Status.StateCurrent", State.Idle.value, ua.VariantType.Int32)
        await self._variable(part, "Status.UnitModeCurrent", 1, ua.VariantType.Int32, datatype=self.types.mode)
        for name in ("MachSpeed", "CurMachSpeed"):
            node = await self._variable(part, f"Status.{name}", 0.0, ua.VariantType.Float)
            await self._analog(node, 0.0, DESIGN_SPEED, _PER_MINUTE)
        await self.space.points["Status.MachSpeed"].set_writable()
        for name in ("EquipmentBlocked", "EquipmentStarved"):
            await self._variable(part, f"Status.{name}", False, ua.VariantType.Boolean)

    async def admin(self) -> None:
        part = await self._object("Admin")
        await self._variable(part, "Admin.MachDesignSpeed", DESIGN_SPEED, ua.VariantType.Float)
        for name in ("ProdProcessedCount", "ProdDefectiveCount"):
            none = [self.space.make("PackMLCountDataType", 1, "Bottle", PIECES, 0, 0)]
            await self._variable(part, f"Admin.{name}", none, ua.VariantType.ExtensionObject, datatype=self.types.count)

    async def process(self) -> None:
        part = await self._object("Process")
        node = await self._variable(part, "Process.Temperature", 0.0, ua.VariantType.Double)
        await self._analog(node, 0.0, 120.0, _CELSIUS)
        node = await self._variable(part, "Process.PartsOrdered", 0, ua.VariantType.UInt32)
        await self._analog(node, 0, MAX_ORDER, PIECES)
        await node.set_writable()
        for name in ("PartsMade", "PartsDefective"):
            node = await self._variable(part, f"Process.{name}", 0, ua.VariantType.UInt32)
            await self._analog(node, 0, MAX_ORDER, PIECES)
        await self._variable(part, "Process.Jammed", False, ua.VariantType.Boolean)

    async def state_machines(self) -> None:
        base = await self._state_machine(self.space.machine, "BaseStateMachine", "Base")
        machine = await self._state_machine(base, "BaseStateMachine.MachineState", "Machine")
        execute = await self._state_machine(machine, "BaseStateMachine.MachineState.ExecuteState", "Execute")
        at = {
            base: ("Abort", "Clear"),
            machine: ("Stop", "Reset"),
            execute: ("Reset", "Hold", "Unhold", "Suspend", "Unsuspend", "ToComplete"),
        }
        for owner, commands in at.items():
            for command in commands:
                await self._method(owner, command, [])
        await self._method(execute, "Start", [self._descriptors()])

    async def _state_machine(self, parent: Node, path: str, level: str) -> Node:
        kind = self.machines[level].nodeid
        node = await parent.add_object(self._id(path), self._name(path), kind, instantiate_optional=False)
        current = await node.get_child("0:CurrentState")
        number = await current.add_property(self._id(f"{path}.Number"), "0:Number", 0, ua.VariantType.UInt32)
        self.space.points |= {f"{level}.CurrentState": current, f"{level}.Number": number}
        self.space.points[f"{level}.Id"] = await current.get_child("0:Id")
        return node

    async def methods(self) -> None:
        machine = self.space.machine
        await self._method(machine, "SetMachSpeed", [_argument("RequestedMachineSpeed", ua.VariantType.Float)])
        await self._method(machine, "SetUnitMode", [_argument("RequestedMode", ua.VariantType.Int32)])
        await self._method(machine, "SetParameter", [self._descriptors()])

    def _descriptors(self) -> ua.Argument:
        return _argument("Parameter", self.types.descriptor, rank=1)

    async def _method(self, owner: Node, name: str, inputs: list[ua.Argument]) -> None:
        path = f"{owner.nodeid.Identifier!s}.{name}"
        await owner.add_method(node_id(path, self.space.index), f"{self.space.index}:{name}", self.calls[name], inputs, [])


def _argument(name: str, kind: ua.VariantType | ua.NodeId, rank: int = -1) -> ua.Argument:
    data_type = kind if isinstance(kind, ua.NodeId) else node_id(kind.value)
    return ua.Argument(Name=name, DataType=data_type, ValueRank=ua.ValueRank(rank), ArrayDimensions=[0] if rank == 1 else [])
