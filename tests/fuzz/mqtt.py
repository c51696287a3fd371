"""The whole MQTT adapter behind its session: every speaker is fed with messages as a broker hands them on, and what comes out is
held against what the runtime may rely on.

An input is a list of messages with `BETWEEN` between them. Each is a byte of `Flag`s, the topic, `THEN` and the payload.
"""

import json
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from enum import IntFlag
from typing import Any, Final

from google.protobuf.message import DecodeError

from dtios.mapping.facts import NodeKind
from dtios.mapping.profiles.file import parse_profile
from dtios.mapping.profiles.library import ProfileLibrary
from dtios.model.batch import Batch
from dtios.model.datatypes import BuiltinType, ValueType
from dtios.model.event import Event
from dtios.model.values import NO_TIME, DateTime
from dtios.sdk.adapter import Loss, MonitoredPoint
from dtios_mqtt.complaints import Complaints
from dtios_mqtt.image import ProcessImage
from dtios_mqtt.session.messages import Incoming, Outgoing
from dtios_mqtt.sparkplug.compression import COMPRESSED
from dtios_mqtt.sparkplug.schema import PayloadMessage
from dtios_mqtt.speakers.sparkplug import SparkplugSpeaker
from dtios_mqtt.speakers.speaker import Place, Speaker
from dtios_mqtt.speakers.topics import TopicSpeaker
from dtios_mqtt.speakers.vda5050 import Vda5050Speaker
from tests.machines.plain_topics import PROFILE

__all__ = ["BETWEEN", "MOST", "OWN", "THEN", "Flag", "Listener", "made"]

BETWEEN: Final = b"\xff\xfe\xff"
THEN: Final = b"\xff\xff"
MOST: Final = 40
"""Messages of one input."""
OWN: Final = "this-runtime"
_AGAIN: Final = 10
_SUBSCRIBED: Final = 300
_START: Final = 1_767_225_600_000_000_000
_PROFILES: Final = ProfileLibrary([parse_profile(PROFILE.read_text("utf-8"), "p.yaml")])
_YEARS: Final = (-11_644_473_600 * 10**9, 253_402_300_800 * 10**9)
"""1601 to 9999, in ns."""


class Flag(IntFlag):
    """What happens besides. COMPRESSED: a Sparkplug payload is deflated on its way. AGAIN: it is said ten times, with the
    number for each `@` in the topic. LOST: a new session begins before."""

    RETAINED = 1
    SOON = 2
    LATE = 4
    LOST = 8
    COMPRESSED = 16
    AGAIN = 32


def made(*messages: tuple[int, str, bytes]) -> bytes:
    """(flags, topic, payload) of each as an input."""
    return BETWEEN.join(bytes([flags]) + topic.encode() + THEN + payload for flags, topic, payload in messages)


class _Client:
    """What the speakers need of a session: it takes what is sent."""

    more = False

    def __init__(self) -> None:
        self.sent = 0

    def hand_over(self, message: Outgoing, last_check: Any = None) -> Any:
        assert not message.retain or message.topic.startswith("spBv1.0/STATE/")
        message.topic.encode()
        self.sent += 1
        return _done()

    async def subscribe(self, filters: Sequence[tuple[str, int]]) -> list[int]:
        return [qos for _, qos in filters]

    async def unsubscribe(self, filters: Sequence[str]) -> None: ...


class _done:
    def __await__(self) -> Iterator[Any]:
        return iter(())


class _Sink:
    def __init__(self) -> None:
        self.values = 0
        self.news = True

    async def deliver(self, batch: Batch) -> None:
        rows = len(batch.handles)
        assert rows == len(batch.values) == len(batch.statuses) == len(batch.source_times) == len(batch.server_times)
        self.values += rows
        for value, status, at in zip(batch.values, batch.statuses, batch.source_times, strict=True):
            assert 0 <= status < 2**32
            assert at == NO_TIME or -(2**63) < at < 2**63, f"a time that no column holds: {at}"
            _check(value, 64)

    def condition(self, source: str, condition: Any) -> None:
        assert len(condition.message) <= 500
        assert len(condition.condition) < 2**17
        condition.condition.encode()

    def presence(self, addresses: Any, detail: str) -> None:
        for address in addresses:
            address.encode()

    def lost(self, loss: Loss) -> None:
        assert loss.since is None or 0 <= loss.since < 2**63

    def changed(self) -> None:
        self.news = True

    async def event(self, event: Event) -> None: ...
    def alive(self) -> None: ...
    def conditions_refreshed(self) -> None: ...
    def clock(self, offset: int, error: int) -> None: ...


def _check(value: Any, depth: int) -> None:
    """A value that the runtime can hold, keep and write down."""
    assert depth, "a value without end"
    match value:
        case DateTime():
            assert _YEARS[0] <= value < _YEARS[1], f"a time outside of all years: {int(value)}"
        case int():
            assert -(2**63) <= value < 2**64, "an integer of no type"
        case str():
            assert value.isascii() or value.encode(), "no text"
        case list() | tuple():
            for one in value if len(value) < 100 else value[:100]:
                _check(one, depth - 1)
        case dict():
            for name, one in value.items():
                _check(name, depth - 1)
                _check(one, depth - 1)


