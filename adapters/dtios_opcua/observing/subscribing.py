"""Subscriptions and monitored items: created in batches, spread over more subscriptions where one takes no more."""

import math
import struct
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import structlog

from dtios.model.status import is_bad, status_code, status_name
from dtios.sdk.adapter import ConnectionSettings, DeadBand, MonitoredPoint
from dtios_opcua.binary.nodeid import NodeKey, encode_node_id
from dtios_opcua.binary.wire import Reader, Undecodable
from dtios_opcua.errors import BadStatus
from dtios_opcua.observing.sequence import Numbering
from dtios_opcua.session.limits import batched
from dtios_opcua.session.services import Service
from dtios_opcua.session.session import Session, status_list

__all__ = ["Subscription", "Subscriptions"]

log = structlog.get_logger("dtios.opcua")

_UNKNOWN_NODE = status_code("BadNodeIdUnknown")
_TOO_MANY_ITEMS = status_code("BadTooManyMonitoredItems")
_NO_FILTER = frozenset(
    status_code(name) for name in ("BadMonitoredItemFilterUnsupported", "BadDeadbandFilterInvalid", "BadFilterNotAllowed")
)
_DATA_CHANGE_FILTER = 724  # its binary encoding (Part 6, A.3)
_LEAST_QUEUE = 10
_FASTEST = 0.001
"""Seconds: what a server may take as the fastest practical sampling."""
_LIFETIME = 60.0
"""Seconds without a Publish until the server drops a subscription: our back-pressure must fit in."""


@dataclass(slots=True)
class Subscription:
    """One at the server. Without a message or a keep-alive for `patience` seconds since `heard` (on the clock
    `Subscriptions.waited`) it is gone; `complete` is when that was in ns UTC: nothing is missing until then."""

    id: int
    patience: float
    heard: float
    asked: float
    complete: int = field(default_factory=time.time_ns)
    numbers: Numbering = field(default_factory=Numbering)
    items: dict[int, int] = field(default_factory=dict)  # ClientHandle -> MonitoredItemId
    points: dict[int, MonitoredPoint] = field(default_factory=dict)
    events: dict[int, int] = field(default_factory=dict)  # ClientHandle of `observing.events` -> MonitoredItemId

    @property
    def handles(self) -> tuple[int, ...]:
        return tuple(self.points)


_Wanted = tuple[MonitoredPoint, NodeKey]


class _Left(NamedTuple):
    rejected: list[_Wanted]
    unfiltered: list[_Wanted]


