"""Events and conditions of the conformance rig's server. asyncua has no alarms of its own: these keep to Part 9."""

import uuid
from datetime import UTC, datetime
from typing import Any

from asyncua import ua as asyncua_ua
from asyncua.common.events import Event
from asyncua.common.methods import uamethod
from asyncua.common.node import Node

__all__ = ["EVENT", "Alarms"]

ua: Any = asyncua_ua  # its annotations are narrower than what it takes
EVENT = "NumberEventType"
_OTHER = "OtherEventType"


class Alarms:
    """Told at the Server object, with `at` as their source."""

    def __init__(self, server: Any, at: Node, space: int) -> None:
        self._server = server
        self._at = at
        self._space = space
        self._types: dict[str, ua.NodeId] = {}
        self._made: dict[str, Any] = {}
        self._retained: dict[str, Event] = {}
        self._by_event: dict[bytes, str] = {}
        self.handled: list[tuple[str, str, str]] = []

    async def build(self) -> None:
        for name in (EVENT, _OTHER):
            fields = [("Number", ua.VariantType.Int64)]
            made = await self._server.create_custom_event_type(self._space, name, ua.ObjectIds.BaseEventType, fields)
            self._types[name] = made.nodeid
        await self._server.nodes.server.write_attribute(
            ua.AttributeIds.EventNotifier, ua.DataValue(ua.Variant(1, ua.VariantType.Byte))
        )
        methods = (
            (ua.ObjectIds.ConditionType_ConditionRefresh, self._refresh),
            (ua.ObjectIds.AcknowledgeableConditionType_Acknowledge, self._acknowledge),
        )
        for number, method in methods:
            self._server.link_method(self._server.get_node(ua.NodeId(number)), method)

    async def forget(self) -> None:
        """All of them, and the objects that were made for them."""
        await self._server.delete_nodes([self._server.get_node(node) for node in self._made.values()])
        self._made.clear()
        self._retained.clear()
        self._by_event.clear()
        self.handled.clear()

    async def tell(self, number: int) -> None:
        for name, value in ((_OTHER, -1), (EVENT, number)):
            event = self._event(self._types[name])
            event.add_property("Number", value, ua.VariantType.Int64)
            await self._trigger(event)

    async def alarm(self, name: str, active: bool) -> None:
        node = ua.NodeId(f"C/{name}", self._space)
        if node not in self._server.iserver.aspace:
            await self._at.add_object(node, ua.QualifiedName(name, self._space))
            self._made[name] = node
        await self._told(name, active, acknowledged=False)

    async def _told(self, name: str, active: bool, acknowledged: bool) -> None:
        event = self._event(ua.NodeId(ua.ObjectIds.OffNormalAlarmType))
        node = ua.NodeId(f"C/{name}", self._space)
        for key, value, kind in (
            ("NodeId", node, ua.VariantType.NodeId), ("ConditionName", name, ua.VariantType.String),
            ("BranchId", ua.NodeId(), ua.VariantType.NodeId), ("Retain", active, ua.VariantType.Boolean),
            ("EnabledState/Id", True, ua.VariantType.Boolean), ("ActiveState/Id", active, ua.VariantType.Boolean),
            ("AckedState/Id", acknowledged, ua.VariantType.Boolean),
        ):  # fmt: skip
            event.add_property(key, value, kind)
        if active:
            self._retained[name] = event
            self._by_event[event.EventId] = name
        else:
            self._retained.pop(name, None)
        await self._trigger(event)

    def _event(self, kind: ua.NodeId) -> Any:
        event = Event()
        for key, value, of in (
            ("EventId", uuid.uuid4().bytes, ua.VariantType.ByteString), ("EventType", kind, ua.VariantType.NodeId),
            ("SourceNode", self._at.nodeid, ua.VariantType.NodeId), ("SourceName", "Conformance", ua.VariantType.String),
            ("Time", datetime.now(UTC), ua.VariantType.DateTime),
            ("Message", ua.LocalizedText("tried"), ua.VariantType.LocalizedText), ("Severity", 500, ua.VariantType.UInt16),
        ):  # fmt: skip
            event.add_property(key, value, of)
        event.emitting_node = self._server.nodes.server.nodeid
        return event

    async def _trigger(self, event: Event) -> None:
        await self._server.iserver.subscription_service.trigger_event(event)

    @uamethod
    async def _refresh(self, _parent: Any, _subscription: int) -> None:
        start, end = (ua.NodeId(n) for n in (ua.ObjectIds.RefreshStartEventType, ua.ObjectIds.RefreshEndEventType))
        for event in (self._event(start), *self._retained.values(), self._event(end)):
            await self._trigger(event)

    async def _acknowledge(self, _parent: Any, event: ua.Variant, comment: ua.Variant) -> Any:
        name = self._by_event.get(event.Value)
        if name is None or name not in self._retained:
            return ua.StatusCode(ua.StatusCodes.BadEventIdUnknown)
        self.handled.append((name, "acknowledge", comment.Value.Text or ""))
        await self._told(name, active=True, acknowledged=True)
        return []
