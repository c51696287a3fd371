"""A socket that paho may read byte by byte without a system call for each."""

import ssl
from typing import Any

__all__ = ["BufferedSocket"]

_CHUNK = 65_536


class BufferedSocket:
    """Wraps paho's socket (plain, TLS or its websocket). `dry`: the last read found nothing more to read."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self._data = b""
        self._at = 0
        self.dry = False
        self.read = 0
        """Bytes received so far."""

    def recv(self, size: int) -> bytes:
        if self._at >= len(self._data):
            try:
                self._data, self._at = self._inner.recv(_CHUNK), 0
            except (BlockingIOError, ssl.SSLWantReadError):
                self.dry = True
                raise
            self.read += len(self._data)
        part = self._data[self._at : self._at + size]
        self._at += len(part)
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
