"""A Sparkplug host application (5.4, 5.7): births become descriptions, data becomes readings, what is missing is asked for.

Pure: messages and times go in, what follows comes out as `Step`s, in order. The speaker carries them out.
"""

import json
from collections import OrderedDict
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from dtios_mqtt.sparkplug.addresses import address_of
from dtios_mqtt.sparkplug.decoding import decode
from dtios_mqtt.sparkplug.describing import count_points
from dtios_mqtt.sparkplug.edge import EdgeNode, Unborn
from dtios_mqtt.sparkplug.fitting import misfits
from dtios_mqtt.sparkplug.mark import MARK
from dtios_mqtt.sparkplug.metric import Malformed, Metric, Payload
from dtios_mqtt.sparkplug.order import Order
from dtios_mqtt.sparkplug.plain import Plain, plain
from dtios_mqtt.sparkplug.step import Step
from dtios_mqtt.sparkplug.topics import Topic

__all__ = ["Host"]

_REBIRTH_PAUSE: Final = 5.0
"""Seconds between two requests for a rebirth to one edge node, doubled while it needs another one each time."""
_REBIRTH_PAUSE_MOST: Final = 60.0
_REBORN: Final = 5.0
"""Seconds within which the devices of a node that was asked for a rebirth are born again; until then nothing is wrong."""
_MOST_NODES: Final = 10_000
"""Edge nodes that are known at a time. One that was never born gives way, else one that is offline, those heard of first before
the others."""
_MOST_POINTS: Final = 200_000
"""Points of all births together; a birth that needs more is not taken."""

_DATA: Final = frozenset({"NDATA", "DDATA"})

Key = tuple[str, str]


@dataclass(slots=True)
class _Known:
    """`told`: when the last message in its turn was received (ns). `asked`: when a rebirth was asked for last."""

    edge: EdgeNode
    order: Order[tuple[Topic, Payload | Plain, int]]
    told: int | None = None
    asked: float | None = None
    pause: float = _REBIRTH_PAUSE
    wanted: bool = False
    unborn: set[str] = field(default_factory=set)
    unborn_until: float = 0.0


