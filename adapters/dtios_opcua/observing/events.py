"""Events of one session: subscribed at the notifiers, sorted into conditions and wanted events, refreshed when some got lost."""

import asyncio
import struct
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import structlog

from dtios.model.event import EventPath
from dtios.model.gap import GapCause
from dtios.model.status import is_bad, status_name
from dtios.sdk.adapter import EventFields, Loss, Sink
from dtios_opcua.binary.nodeid import NodeKey, encode_node_id
from dtios_opcua.errors import BadStatus
from dtios_opcua.observing.event_filter import BASE, CONDITION, Clause, event_filter, wanted_clauses
from dtios_opcua.observing.event_types import EventTypes
from dtios_opcua.observing.notifiers import Notifiers
from dtios_opcua.observing.refreshing import Refreshing
from dtios_opcua.observing.subscribing import Subscriptions
from dtios_opcua.observing.told import Told, condition_of, event_of, is_there
from dtios_opcua.session.services import Attribute
from dtios_opcua.session.session import Session

__all__ = ["Events"]

log = structlog.get_logger("dtios.opcua")

_CONDITION: Final[NodeKey] = (0, 2782)
_REFRESH_START: Final[NodeKey] = (0, 2787)
_REFRESH_END: Final[NodeKey] = (0, 2788)
_REFRESH_REQUIRED: Final[NodeKey] = (0, 2789)
_OVERFLOW: Final[NodeKey] = (0, 3035)
_MODEL_CHANGE: Final[NodeKey] = (0, 2132)
_SEMANTIC_CHANGE: Final[NodeKey] = (0, 2738)
_SELECT_LIMIT: Final[NodeKey] = (0, 24099)  # MaxSelectClauseParameters
_QUEUE: Final = 1_000
"""Events the server is asked to keep between two messages."""
_SEEN: Final = 4_096
"""Last EventIds by which an event that two notifiers tell is known again."""
_MOST_CONDITIONS: Final = 10_000
"""Conditions of which the last EventId is kept; the one that was told longest ago gives way, and cannot be commanded then."""


_Extra = dict[tuple[NodeKey, EventPath], Clause]


@dataclass(slots=True)
class _Item:
    """One monitored item: at which notifier, what comes at which place of its fields, and the events it is to tell (`kinds`)."""

    notifier: NodeKey
    kinds: frozenset[NodeKey]
    names: tuple[str, ...]
    paths: tuple[EventPath, ...]
    clauses: tuple[Clause, ...]


