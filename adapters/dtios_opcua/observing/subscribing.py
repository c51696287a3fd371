"""Subscriptions and monitored items: created in batches, spread over more subscriptions where one takes no more."""

import math
import struct
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from dtios.model.status import is_bad, status_code
from dtios.sdk.adapter import ConnectionSettings, MonitoredPoint
from dtios_opcua.binary.nodeid import NodeKey, encode_node_id
from dtios_opcua.binary.wire import Reader
from dtios_opcua.errors import BadStatus
from dtios_opcua.session.services import Service, batched
from dtios_opcua.session.session import Session, status_list

__all__ = ["Subscription", "Subscriptions"]

_UNKNOWN_NODE = status_code("BadNodeIdUnknown")
_TOO_MANY_ITEMS = status_code("BadTooManyMonitoredItems")
_LEAST_QUEUE = 10
_FASTEST = 0.001
"""Seconds: what a server may take as the fastest practical sampling."""
_LIFETIME = 60.0
"""Seconds without a Publish until the server drops a subscription: our back-pressure must fit in."""


@dataclass(slots=True)
class Subscription:
    """One at the server. `expected` is the next sequence number (Part 4, 5.14.1.1: from 1); without a message or a
    keep-alive for `patience` seconds since `heard` (monotonic) it is gone."""

    id: int
    patience: float
    expected: int = 1
    heard: float = field(default_factory=time.monotonic)
    items: dict[int, int] = field(default_factory=dict)  # ClientHandle -> MonitoredItemId
    points: dict[int, MonitoredPoint] = field(default_factory=dict)

    @property
    def handles(self) -> tuple[int, ...]:
        return tuple(self.points)


class Subscriptions:
    """All of one session, by their id."""

    def __init__(self, session: Session, settings: ConnectionSettings) -> None:
        self._session = session
        self._settings = settings
        self.by_id: dict[int, Subscription] = {}
        self._full: set[int] = set()

    async def add(self, points: Sequence[MonitoredPoint]) -> list[int]:
        """A StatusCode each. Raises LostError or BadStatus (no subscription could be made)."""
        statuses: dict[int, int] = {}
        left: list[tuple[MonitoredPoint, NodeKey]] = []
        for point in points:
            key = self._session.namespaces.key(point.address)
            statuses[point.handle] = _UNKNOWN_NODE
            if key is not None:
                left.append((point, key))
        while left:
            subscription, is_new = await self._with_room()
            before = len(subscription.items)
            rejected = await self._create_items(subscription, left, statuses)
            if not rejected:
                break
            self._full.add(subscription.id)
            if is_new and len(subscription.items) == before:
                break  # not even an empty one takes them: the server's limit is for all of them together
            left = rejected
        return [statuses[point.handle] for point in points]

    async def _with_room(self) -> tuple[Subscription, bool]:
        for subscription in self.by_id.values():
            if subscription.id not in self._full:
                return subscription, False
        return await self._create(), True

    async def _create(self) -> Subscription:
        """CreateSubscription (Part 4, 5.14.2)."""
        interval = self._settings.publishing_interval
        alive = max(1, int(self._settings.keep_alive / 3 / interval))
        lifetime = max(3 * alive, math.ceil(_LIFETIME / interval))
        payload = struct.pack("<dIII?B", interval * 1000, lifetime, alive, 0, True, 0)
        answer = await self._session.channel.request(Service.CREATE_SUBSCRIPTION, payload)
        number, revised = answer.u32(), answer.f64() / 1000
        answer.u32()  # the revised lifetime
        subscription = Subscription(number, max(self._settings.keep_alive, 3 * revised * answer.u32()))
        self.by_id[subscription.id] = subscription
        return subscription

    async def _create_items(
        self, subscription: Subscription, wanted: Sequence[tuple[MonitoredPoint, NodeKey]], statuses: dict[int, int]
    ) -> list[tuple[MonitoredPoint, NodeKey]]:
        """CreateMonitoredItems (Part 4, 5.13.2); returns those for which there was no room."""
        session = self._session
        rejected: list[tuple[MonitoredPoint, NodeKey]] = []
        for point, _ in wanted:  # values may come before the answer to this request
            subscription.points[point.handle] = point

        def payload(some: Sequence[tuple[MonitoredPoint, NodeKey]]) -> bytes:
            head = struct.pack("<IIi", subscription.id, 2, len(some))
            return head + b"".join(self._item(point, key) for point, key in some)

        async for some, answer in batched(
            session.channel, session.limits, "monitored_items", Service.CREATE_MONITORED_ITEMS, wanted, payload
        ):
            results = [_created(answer) for _ in range(answer.length(4))]
            for (point, key), (status, item) in zip(some, results, strict=True):
                statuses[point.handle] = status
                if is_bad(status):
                    del subscription.points[point.handle]
                    if status & 0xFFFF0000 == _TOO_MANY_ITEMS:
                        rejected.append((point, key))
                else:
                    subscription.items[point.handle] = item
        return rejected

    def _item(self, point: MonitoredPoint, key: NodeKey) -> bytes:
        interval = self._settings.publishing_interval
        sampling = point.sampling or 0.0
        queue = point.queue or max(_LEAST_QUEUE, 2 * math.ceil(interval / max(sampling, _FASTEST)))
        return (
            encode_node_id(key)
            + b"\x0d\x00\x00\x00\xff\xff\xff\xff\x00\x00\xff\xff\xff\xff"  # Value, no range, no encoding of its own
            + struct.pack("<IId", 2, point.handle, sampling * 1000)
            + b"\x00\x00\x00"
            + struct.pack("<I?", queue, True)
        )

    async def remove(self, handles: Sequence[int]) -> None:
        """DeleteMonitoredItems (Part 4, 5.13.6); a subscription without items stays and waits for others."""
        session = self._session
        for subscription in list(self.by_id.values()):
            mine = [handle for handle in handles if handle in subscription.items]
            items = [subscription.items.pop(handle) for handle in mine]
            for handle in mine:
                del subscription.points[handle]
            if items:
                self._full.discard(subscription.id)
            for at in range(0, len(items), session.limits.monitored_items):
                some = items[at : at + session.limits.monitored_items]
                payload = struct.pack(f"<Ii{len(some)}I", subscription.id, len(some), *some)
                answer = await session.channel.request(Service.DELETE_MONITORED_ITEMS, payload)
                status_list(answer, len(some))

    async def recreate(self, subscription: Subscription) -> list[int]:
        """The server dropped it: make its items anew. Returns the handles that could not be."""
        with suppress(BadStatus):  # it should be gone, and must not send what nobody awaits
            await self._session.channel.request(Service.DELETE_SUBSCRIPTIONS, struct.pack("<iI", 1, subscription.id))
        self.by_id.pop(subscription.id, None)
        self._full.discard(subscription.id)
        points = list(subscription.points.values())
        statuses = await self.add(points)
        return [point.handle for point, status in zip(points, statuses, strict=True) if is_bad(status)]

    async def republish(self, subscription: Subscription, sequence: int) -> Reader | None:
        """Republish (Part 4, 5.14.6); None when the server does not have the message any more."""
        try:
            return await self._session.channel.request(Service.REPUBLISH, struct.pack("<II", subscription.id, sequence))
        except BadStatus:
            return None


def _created(reader: Reader) -> tuple[int, int]:
    status, item = reader.u32(), reader.u32()
    reader.take(12)  # revised sampling interval and queue size
    reader.node_id()
    if reader.u8():
        reader.byte_string()
    return status, item
