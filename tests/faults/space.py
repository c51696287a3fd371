"""The address space of the scripted server: one machine with counters that all show the same number."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from asyncua import ua

__all__ = ["URI", "Space"]

URI: Final = "urn:dtios:scripted"
_OBJECTS: Final = ua.NodeId(85)
_MACHINE: Final = ua.NodeId("Machine", 1)
_METHOD: Final = ua.NodeId("Reset", 1)
_FOLDER_TYPE, _BASE_OBJECT_TYPE, _BASE_VARIABLE_TYPE = ua.NodeId(61), ua.NodeId(58), ua.NodeId(63)
_ORGANIZES, _COMPONENT = ua.NodeId(35), ua.NodeId(47)
_POINT, _POINT_BINARY = ua.NodeId("Point", 1), ua.NodeId("PointBinary", 1)
_PROPERTY = (ua.NodeId(46), ua.NodeClass.Variable)
_BELOW: Final = {
    ua.NodeId("Counter0", 1): [
        (_PROPERTY[0], ua.NodeId(name, 1), _PROPERTY[1], ua.QualifiedName(name, 0)) for name in ("EURange", "EngineeringUnits")
    ],
    _METHOD: [(_PROPERTY[0], ua.NodeId("InputArguments", 1), _PROPERTY[1], ua.QualifiedName("InputArguments", 0))],
    ua.NodeId(24): [(ua.NodeId(45), ua.NodeId(22), ua.NodeClass.DataType, ua.QualifiedName("Structure", 0))],
    ua.NodeId(22): [(ua.NodeId(45), _POINT, ua.NodeClass.DataType, ua.QualifiedName("Point", 1))],
    _POINT: [(ua.NodeId(38), _POINT_BINARY, ua.NodeClass.Object, ua.QualifiedName("Default Binary", 0))],
}


class Space:
    """`number` is what each counter shows. `gone` are counters that are no longer there."""

    def __init__(self, counters: int, now: Callable[[], datetime]) -> None:
        self.number = 1
        self.kind = ua.VariantType.Int64
        self.gone: set[int] = set()
        self.uris = ["http://opcfoundation.org/UA/", URI]
        self.started = now()
        self._counters = counters
        self._now = now

    def _nodes(self) -> dict[int, ua.NodeId]:
        return {n: ua.NodeId(f"Counter{n}", 1) for n in range(self._counters) if n not in self.gone}

    def counter(self, node: ua.NodeId) -> int | None:
        return next((n for n, one in self._nodes().items() if one == node), None)

    def reading(self, counter: int) -> ua.DataValue:
        now = self._now()
        if counter in self.gone:
            return ua.DataValue(StatusCode=ua.StatusCode(ua.StatusCodes.BadNodeIdUnknown), SourceTimestamp=now)
        number = float(self.number) if self.kind == ua.VariantType.Double else self.number
        return ua.DataValue(ua.Variant(number, self.kind), SourceTimestamp=now, ServerTimestamp=now)

    def read(self, node: ua.NodeId, attribute: int) -> ua.DataValue:
        known = self._attributes(node)
        if known is None:
            return ua.DataValue(StatusCode=ua.StatusCode(ua.StatusCodes.BadNodeIdUnknown))
        found = known.get(attribute)
        if found is None:
            return ua.DataValue(StatusCode=ua.StatusCode(ua.StatusCodes.BadAttributeIdInvalid))
        return found if isinstance(found, ua.DataValue) else ua.DataValue(found)

    def _attributes(self, node: ua.NodeId) -> dict[int, Any] | None:
        kinds = ua.VariantType
        if node.NamespaceIndex == 0:
            value: dict[Any, ua.Variant] = {
                2255: ua.Variant(self.uris, kinds.String),
                2257: ua.Variant(self.started, kinds.DateTime),
                2259: ua.Variant(0, kinds.Int32),
                2258: ua.Variant(self._now(), kinds.DateTime),
            }
            notifier = {12: ua.Variant(1, kinds.Byte)} if node.Identifier == 2253 else {}
            return {13: value[node.Identifier]} if node.Identifier in value else notifier
        name = ua.Variant(ua.QualifiedName(str(node.Identifier), 1), kinds.QualifiedName)
        text = ua.Variant(ua.LocalizedText("as told"), kinds.LocalizedText)
        if node in (_MACHINE, _METHOD):
            yes = ua.Variant(True, kinds.Boolean)
            return {2: ua.Variant(1, kinds.Int32), 3: name, 5: text, 21: yes, 22: yes}
        extra = self._extras().get(node)
        if extra is not None:
            return extra
        counter = self.counter(node)
        if counter is None:
            return None
        level = ua.Variant(3, kinds.Byte)
        return {
            2: ua.Variant(2, kinds.Int32), 3: name, 5: text, 13: self.reading(counter), 17: level, 18: level,
            14: ua.Variant(ua.NodeId(8), kinds.NodeId), 15: ua.Variant(-1, kinds.Int32),
        }  # fmt: skip

    def _extras(self) -> dict[ua.NodeId, dict[int, Any]]:
        """Properties, and a structure of the server's own: what a browser must understand."""
        kinds = ua.VariantType
        point = ua.StructureDefinition(DefaultEncodingId=_POINT_BINARY, BaseDataType=ua.NodeId(22))
        point.Fields = [ua.StructureField(Name="X", DataType=ua.NodeId(11)), ua.StructureField(Name="Next", DataType=_POINT)]
        unit = ua.EUInformation("http://www.opcfoundation.org/UA/units/un/cefact", 5067858, ua.LocalizedText("m"))
        arguments = [ua.Argument(Name="count", DataType=ua.NodeId(6)), ua.Argument(Name="where", DataType=_POINT, ValueRank=1)]
        values = {"EURange": ua.Range(0, 100), "EngineeringUnits": unit, "InputArguments": arguments}
        made = {
            ua.NodeId(name, 1): {
                13: ua.Variant(value, kinds.ExtensionObject), 14: ua.Variant(ua.NodeId(22), kinds.NodeId),
                15: ua.Variant(1 if isinstance(value, list) else -1, kinds.Int32), 17: ua.Variant(1, kinds.Byte),
                18: ua.Variant(1, kinds.Byte), 16: ua.Variant([0], kinds.UInt32),
            }
            for name, value in values.items()
        }  # fmt: skip
        made[_POINT] = {8: ua.Variant(False, kinds.Boolean), 23: ua.Variant(point, kinds.ExtensionObject)}
        return made

    def browse(self, asked: Any) -> ua.BrowseResult:
        forward = asked.BrowseDirection in (ua.BrowseDirection.Forward, ua.BrowseDirection.Both)
        below: list[ua.ReferenceDescription] = []
        if forward and asked.NodeId == _OBJECTS:
            below = [self._reference(_ORGANIZES, _MACHINE, ua.NodeClass.Object, _BASE_OBJECT_TYPE)]
        elif forward and asked.NodeId == _MACHINE:
            nodes = self._nodes().values()
            below = [self._reference(_COMPONENT, one, ua.NodeClass.Variable, _BASE_VARIABLE_TYPE) for one in nodes]
            below.append(self._reference(_COMPONENT, _METHOD, ua.NodeClass.Method, ua.NodeId()))
        elif forward and asked.NodeId in _BELOW:
            below = [self._reference(kind, node, of, ua.NodeId(), name) for kind, node, of, name in _BELOW[asked.NodeId]]
        return ua.BrowseResult(References=below)

    @staticmethod
    def _reference(
        kind: ua.NodeId, node: ua.NodeId, node_class: ua.NodeClass, definition: ua.NodeId, name: ua.QualifiedName | None = None
    ) -> ua.ReferenceDescription:
        made = ua.ReferenceDescription(ReferenceTypeId=kind, IsForward=True, NodeClass=node_class)
        made.NodeId = ua.ExpandedNodeId(node.Identifier, node.NamespaceIndex)
        made.BrowseName = name or ua.QualifiedName(str(node.Identifier), 1)
        made.DisplayName = ua.LocalizedText(str(node.Identifier))
        made.TypeDefinition = ua.ExpandedNodeId(definition.Identifier, definition.NamespaceIndex)
        return made

    def endless(self, number: int) -> list[ua.ReferenceDescription]:
        """One more node below any other, which nobody has seen yet."""
        return [self._reference(_COMPONENT, ua.NodeId(f"Made{number}", 1), ua.NodeClass.Object, _BASE_OBJECT_TYPE)]
