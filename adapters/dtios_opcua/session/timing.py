"""The server's clock beside ours: each answer says when it was sent (Part 4, 7.33 ResponseHeader), between our request and its
arrival. Of a few small requests the shortest round trip tells most."""

import time
from typing import Final

import anyio

from dtios.model.values import NO_TIME
from dtios.sdk.adapter import Sink
from dtios_opcua.binary.wire import Reader, Undecodable, ns_from_ticks
from dtios_opcua.errors import LostError
from dtios_opcua.session.channel import Channel, message_of
from dtios_opcua.session.services import Attribute, Service, read_payload

__all__ = ["watch_clock"]

_STATE = ((0, 2259), Attribute.VALUE)  # ServerStatus.State: every server answers it from memory
_TRIES: Final = 5
_EVERY: Final = 30.0
_LIMIT: Final = 2.0
_MILLISECOND: Final = 1_000_000


async def watch_clock(channel: Channel, sink: Sink) -> None:
    """Until cancelled: tell the sink, soon and then twice a minute. What fails is tried again the next time."""
    while True:
        measured = [one for one in [await _measure(channel) for _ in range(_TRIES)] if one is not None]
        if measured:
            offset, error = min(measured, key=lambda one: one[1])
            sink.clock(offset, error)
        await anyio.sleep(_EVERY)


async def _measure(channel: Channel) -> tuple[int, int] | None:
    """(offset, error) in nanoseconds; None where the server gives no time or no answer."""
    sent = time.time_ns()
    began = time.monotonic_ns()
    try:
        answer = channel.hand_over(Service.READ, read_payload([_STATE]), _LIMIT)
        body = await channel.raw(answer, _LIMIT)
        trip = time.monotonic_ns() - began
        reader = Reader(message_of(body))
        reader.node_id()
        server = ns_from_ticks(reader.i64())
    except (LostError, Undecodable):
        return None
    if server == NO_TIME:
        return None
    coarse = _MILLISECOND if server % _MILLISECOND == 0 else 0  # a clock that is read in whole milliseconds
    return server - sent - trip // 2 + coarse // 2, trip // 2 + coarse
