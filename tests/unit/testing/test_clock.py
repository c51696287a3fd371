"""The virtual clock: order, determinism, and nothing woken too early."""

import asyncio

import anyio
import pytest

from dtios.testing.clock import VirtualClock, settle


async def test_sleepers_wake_in_order_of_time_and_see_their_own_instant() -> None:
    clock, woken = VirtualClock(), []

    async def sleeper(name: str, seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append((name, clock.monotonic()))

    async with anyio.create_task_group() as group:
        for name, seconds in (("c", 3), ("a", 1), ("b", 2), ("a2", 1)):
            group.start_soon(sleeper, name, seconds)
        await clock.advance(10)
    assert woken == [("a", 1), ("a2", 1), ("b", 2), ("c", 3)]
    assert clock.monotonic() == 10


async def test_a_sleeper_that_sleeps_again_is_woken_within_the_same_advance() -> None:
    clock, ticks = VirtualClock(), []

    async def ticker() -> None:
        while True:
            await clock.sleep(0.1)
            ticks.append(clock.now())

    start = clock.now()
    async with anyio.create_task_group() as group:
        group.start_soon(ticker)
        await clock.advance(100)
        group.cancel_scope.cancel()
    assert len(ticks) == 1000
    assert ticks[-1] - start == 100_000_000_000


async def test_nobody_wakes_a_nanosecond_early() -> None:
    clock, done = VirtualClock(), anyio.Event()

    async def sleeper() -> None:
        await clock.sleep(1)
        done.set()

    async with anyio.create_task_group() as group:
        group.start_soon(sleeper)
        await clock.advance(0.999_999_999)
        assert not done.is_set()
        await clock.advance(0.000_000_001)
        assert done.is_set()


async def test_a_cancelled_sleeper_leaves_nothing() -> None:
    clock = VirtualClock()
    async with anyio.create_task_group() as group:
        group.start_soon(clock.sleep, 5)
        await clock.settle()
        assert clock.sleepers == 1
        group.cancel_scope.cancel()
    assert clock.sleepers == 0
    await clock.advance(10)


async def test_settle_lets_a_long_chain_of_tasks_run_to_its_end() -> None:
    hops, stages = [], [anyio.Event() for _ in range(200)]

    async def stage(index: int) -> None:
        await stages[index].wait()
        hops.append(index)
        if index + 1 < len(stages):
            asyncio.get_running_loop().call_soon(stages[index + 1].set)

    async with anyio.create_task_group() as group:
        for index in range(len(stages)):
            group.start_soon(stage, index)
        await settle()
        stages[0].set()
        await settle()
        assert hops == list(range(200))


async def test_two_who_settle_do_not_wait_for_each_other() -> None:
    with anyio.fail_after(2):
        async with anyio.create_task_group() as group:
            group.start_soon(settle)
            group.start_soon(settle)


async def test_a_task_that_never_rests_is_named() -> None:
    async def spin() -> None:
        while True:  # the fault that is tested
            await asyncio.sleep(0)

    async with anyio.create_task_group() as group:
        group.start_soon(spin, name="the spinner")
        with pytest.raises(RuntimeError, match="the spinner"):
            await settle()
        group.cancel_scope.cancel()


async def test_a_clock_never_goes_back() -> None:
    with pytest.raises(ValueError, match="forward"):
        await VirtualClock().advance(-1)
