"""A server that replays notification messages encoded beforehand, as fast as it is asked: so that the client is what saturates.

Sessions, reads and monitored items are asyncua's; only a Publish is answered here, from bytes, with the client's handles and
correct sequence numbers.
"""

import asyncio
import random
import struct
import time
from typing import Any

from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.server import binary_server_asyncio
from asyncua.server.uaprocessor import UaProcessor
from asyncua.ua.ua_binary import nodeid_from_binary, struct_from_binary

__all__ = ["Replay", "install"]

_EPOCH = 116_444_736_000_000_000  # 1601 to 1970 in 100 ns
_RESPONSE = struct.Struct("<BBHqIIBiBBB")
_MESSAGE = struct.Struct("<IiBIq")
_NOTIFICATION = struct.Struct("<iBBHBi")
_ITEM = struct.Struct("<IBBdqq")
_VARIANTS = 8
_LEAD = 0.3
"""Seconds between the last monitored item and the first message: what the client does after subscribing is not measured."""


def _ticks() -> int:
    return time.time_ns() // 100 + _EPOCH


def _encode(handles: list[int], seed: int) -> bytes:
    """The NotificationData of one message: a DataChangeNotification (Part 4, 7.25.2) of Doubles with both times."""
    values = random.Random(seed)
    now = _ticks()
    items = b"".join(_ITEM.pack(handle, 0x0D, 11, values.uniform(0, 100), now, now) for handle in handles)
    body = struct.pack("<i", len(handles)) + items + struct.pack("<i", 0)
    return _NOTIFICATION.pack(1, 1, 0, 811, 1, len(body)) + body


class Replay:
    """One subscription of one session, once `count` items are monitored."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._handles: list[int] = []
        self._subscription = 0
        self._bodies: list[bytes] = []
        self._sequence = 0
        self._waiting: list[tuple[Any, int, int, int]] = []

    def monitor(self, subscription: int, handles: list[int]) -> None:
        self._handles += handles
        self._subscription = subscription
        if len(self._handles) >= self._count and not self._bodies:
            asyncio.get_running_loop().call_later(_LEAD, self._begin)

    def _begin(self) -> None:
        self._bodies = [_encode(self._handles, seed) for seed in range(_VARIANTS)]
        waiting, self._waiting = self._waiting, []
        for request in waiting:
            self.publish(*request)

    def publish(self, processor: UaProcessor, request: int, handle: int, acknowledged: int) -> None:
        """Answer one PublishRequest, now or when there is something to say."""
        if not self._bodies:
            self._waiting.append((processor, request, handle, acknowledged))
            return
        self._sequence += 1
        now = _ticks()
        head = _RESPONSE.pack(1, 0, 829, now, handle, 0, 0, 0, 0, 0, 0)
        message = _MESSAGE.pack(self._subscription, 0, 1, self._sequence, now)
        tail = struct.pack(f"<i{acknowledged}Ii", acknowledged, *(0,) * acknowledged, 0)
        body = head + message + self._bodies[self._sequence % _VARIANTS] + tail
        processor._transport.write(processor._connection.message_to_binary(body, request_id=request))


class _ReplayProcessor(UaProcessor):
    count = 2_000

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._replay = Replay(self.count)

    async def process_message(self, seqhdr: Any, body: Any) -> Any:
        ahead = body.copy()
        kind = nodeid_from_binary(ahead).Identifier
        if kind == ua.ObjectIds.CreateMonitoredItemsRequest_Encoding_DefaultBinary:
            self._note_items(ahead)
        if kind != ua.ObjectIds.PublishRequest_Encoding_DefaultBinary:
            return await super().process_message(seqhdr, body)
        header = struct_from_binary(ua.RequestHeader, ahead)
        acknowledged = max(struct.unpack("<i", ahead.read(4))[0], 0)
        if self.session is not None:
            self.session.touch()
        self._replay.publish(self, seqhdr.RequestId, header.RequestHandle, acknowledged)
        return True

    def _note_items(self, body: Buffer) -> None:
        struct_from_binary(ua.RequestHeader, body)
        asked = struct_from_binary(ua.CreateMonitoredItemsParameters, body)
        handles = [item.RequestedParameters.ClientHandle for item in asked.ItemsToCreate]
        self._replay.monitor(asked.SubscriptionId, handles)


def install(count: int) -> None:
    """From now on every server of this process replays to each session that monitors `count` items."""
    _ReplayProcessor.count = count
    binary_server_asyncio.UaProcessor = _ReplayProcessor
