"""The one message transport between the runtime and whoever uses it: an app in its own process, one inline, a command.

A frame is bytes with a length before it (uint32, little endian) where the carrier is a stream. Frames stay in order; `send`
waits while the other end does not take them, and that is the back-pressure.
"""

import math
import struct
from typing import Protocol

import anyio
from anyio.abc import ByteStream
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

__all__ = ["MAX_FRAME", "Closed", "MemoryTransport", "StreamTransport", "Transport", "memory_pair"]

MAX_FRAME = 256 * 2**20
_LENGTH = struct.Struct("<I")
_READ = 256 * 1024


class Closed(Exception):
    """The other end is gone."""


class Transport(Protocol):
    async def send(self, frame: bytes) -> None:
        """Raises Closed."""
        ...

    async def receive(self) -> bytes:
        """Raises Closed."""
        ...

    async def aclose(self) -> None: ...


class StreamTransport:
    """Frames over a byte stream: a socket pair to a process, or the runtime's local socket."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._buffer = bytearray()
        self._sending = anyio.Lock()

    async def send(self, frame: bytes) -> None:
        if len(frame) > MAX_FRAME:
            raise ValueError(f"a frame of {len(frame)} bytes is longer than {MAX_FRAME}")
        try:
            async with self._sending:
                # A cancelled half frame would spoil the stream for everyone after it.
                with anyio.CancelScope(shield=True), anyio.move_on_after(math.inf):
                    await self._stream.send(_LENGTH.pack(len(frame)) + frame)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError) as error:
            raise Closed from error

    async def receive(self) -> bytes:
        await self._fill(_LENGTH.size)
        (length,) = _LENGTH.unpack_from(self._buffer)
        if length > MAX_FRAME:
            raise Closed(f"the other end announced a frame of {length} bytes")
        await self._fill(_LENGTH.size + length)
        frame = bytes(memoryview(self._buffer)[_LENGTH.size : _LENGTH.size + length])
        del self._buffer[: _LENGTH.size + length]
        return frame

    async def _fill(self, size: int) -> None:
        while len(self._buffer) < size:
            try:
                self._buffer += await self._stream.receive(_READ)
            except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError, OSError) as error:
                raise Closed from error

    async def aclose(self) -> None:
        await self._stream.aclose()


class MemoryTransport:
    """The same frames within one process."""

    def __init__(self, out: MemoryObjectSendStream[bytes], into: MemoryObjectReceiveStream[bytes]) -> None:
        self._out = out
        self._into = into

    async def send(self, frame: bytes) -> None:
        try:
            await self._out.send(frame)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError) as error:
            await self.aclose()  # a pair dies as one, and nobody has to close what the other end has left
            raise Closed from error

    async def receive(self) -> bytes:
        try:
            return await self._into.receive()
        except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError) as error:
            await self.aclose()
            raise Closed from error

    async def aclose(self) -> None:
        self._out.close()
        self._into.close()


def memory_pair(capacity: int = 16) -> tuple[MemoryTransport, MemoryTransport]:
    """Two ends; each holds at most `capacity` frames that the other has not taken, then `send` waits (policy: block)."""
    to_left, from_right = anyio.create_memory_object_stream[bytes](capacity)
    to_right, from_left = anyio.create_memory_object_stream[bytes](capacity)
    return MemoryTransport(to_right, from_right), MemoryTransport(to_left, from_left)
