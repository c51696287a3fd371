"""What the runtime delivered, held against the server's own log of what it set and when.

Received values and Gaps must account for every value of the server: each comes once and in order, or lies in a Gap that stands
at its place in the stream and reaches over the time when it was set.
"""

import asyncio
import time
from bisect import bisect_left, bisect_right
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio

from dtios.model.gap import Gap
from dtios.model.status import is_good, status_name
from dtios.runtime.configuration.config import RuntimeConfig
from dtios.runtime.core import Runtime
from dtios.runtime.registry import Registry
from dtios.runtime.state import StateDirectory
from dtios.sdk.client import Client
from tests.runtimes import client_of

__all__ = ["KEEP_ALIVE", "PUBLISHING", "SETTINGS", "Log", "Truth", "Value", "watched"]

KEEP_ALIVE = 1.2
PUBLISHING = 0.05
SETTINGS = {"keep_alive": KEEP_ALIVE, "timeout": 2.0, "publishing_interval": PUBLISHING}
SLACK = 1.0
"""Seconds between the setting of a value and its receipt on a computer with better things to do."""
Log = Sequence[tuple[int, int]]
"""(ns UTC, number) of each value, as the server wrote it down."""


@dataclass(frozen=True, slots=True)
class Value:
    """One that was Good. `received` in ns UTC."""

    number: int
    received: int


class Truth:
    """`streams`: Good values and Gaps of each signal in the order in which they came."""

    def __init__(self) -> None:
        self.streams: dict[str, list[Value | Gap]] = {}
        self.status: dict[str, str] = {}
        self.faults: list[str] = []
        self._moved = anyio.Event()

    def gap(self, signal: str, gap: Gap) -> None:
        self.streams.setdefault(signal, []).append(gap)

    def value(self, signal: str, value: object, status: int, received: int) -> None:
        self.status[signal] = status_name(status)
        if is_good(status):
            self.streams.setdefault(signal, []).append(Value(int(value), received))  # type: ignore[call-overload]
        elif value is not None and status >> 31:
            self.faults.append(f"{signal}: a value {value} came with {status_name(status)}")
        moved, self._moved = self._moved, anyio.Event()
        moved.set()

    @property
    def gaps(self) -> list[tuple[str, Gap]]:
        return [(signal, one) for signal, stream in self.streams.items() for one in stream if isinstance(one, Gap)]

    async def flows(self, signals: Iterable[str], since: int, seconds: float, more: int = 3) -> float:
        """Until each signal had `more` Good values after `since` (ns UTC). Returns the seconds from then to the slowest first."""
        try:
            async with asyncio.timeout(seconds):
                while not all(len(self._after(one, since)) >= more for one in signals):
                    await self._moved.wait()
        except TimeoutError:
            still = {one: (self.status.get(one), len(self._after(one, since))) for one in signals}
            raise AssertionError(f"no data within {seconds:g} s: {still}") from None
        return max((self._after(one, since)[0].received - since) / 1e9 for one in signals)

    async def until(self, signal: str, status: str, seconds: float) -> None:
        async with asyncio.timeout(seconds):
            while self.status.get(signal) != status:
                await self._moved.wait()

    def _after(self, signal: str, since: int) -> list[Value]:
        found = []
        for one in reversed(self.streams.get(signal, [])):
            if isinstance(one, Value):
                if one.received <= since:
                    break
                found.append(one)
        return found[::-1]

    # --- the verdict ---

    def judge(self, log: Log, signals: Iterable[str], slack: float = SLACK) -> list[str]:
        """What does not agree with the server's log; empty when all does."""
        times = {number: at for at, number in log}
        found = list(self.faults)
        for signal in signals:
            found += self._judge_one(signal, self.streams[signal], times, int(slack * 1e9))
        return found

    def _judge_one(self, signal: str, stream: list[Value | Gap], times: dict[int, int], slack: int) -> list[str]:
        found: list[str] = []
        before: Value | None = None
        between: list[Gap] = []
        numbers = sorted(times)
        for one in stream:
            if isinstance(one, Gap):
                between.append(one)
                continue
            if one.number not in times:
                found.append(f"{signal}: {one.number} was never set")
            again = before is not None and one.number == before.number and bool(between)  # the present value after a Gap
            if before is not None and one.number <= before.number and not again:
                found.append(f"{signal}: {one.number} came after {before.number}, gaps {between}")
            elif before is not None:
                missing = [n for n in _between(numbers, before.number, one.number) if not _covered(times[n], between, slack)]
                if missing:
                    late = [(times[n] - before.received) / 1e9 for n in (missing[0], missing[-1])]
                    found.append(
                        f"{signal}: {len(missing)} values from {missing[0]} to {missing[-1]} are missing and lie in no Gap: set "
                        f"{late[0]:.3f} to {late[1]:.3f} s after the last was received; {between}"
                    )
            before, between = one, []
        return found

    def forget(self) -> None:
        """All but the last value of each signal."""
        for signal, stream in self.streams.items():
            self.streams[signal] = [one for one in stream if isinstance(one, Value)][-1:]

    def width(self, signal: str, begun: int) -> float:
        """Seconds without a value of this signal around a fault that began at `begun`."""
        values = [one.received for one in self.streams[signal] if isinstance(one, Value)]
        last = max((one for one in values if one <= begun), default=begun)
        after = [b for a, b in zip([last, *values], values, strict=False) if b > begun and b - a > 0.2e9]
        return (max(after, default=begun) - begun) / 1e9


def _between(numbers: list[int], low: int, high: int) -> list[int]:
    return numbers[bisect_right(numbers, low) : bisect_left(numbers, high)]


def _covered(at: int, gaps: list[Gap], slack: int) -> bool:
    return any((one.receive_from or 0) - slack <= at <= (one.receive_to or 2**63) + slack for one in gaps)


@asynccontextmanager
async def watched(state: Path, url: str, **settings: object) -> AsyncIterator[tuple[Truth, Runtime, Client]]:
    """A runtime of its own on one machine `m`, with a consumer of all its counters."""
    config = RuntimeConfig.model_validate({"machines": {"m": {"endpoint": url, "settings": {**SETTINGS, **settings}}}})
    truth = Truth()
    async with Runtime(config, StateDirectory(state), Registry()) as runtime, client_of(runtime) as client:
        async with anyio.create_task_group() as tasks, client.subscribe("m", ["Counter*"], "block", 10_000) as stream:

            async def take() -> None:
                async for delivery in stream:
                    for signal, gap in delivery.gaps:
                        truth.gap(signal, gap)
                    if delivery.batch is not None:
                        for handle, reading in delivery.batch.rows():
                            truth.value(delivery.paths[handle], reading.value, reading.status, reading.receive_time or 0)

            tasks.start_soon(take, name="take values")
            await truth.flows([f"Counter{n}" for n in range(3)], time.time_ns(), 20)
            yield truth, runtime, client
            tasks.cancel_scope.cancel()
