"""Promise 1 at its root: whatever a consumer does, received = delivered + conflated + dropped (with a Gap) + pending."""

from collections import Counter

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dtios.mapping.conversion import Conversion
from dtios.model.batch import Batch
from dtios.model.gap import Gap, GapCause
from dtios.model.status import BAD_NO_COMMUNICATION
from dtios.runtime.data.consumer import BLOCK_LIMIT, Consumer
from dtios.runtime.data.router import Router
from dtios.runtime.ledger.account import Account
from dtios.sdk.clock import SystemClock

CLOCK = SystemClock()


def batch(handles: list[int], start: int = 0, time: int = 1) -> Batch:
    size = len(handles)
    values = [float(start + i) for i in range(size)]
    return Batch(handles, values, [0] * size, [time] * size, [time] * size, time)


def consumer(handles: list[int], policy: str = "block", capacity: int = 10) -> Consumer:
    return Consumer("test", handles, policy, capacity, CLOCK)  # type: ignore[arg-type]  # parametrised by the tests


async def test_sequence_numbers_count_each_signal_from_one() -> None:
    router = Router(CLOCK, epoch=7)
    a, b = router.register(), router.register()
    taker = consumer([a, b])
    router.attach(taker)
    await router.deliver(batch([a, b, a]))
    await router.deliver(batch([b]))
    first, second = await taker.take(), await taker.take()
    assert first is not None
    assert second is not None
    assert first.batch is not None
    assert second.batch is not None
    assert (first.batch.sequences, second.batch.sequences) == ([1, 1, 2], [2])
    assert first.batch.epoch == 7


async def test_each_consumer_gets_its_signals_and_no_others() -> None:
    router = Router(CLOCK, 1)
    a, b = router.register(), router.register()
    left, right = consumer([a]), consumer([a, b])
    router.attach(left)
    router.attach(right)
    await router.deliver(batch([a, b]))
    one, both = await left.take(), await right.take()
    assert one is not None
    assert both is not None
    assert one.batch is not None
    assert both.batch is not None
    assert one.batch.handles == [a]
    assert both.batch.handles == [a, b]


async def test_values_of_signals_nobody_knows_are_left_out() -> None:
    router = Router(CLOCK, 1)
    a = router.register()
    taker = consumer([a])
    router.attach(taker)
    await router.deliver(batch([a, 999, a]))
    delivery = await taker.take()
    assert delivery is not None
    assert delivery.batch is not None
    assert delivery.batch.handles == [a, a]
    assert delivery.batch.values == [0.0, 2.0]
    assert delivery.batch.sequences == [1, 2]


async def test_conversion_is_applied_to_good_values_only() -> None:
    router = Router(CLOCK, 1)
    a = router.register(Conversion(scale=2.0, offset=1.0))
    taker = consumer([a])
    router.attach(taker)
    await router.deliver(Batch([a, a], [10.0, None], [0, BAD_NO_COMMUNICATION], [1, 2], [1, 2], 3))
    delivery = await taker.take()
    assert delivery is not None
    assert delivery.batch is not None
    assert delivery.batch.values == [21.0, None]


async def test_a_late_consumer_gets_the_present_reading_first_and_it_is_not_counted() -> None:
    router = Router(CLOCK, 1)
    a = router.register()
    await router.deliver(batch([a], start=5))
    taker = consumer([a])
    router.attach(taker)
    delivery = await taker.take()
    assert delivery is not None
    assert delivery.batch is not None
    assert delivery.batch.values == [5.0]
    taker.acknowledge(delivery.number)
    assert taker.account(a).received == 0
    assert taker.account(a).delivered == 0


async def test_a_full_block_queue_holds_the_machine_up_until_there_is_room() -> None:
    router = Router(CLOCK, 1)
    a = router.register()
    taker = consumer([a], capacity=2)
    router.attach(taker)
    await router.deliver(batch([a, a]))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(router.deliver, batch([a], start=2))
        await anyio.sleep(BLOCK_LIMIT / 5)
        assert taker.account(a) == Account(received=3, pending=3)
        assert router.held_since == 1
        assert await taker.take() is not None
    assert router.held_since is None
    assert taker.account(a).received == 3
    assert taker.account(a).dropped == 0


async def test_a_block_queue_that_stays_full_turns_into_drop_oldest_with_a_gap() -> None:
    router = Router(CLOCK, 1)
    a = router.register()
    taker = consumer([a], capacity=2)
    router.attach(taker)
    await router.deliver(batch([a, a], time=10))
    with anyio.fail_after(BLOCK_LIMIT * 4):
        await router.deliver(batch([a], start=2, time=20))
        await router.deliver(batch([a], start=3, time=30))
        await router.deliver(batch([a], start=4, time=40))  # no further wait: it is in overrun until it is empty
    delivery = await taker.take()
    assert delivery is not None
    assert delivery.batch is not None
    ((handle, gap),) = delivery.gaps
    assert handle == a
    assert gap == Gap(GapCause.QUEUE_OVERFLOW, 10, 20, 10, 20, 3)
    assert delivery.batch.values == [3.0]
    assert taker.account(a).balanced


