"""Notices when the event loop does not turn, and names who holds it: promise 4 does not hold inline, so it is said aloud."""

import asyncio
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import structlog

from dtios.runtime.apps.blocker import is_foreign

__all__ = ["watchdog"]


@contextmanager
def watchdog(log: Any = None, *, limit: float = 0.5) -> Iterator[None]:
    """Watch the running loop from a thread. Logs `event loop blocked` (app, handler, file, line, function) once for each
    time that it does not turn for `limit` seconds, and `event loop turns again` with how long it was."""
    loop = asyncio.get_running_loop()
    watcher = _Watcher(loop, threading.get_ident(), limit, log or structlog.get_logger("dtios.watchdog"))
    thread = threading.Thread(target=watcher.run, name="watchdog", daemon=True)
    thread.start()
    try:
        yield
    finally:
        watcher.ended.set()
        thread.join()


class _Watcher:
    def __init__(self, loop: asyncio.AbstractEventLoop, thread: int, limit: float, log: Any) -> None:
        self._loop = loop
        self._thread = thread
        self._limit = limit
        self._log = log
        self._turned = threading.Event()
        self.ended = threading.Event()

    def run(self) -> None:
        while not self.ended.wait(self._limit / 4):
            self._turned.clear()
            self._loop.call_soon_threadsafe(self._turned.set)
            asked = time.monotonic()
            if not self._turns_within(self._limit):
                self._name_the_blocker()
                while not self._turns_within(self._limit):
                    if self.ended.is_set():
                        return
                self._log.warning("event loop turns again", blocked=round(time.monotonic() - asked, 3))

    def _turns_within(self, seconds: float) -> bool:
        return self._turned.wait(seconds)

    def _name_the_blocker(self) -> None:
        task = asyncio.current_task(self._loop)
        frame = sys._current_frames().get(self._thread)
        found = _foreign(frame)
        place = {"file": found.f_code.co_filename, "line": found.f_lineno, "function": found.f_code.co_name} if found else {}
        name = "" if task is None else task.get_name()
        _, app, handler = name.split(":", 2) if name.count(":") >= 2 and name.startswith("app:") else ("", None, None)
        self._log.error("event loop blocked", app=app, handler=handler, task=name, seconds=self._limit, **place)


def _foreign(frame: FrameType | None) -> FrameType | None:
    """The innermost frame that is neither of the runtime nor of the standard library; else the innermost."""
    innermost = frame
    while frame is not None:
        if is_foreign(frame.f_code.co_filename):
            return frame
        frame = frame.f_back
    return innermost
