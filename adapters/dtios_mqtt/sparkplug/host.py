"""A Sparkplug host application (5.4, 5.7): births become descriptions, data becomes readings, what is missing is asked for.

Pure: messages and times go in, what follows comes out as `Step`s, in order. The speaker carries them out.
"""

import json
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Literal

from dtios_mqtt.sparkplug.decoding import Malformed, decode
from dtios_mqtt.sparkplug.edge import EdgeNode, Unborn
from dtios_mqtt.sparkplug.metric import Metric, Payload
from dtios_mqtt.sparkplug.order import Order
from dtios_mqtt.sparkplug.topics import Topic

__all__ = ["Host", "Step"]

_REORDER: Final = 2.0
"""Seconds a missing message is waited for."""
_REBIRTH_PAUSE: Final = 5.0
"""Seconds between two requests for a rebirth to one edge node, doubled while it does not answer."""
_REBIRTH_PAUSE_MOST: Final = 60.0
_MOST_NODES: Final = 10_000
"""Edge nodes that are known at a time; the one heard of longest ago that is offline gives way."""

Kind = Literal["readings", "described", "died", "missed", "rebirth", "say-online", "complaint"]


@dataclass(slots=True)
class Step:
    """What follows from a message.

    readings: `metrics` of one device, by name. described: what is there has changed. died: these `parts` (device names, "" the
    node) are offline. missed: values of the whole node are lost here. rebirth: ask the node for one. say-online: our STATE was
    overwritten. complaint: `cause` in few words.
    """

    kind: Kind
    topic: Topic
    metrics: list[tuple[str, Metric]] = field(default_factory=list)
    timestamp: int | None = None
    parts: list[str] = field(default_factory=list)
    cause: str = ""


@dataclass(slots=True)
class _Known:
    edge: EdgeNode
    order: Order[tuple[Topic, Payload]]
    asked: float | None = None
    pause: float = _REBIRTH_PAUSE


