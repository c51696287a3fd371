"""What waits to be sent to one client."""

from typing import Final

import anyio

__all__ = ["MOST", "Outbox"]

MOST: Final = 50_000
"""Lines that wait for one client. One that reads slower is cut off: the plant waits for nobody, and loses nothing quietly."""


class Outbox:
    """Lines in order. Full, it closes itself (`overflown`)."""

    def __init__(self) -> None:
        self._lines: list[bytes] = []
        self._more = anyio.Event()
        self.overflown = False

    def put(self, line: bytes) -> None:
        if len(self._lines) >= MOST:
            self.overflown = True
        else:
            self._lines.append(line)
        self._more.set()

    async def take(self) -> bytes:
        """All that waits, joined."""
        await self._more.wait()
        self._more = anyio.Event()
        lines, self._lines = self._lines, []
        return b"".join(lines)
