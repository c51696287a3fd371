"""One fault on a stage: server, proxy, runtime, and what must hold after it, whatever it was."""

import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from dtios.model.gap import GapCause
from dtios.runtime.core import Runtime
from dtios.runtime.links.backoff import Backoff
from dtios.sdk.client import Client
from dtios.testing.proxy import FaultProxy
from tests.faults.truth import KEEP_ALIVE, SLACK, Log, Truth, watched

__all__ = ["COUNTERS", "RECOVERY", "Stage", "staged"]

COUNTERS = tuple(f"Counter{n}" for n in range(3))
RECOVERY = Backoff.LIMIT + 5.0
"""Seconds from the end of a fault until data flows, without a person."""


@dataclass
class Stage:
    """`log` gives the server's own account at any time."""

    proxy: FaultProxy
    truth: Truth
    runtime: Runtime
    client: Client
    log: Callable[[], Log]
    took: float = 0.0
    _begun: int = field(default_factory=time.time_ns)

    def begin(self) -> int:
        """The fault begins now."""
        self._begun = time.time_ns()
        return self._begun

    async def recovers(
        self,
        *causes: GapCause,
        signals: Sequence[str] = COUNTERS,
        gap: bool = True,
        slack: float = SLACK,
        untouched: Iterable[str] = (),
    ) -> None:
        """The fault is over: data flows in time, the Gaps are there, name one of `causes`, and are no wider than they may be."""
        healed = time.time_ns()
        self.took = await self.truth.flows(signals, healed, RECOVERY, more=5)
        faults = self.truth.judge(self.log(), signals, slack)
        assert not faults, "\n".join(faults[:5])
        got = self.truth.gaps
        for signal, one in got:
            assert one.cause in causes, f"{signal}: {one}"
            assert one.receive_from is not None
            assert one.receive_to is not None
            wide = (one.receive_to - one.receive_from) / 1e9
            assert wide >= 0
            assert signal not in signals or wide <= self.truth.width(signal, self._begun) + KEEP_ALIVE + slack, f"{signal}: {one}"
            assert one.receive_from >= self._begun - int((KEEP_ALIVE + slack) * 1e9), f"{signal}: {one} began before the fault"
        if gap:
            assert {signal for signal, _ in got} >= set(signals), f"no Gap for some of {signals}: {got}"
        assert {signal for signal, _ in got}.isdisjoint(untouched)
        for _, _, signal, received, delivered, conflated, dropped, pending in await self.client.counters():
            assert received == delivered + conflated + dropped + pending, signal


@asynccontextmanager
async def staged(state: Path, port: int, log: Callable[[], Log], path: str = "", **settings: object) -> AsyncIterator[Stage]:
    """`port`: where the server listens; the runtime reaches it through a proxy."""
    async with FaultProxy(port) as proxy:
        async with watched(state, f"opc.tcp://127.0.0.1:{proxy.port}{path}", **settings) as (truth, runtime, client):
            yield Stage(proxy, truth, runtime, client, log)
        proxy.bury()
