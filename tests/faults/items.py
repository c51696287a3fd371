"""A subscription of the scripted server: queues, sequence numbers, keep-alives, and what can be wrong with each."""

import time
from collections import deque
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from asyncua import ua

from tests.faults.space import Space

if TYPE_CHECKING:
    from tests.faults.scripted import Link

__all__ = ["Subscription"]

_OVERFLOW = 0x480


class Subscription:
    """What a test may set stands first. `drop`: this many of the next messages are never sent; `keep`: Republish has them."""

    def __init__(self, number: int, link: "Link", space: Space, asked: Any, now: Callable[[], datetime]) -> None:
        self.drop = 0
        self.keep = True
        self.mute = False  # neither data nor keep-alives
        self.id = number
        self.link = link
        self.items: dict[int, tuple[int, int]] = {}  # id -> (client handle, counter)
        self.queues: dict[int, deque[ua.DataValue]] = {}
        self.most = 100
        self.sent: dict[int, ua.NotificationMessage] = {}
        self.sequence = 0
        self._space = space
        self._now = now
        self._interval = asked.RequestedPublishingInterval / 1000
        self._keep_alive = self._interval * asked.RequestedMaxKeepAliveCount
        self._told_gone: set[int] = set()
        self.events: list[tuple[int, list[ua.Variant]]] = []  # to be told in the next message
        self._checked = self._spoke = time.monotonic()

    def add(self, item: Any) -> ua.MonitoredItemCreateResult:
        if item.ItemToMonitor.AttributeId == ua.AttributeIds.EventNotifier:
            clauses = getattr(item.RequestedParameters.Filter, "SelectClauses", None) or []
            self.events.append((item.RequestedParameters.ClientHandle, [_field(one) for one in clauses]))
            return ua.MonitoredItemCreateResult(MonitoredItemId=1_000_000 + len(self.events))
        counter = self._space.counter(item.ItemToMonitor.NodeId)
        if counter is None:
            return ua.MonitoredItemCreateResult(StatusCode=ua.StatusCode(ua.StatusCodes.BadNodeIdUnknown))
        handle = item.RequestedParameters.ClientHandle
        self.items[handle] = (handle, counter)
        self.queues[handle] = deque([self._space.reading(counter)])
        return ua.MonitoredItemCreateResult(MonitoredItemId=handle, RevisedQueueSize=self.most)

    def changed(self) -> None:
        for item, (_, counter) in self.items.items():
            if counter in self._space.gone and counter in self._told_gone:
                continue
            self._told_gone = self._space.gone & (self._told_gone | {counter})
            queue = self.queues[item]
            queue.append(self._space.reading(counter))
            if len(queue) > self.most:
                queue.popleft()
                queue[0].StatusCode = ua.StatusCode(_OVERFLOW)

    def is_due(self) -> bool:
        now = time.monotonic()
        if now - self._checked < self._interval or self.mute:
            return False
        self._checked = now
        return bool(self.events) or any(self.queues[item] for item in self.items) or now - self._spoke >= self._keep_alive

    def message(self) -> ua.PublishResponse | None:
        """None: this one is lost on its way."""
        self._spoke = time.monotonic()
        told = [
            ua.MonitoredItemNotification(ClientHandle=handle, Value=value)
            for item, (handle, _) in self.items.items()
            for value in self.queues[item]
        ]
        for queue in self.queues.values():
            queue.clear()
        message = ua.NotificationMessage(SequenceNumber=self.sequence + 1, PublishTime=self._now())
        if told or self.events:
            self.sequence += 1
            message.NotificationData = [ua.DataChangeNotification(MonitoredItems=told)] if told else []
            lists = [ua.EventFieldList(ClientHandle=handle, EventFields=fields) for handle, fields in self.events]
            message.NotificationData += [ua.EventNotificationList(Events=lists)] if lists else []
            self.events.clear()
            if self.keep or not self.drop:
                self.sent[self.sequence] = message
            if self.drop:
                self.drop -= 1
                return None
        return self.wrapped(message)

    def wrapped(self, message: ua.NotificationMessage) -> ua.PublishResponse:
        result = ua.PublishResult(SubscriptionId=self.id, NotificationMessage=message)
        result.AvailableSequenceNumbers = list(self.sent)
        return ua.PublishResponse(Parameters=result)


def _field(clause: Any) -> ua.Variant:
    """What an alarm has at this place."""
    name = "/".join(one.Name for one in clause.BrowsePath)
    kinds = ua.VariantType
    if clause.AttributeId == ua.AttributeIds.NodeId:
        return ua.Variant(ua.NodeId("Alarm", 1), kinds.NodeId)
    known = {
        "EventId": ua.Variant(b"id", kinds.ByteString), "EventType": ua.Variant(ua.NodeId(2915), kinds.NodeId),
        "SourceNode": ua.Variant(ua.NodeId("Machine", 1), kinds.NodeId), "SourceName": ua.Variant("Machine", kinds.String),
        "Message": ua.Variant(ua.LocalizedText("hot"), kinds.LocalizedText), "Severity": ua.Variant(500, kinds.UInt16),
        "ConditionName": ua.Variant("Hot", kinds.String),
    }  # fmt: skip
    return known.get(name, ua.Variant(True, kinds.Boolean) if name.endswith("Id") or name == "Retain" else ua.Variant())
