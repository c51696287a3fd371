"""A clock that a test turns by hand. Nothing is patched: what was given this clock follows it, asyncio's own time goes on."""

import asyncio
import heapq
import itertools
from typing import Final

from anyio import Event

__all__ = ["VirtualClock", "settle"]

_START: Final = 1_767_225_600_000_000_000  # 2026-01-01T00:00:00Z
_QUIET_ROUNDS: Final = 3  # a call_soon of a callback that wakes a task needs one round each
_MOST_ROUNDS: Final = 20_000

_settling: set[asyncio.Task[object]] = set()


async def settle() -> None:
    """Let every task of this loop run until all of them wait for something.

    What waits for a socket, a thread or a real timer counts as waiting: a test awaits the effect of those itself. Raises
    RuntimeError naming the task that never comes to rest.
    """
    me = asyncio.current_task()
    assert me is not None
    _settling.add(me)
    try:
        quiet = 0
        for _ in range(_MOST_ROUNDS):
            await asyncio.sleep(0)
            quiet = 0 if _runnable() else quiet + 1
            if quiet == _QUIET_ROUNDS:
                return
        busy = ", ".join(sorted(task.get_name() for task in _runnable()))
        raise RuntimeError(f"the event loop never comes to rest: {busy} runs without waiting for anything")
    finally:
        _settling.discard(me)


def _runnable() -> list[asyncio.Task[object]]:
    return [task for task in asyncio.all_tasks() if task not in _settling and not _waits(task)]


def _waits(task: asyncio.Task[object]) -> bool:
    # The attribute is private but old and stable; anyio's wait_all_tasks_blocked reads it too, only with real sleeps between.
    waiter = getattr(task, "_fut_waiter", None)
    return waiter is not None and not waiter.done()


class VirtualClock:
    """A `Clock` (dtios.sdk.clock) that stands still until `advance`.

        clock = VirtualClock()
        async with Runtime(..., clock=clock): ...
            await clock.advance(5)      # everyone who slept up to 5 s is woken, in order of time

    Sleepers of the same instant wake in the order in which they went to sleep, each only after the one before came to rest.
    """

    def __init__(self, start: int = _START) -> None:
        self._start = start
        self._elapsed = 0  # int nanoseconds, so that a thousand steps of 0.1 s are exactly 100 s
        self._order = itertools.count()
        self._sleepers: list[tuple[int, int, Event]] = []

    def now(self) -> int:
        return self._start + self._elapsed

    def monotonic(self) -> float:
        return self._elapsed / 1e9

    @property
    def sleepers(self) -> int:
        """How many tasks sleep on this clock."""
        return len(self._sleepers)

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        entry = (self._elapsed + _nanoseconds(seconds), next(self._order), Event())
        heapq.heappush(self._sleepers, entry)
        try:
            await entry[2].wait()
        finally:
            if entry in self._sleepers:  # cancelled: nobody is left to wake
                self._sleepers.remove(entry)
                heapq.heapify(self._sleepers)

    async def advance(self, seconds: float) -> None:
        """Go forward by `seconds`, stopping at each instant at which somebody wakes, also those who go to sleep meanwhile."""
        if seconds < 0:
            raise ValueError("a clock only goes forward")
        end = self._elapsed + _nanoseconds(seconds)
        await settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            at, _, woken = heapq.heappop(self._sleepers)
            self._elapsed = max(self._elapsed, at)
            woken.set()
            await settle()
        self._elapsed = max(self._elapsed, end)

    async def settle(self) -> None:
        """Let everything run until it waits, at this very instant."""
        await settle()


def _nanoseconds(seconds: float) -> int:
    return round(seconds * 1e9)