class Host:
    """All edge nodes that one host sees. `now` is monotonic seconds everywhere."""

    def __init__(self, host_id: str) -> None:
        self._host_id = host_id
        self._nodes: OrderedDict[tuple[str, str], _Known] = OrderedDict()

    @property
    def nodes(self) -> dict[tuple[str, str], EdgeNode]:
        return {key: known.edge for key, known in self._nodes.items()}

    def take(self, topic: Topic, data: bytes, now: float) -> Iterator[Step]:
        """Every message below spBv1.0."""
        if topic.kind == "STATE":
            yield from self._state(topic, data)
            return
        if topic.kind in ("NCMD", "DCMD"):
            return  # somebody's command to an edge node
        try:
            payload = decode(data)
            yield from self._payload(topic, payload, now)
        except Malformed as error:
            yield Step("complaint", topic, cause=str(error))

    def _state(self, topic: Topic, data: bytes) -> Iterator[Step]:
        """Who says that we are offline is wrong: an old will, or another host of our name (host-topic-phid-birth)."""
        if topic.node != self._host_id:
            return
        try:
            said = json.loads(data)
            online = bool(said["online"])
        except (ValueError, TypeError, KeyError, RecursionError):
            yield Step("complaint", topic, cause="STATE that is no JSON object with online")
            return
        if not online:
            yield Step("say-online", topic)

    def _payload(self, topic: Topic, payload: Payload, now: float) -> Iterator[Step]:
        key = (topic.group, topic.node)
        known = self._nodes.get(key)
        if topic.kind == "NBIRTH":
            yield from self._nbirth(topic, payload, known)
        elif topic.kind == "NDEATH":
            yield from self._ndeath(topic, payload, known)
        elif known is None or not known.edge.online:
            yield from self._rebirth(topic, self._know(key), now)
        elif payload.seq is None or not 0 <= payload.seq <= 255:
            yield Step("complaint", topic, cause="no sequence number from 0 to 255")
        else:
            for turn, told in known.order.take(payload.seq, (topic, payload), now):
                yield from self._in_turn(turn, told, known, now)
            if known.order.is_overdue(now):
                yield from self._overdue(known, now)

    def _know(self, key: tuple[str, str]) -> _Known:
        known = self._nodes.get(key)
        if known is None:
            if len(self._nodes) >= _MOST_NODES:
                self._nodes.pop(next((k for k, n in self._nodes.items() if not n.edge.online), next(iter(self._nodes))))
            known = self._nodes[key] = _Known(EdgeNode(), Order(_REORDER))
        return known

    def _nbirth(self, topic: Topic, payload: Payload, known: _Known | None) -> Iterator[Step]:
        bd_seq = next((m.value for m in payload.metrics if m.name == "bdSeq"), None)
        if not isinstance(bd_seq, int):
            yield Step("complaint", topic, cause="NBIRTH without bdSeq")
            return
        if payload.seq is None or not 0 <= payload.seq <= 255:
            yield Step("complaint", topic, cause="NBIRTH without a sequence number")
            return
        known = known or self._know((topic.group, topic.node))
        gone = [part for part, born in known.edge.parts.items() if part and born.online]
        changed = known.edge.birth("", payload.metrics)
        known.edge.bd_seq, known.edge.born_at = bd_seq, payload.timestamp
        known.order.born(payload.seq)
        known.asked, known.pause = None, _REBIRTH_PAUSE
        if gone:
            yield Step("died", topic, parts=gone)
        yield from self._born(topic, payload, changed)

    @staticmethod
    def _born(topic: Topic, payload: Payload, changed: bool) -> Iterator[Step]:
        if changed:
            yield Step("described", topic)
        yield Step("readings", topic, [(m.name, m) for m in payload.metrics if m.name], payload.timestamp)

    def _ndeath(self, topic: Topic, payload: Payload, known: _Known | None) -> Iterator[Step]:
        """Only the death that belongs to the birth counts: the will of an older session may come late (bdSeq)."""
        bd_seq = next((m.value for m in payload.metrics if m.name == "bdSeq"), None)
        if known is None or not known.edge.online or bd_seq != known.edge.bd_seq:
            return
        known.order.expected = None
        parts = list(known.edge.death(None))
        if parts:
            yield Step("died", topic, parts=parts)

    def _in_turn(self, topic: Topic, payload: Payload, known: _Known, now: float) -> Iterator[Step]:
        try:
            match topic.kind:
                case "DBIRTH":
                    yield from self._born(topic, payload, known.edge.birth(topic.device, payload.metrics))
                case "DDEATH":
                    if parts := list(known.edge.death(topic.device)):
                        yield Step("died", topic, parts=parts)
                case _:
                    yield from self._data(topic, payload, known, now)
        except Unborn:
            yield from self._rebirth(topic, known, now)
        except Malformed as error:
            yield Step("complaint", topic, cause=str(error))

    def _data(self, topic: Topic, payload: Payload, known: _Known, now: float) -> Iterator[Step]:
        told: list[tuple[str, Metric]] = []
        for metric in payload.metrics:
            try:
                told.append(known.edge.resolve(topic.device, metric))
            except Unborn:
                yield from self._rebirth(topic, known, now)
            except Malformed as error:
                yield Step("complaint", topic, cause=str(error))
        if told:
            yield Step("readings", topic, told, payload.timestamp)

    def _rebirth(self, topic: Topic, known: _Known, now: float) -> Iterator[Step]:
        if known.asked is not None:
            if now - known.asked < known.pause:
                return
            known.pause = min(2 * known.pause, _REBIRTH_PAUSE_MOST)
        known.asked = now
        yield Step("rebirth", topic)

    def _overdue(self, known: _Known, now: float) -> Iterator[Step]:
        held = list(known.order.give_up())
        topic = held[0][0]
        yield Step("missed", topic)
        for turn, payload in held:
            yield from self._in_turn(turn, payload, known, now)
        yield from self._rebirth(topic, known, now)

    def tick(self, now: float) -> Iterator[Step]:
        """What became due by time alone."""
        for known in self._nodes.values():
            if known.order.is_overdue(now):
                yield from self._overdue(known, now)