class Events:
    """`take` is called by the publish loop, `serve` runs in a task of the connection's."""

    def __init__(self, session: Session, subscriptions: Subscriptions, sink: Sink, notifiers: Notifiers) -> None:
        self._session = session
        self._subscriptions = subscriptions
        self._sink = sink
        self._notifiers = notifiers
        self._types = EventTypes(session)
        self._wanted: tuple[EventFields, ...] = ()
        self._kinds: tuple[NodeKey, ...] = ()
        self._items: dict[int, _Item] = {}
        self._last_handle = 0
        self._seen: OrderedDict[bytes, int] = OrderedDict()
        self._known: OrderedDict[str, Told] = OrderedDict()
        self._subscribing = asyncio.Lock()
        self._refreshing = Refreshing(session, self._telling, self._refreshed)

    async def serve(self) -> None:
        """Until cancelled: refreshes, as they become necessary. Raises LostError."""
        await self._refreshing.serve()

    # --- subscribing ---

    async def watch(self, wanted: Sequence[EventFields]) -> None:
        """Raises LostError or BadStatus when the server does not let us."""
        async with self._subscribing:
            await self._types.load()
            self._wanted = tuple(wanted)
            kinds = (self._types.find(one.type) for one in wanted)
            self._kinds = tuple(key for key in kinds if key is not None)
            old = set(self._items)
            await self._subscribe(await self._notifiers.of(self._session))
            await self._unsubscribe(old)  # after the new ones are there: nothing is missed between
        if self._items:
            self._refreshing.ask()
        else:
            self._sink.conditions_refreshed()  # a server that tells no events has no conditions

    async def restore(self) -> None:
        """The server dropped a subscription that events came over."""
        async with self._subscribing:
            notifiers = dict.fromkeys(item.notifier for item in self._items.values())
            self._items.clear()
            await self._subscribe(list(notifiers))
        self._refreshing.ask()

    def missed(self) -> None:
        """Some may be missing: what conditions there are is asked again."""
        if self._items:
            self._refreshing.ask()

    async def _subscribe(self, notifiers: Sequence[NodeKey]) -> None:
        extra = wanted_clauses(self._wanted, self._types, self._session.namespaces)
        ((limit, status, *_),) = await self._session.read([(_SELECT_LIMIT, Attribute.VALUE)])
        most = limit if isinstance(limit, int) and limit > 0 and not is_bad(status) else 0
        for notifier in notifiers:
            all_of_it = _item(notifier, frozenset(self._kinds), CONDITION, extra)
            if most and len(all_of_it.clauses) > most:
                await self._apart(notifier, extra, most)
            elif is_bad(status := await self._create(all_of_it)):
                self._note(notifier, status)
                await self._apart(notifier, extra, most)

    async def _apart(self, notifier: NodeKey, extra: _Extra, most: int) -> None:
        """One item for conditions and others for the wanted events, each as long as the server takes them."""
        kinds = dict.fromkeys(kind for kind, _ in extra)
        telling = _item(notifier, frozenset(self._kinds) - kinds.keys(), CONDITION, {})
        for item in (telling, *(_item(notifier, frozenset({kind}), {}, _of(extra, kind)) for kind in kinds)):
            short = _shortened(item, most) if most else item
            if short is not item:
                log.warning("the server takes fewer event fields than are wanted", endpoint=self._session.where, most=most)
            status = await self._create(short)
            if is_bad(status):
                self._note(notifier, status)

    def _note(self, notifier: NodeKey, status: int) -> None:
        address = self._session.namespaces.address(notifier)
        log.warning("events not subscribed", endpoint=self._session.where, notifier=address, reason=status_name(status))

    async def _create(self, item: _Item) -> int:
        """A monitored item of the EventNotifier attribute; its StatusCode."""
        self._last_handle += 1
        handle = self._last_handle
        self._items[handle] = item  # the first event may come before the answer
        body = encode_node_id(item.notifier) + struct.pack("<I", Attribute.EVENT_NOTIFIER)
        body += b"\xff\xff\xff\xff\x00\x00\xff\xff\xff\xff" + struct.pack("<IId", 2, handle, 0.0)
        body += event_filter(item.clauses) + struct.pack("<I?", _QUEUE, True)
        try:
            status = await self._subscriptions.add_events(handle, body)
        except BadStatus as error:
            status = error.status
        if is_bad(status):
            del self._items[handle]
        return status

    async def _unsubscribe(self, handles: set[int]) -> None:
        for handle in handles:
            self._items.pop(handle, None)
        await self._subscriptions.remove_events(handles)

    # --- what comes ---

    async def take(self, handle: int, values: Sequence[Any]) -> None:
        """One event, as an item's fields. Returns when the sink has it."""
        item = self._items.get(handle)
        if item is None:
            return
        fields = dict(zip(item.names, values, strict=False))
        key = self._session.namespaces.told(fields.get("EventType"))
        if key is None or self._special(key, handle):
            return
        if not self._types.is_known(key):
            await self._types.learn(key)
        if self._types.is_a(key, _CONDITION) and "Retain" in item.names:
            self._condition(condition_of(fields, self._types.names(key)))
        if any(self._types.is_a(key, one) for one in item.kinds) and self._is_first(fields.get("EventId"), handle):
            extra = {p: v for p, v in zip(item.paths, values[len(item.names) :], strict=False) if is_there(v)}
            await self._sink.event(event_of(fields, self._types.names(key), extra))
        if self._types.is_a(key, _MODEL_CHANGE) or self._types.is_a(key, _SEMANTIC_CHANGE):
            self._sink.changed()

    def _special(self, key: NodeKey, handle: int) -> bool:
        """Events about the telling of events (Part 9, 5.11; Part 5, 6.4.34)."""
        match key:
            case _ if key == _REFRESH_START:
                self._refreshing.started(handle)
            case _ if key == _REFRESH_END:
                self._refreshing.ended(handle)
            case _ if key == _REFRESH_REQUIRED:
                self._refreshing.ask()
            case _ if key == _OVERFLOW:
                self._sink.lost(Loss(GapCause.SERVER_OVERFLOW, (), None, events=True))
                self._refreshing.ask()
            case _:
                return False
        return True

    def _is_first(self, event: Any, handle: int) -> bool:
        """False for an event that another notifier has told already."""
        if not isinstance(event, bytes) or not event:
            return True
        first = self._seen.setdefault(event, handle)
        if len(self._seen) > _SEEN:
            self._seen.popitem(last=False)
        return first == handle

    # --- conditions ---

    def _condition(self, told: Told) -> None:
        name = told.condition.condition
        self._known.pop(name, None)
        if told.condition.retain:
            self._known[name] = told
            if len(self._known) > _MOST_CONDITIONS:
                self._known.popitem(last=False)
        self._refreshing.told(name)
        self._sink.condition(told.source, told.condition)

    def _refreshed(self) -> None:
        """What a refresh did not tell is over, though nobody heard it end."""
        for name in [name for name in self._known if not self._refreshing.was_told(name)]:
            told = self._known.pop(name)
            self._sink.condition(told.source, replace(told.condition, active=False, retain=False))
        self._sink.conditions_refreshed()

    def known(self, condition: str) -> Told | None:
        """As it was told last in this session."""
        return self._known.get(condition)

    def _telling(self) -> tuple[int | None, set[int]]:
        return self._subscriptions.with_events(), {handle for handle, item in self._items.items() if "Retain" in item.names}


def _item(notifier: NodeKey, kinds: frozenset[NodeKey], conditions: dict[str, Clause], extra: _Extra) -> _Item:
    named = {**BASE, **conditions}
    return _Item(notifier, kinds, tuple(named), tuple(path for _, path in extra), (*named.values(), *extra.values()))


def _of(extra: _Extra, kind: NodeKey) -> _Extra:
    return {key: clause for key, clause in extra.items() if key[0] == kind}


def _shortened(item: _Item, most: int) -> _Item:
    """What every event has comes first, and is kept longest."""
    if len(item.clauses) <= most:
        return item
    names = item.names[:most]
    return _Item(item.notifier, item.kinds, names, item.paths[: max(0, most - len(names))], item.clauses[:most])