class Subscriptions:
    """All of one session, by their id. `waited`: see `watching`."""

    def __init__(self, session: Session, settings: ConnectionSettings) -> None:
        self._session = session
        self._settings = settings
        self.by_id: dict[int, Subscription] = {}
        self.waited = 0.0
        self._full: set[int] = set()

    async def add(self, points: Sequence[MonitoredPoint]) -> list[int]:
        """A StatusCode each. Raises LostError or BadStatus (no subscription could be made)."""
        statuses: dict[int, int] = {}
        left: list[_Wanted] = []
        for point in points:
            key = self._session.namespaces.key(point.address)
            statuses[point.handle] = _UNKNOWN_NODE if key is None else _TOO_MANY_ITEMS
            if key is not None:
                left.append((point, key))
        while left:
            subscription, is_new = await self._with_room()
            if subscription is None:
                break
            before = len(subscription.items)
            room = self._room(subscription)
            created = await self._create_items(subscription, left[:room], statuses)
            left = [*created.unfiltered, *created.rejected, *left[room:]]
            if created.rejected:
                self._full.add(subscription.id)
                if is_new and len(subscription.items) == before:
                    break  # not even an empty one takes them: the server's limit is for all of them together
        return [statuses[point.handle] for point in points]

    def _room(self, subscription: Subscription) -> int:
        """How many more items it takes, as far as the server says."""
        if subscription.id in self._full:
            return 0
        most = self._session.limits.items_in_subscription
        return max(0, most - len(subscription.items) - len(subscription.events)) if most else sys.maxsize

    async def _with_room(self) -> tuple[Subscription | None, bool]:
        """One that takes more items, and whether it is new; None where the server allows no more."""
        limits = self._session.limits
        found = self._free()
        if found is None and not (limits.subscriptions and len(self.by_id) >= limits.subscriptions):
            try:
                return await self._create(), True
            except BadStatus as error:
                if error.name != "BadTooManySubscriptions" or not self.by_id:
                    raise
        if found is None and limits.items_in_subscription:
            limits.items_in_subscription = 0  # there is no other way than to ask for more than it says it takes
            found = self._free()
        return found, False

    def _free(self) -> Subscription | None:
        return next((one for one in self.by_id.values() if self._room(one)), None)

    async def _create(self) -> Subscription:
        """CreateSubscription (Part 4, 5.14.2)."""
        interval = self._settings.publishing_interval
        alive = max(1, int(self._settings.keep_alive / 3 / interval))
        lifetime = max(3 * alive, math.ceil(_LIFETIME / interval))
        payload = struct.pack("<dIII?B", interval * 1000, lifetime, alive, 0, True, 0)
        answer = await self._session.channel.request(Service.CREATE_SUBSCRIPTION, payload)
        number, revised = answer.u32(), answer.f64() / 1000
        answer.u32()  # the revised lifetime
        silence = 3 * revised * answer.u32()
        patience = min(max(self._settings.keep_alive, silence), _LIFETIME) if math.isfinite(silence) else _LIFETIME
        subscription = Subscription(number, patience, self.waited, self.waited)
        self.by_id[subscription.id] = subscription
        return subscription

    async def _create_items(self, subscription: Subscription, wanted: Sequence[_Wanted], statuses: dict[int, int]) -> "_Left":
        """CreateMonitoredItems (Part 4, 5.13.2); returns those for which there was no room, and those that are to be asked for
        again without a dead band, because the server has none for them."""
        session = self._session
        left = _Left([], [])
        for point, _ in wanted:  # values may come before the answer to this request
            subscription.points[point.handle] = point

        def payload(some: Sequence[_Wanted]) -> bytes:
            head = struct.pack("<IIi", subscription.id, 2, len(some))
            return head + b"".join(self._item(point, key) for point, key in some)

        async for some, answer in batched(
            session.channel, session.limits, "monitored_items", Service.CREATE_MONITORED_ITEMS, wanted, payload, repeatable=False
        ):
            results = [(answer, 0)] if isinstance(answer, int) else [_created(answer) for _ in range(answer.length(4))]
            if len(results) != len(some):
                raise Undecodable(f"{len(results)} results for {len(some)} items")
            for (point, key), (status, item) in zip(some, results, strict=True):
                statuses[point.handle] = status
                if not is_bad(status):
                    subscription.items[point.handle] = item
                    continue
                del subscription.points[point.handle]
                if status & 0xFFFF0000 == _TOO_MANY_ITEMS:
                    left.rejected.append((point, key))
                elif point.dead_band is not None and status & 0xFFFF0000 in _NO_FILTER:
                    log.warning("the server has no dead band for it", address=point.address, reason=status_name(status))
                    left.unfiltered.append((replace(point, dead_band=None), key))
        return left

    def _item(self, point: MonitoredPoint, key: NodeKey) -> bytes:
        interval = self._settings.publishing_interval
        sampling = point.sampling or 0.0
        queue = point.queue or max(_LEAST_QUEUE, 2 * math.ceil(interval / max(sampling, _FASTEST)))
        return (
            encode_node_id(key)
            + b"\x0d\x00\x00\x00\xff\xff\xff\xff\x00\x00\xff\xff\xff\xff"  # Value, no range, no encoding of its own
            + struct.pack("<IId", 2, point.handle, sampling * 1000)
            + _filter(point.dead_band)
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

            def payload(some: Sequence[int], number: int = subscription.id) -> bytes:
                return struct.pack(f"<Ii{len(some)}I", number, len(some), *some)

            async for _ in batched(
                session.channel, session.limits, "monitored_items", Service.DELETE_MONITORED_ITEMS, items, payload
            ):
                """Whether each was still there does not matter: it is gone now."""

    # --- events: items of the EventNotifier attribute, all in one subscription, so that one refresh is for all of them ---

    def with_events(self) -> int | None:
        """The subscription that events come over."""
        return next((one.id for one in self.by_id.values() if one.events), None)

    async def add_events(self, handle: int, item: bytes) -> int:
        """One MonitoredItemCreateRequest; its StatusCode. Raises LostError or BadStatus."""
        while True:
            known = self.with_events()
            subscription, is_new = (self.by_id[known], True) if known is not None else await self._with_room()
            if subscription is None:
                return _TOO_MANY_ITEMS
            payload = struct.pack("<IIi", subscription.id, 2, 1) + item
            answer = await self._session.channel.request(Service.CREATE_MONITORED_ITEMS, payload)
            status, number = _created(answer) if answer.length() == 1 else (_UNKNOWN_NODE, 0)
            if not is_bad(status):
                subscription.events[handle] = number
            if status & 0xFFFF0000 != _TOO_MANY_ITEMS or is_new:
                return status
            self._full.add(subscription.id)

    async def remove_events(self, handles: Iterable[int]) -> None:
        for subscription in self.by_id.values():
            items = [subscription.events.pop(handle) for handle in handles if handle in subscription.events]
            if items:
                payload = struct.pack(f"<Ii{len(items)}I", subscription.id, len(items), *items)
                await self._session.channel.request(Service.DELETE_MONITORED_ITEMS, payload)

    async def recreate(self, subscription: Subscription) -> list[int]:
        """The server dropped it: make its items anew. Returns the handles that could not be."""
        with suppress(BadStatus, Undecodable):  # it should be gone, and must not send what nobody awaits
            await self._session.channel.request(Service.DELETE_SUBSCRIPTIONS, struct.pack("<iI", 1, subscription.id))
        self.by_id.pop(subscription.id, None)
        self._full.discard(subscription.id)
        points = list(subscription.points.values())
        statuses = await self.add(points)
        return [point.handle for point, status in zip(points, statuses, strict=True) if is_bad(status)]

    async def republish(self, subscription: Subscription, sequence: int) -> Reader | None:
        """Republish (Part 4, 5.14.6); None when the server does not have the message any more, or cannot give it."""
        try:
            return await self._session.channel.request(Service.REPUBLISH, struct.pack("<II", subscription.id, sequence))
        except (BadStatus, Undecodable):
            return None

    async def ask(self, subscription: Subscription) -> int:
        """Does the server still have it? SetPublishingMode (Part 4, 5.14.4) changes nothing; its status for this one."""
        payload = struct.pack("<?iI", True, 1, subscription.id)
        answer = await self._session.channel.request(Service.SET_PUBLISHING_MODE, payload)
        return status_list(answer, 1)[0]


def _filter(dead_band: DeadBand | None) -> bytes:
    """A DataChangeFilter (Part 4, 7.22.2) that reports a change of status or value; none without a dead band."""
    if dead_band is None:
        return b"\x00\x00\x00"
    head = b"\x01\x00" + struct.pack("<H", _DATA_CHANGE_FILTER) + b"\x01"
    return head + struct.pack("<iIId", 16, 1, 2 if dead_band.percent else 1, dead_band.value)


def _created(reader: Reader) -> tuple[int, int]:
    status, item = reader.u32(), reader.u32()
    reader.take(12)  # revised sampling interval and queue size
    reader.node_id()
    if reader.u8():
        reader.byte_string()
    return status, item