class Host:
    """All edge nodes that one host sees. `now` is monotonic seconds everywhere, `received` ns UTC.

    `own` is this runtime's mark: edge nodes that bear it are left out.
    """

    def __init__(self, host_id: str, reorder: float = 2.0) -> None:
        """`reorder`: seconds that a missing message is waited for (the Reorder Timeout)."""
        self._host_id = host_id
        self._reorder = reorder
        self._nodes: OrderedDict[Key, _Known] = OrderedDict()
        self._ours: set[Key] = set()
        self._points = 0
        self.own = ""

    @property
    def nodes(self) -> dict[Key, EdgeNode]:
        return {key: known.edge for key, known in self._nodes.items()}

    def edge(self, group: str, node: str) -> EdgeNode | None:
        known = self._nodes.get((group, node))
        return None if known is None else known.edge

    def take(self, topic: Topic, data: bytes, now: float, received: int) -> Iterator[Step]:
        """Every message below spBv1.0."""
        if topic.kind == "STATE":
            yield from self._state(topic, data)
        elif topic.kind not in ("NCMD", "DCMD") and (topic.kind == "NBIRTH" or topic.key not in self._ours):
            try:
                payload = plain(data) if topic.kind in _DATA else None
                yield from self._payload(topic, decode(data) if payload is None else payload, now, received)
            except Malformed as error:
                yield Step("complaint", topic, cause=str(error))

    def _state(self, topic: Topic, data: bytes) -> Iterator[Step]:
        """Who says that we are offline is wrong: an old will, or another host of our name (state-message-delivered)."""
        if topic.node != self._host_id:
            return
        try:
            online = bool(json.loads(data)["online"])
        except (ValueError, TypeError, KeyError, RecursionError):
            yield Step("complaint", topic, cause="STATE that is no JSON object with online")
            return
        if not online:
            yield Step("say-online", topic)

    def _payload(self, topic: Topic, payload: Payload | Plain, now: float, received: int) -> Iterator[Step]:
        known = self._nodes.get(topic.key)
        if topic.kind == "NBIRTH" and isinstance(payload, Payload):
            yield from self._nbirth(topic, payload, now, received)
        elif topic.kind == "NDEATH" and isinstance(payload, Payload):
            yield from self._ndeath(topic, payload, known)
        elif known is None or not known.edge.online:
            new = yield from self._know(topic)
            if new is not None:
                yield from self._rebirth(topic, new, now)
        elif payload.seq is None or not 0 <= payload.seq <= 255:
            yield Step("complaint", topic, cause="no sequence number from 0 to 255")
        elif known.order.waits(payload.seq):
            yield Step("complaint", topic, cause="a sequence number twice")
            yield self._missed(topic, known)
        else:
            for turn in known.order.take(payload.seq, (topic, payload, received), now):
                yield from self._in_turn(*turn, known, now)
            if known.order.is_overdue(now):
                yield from self._overdue(known, now)

    def _know(self, topic: Topic) -> Generator[Step, None, _Known | None]:
        """None where there is no room for another one."""
        known = self._nodes.get(topic.key)
        if known is None:
            if len(self._nodes) >= _MOST_NODES:
                yield Step("complaint", topic, cause="more edge nodes than are kept")
                gone = next((k for k, n in self._nodes.items() if not n.edge.parts), None)
                gone = gone or next((k for k, n in self._nodes.items() if not n.edge.online), None)
                if gone is None:
                    return None
                yield from self._drop(gone)
            known = self._nodes[topic.key] = _Known(EdgeNode(), Order(self._reorder))
        return known

    def _drop(self, key: Key) -> Iterator[Step]:
        known = self._nodes.pop(key, None)
        for device, part in () if known is None else known.edge.parts.items():
            self._points -= part.points
            yield Step("described", Topic("NDATA", *key, device), list(part.metrics.items()))

    def _room(self, topic: Topic, payload: Payload) -> int:
        """How many points the birth has. Raises Malformed where there is no room for them."""
        count = max(1, count_points(payload.metrics))
        known = self._nodes.get(topic.key)
        part = None if known is None else known.edge.parts.get(topic.device)
        if self._points - (0 if part is None else part.points) + count > _MOST_POINTS:
            raise Malformed("more points than are kept")
        return count

    def _birth(self, topic: Topic, payload: Payload, known: _Known, room: int) -> Generator[Step, None, bool]:
        """Whether the description changed. A value that is none of its type is told as none."""
        misfit = False
        for metric in misfits(payload.metrics):
            misfit, metric.value = True, None
        if misfit:
            yield Step("complaint", topic, cause="a value that is not of its data type")
        changed = known.edge.birth(topic.device, payload.metrics)
        part = known.edge.parts[topic.device]
        self._points, part.points = self._points - part.points + room, room
        return changed

    # --- births ---

    def _nbirth(self, topic: Topic, payload: Payload, now: float, received: int) -> Iterator[Step]:
        if self._is_ours(topic.key, payload):
            yield from self._drop(topic.key)
            return
        bd_seq = _metric(payload, "bdSeq")
        if not isinstance(bd_seq, int):
            yield Step("complaint", topic, cause="NBIRTH without bdSeq")
            return
        if payload.seq is None or not 0 <= payload.seq <= 255:
            yield Step("complaint", topic, cause="NBIRTH without a sequence number")
            return
        room = self._room(topic, payload)
        known = yield from self._know(topic)
        if known is None:
            return
        if known.order.holds:
            yield self._missed(topic, known)
        same = known.edge.online and known.edge.bd_seq == bd_seq
        before = [device for device, part in known.edge.parts.items() if part.online]
        changed = yield from self._birth(topic, payload, known, room)
        known.edge.bd_seq, known.edge.born_at = bd_seq, payload.timestamp
        known.order.born(payload.seq)
        known.wanted = False
        known.unborn, known.unborn_until = {device for device in before if device} if same else set(), now + _REBORN
        if before and not same:  # its death was never told
            yield self._died(topic, known, before, None)
        yield from self._born(topic, payload, known, changed, since_told=not same)
        known.told = received

    def _is_ours(self, key: Key, payload: Payload) -> bool:
        ours = bool(self.own) and _metric(payload, MARK) == self.own
        if ours:
            if len(self._ours) < _MOST_NODES:
                self._ours.add(key)
        else:
            self._ours.discard(key)
        return ours

    @staticmethod
    def _born(topic: Topic, payload: Payload, known: _Known, changed: bool, *, since_told: bool) -> Iterator[Step]:
        part = known.edge.parts[topic.device]
        since, part.since = part.since, None
        if changed:
            yield Step("described", topic, part.removed)
        if since_told:
            yield Step("born", topic, since=since)
        yield Step("readings", topic, [(m.name, m) for m in payload.metrics if m.name], payload.timestamp)

    def _dbirth(self, topic: Topic, payload: Payload, known: _Known) -> Iterator[Step]:
        part = known.edge.parts.get(topic.device)
        again = topic.device in known.unborn or (part is not None and part.online)
        changed = yield from self._birth(topic, payload, known, self._room(topic, payload))
        known.unborn.discard(topic.device)
        yield from self._born(topic, payload, known, changed, since_told=not again)

    # --- deaths ---

    def _ndeath(self, topic: Topic, payload: Payload, known: _Known | None) -> Iterator[Step]:
        """Only the death that belongs to the birth counts: the will of an older session may come late (bdSeq)."""
        if known is None or not known.edge.online or _metric(payload, "bdSeq") != known.edge.bd_seq:
            return
        known.order.died()
        parts = [*known.edge.death(None), *known.unborn]
        known.unborn.clear()
        yield self._died(topic, known, parts, None)

    @staticmethod
    def _died(topic: Topic, known: _Known, parts: list[str], timestamp: int | None) -> Step:
        for part in parts:
            known.edge.parts[part].since = known.told
        return Step("died", topic, parts=parts, timestamp=timestamp)

    def forget_session(self) -> Iterator[tuple[Key, str, int]]:
        """The session with the broker is over: all is offline until it is born again. Yields those that were dead already, with
        the time (ns) from which on nothing was heard of them."""
        for key, known in self._nodes.items():
            list(known.edge.death(None))
            known.order.died()
            known.unborn.clear()
            for device, part in known.edge.parts.items():
                if part.since is not None:
                    yield key, device, part.since
                    part.since = None

    # --- in turn ---

    def _in_turn(self, topic: Topic, payload: Payload | Plain, received: int, known: _Known, now: float) -> Iterator[Step]:
        try:
            match payload:
                case Plain():
                    yield from self._plain_data(topic, payload, known, now)
                case Payload() if topic.kind == "DBIRTH":
                    yield from self._dbirth(topic, payload, known)
                case Payload() if topic.kind == "DDEATH":
                    known.unborn.discard(topic.device)
                    if parts := list(known.edge.death(topic.device)):
                        yield self._died(topic, known, parts, payload.timestamp)
                case _:
                    yield from self._data(topic, payload, known, now)
        except Unborn:
            yield from self._rebirth(topic, known, now)
        except Malformed as error:
            yield Step("complaint", topic, cause=str(error))
        known.told = received

    def _plain_data(self, topic: Topic, payload: Plain, known: _Known, now: float) -> Iterator[Step]:
        part = known.edge.parts.get(topic.device)
        told = (
            None if part is None else part.slots(address_of(topic.group, topic.node, topic.device, "")).columns(payload.message)
        )
        if told is None:
            yield from self._data(topic, decode(payload.data), known, now)
        elif told.addresses:
            yield Step("readings", topic, told=told)

    def _data(self, topic: Topic, payload: Payload, known: _Known, now: float) -> Iterator[Step]:
        told: list[tuple[str, Metric]] = []
        for metric in payload.metrics:
            try:
                told.append(known.edge.resolve(topic.device, metric))
            except Unborn:
                yield from self._rebirth(topic, known, now)
            except Malformed as error:
                yield Step("complaint", topic, cause=str(error))
                name = metric.name or known.edge.name_of(topic.device, metric.alias)
                yield Step("undecodable", topic, [(name, metric)])
        if told:
            yield Step("readings", topic, told, payload.timestamp)

    # --- what is missing ---

    def _rebirth(self, topic: Topic, known: _Known, now: float) -> Iterator[Step]:
        known.wanted = True
        if known.asked is not None:
            if now - known.asked < known.pause:
                return
            again = now - known.asked < 2 * _REBIRTH_PAUSE_MOST
            known.pause = min(2 * known.pause, _REBIRTH_PAUSE_MOST) if again else _REBIRTH_PAUSE
        known.asked, known.wanted = now, False
        yield Step("rebirth", topic)

    @staticmethod
    def _missed(topic: Topic, known: _Known) -> Step:
        return Step("missed", topic, since=known.told)

    def _overdue(self, known: _Known, now: float) -> Iterator[Step]:
        held = list(known.order.give_up())
        topic = held[0][0]
        yield self._missed(topic, known)
        for turn in held:
            yield from self._in_turn(*turn, known, now)
        yield from self._rebirth(topic, known, now)

    def tick(self, now: float) -> Iterator[Step]:
        """What became due by time alone."""
        for (group, node), known in self._nodes.items():
            topic = Topic("NDATA", group, node)
            if known.order.is_overdue(now):
                yield from self._overdue(known, now)
            if known.unborn and now >= known.unborn_until:
                gone, known.unborn = sorted(known.unborn), set()
                yield self._died(topic, known, gone, None)
            if known.wanted:
                yield from self._rebirth(topic, known, now)


def _metric(payload: Payload, name: str) -> Any:
    return next((metric.value for metric in payload.metrics if metric.name == name), None)