async def test_one_stuck_consumer_does_not_keep_values_from_another() -> None:
    router = Router(CLOCK, 1)
    a = router.register()
    stuck, free = consumer([a], capacity=1), consumer([a], capacity=1000)
    router.attach(stuck)
    router.attach(free)
    await router.deliver(batch([a]))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(router.deliver, batch([a], start=1))
        with anyio.fail_after(BLOCK_LIMIT / 2):
            for _ in range(2):
                assert await free.take() is not None


async def test_latest_conflates_and_counts() -> None:
    router = Router(CLOCK, 1)
    a, b = router.register(), router.register()
    taker = consumer([a, b], policy="latest")
    router.attach(taker)
    for n in range(5):
        await router.deliver(batch([a], start=n))
    await router.deliver(batch([b], start=9))
    delivery = await taker.take()
    assert delivery is not None
    assert delivery.batch is not None
    assert dict(zip(delivery.batch.handles, delivery.batch.values, strict=True)) == {a: 4.0, b: 9.0}
    assert taker.account(a).conflated == 4
    assert delivery.gaps == []
    assert taker.account(a).balanced


async def test_bad_on_loss_reaches_a_full_queue_and_is_not_counted() -> None:
    router = Router(CLOCK, 1)
    a = router.register()
    taker = consumer([a], capacity=1)
    router.attach(taker)
    await router.deliver(batch([a]))
    router.make_up([a], BAD_NO_COMMUNICATION, 50)
    assert (await taker.take()) is not None
    lost = await taker.take()
    assert lost is not None
    assert lost.batch is not None
    assert lost.batch.statuses == [BAD_NO_COMMUNICATION]
    assert lost.batch.values == [None]
    assert taker.account(a).received == 1


async def test_a_loss_before_receipt_comes_at_its_place_in_the_stream() -> None:
    router = Router(CLOCK, 1)
    a = router.register()
    taker = consumer([a])
    router.attach(taker)
    await router.deliver(batch([a]))
    router.miss([a], Gap(GapCause.UNDECODABLE))
    await router.deliver(batch([a], start=1))
    before, after = await taker.take(), await taker.take()
    assert before is not None
    assert after is not None
    assert before.gaps == []
    assert [gap.cause for _, gap in after.gaps] == [GapCause.UNDECODABLE]


async def test_a_closed_consumer_lets_a_waiting_machine_go_on() -> None:
    router = Router(CLOCK, 1)
    a = router.register()
    taker = consumer([a], capacity=1)
    router.attach(taker)
    await router.deliver(batch([a]))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(router.deliver, batch([a], start=1))
        await anyio.lowlevel.checkpoint()
        began = CLOCK.monotonic()
        router.detach(taker)
    assert CLOCK.monotonic() - began < BLOCK_LIMIT / 2
    assert await taker.take() is None
    assert taker.account(a).balanced


@settings(deadline=None, max_examples=200)
@given(
    policy=st.sampled_from(["block", "latest", "drop-oldest"]),
    capacity=st.integers(1, 6),
    steps=st.lists(
        st.one_of(
            st.lists(st.integers(0, 2), min_size=1, max_size=5),  # deliver rows of these signals
            st.sampled_from(["take", "ack", "lose", "bad"]),
        ),
        max_size=40,
    ),
)
@pytest.mark.asyncio(loop_scope="function")
async def test_the_account_balances_whatever_happens(policy: str, capacity: int, steps: list[list[int] | str]) -> None:
    router = Router(CLOCK, 1)
    handles = [router.register() for _ in range(3)]
    taker = consumer(handles, policy, capacity)
    router.attach(taker)
    taken, given_out, seen = [], Counter[int](), Counter[int]()
    told_missing: Counter[int] = Counter()
    for step in steps:
        if isinstance(step, list):
            rows = batch([handles[i] for i in step])
            seen.update(rows.handles)
            if policy == "block" and taker.full_for(rows):
                taker._overrun = True  # as after BLOCK_LIMIT, without waiting for it here
            await router.deliver(rows)
        elif step == "lose":
            router.miss(handles, Gap(GapCause.MESSAGE_MISSED))
        elif step == "bad":
            router.make_up(handles, BAD_NO_COMMUNICATION, 1)
        elif step == "take":
            with anyio.move_on_after(0):
                delivery = await taker.take()
                if delivery is not None:
                    taken.append(delivery.number)
                    for handle, gap in delivery.gaps:
                        if gap.cause is GapCause.QUEUE_OVERFLOW:
                            assert gap.count is not None
                            told_missing[handle] += gap.count
                    if delivery.batch is not None and delivery.batch.sequences:
                        given_out.update(h for h, n in zip(delivery.batch.handles, delivery.batch.sequences, strict=True) if n)
        elif taken:
            taker.acknowledge(taken.pop(0))
    for handle in handles:
        account = taker.account(handle)
        assert account.balanced
        assert account.received == seen[handle]
        assert account.delivered <= given_out[handle]
        assert told_missing[handle] <= account.dropped
