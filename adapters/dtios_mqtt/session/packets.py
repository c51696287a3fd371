"""A socket that is read ahead of paho, control packet by control packet (MQTT 5, 2.1).

Most of what a subscriber gets is PUBLISH with QoS 0: it wants no answer, and is read from the bytes as they came. Every other
packet is paho's, and each keeps its place: paho finds one at a time when it reads, and nothing after it is taken before.
"""

import ssl
import time
from typing import Any, Final

from dtios_mqtt.session.messages import Incoming

__all__ = ["PacketSocket"]

_CHUNK: Final = 65_536
_PUBLISH: Final = 0x30
"""Without DUP and with QoS 0; the bit for RETAIN may be set."""
_LONGEST_HEAD: Final = 5


class PacketSocket:
    """Wraps paho's socket (plain, TLS or its websocket)."""

    def __init__(self, inner: Any, *, five: bool) -> None:
        """`five`: MQTT 5, where messages have properties."""
        self._inner = inner
        self._five = five
        self._data = b""
        self._at = 0
        self._parts: list[bytes] = []
        self._size = self._wanted = 0
        self._given = b""
        self._given_at = 0
        self._over: OSError | bool = False
        self.read = 0
        """Bytes received so far."""
        self.received = 0
        """When the last of them were (ns UTC): the time of receipt of all that was complete with them."""

    def fill(self) -> bool:
        """Read once. False where there is nothing to be read now."""
        try:
            data = self._inner.recv(_CHUNK)
        except (BlockingIOError, ssl.SSLWantReadError):
            return False
        except OSError as error:
            self._over = error
            return True
        if not data:
            self._over = True
            return True
        self.received = time.time_ns()
        self.read += len(data)
        self._parts.append(data)
        self._size += len(data)
        if self._size >= self._wanted:  # a large packet comes in many parts, and is put together once
            self._data, self._at = (data if len(self._parts) == 1 else b"".join(self._parts)), 0
            self._parts, self._size, self._wanted = [], 0, 0
        return True

    def messages(self, most: int) -> list[Incoming]:
        """The next complete messages, at most so many, and only those before the next packet of paho's."""
        data, at, end, received = self._data, self._at, len(self._data), self.received
        five, found = self._five, list[Incoming]()
        while at < end and len(found) < most and self._given_at >= len(self._given):
            start, stop = _bounds(data, at, end)
            if stop > end:
                self._parts, self._size, self._wanted = [data[at:]], end - at, stop - at
                data, at = b"", 0
                break
            body = _body(data, start, stop, five) if data[at] & 0xFE == _PUBLISH else 0
            if body:
                topic = str(data[start + 2 : body - five], "utf-8", "replace")
                found.append(Incoming(topic, data[body:stop], 0, bool(data[at] & 1), received))
            elif found:
                break
            else:
                self._given, self._given_at = data[at:stop], 0
            at = stop
        self._data, self._at = data, at
        return found

    @property
    def for_paho(self) -> bool:
        """A packet waits for paho to read it, or the news that no further one comes."""
        return self._given_at < len(self._given) or (self._over is not False and self._at >= len(self._data))

    # --- what paho asks of its socket ---

    def recv(self, size: int) -> bytes:
        if self._given_at >= len(self._given):
            if isinstance(self._over, OSError):
                raise self._over
            if self._over:
                return b""
            raise BlockingIOError
        part = self._given[self._given_at : self._given_at + size]
        self._given_at += len(part)
        return part

    def send(self, data: bytes) -> int:
        sent: int = self._inner.send(data)
        return sent

    def close(self) -> None:
        self._inner.close()

    def fileno(self) -> int:
        number: int = self._inner.fileno()
        return number

    def setblocking(self, flag: bool) -> None:
        self._inner.setblocking(flag)


def _bounds(data: bytes, at: int, end: int) -> tuple[int, int]:
    """Where the packet that begins here has its variable header, and where it ends: beyond `end` where it is not complete."""
    size = shift = 0
    for place in range(at + 1, min(at + _LONGEST_HEAD, end)):
        byte = data[place]
        size |= (byte & 0x7F) << shift
        if byte < 0x80:
            return place + 1, place + 1 + size
        shift += 7
    return end, (end + 1 if end < at + _LONGEST_HEAD else end)  # a length that is none: paho says so


def _body(data: bytes, start: int, stop: int, five: bool) -> int:
    """Where the payload of a PUBLISH with QoS 0 begins. 0 for what is better read by paho: properties, and what is malformed."""
    if stop < start + 2:
        return 0
    width = data[start] << 8 | data[start + 1]
    body = start + 2 + width
    if not width or body + five > stop or (five and data[body]):
        return 0
    return body + five
