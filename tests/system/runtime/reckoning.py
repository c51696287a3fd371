"""Holds what was delivered against the plain machine's own numbering: its counters show 1, 2, 3 ..."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio

from dtios.model.gap import Gap
from dtios.model.status import is_good, status_name
from dtios.runtime.configuration.config import RuntimeConfig
from dtios.runtime.core import Runtime
from dtios.runtime.registry import Registry
from dtios.runtime.state import StateDirectory
from dtios.sdk.client import Client
from dtios.sdk.protocol import Policy
from tests.machines.process import python_machine
from tests.runtimes import client_of

__all__ = ["COUNTERS", "KEEP_ALIVE", "Reckoning", "counters", "reckoned"]

COUNTERS = 5
RATE = 200.0
KEEP_ALIVE = 1.5


class Reckoning:
    """Holds what was delivered of each counter against the machine's numbering."""

    def __init__(self) -> None:
        self.last: dict[str, int] = {}
        self.good = 0
        self.bad = 0
        self.gaps: list[Gap] = []
        self.faults: list[str] = []
        self._excused: set[str] = set()
        self.status: dict[str, str] = {}
        self.moved = anyio.Event()

    def gap(self, signal: str, gap: Gap) -> None:
        self.gaps.append(gap)
        self._excused.add(signal)

    def value(self, signal: str, value: int, status: int) -> None:
        self.status[signal] = status_name(status)
        if not is_good(status):
            self.bad += 1
            if value is not None:
                self.faults.append(f"a value {value} came with status {status:#x}")
            return
        self.good += 1
        before = self.last.get(signal)
        if before is not None and value != before + 1 and signal not in self._excused:
            self.faults.append(f"{signal}: after {before} came {value}, and no Gap between them")
        self._excused.discard(signal)
        self.last[signal] = value
        moved, self.moved = self.moved, anyio.Event()
        moved.set()

    async def grows(self, by: int) -> None:
        """Until so many more good values came."""
        until = self.good + by
        with anyio.fail_after(30):
            while self.good < until:
                await self.moved.wait()


@asynccontextmanager
async def reckoned(
    state: Path, url: str, policy: Policy = "block", capacity: int = 10_000, pause: float = 0.0
) -> AsyncIterator[tuple[Reckoning, Runtime, Client]]:
    config = RuntimeConfig.model_validate({"machines": {"m": {"endpoint": url, "settings": {"keep_alive": KEEP_ALIVE}}}})
    reckoning = Reckoning()
    async with Runtime(config, StateDirectory(state), Registry()) as runtime, client_of(runtime) as client:
        async with anyio.create_task_group() as tasks, client.subscribe("m", ["Counter*"], policy, capacity) as stream:

            async def take() -> None:
                async for delivery in stream:
                    for signal, gap in delivery.gaps:
                        reckoning.gap(signal, gap)
                    if delivery.batch is not None:
                        for handle, reading in delivery.batch.rows():
                            reckoning.value(delivery.paths[handle], reading.value, reading.status)
                    await anyio.sleep(pause)

            tasks.start_soon(take, name="take values")
            yield reckoning, runtime, client
            tasks.cancel_scope.cancel()


def counters(port: int = 0, count: int = COUNTERS) -> list[str]:
    return python_machine("tests.machines.plain", "--counters", str(count), "--rate", str(RATE), "--port", str(port))
