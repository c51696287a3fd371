"""Promise 1 whatever happens: several consumers with their policies, which stop and come back, and a runtime that is killed.

The judge is the test's own log of what was sent: for whoever wants every value each one was handed out or lies in a Gap.
"""

import tempfile
from collections import defaultdict
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dtios.model.gap import Gap, GapCause
from dtios.runtime.data.consumer import Consumer, Delivery
from dtios.runtime.ledger.ledger import MARGIN
from dtios.sdk.protocol import Policy
from tests.ledgers import House, Turned, house

POLICIES: Final[tuple[Policy, ...]] = ("block", "latest", "drop-oldest")
SIGNALS: Final = ("a", "b", "c")
STEP: Final = 3 * 10**8
CAPACITY: Final = 3

Step = tuple[str, Policy] | tuple[str, list[str]] | tuple[str]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.lists(st.sampled_from(SIGNALS), min_size=1, max_size=4)),
        st.tuples(st.sampled_from(["take", "acknowledge", "handle all", "stop", "back"]), st.sampled_from(POLICIES)),
        st.tuples(st.sampled_from(["checkpoint", "lose", "kill", "end"])),
    ),
    max_size=40,
)


@dataclass
class Told:
    """What one consumer got, in all its streams. `floor`: no later restart's Gap may begin before it; `clean`: the last time at
    which it had all that there was."""

    consumer: Consumer | None = None
    begun: int = 0
    open: list[Delivery] = field(default_factory=list)
    values: set[tuple[str, int]] = field(default_factory=set)
    gaps: list[tuple[str, Gap]] = field(default_factory=list)
    clean: int = 0
    floor: int = 0


class World:
    def __init__(self, stack: AsyncExitStack, folder: Path) -> None:
        self.clock = Turned()
        self.sent: dict[str, list[int]] = defaultdict(list)
        self.told = {policy: Told() for policy in POLICIES}
        self._folder = folder
        self._stack = stack
        self.house: House

    async def start(self) -> None:
        self.house = await self._stack.enter_async_context(house(self._folder, self.clock))
        self.handles = {path: self.house.signal(path) for path in SIGNALS}

    async def do(self, what: str, *which: object) -> None:
        self.clock.time += STEP
        await getattr(self, what.replace(" ", "_"))(*which)
        for told in self.told.values():
            consumer = told.consumer
            if consumer is not None and consumer.complete(2**63) == 2**63 and not consumer.owed:
                told.clean = self.clock.time

    async def send(self, paths: list[str]) -> None:
        for path in set(paths):
            self.sent[path].append(self.clock.time)
        with anyio.move_on_after(0):  # who waits for room is cancelled, as by a lost connection
            await self.house.deliver(*(self.handles[path] for path in dict.fromkeys(paths)), after=0)

    async def take(self, policy: Policy) -> None:
        told = self.told[policy]
        if told.consumer is None:
            return
        with anyio.move_on_after(0):
            delivery = await told.consumer.take()
            assert delivery is not None
            told.open.append(delivery)
            told.gaps += [(self.house.paths[handle], gap) for handle, gap in delivery.gaps]
            if delivery.batch is not None and delivery.batch.sequences:
                rows = zip(delivery.batch.handles, delivery.batch.source_times, delivery.batch.sequences, strict=True)
                told.values |= {(self.house.paths[handle], at) for handle, at, number in rows if number}

    async def acknowledge(self, policy: Policy) -> None:
        told = self.told[policy]
        if told.consumer is not None and told.open:
            assert told.consumer.acknowledge(told.open.pop(0).number)

    async def handle_all(self, policy: Policy) -> None:
        told, before = self.told[policy], -1
        while before != (before := len(told.values) + len(told.gaps)):
            while told.open:
                await self.acknowledge(policy)
            await self.take(policy)
        while told.open:
            await self.acknowledge(policy)

    async def stop(self, policy: Policy) -> None:
        told = self.told[policy]
        if told.consumer is not None:
            self.house.router.detach(told.consumer)
            told.consumer, told.open = None, []

    async def back(self, policy: Policy) -> None:
        told = self.told[policy]
        if told.consumer is None:
            told.consumer = await self.house.enter(f"app/{policy}", *self.handles.values(), policy=policy)
            told.consumer.capacity = CAPACITY
            told.begun = told.begun or self.clock.time

    async def checkpoint(self) -> None:
        await self.house.ledger.checkpoint()
        for told in self.told.values():
            told.floor = max(told.floor, told.clean - MARGIN)

    async def lose(self) -> None:
        self.house.router.miss(self.handles.values(), Gap(GapCause.MESSAGE_MISSED, receive_from=self.clock.time))

    async def end(self) -> None:
        self.house.ledger.ending()
        for policy in POLICIES:
            await self.stop(policy)
        await self.checkpoint()
        await self.kill()

    async def kill(self) -> None:
        self.check_accounts()
        await self._stack.aclose()
        for told in self.told.values():
            told.consumer, told.open = None, []
            told.clean = told.floor + MARGIN  # what was not written down is not known any more
        self.clock.time += STEP
        for path in SIGNALS:
            self.sent[path].append(self.clock.time)  # nobody hears of this one
        self.clock.time += STEP
        await self.start()

    def check_accounts(self) -> None:
        for view in self.house.views().values():
            assert view.balanced, view

    def judge(self) -> None:
        self.check_accounts()
        for policy, told in self.told.items():
            for _, gap in told.gaps:
                assert gap.receive_from is not None
                if gap.cause is GapCause.RUNTIME_RESTART:
                    assert gap.receive_to is not None
                    assert gap.receive_from <= gap.receive_to
            for path in SIGNALS:
                gaps = [gap for one, gap in told.gaps if one == path]
                missing = [at for at in self.sent[path] if at > told.begun and (path, at) not in told.values]
                lost = [at for at in missing if not any(_within(at, gap) for gap in gaps)]
                assert policy == "latest" or lost == [], f"{policy} {path}: {lost}, {gaps}"
                assert (path, self.sent[path][-1]) in told.values


def _within(at: int, gap: Gap) -> bool:
    return (gap.receive_from or 0) <= at <= (gap.receive_to or 2**63)


@settings(deadline=None, max_examples=60)
@given(steps=STEPS)
@pytest.mark.asyncio(loop_scope="function")
async def test_each_value_was_handed_out_or_lies_in_a_gap(steps: list[Step]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with AsyncExitStack() as stack:
            world = World(stack, Path(folder))
            await world.start()
            for policy in POLICIES:
                await world.back(policy)
            for step in steps:
                floors = {policy: (told.floor, len(told.gaps)) for policy, told in world.told.items()}
                await world.do(*step)
                for policy, (floor, known) in floors.items():
                    for _, gap in world.told[policy].gaps[known:]:
                        if gap.cause is GapCause.RUNTIME_RESTART:
                            assert (gap.receive_from or 0) >= floor, "wider than from the last checkpoint"
            for policy in POLICIES:
                await world.do("back", policy)
            await world.do("send", list(SIGNALS))
            for policy in POLICIES:
                await world.do("handle all", policy)
            world.judge()
