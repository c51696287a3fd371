"""Whatever happens in whatever order: each value that was secured comes, or lies in a Gap; numbers never stand for two things."""

import asyncio
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import anyio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dtios.model.gap import Gap, GapCause
from dtios.sdk.forwarding import Outbox, Parcel, Receipt, Uplink, open_outbox
from tests.unit.forwarding.senders import SECOND, Receiver, Sender, Turned

SIZE = 2_500
"""Bytes: a dozen parcels."""
AGE = 100.0

_step = st.one_of(
    st.tuples(st.just("hand in"), st.sampled_from(["m", "n"]), st.integers(0, 3)),
    st.tuples(st.just("hand in"), st.sampled_from(["m", "n"]), st.integers(1, 3)),
    st.tuples(st.just("connect")),
    st.tuples(st.just("take"), st.integers(1, 6), st.booleans()),
    st.tuples(st.just("acknowledge")),
    st.tuples(st.just("disconnect")),
    st.tuples(st.just("wait")),
    st.tuples(st.just("later"), st.integers(1, 60)),
    st.tuples(st.just("kill")),
)


class World:
    """One publisher through its lives: what it handed in, and what its receiver has."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = Turned()
        self.senders = {name: Sender(name) for name in ("m", "n")}
        self.receiver = Receiver()
        self.life = 0
        self.receipts: list[Receipt] = []
        self.taken: list[Parcel] = []
        self.historical: list[Parcel] = []
        self.outbox: Outbox
        self.uplink: Uplink | None = None
        self._stack = AsyncExitStack()
        self._link = AsyncExitStack()

    async def begin(self) -> None:
        opened = open_outbox(self.folder / str(self.life), self.clock, size=SIZE, age=AGE, linger=0.002)
        self.outbox = await self._stack.enter_async_context(opened)

    async def kill(self) -> None:
        """What a process leaves that is gone between two of its instructions: its files. What was not secured may be lost."""
        before = self.folder / str(self.life)
        self.life += 1
        for suffix in ("", "-wal"):
            if (file := Path(f"{before}{suffix}")).exists():
                shutil.copy(file, f"{self.folder / str(self.life)}{suffix}")
        for receipt in self.receipts:
            if not receipt.is_secured:
                self._forget(receipt.parcel)
        self.receipts.clear()
        await self.end()
        await self.begin()

    def _forget(self, parcel: Parcel) -> None:
        sent = self.senders[parcel.machine].sent
        for delivery in parcel.deliveries:
            for handle, row in delivery.batch.rows() if delivery.batch is not None else ():
                assert row.receive_time is not None
                sent[delivery.paths[handle]].remove(row.receive_time)

    async def end(self) -> None:
        await self.disconnect()
        await self._stack.aclose()

    async def connect(self) -> None:
        if self.uplink is None:
            self.uplink = await self._link.enter_async_context(self.outbox.uplink(live=5, historical=3, share=2))
            self.historical = []

    async def disconnect(self) -> None:
        self.uplink = None
        self.taken = []
        await self._link.aclose()

    async def take(self, most: int, acknowledge: bool, patience: float = 0.003) -> int:
        taken = 0
        while self.uplink is not None and taken < most:
            with anyio.move_on_after(patience) as waiting:
                parcel = await self.uplink.take()
            if waiting.cancelled_caught:
                break
            taken += 1
            self.receiver.take([parcel])
            if parcel.historical:
                assert not self.historical or self.historical[-1].position < parcel.position
                self.historical.append(parcel)
            if acknowledge:
                self.uplink.acknowledge(parcel)
            else:
                self.taken.append(parcel)
        return taken

    async def take_all(self) -> None:
        """Until nothing is left anywhere."""
        with anyio.fail_after(10):
            while await self.take(10_000, True) or self.outbox.figures.size or not all(r.is_secured for r in self.receipts):
                pass

    def hand_in(self, machine: str, values: int) -> None:
        gaps = [] if values else [("a", Gap(GapCause.CONNECTION_LOST))]
        self.receipts.append(self.outbox.hand_in([self.senders[machine].delivery(values, *gaps)]))

    def acknowledge(self) -> None:
        if self.uplink is not None:
            self.uplink.acknowledge(*self.taken)
        self.taken = []

    async def step(self, what: str, *arguments: Any) -> None:
        match what:
            case "hand in":
                self.hand_in(*arguments)
            case "take":
                await self.take(*arguments)
            case "acknowledge":
                self.acknowledge()
            case "later":
                self.clock.time += arguments[0] * SECOND
            case "wait":
                await anyio.sleep(0.004)
            case _:
                await getattr(self, what)()


async def live(steps: Sequence[tuple[Any, ...]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        await world.begin()
        try:
            for step in steps:
                await world.step(*step)
            await world.disconnect()
            await world.connect()
            await world.take_all()
            for sender in world.senders.values():
                assert world.receiver.missing(sender) == []
            told = sum(gap.count or 0 for _, _, gap in world.receiver.gaps if gap.cause is GapCause.STORE_OVERFLOW)
            assert told >= world.outbox.figures.lost
            if not any(step[0] in ("disconnect", "kill") for step in steps):
                assert told == world.outbox.figures.lost
                assert world.receiver.doubles == 0 or any(step[0] == "take" for step in steps)
        finally:
            await world.end()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(_step, max_size=60))
def test_every_secured_value_comes_or_lies_in_a_gap(steps: list[tuple[Any, ...]]) -> None:
    asyncio.run(live(steps))
