"""From births to browse facts: an edge node and each of its devices is an object, `/` in metric names makes folders."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from dtios.mapping.facts import Node, NodeKind, ReferenceKind
from dtios.model.datatypes import BuiltinType, Field, ValueType
from dtios.model.machine import Access, Range, Unit
from dtios.model.units import unit_from_code
from dtios.model.values import QualifiedName
from dtios_mqtt.sparkplug.addresses import address_of, device_address
from dtios_mqtt.sparkplug.datatypes import ARRAYS, BUILTINS
from dtios_mqtt.sparkplug.edge import PROPERTIES, EdgeNode
from dtios_mqtt.sparkplug.mark import EPOCH, GAPS, MARK, ORDER, SEQUENCE
from dtios_mqtt.sparkplug.metric import DataSet, Malformed, Metric, Template

__all__ = ["NAMESPACE", "count_points", "edge_node", "is_read_only", "points_of", "value_type"]

NAMESPACE: Final = "urn:dtios:mqtt:sparkplug"
_INTERNAL: Final = frozenset({"bdSeq", "Node Control/Rebirth", "Device Control/Rebirth", MARK, EPOCH, SEQUENCE, ORDER, GAPS})
"""Metrics of the protocol itself: they are no signals."""
_LEVELS: Final = 50
_LONGEST: Final = 1_000
"""Levels and characters of a metric's name, with those of the templates that it is in."""


def edge_node(group: str, name: str, edge: EdgeNode) -> Node:
    """The edge node as a folder with the objects of its parts: itself, where it has metrics of its own, and its devices."""
    folder = Node(f"spb:{group}/{name}", QualifiedName(NAMESPACE, name), NodeKind.OBJECT, _types("Folder"))
    for device in sorted(edge.parts):
        metrics = {name: metric for name, metric in edge.parts[device].metrics.items() if name not in _INTERNAL}
        if device or metrics:
            made = Node(
                device_address(group, name, device),
                QualifiedName(NAMESPACE, device or name),
                NodeKind.OBJECT,
                (*_types("Device" if device else "EdgeNode"), *_types("Machine")),
            )
            _fill(made, group, name, device, metrics)
            folder.children.append((ReferenceKind.COMPONENT, made))
    return folder


def _types(name: str) -> tuple[QualifiedName, ...]:
    return (QualifiedName(NAMESPACE, name),)


def _fill(root: Node, group: str, node: str, device: str, metrics: Mapping[str, Metric]) -> None:
    folders: dict[str, Node] = {"": root}
    for metric in metrics.values():
        for path, leaf, address in points_of(metric, address_of(group, node, device, metric.name)):
            above, _, last = path.rpartition("/")
            _folder(folders, above, address).children.append((ReferenceKind.COMPONENT, _variable(leaf, last, address)))


def _folder(folders: dict[str, Node], path: str, address: str) -> Node:
    if path not in folders:
        above, _, last = path.rpartition("/")
        folders[path] = Node(f"{folders[''].address}/{path}/", QualifiedName(NAMESPACE, last), NodeKind.OBJECT, _types("Folder"))
        _folder(folders, above, address).children.append((ReferenceKind.ORGANIZES, folders[path]))
    return folders[path]


def points_of(metric: Metric, address: str) -> Iterator[tuple[str, Metric, str]]:
    """(path, metric, address) of a metric: itself, or each member of a template instance. Definitions have no values."""
    if not isinstance(metric.value, Template):
        yield metric.name, metric, address
    elif not metric.value.is_definition:
        for member in metric.value.metrics:
            for path, leaf, inner in points_of(member, f"{address}#{member.name}"):
                yield f"{metric.name}/{path}", leaf, inner


def count_points(metrics: Iterable[Metric]) -> int:
    """How many points these are, at least one each. Raises Malformed for a name that is too long or has too many levels."""
    count = 0
    for metric in metrics:
        before = count
        for path, _, _ in points_of(metric, ""):
            count += 1
            if len(path) > _LONGEST or path.count("/") >= _LEVELS:
                raise Malformed("a metric name that is too long or has too many levels")
        count += count == before
    return count


def _variable(metric: Metric, name: str, address: str) -> Node:
    properties = metric.properties
    return Node(
        address,
        QualifiedName(NAMESPACE, name),
        NodeKind.VARIABLE,
        _types("Metric"),
        value_type(metric),
        Access.READ if is_read_only(metric) else Access.READ_WRITE,
        _unit(properties),
        _range(properties),
        metric.value if metric.name.startswith(PROPERTIES) else None,
        description=str(properties.get("documentation") or properties.get("Documentation") or ""),
    )


def value_type(metric: Metric) -> ValueType:
    """The type that a birth gives a metric."""
    if metric.datatype in ARRAYS:
        return ValueType(BUILTINS[ARRAYS[metric.datatype][0]], rank=1)
    if isinstance(metric.value, DataSet):
        fields = tuple(
            Field(name, ValueType(BUILTINS.get(type_, BuiltinType.Variant)))
            for name, type_ in zip(metric.value.columns, metric.value.types, strict=True)
        )
        return ValueType(BuiltinType.ExtensionObject, "DataSet", NAMESPACE, rank=1, fields=fields)
    return ValueType(BUILTINS.get(metric.datatype, BuiltinType.Variant))


def is_read_only(metric: Metric | None) -> bool:
    """By the property of common practice in its birth."""
    return metric is not None and any(metric.properties.get(key) is True for key in ("readOnly", "ReadOnly"))


def _unit(properties: Mapping[str, Any]) -> Unit | None:
    """`engUnit` is common practice; a text that is a UNECE code is one, else it is a symbol."""
    said = properties.get("engUnit") or properties.get("EngUnit") or properties.get("Unit")
    return None if not isinstance(said, str) else unit_from_code(said) or Unit(None, said)


def _range(properties: Mapping[str, Any]) -> Range | None:
    low, high = properties.get("engLow"), properties.get("engHigh")
    numbers = all(isinstance(one, int | float) and not isinstance(one, bool) for one in (low, high))
    return Range(float(low), float(high)) if numbers and low is not None and high is not None and low <= high else None
