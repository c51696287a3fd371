"""The life of a simulator's process: one JSON line when ready, a quick end when told, and a log of what it was commanded."""

import asyncio
import json
import os
import signal
import sys
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

__all__ = ["CallLog", "announce", "ended"]


def announce(**facts: Any) -> None:
    """The ready line: one JSON object on stdout."""
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


async def ended(with_parent: bool = False) -> None:
    """Returns on SIGTERM or SIGINT, and with `with_parent` when stdin is closed, as by the end of the parent."""
    loop = asyncio.get_running_loop()
    over = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, over.set)
    if with_parent:
        threading.Thread(target=_wait_for_eof, args=(loop, over), name="stdin", daemon=True).start()
    await over.wait()


def _wait_for_eof(loop: asyncio.AbstractEventLoop, over: asyncio.Event) -> None:
    # os.read and not sys.stdin: a daemon thread that holds the lock of a buffered reader aborts the interpreter's end
    while os.read(0, 4096):
        pass
    loop.call_soon_threadsafe(over.set)


class CallLog:
    """Every command as `{"time", "method", "args"}`: in memory and, with a path, as JSON lines that survive kill -9."""

    def __init__(self, path: Path | None = None) -> None:
        self.entries: list[dict[str, Any]] = []
        self._file = path.open("a", encoding="utf-8") if path else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file:
            self._file.close()

    def add(self, method: str, args: Mapping[str, Any] | list[Any], **more: Any) -> None:
        entry = {"time": datetime.now(UTC).isoformat(), "method": method, "args": args, **more}
        self.entries.append(entry)
        if self._file:
            self._file.write(json.dumps(entry, default=str) + "\n")
            self._file.flush()
            os.fsync(self._file.fileno())

    def methods(self) -> list[str]:
        return [entry["method"] for entry in self.entries]
