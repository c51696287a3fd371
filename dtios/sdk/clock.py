"""Time as the runtime and apps see it, so that tests can turn it. Never asyncio's own clock: keep-alives live on that."""

import time
from typing import Protocol

import anyio

__all__ = ["Clock", "SystemClock"]


class Clock(Protocol):
    def now(self) -> int:
        """Nanoseconds since 1970 UTC: for records, never for time-outs."""
        ...

    def monotonic(self) -> float:
        """Seconds that only go forward: time-outs, leases and staleness run on it."""
        ...

    async def sleep(self, seconds: float) -> None: ...


class SystemClock:
    def now(self) -> int:
        return time.time_ns()

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(seconds)
