"""A ledger's house: a router and a ledger over a journal that outlives them, and a clock that the test turns."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio

from dtios.model.batch import Batch
from dtios.model.gap import Gap
from dtios.runtime.commands.journal import Journal
from dtios.runtime.data.consumer import Consumer
from dtios.runtime.data.router import Router
from dtios.runtime.ledger.ledger import Ledger
from dtios.sdk.protocol import LedgerView, Policy

__all__ = ["SECOND", "House", "Turned", "handled", "house"]

SECOND = 10**9


class Turned:
    """A clock that the test turns."""

    def __init__(self) -> None:
        self.time = 1_000 * SECOND

    def now(self) -> int:
        return self.time

    def monotonic(self) -> float:
        return self.time / SECOND

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(seconds)


@dataclass
class House:
    """One runtime's router and ledger over a journal that outlives them. `paths` are the signals of the machine `m`."""

    journal: Journal
    router: Router
    ledger: Ledger
    clock: Turned
    paths: dict[int, str] = field(default_factory=dict)
    heard: int | None = None
    lost: dict[int, int] = field(default_factory=dict)
    """When the machine was heard of last (ns UTC), None: just now; and which signals are lost since when."""

    def signal(self, path: str) -> int:
        handle = self.router.register()
        self.paths[handle] = path
        return handle

    def _heard(self) -> tuple[int, dict[int, int]]:
        return 2**63 - 1 if self.heard is None else self.heard, self.lost

    async def enter(self, name: str, *handles: int, policy: Policy = "block", lasting: bool = True) -> Consumer:
        consumer = Consumer(name, handles, policy, 10, self.clock)
        paths = {h: self.paths[h] for h in handles}
        await self.ledger.enter(
            consumer, "m", paths, lambda: (2**63 - 1 if self.heard is None else self.heard, self.lost), lasting=lasting
        )
        self.router.attach(consumer)
        return consumer

    async def deliver(self, *handles: int, after: int = SECOND) -> int:
        """A message some time later; when it was received."""
        self.clock.time += after
        size = len(handles)
        now = self.clock.time
        await self.router.deliver(Batch(list(handles), [0.0] * size, [0] * size, [now] * size, [now] * size, now))
        return now

    def views(self) -> Mapping[str, LedgerView]:
        return {view.consumer: view for view in (entry.view("m") for entry in self.ledger)}


@asynccontextmanager
async def house(folder: Path, clock: Turned) -> AsyncIterator[House]:
    """What is left open at the end is left as by a kill -9: nothing is written any more."""
    journal = await Journal.open(folder / "journal.sqlite3", clock.now())
    router = Router(clock, journal.epoch)
    try:
        yield House(journal, router, await Ledger.open(journal, router, clock, lambda: 1.0), clock)
    finally:
        await journal.aclose()


async def handled(consumer: Consumer) -> list[tuple[int, Gap]]:
    """All that is there, taken and acknowledged; the Gaps."""
    gaps: list[tuple[int, Gap]] = []
    with anyio.move_on_after(0.01):
        while (delivery := await consumer.take()) is not None:
            gaps += delivery.gaps
            consumer.acknowledge(delivery.number)
    return gaps
