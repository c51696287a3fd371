"""From what is known of vehicles to browse facts. The addresses of a vehicle's topics are its own, `/` and the topic's kind."""

import json
from collections.abc import Iterable
from typing import Any, Final

from dtios.mapping.facts import Node, NodeKind, ReferenceKind
from dtios.model.datatypes import BuiltinType, ValueType
from dtios.model.machine import Access
from dtios.model.units import unit_from_code
from dtios.model.values import QualifiedName
from dtios_mqtt.vda5050.signals import FACTSHEET, HEADER, NAMESPACE, STATE, SignalPoint
from dtios_mqtt.vda5050.topics import VehicleId
from dtios_mqtt.vda5050.vehicle import Vehicle

__all__ = ["CONNECTION", "addresses", "vehicle_nodes"]

CONNECTION: Final = SignalPoint("connectionState", ValueType(BuiltinType.String))
_TEXT: Final = ValueType(BuiltinType.String)


def vehicle_nodes(vehicles: Iterable[Vehicle]) -> list[Node]:
    """A folder for each interface and manufacturer, with the vehicles in it."""
    interfaces: dict[str, Node] = {}
    makers: dict[tuple[str, str], Node] = {}
    for vehicle in sorted(vehicles, key=lambda one: one.id):
        id = vehicle.id
        interface = interfaces.setdefault(id.interface, _object(f"vda:{id.interface}", id.interface, "Folder"))
        maker = makers.get((id.interface, id.manufacturer))
        if maker is None:
            maker = _object(f"vda:{id.interface}//{id.manufacturer}", id.manufacturer, "Folder")
            makers[id.interface, id.manufacturer] = maker
            interface.children.append((ReferenceKind.ORGANIZES, maker))
        maker.children.append((ReferenceKind.ORGANIZES, _vehicle(vehicle)))
    return list(interfaces.values())


def addresses(vehicle: VehicleId) -> list[str]:
    """Of all that its state tells, and of the state itself."""
    return [vehicle.point("state"), *(vehicle.point(point.path) for point in STATE)]


def _vehicle(vehicle: Vehicle) -> Node:
    root = _object(vehicle.id.address, vehicle.id.serial, "Vehicle")
    folders = {"": root}
    header = {"manufacturer": vehicle.id.manufacturer, "serialNumber": vehicle.id.serial, "version": vehicle.version}
    for point in HEADER:
        _add(folders, vehicle.id, point, header[point.path])
    for point in (CONNECTION, *STATE):
        _add(folders, vehicle.id, point, None)
    for point in FACTSHEET:
        group, _, name = point.path.partition("/")
        told = vehicle.factsheet.get(group, {})
        if name in told:
            _add(folders, vehicle.id, point, told[name])
    if vehicle.actions:
        root.children.append((ReferenceKind.COMPONENT, _actions(vehicle)))
    return root


def _actions(vehicle: Vehicle) -> Node:
    """The actions of the factsheet: objects, each with its definition as JSON text."""
    folder = _object(vehicle.id.point("agvActions"), "agvActions", "Folder")
    for kind, action in sorted(vehicle.actions.items()):
        node = _object(vehicle.id.point(f"agvActions/{kind}"), kind, "Action")
        node.description = str(action.get("actionDescription", ""))
        definition = Node(f"{node.address}/Definition", QualifiedName("", "Definition"), NodeKind.VARIABLE, type=_TEXT)
        definition.value = json.dumps(action)
        node.children.append((ReferenceKind.PROPERTY, definition))
        folder.children.append((ReferenceKind.COMPONENT, node))
    return folder


def _add(folders: dict[str, Node], vehicle: VehicleId, point: SignalPoint, value: Any) -> None:
    group, _, name = point.path.rpartition("/")
    if group not in folders:
        folders[group] = _object(f"{vehicle.address}/{group}/", group, "Folder")
        folders[""].children.append((ReferenceKind.COMPONENT, folders[group]))
    unit = None if point.unit is None else unit_from_code(point.unit)
    node = Node(
        vehicle.point(point.path),
        QualifiedName(NAMESPACE, name),
        NodeKind.VARIABLE,
        (),
        point.type,
        Access.READ,
        unit,
        value=value,
    )
    folders[group].children.append((ReferenceKind.COMPONENT, node))


def _object(address: str, name: str, type: str) -> Node:
    return Node(address, QualifiedName(NAMESPACE, name), NodeKind.OBJECT, (QualifiedName(NAMESPACE, type),))