class Listener:
    """One connection's speakers, as new."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.complaints = Complaints()
        self.sink = _Sink()
        self.client = _Client()
        self.image = ProcessImage(self.sink)
        clock = lambda: self.now  # noqa: E731
        self.sparkplug = SparkplugSpeaker("dtios", 1.0, 2.0, clock)
        self.vda = Vda5050Speaker(("uagv",), clock)
        self.topics = TopicSpeaker(1.0)
        self.speakers: tuple[Speaker, ...] = (self.sparkplug, self.vda, self.topics)
        self.topics.learn(_PROFILES)
        self.messages = 0
        self._handles: dict[str, int] = {}

    @property
    def complained(self) -> int:
        return self.complaints.counts.total()

    async def begin(self) -> None:
        self.image, self._handles = ProcessImage(self.sink), {}
        place = Place(self.client, self.image, self.sink, self.complaints, OWN)  # type: ignore[arg-type]
        for speaker in self.speakers:
            await speaker.begin(place)
        self.sink.news = True

    async def run(self, data: bytes) -> None:
        """Raises what must never come out."""
        await self.begin()
        for one in data.split(BETWEEN)[:MOST]:
            topic, _, payload = one[1:].partition(THEN)
            flags = Flag((one or b"\0")[0] & 63)
            if Flag.LOST in flags:
                await self.lose()
            if flags & (Flag.SOON | Flag.LATE):
                await self.tick(60.0 if Flag.LATE in flags else 3.0)
            for number in range(_AGAIN if Flag.AGAIN in flags else 1):
                await self.hear(topic.decode("utf-8", "replace").replace("@", str(number)), payload, flags)
            if self.sink.news and len(self._handles) < _SUBSCRIBED:
                await self.subscribe()
        await self.tick(3.0)
        self.draw()
        await self.lose()

    async def hear(self, topic: str, payload: bytes, flags: Flag = Flag(0)) -> None:  # noqa: B008
        """As `MqttConnection` hands a message on; a payload that is none must have been counted."""
        if Flag.COMPRESSED in flags:
            payload = PayloadMessage(uuid=COMPRESSED, body=zlib.compress(payload)).SerializeToString()
        before = self.complained
        self.messages += 1
        message = Incoming(topic[:65_535], payload, 0, Flag.RETAINED in flags, _START + self.messages * 1_000_000)
        mine: Speaker | None
        for mine in self.speakers:
            if await mine.take(message):
                break
        else:
            mine = None
            self.complaints.add("", "nobody's topic", message.topic, message.payload, message.received)
        await self.image.flush()
        if mine is not None and _is_rubbish(mine, topic, payload):
            assert self.complained > before, f"not understood, and not counted: {topic!r} {payload[:100]!r}"

    async def tick(self, seconds: float) -> None:
        self.now += seconds
        for speaker in self.speakers:
            await speaker.tick()

    async def lose(self) -> None:
        for speaker in self.speakers:
            speaker.lost()
        await self.begin()

    def draw(self) -> list[str]:
        """The addresses of all variables."""
        addresses = []
        for speaker in self.speakers:
            for root in speaker.nodes():
                for node in root.walk():
                    node.address.encode()
                    assert node.address.count("/") < 300
                    if node.kind is NodeKind.VARIABLE:
                        addresses.append(node.address)
                        _check(node.value, 64)
        return addresses

    async def subscribe(self) -> None:
        self.sink.news = False
        new = [one for one in dict.fromkeys(self.draw()) if one not in self._handles][: _SUBSCRIBED - len(self._handles)]
        points = [MonitoredPoint(len(self._handles) + n, one, ValueType(BuiltinType.Variant)) for n, one in enumerate(new)]
        self._handles.update((point.address, point.handle) for point in points)
        assert len(await self.image.subscribe(points, _START)) == len(points)


def _is_rubbish(speaker: Speaker, topic: str, payload: bytes) -> bool:
    """What no reading of the standard can understand, judged by other means than the speaker's."""
    levels = topic.split("/")
    if isinstance(speaker, SparkplugSpeaker):
        if levels[1] == "STATE" or levels[2:3] in (["NCMD"], ["DCMD"]) or not all(levels):
            return False
        if len(levels) > 3 and (levels[1], levels[3]) in speaker._host._ours:
            return False  # our own edge node: not listened to
        with suppress(DecodeError):
            PayloadMessage.FromString(payload)
            return False
        return True
    if isinstance(speaker, Vda5050Speaker) and levels[-1] not in ("order", "instantActions"):
        try:
            return not isinstance(json.loads(payload), dict)
        except (ValueError, RecursionError):
            return True
    return False
