"""A broker that only listens: it answers what must be answered, and keeps every packet of the client with a will as it came."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

__all__ = ["Connect", "ListeningBroker", "Packet", "Publish", "listening_broker"]

CONNECT, PUBLISH, SUBSCRIBE, DISCONNECT = 1, 3, 8, 14


@dataclass(frozen=True)
class Packet:
    """A control packet (MQTT 3.1.1 and 5, chapter 2)."""

    kind: int
    flags: int
    body: bytes


@dataclass(frozen=True)
class Connect:
    """What a CONNECT says. `expiry` is the Session Expiry Interval, None where it is not there."""

    version: int
    clean: bool
    expiry: int | None
    will_topic: str
    will_payload: bytes
    will_qos: int
    will_retain: bool


@dataclass(frozen=True)
class Publish:
    topic: str
    payload: bytes
    qos: int
    retain: bool


@dataclass
class ListeningBroker:
    port: int = 0
    packets: list[Packet] = field(default_factory=list)
    writer: asyncio.StreamWriter | None = None
    news: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            first = await _read(reader)
            has_will, five = bool(first.body[7] & 4), first.body[6] == 5
            self.writer = writer if has_will else self.writer
            packet = first
            while True:
                self._answer(packet, writer, five)
                if has_will:
                    async with self.news:
                        self.packets.append(packet)
                        self.news.notify_all()
                packet = await _read(reader)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    @staticmethod
    def _answer(packet: Packet, writer: asyncio.StreamWriter, five: bool) -> None:
        match packet.kind:
            case 1:
                writer.write(b"\x20\x03\0\0\0" if five else b"\x20\x02\0\0")
            case 8:
                answer = packet.body[:2] + (b"\0" if five else b"") + b"\1" * _filters(packet.body, 3 if five else 2)
                writer.write(bytes([0x90, len(answer)]) + answer)
            case 3 if packet.flags & 6:
                size = int.from_bytes(packet.body[:2], "big")
                writer.write(b"\x40\x02" + packet.body[2 + size : 4 + size])
            case 12:
                writer.write(b"\xd0\0")

    def say(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """A message to the client, QoS 0."""
        assert self.writer is not None
        properties = b"\0" if self.connect.version == 5 else b""
        body = len(topic).to_bytes(2, "big") + topic.encode() + properties + payload
        self.writer.write(bytes([0x30 | retain]) + _varint(len(body)) + body)

    async def until(self, kind: int, count: int = 1) -> list[Packet]:
        """So many packets of this kind, all that came until then in order."""
        async with asyncio.timeout(10), self.news:
            await self.news.wait_for(lambda: sum(p.kind == kind for p in self.packets) >= count)
        return list(self.packets)

    @property
    def connect(self) -> Connect:
        body = self.packets[0].body
        version, flags, at = body[6], body[7], 10
        expiry = None
        if version == 5:
            size, at = _take_varint(body, at)
            properties, at = body[at : at + size], at + size
            expiry = int.from_bytes(properties[1:5], "big") if properties[:1] == b"\x11" else 0  # absent means 0
        _, at = _take_text(body, at)
        if version == 5:
            size, at = _take_varint(body, at)
            at += size
        topic, at = _take_text(body, at)
        payload, at = _take_text(body, at)
        return Connect(
            version, bool(flags & 2), expiry, topic.decode(), payload, flags >> 3 & 3, bool(flags & 0x20)
        )  # fmt: skip

    def published(self) -> list[Publish]:
        return [self._publish(packet) for packet in self.packets if packet.kind == PUBLISH]

    def _publish(self, packet: Packet) -> Publish:
        topic, at = _take_text(packet.body, 0)
        qos = packet.flags >> 1 & 3
        at += 2 if qos else 0
        if self.connect.version == 5:
            size, at = _take_varint(packet.body, at)
            at += size
        return Publish(topic.decode(), packet.body[at:], qos, bool(packet.flags & 1))

    def subscribed(self) -> list[str]:
        return [
            _take_text(p.body, 3 if self.connect.version == 5 else 2)[0].decode() for p in self.packets if p.kind == SUBSCRIBE
        ]


def _filters(body: bytes, at: int) -> int:
    count = 0
    while at < len(body):
        _, at = _take_text(body, at)
        at, count = at + 1, count + 1
    return count


async def _read(reader: asyncio.StreamReader) -> Packet:
    first = (await reader.readexactly(1))[0]
    size = shift = 0
    while True:
        byte = (await reader.readexactly(1))[0]
        size |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return Packet(first >> 4, first & 15, await reader.readexactly(size))


def _varint(number: int) -> bytes:
    out = bytearray()
    while True:
        number, byte = number >> 7, number & 0x7F
        out.append(byte | (0x80 if number else 0))
        if not number:
            return bytes(out)


def _take_varint(data: bytes, at: int) -> tuple[int, int]:
    size = shift = 0
    while True:
        byte = data[at]
        size, shift, at = size | (byte & 0x7F) << shift, shift + 7, at + 1
        if not byte & 0x80:
            return size, at


def _take_text(data: bytes, at: int) -> tuple[bytes, int]:
    size = int.from_bytes(data[at : at + 2], "big")
    return data[at + 2 : at + 2 + size], at + 2 + size


@asynccontextmanager
async def listening_broker() -> AsyncIterator[ListeningBroker]:
    broker = ListeningBroker()
    server = await asyncio.start_server(broker.serve, "127.0.0.1", 0)
    broker.port = server.sockets[0].getsockname()[1]
    try:
        yield broker
    finally:
        server.close()
        if broker.writer is not None:
            broker.writer.close()
