"""As much of MQTT 3.1.1 on the wire as the servers of the benchmarks need."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

__all__ = ["CONNECT", "PING", "PUBLISH", "SUBSCRIBE", "packet", "packets"]

CONNECT: Final = 1
PUBLISH: Final = 3
SUBSCRIBE: Final = 8
PING: Final = 12


async def packets(reader: asyncio.StreamReader) -> AsyncIterator[tuple[int, bytes]]:
    """(first byte, body) of each packet, until the client is gone."""
    try:
        while True:
            head = (await reader.readexactly(1))[0]
            size = shift = 0
            while True:
                byte = (await reader.readexactly(1))[0]
                size |= (byte & 0x7F) << shift
                shift += 7
                if byte < 0x80:
                    break
            yield head, await reader.readexactly(size)
    except (asyncio.IncompleteReadError, ConnectionError):
        return


def packet(head: int, body: bytes) -> bytes:
    """A packet as it goes over the wire."""
    return bytes([head]) + _size(len(body)) + body


def _size(number: int) -> bytes:
    made = bytearray()
    while number > 0x7F:
        made.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*made, number])
