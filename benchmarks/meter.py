"""Counts values and takes the time and the processor seconds between the first and the last."""

import asyncio
import os
import time
from typing import Any

import psutil

__all__ = ["Meter", "rss"]


def rss(*pids: int) -> int:
    """Resident bytes of these processes (this one, if none is named)."""
    return sum(int(psutil.Process(pid).memory_info().rss) for pid in pids or (os.getpid(),))


class Meter:
    """The first message only starts it: what subscribing costs is not in the figure. `pids`: other processes that take part."""

    def __init__(self, count: int, *pids: int) -> None:
        self.count = count
        self.done = asyncio.Event()
        self._processes = [psutil.Process(pid) for pid in (os.getpid(), *pids)]
        self._taken = 0
        self._skip = count // 10
        self._begun: tuple[float, float] | None = None
        self.outcome: dict[str, Any] = {}

    def take(self, values: int) -> None:
        self._taken += values
        if self._begun is None:
            if self._taken > self._skip:  # also the imports and caches of the first values
                self._begun, self._taken = self._now(), 0
        elif self._taken >= self.count and not self.done.is_set():
            wall, cpu = (now - then for now, then in zip(self._now(), self._begun, strict=True))
            self.outcome = {"values": self._taken, "wall": wall, "cpu": cpu}
            self.done.set()

    def _now(self) -> tuple[float, float]:
        return time.perf_counter(), sum(sum(p.cpu_times()[:2]) for p in self._processes)

    async def result(self) -> dict[str, Any]:
        await self.done.wait()
        return self.outcome
