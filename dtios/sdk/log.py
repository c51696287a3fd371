"""An app's log: events with fields, sent to the runtime, which binds the app's name to them."""

from collections import deque
from typing import Any

import anyio
import msgspec

from dtios.sdk.protocol import LogLine

__all__ = ["Log"]

_PLAIN = (bool, int, float, str, type(None))


class Log:
    """`ctx.log.info("parts counted", parts=5)`. Never waits: at most 1,000 lines are kept for the runtime, then the oldest is
    dropped and the number of dropped lines is said with the next."""

    def __init__(self, capacity: int = 1000) -> None:
        self._lines: deque[LogLine] = deque()
        self._capacity = capacity
        self._dropped = 0
        self._written = anyio.Event()

    def debug(self, event: str, **fields: Any) -> None:
        self._write("debug", event, fields)

    def info(self, event: str, **fields: Any) -> None:
        self._write("info", event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        self._write("warning", event, fields)

    def error(self, event: str, **fields: Any) -> None:
        self._write("error", event, fields)

    def _write(self, level: str, event: str, fields: dict[str, Any]) -> None:
        if len(self._lines) >= self._capacity:
            self._lines.popleft()
            self._dropped += 1
        self._lines.append(LogLine(level, str(event), {name: _plain(value) for name, value in fields.items()}))
        self._written.set()

    async def next(self) -> LogLine:
        while not self._lines:
            self._written = anyio.Event()
            await self._written.wait()
        return self._take()

    def put_back(self, line: LogLine) -> None:
        """It could not be sent; the next one who takes a line gets it."""
        self._lines.appendleft(line)

    def drain(self) -> list[LogLine]:
        return [self._take() for _ in range(len(self._lines))]

    def _take(self) -> LogLine:
        line = self._lines.popleft()
        if self._dropped:
            line = msgspec.structs.replace(line, fields={**line.fields, "lines_dropped_before": self._dropped})
            self._dropped = 0
        return line


def _plain(value: Any) -> Any:
    return value if isinstance(value, _PLAIN) else str(value)
