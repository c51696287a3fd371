"""An MQTT server that replays what a machine says as fast as its client takes it: `python -m benchmarks.mqtt_server KIND COUNT`.

KIND is `sparkplug` or `json`, COUNT the values in a message. It speaks as much of MQTT 3.1.1 as a subscriber of one topic
needs; the messages were made before, so that the figure is the client's. Prints its URL.
"""

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from typing import Any, Final

from benchmarks.mqtt_wire import CONNECT, PING, PUBLISH, SUBSCRIBE, packet, packets
from dtios_mqtt.sparkplug.encoding import encode
from dtios_mqtt.sparkplug.metric import Metric, Payload

__all__ = ["JSON_TOPIC", "JSON_VALUES", "METRICS", "json_names", "json_profile"]

METRICS: Final = 100
JSON_TOPIC: Final = "bench/bench/state"
JSON_VALUES: Final = 10
_SETTLE: Final = 2.0
"""Seconds between births and data: until then whoever subscribes is connected."""
_NODE: Final = "spBv1.0/bench/{}/edge"


class Session:
    """One client. What it publishes is acknowledged and forgotten."""

    def __init__(self, kind: str, count: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._kind = kind
        self._count = count
        self._reader = reader
        self._writer = writer
        self._replay: asyncio.Task[None] | None = None

    async def serve(self) -> None:
        try:
            async for head, body in packets(self._reader):
                self._answer(head, body)
        finally:
            if self._replay is not None:
                self._replay.cancel()
            self._writer.close()

    def _answer(self, head: int, body: bytes) -> None:
        kind = head >> 4
        if kind == CONNECT:
            self._send(0x20, b"\0\0")
        elif kind == SUBSCRIBE:
            self._send(0x90, body[:2] + b"\0" * _filters(body[2:]))
            wanted = b"spBv1.0/#" if self._kind == "sparkplug" else b"bench/"
            if wanted in body and self._replay is None:
                self._replay = asyncio.create_task(self._send_all(), name="replay")
        elif kind == PUBLISH and head & 0x06:
            size = int.from_bytes(body[:2], "big")
            self._send(0x40, body[2 + size : 4 + size])
        elif kind == PING:
            self._send(0xD0, b"")

    def _send(self, head: int, body: bytes) -> None:
        self._writer.write(packet(head, body))

    def _message(self, topic: str, payload: bytes) -> bytes:
        name = topic.encode()
        return packet(0x30, len(name).to_bytes(2, "big") + name + payload)

    async def _send_all(self) -> None:
        births, data = (_sparkplug if self._kind == "sparkplug" else _json)(self._count)
        self._writer.write(b"".join(self._message(*one) for one in births))
        await asyncio.sleep(_SETTLE)
        cycle = b"".join(self._message(*one) for one in data)
        while True:
            self._writer.write(cycle)
            await self._writer.drain()


Messages = list[tuple[str, bytes]]


def _sparkplug(count: int) -> tuple[Messages, Messages]:
    """Births, and one turn of sequence numbers, `count` metrics a message by alias."""
    now = time.time_ns() // 1_000_000
    node = [Metric("bdSeq", None, now, 4, 0), Metric("Node Control/Rebirth", None, now, 11, False)]
    device = [Metric(f"v{n}", n, now, 10, 0.5) for n in range(METRICS)]
    births = [
        (_NODE.format("NBIRTH"), encode(Payload(now, 0, node))),
        (_NODE.format("DBIRTH") + "/bench", encode(Payload(now, 1, device))),
    ]
    return births, list(_turn(count, now))


def _turn(count: int, now: int) -> Iterator[tuple[str, bytes]]:
    for turn in range(256):
        metrics = [Metric("", (turn * count + n) % METRICS, now + turn, 10, turn + n / 8) for n in range(count)]
        yield _NODE.format("DDATA") + "/bench", encode(Payload(now + turn, (turn + 2) % 256, metrics))


def json_names(count: int) -> list[str]:
    """Dotted paths of the values: some in the outermost object, most in one below it."""
    return [f"v{n}" if n % 5 == 0 else f"axis{n // 5}.v{n}" for n in range(count)]


def json_profile(count: int) -> str:
    """The profile that describes these messages."""
    values = "".join(f"        - {{path: {name}, type: Double, unit: MTR}}\n" for name in json_names(count))
    return f"""\
profile: bench
topics:
  identity: [machine]
  messages:
    - topic: bench/{{machine}}/state
      time: {{path: ts, format: ms}}
      values:
{values}"""


def _json(count: int) -> tuple[Messages, Messages]:
    now = time.time_ns() // 1_000_000
    messages = [(JSON_TOPIC, json.dumps(_document(count, turn, now)).encode()) for turn in range(256)]
    return messages[:1], messages


def _document(count: int, turn: int, now: int) -> dict[str, Any]:
    made: dict[str, Any] = {"ts": now + turn}
    for n, name in enumerate(json_names(count)):
        *above, last = name.split(".")
        place = made
        for step in above:
            place = place.setdefault(step, {})
        place[last] = turn + n / 8
    return made


def _filters(data: bytes) -> int:
    """How many filters a SUBSCRIBE has: each with a byte for its QoS."""
    at = found = 0
    while at < len(data):
        at += 3 + int.from_bytes(data[at : at + 2], "big")
        found += 1
    return found


async def _main(kind: str, count: int) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await Session(kind, count, reader, writer).serve()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    sys.stdout.write(f"mqtt://127.0.0.1:{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], int(sys.argv[2])))
