"""An app in the real runtime, in memory: what it is given, in which order, and what becomes of its faults."""

import anyio
import pytest

from dtios.sdk import (
    App,
    AppConfig,
    Change,
    ConfigurationError,
    Context,
    Delivery,
    JobView,
    MachineChange,
    RefusedError,
)
from dtios.testing import METHOD_PROFILE, AppFailure, MemoryServer, VirtualClock, app_under_test, method_machine

PRODUCE = "urn:dtios:capability:produce"


class Config(AppConfig):
    n: int = 0


def filler(name: str = "filler") -> MemoryServer:
    return method_machine(name, clock=VirtualClock(), duration=1.0)


def speed_of(machine: MemoryServer) -> str:
    return machine.find(f"Machines/{machine.name}/Speed").address


async def test_values_come_in_order_each_once_and_a_batch_handler_sees_the_same() -> None:
    app = App("ordered", config=Config)
    role = app.needs("filler", signals=["Speed"])
    seen: list[object] = []
    columns: list[object] = []
    calls = 0

    @app.on_change(role)
    async def one(ctx: Context[Config], change: Change) -> None:
        nonlocal calls
        calls += 1
        assert calls == 1, "two calls of one handler at once"
        await anyio.lowlevel.checkpoint()
        seen.append(change.value)
        calls -= 1

    @app.on_batch(role, "**/Speed", "Speed")
    async def many(ctx: Context[Config], delivery: Delivery) -> None:
        assert delivery.batch is not None
        columns.extend(delivery.batch.values)
        assert set(delivery.paths.values()) == {"Speed"}

    machine = filler()
    async with app_under_test(app, [machine], profiles=[METHOD_PROFILE]) as t:
        for value in range(50):
            machine.set(speed_of(machine), float(value))
        await t.until(lambda: len(seen) == 51 and len(columns) == 51)
    assert seen == columns == [60.0, *map(float, range(50))]


async def test_a_lost_machine_is_bad_values_and_a_gap_never_an_old_value() -> None:
    app = App("gaps", config=Config)
    role = app.needs("filler", signals=["Speed"])
    seen: list[Change] = []

    @app.on_change(role, "Speed")
    async def one(ctx: Context[Config], change: Change) -> None:
        seen.append(change)

    machine = filler()
    async with app_under_test(app, [machine], profiles=[METHOD_PROFILE]) as t:
        await t.until(lambda: len(seen) == 1)
        machine.drop()
        await t.until(lambda: any(c.is_bad for c in seen))
        assert seen[1].value is None
        assert seen[1].number != seen[1].number
        await t.until(lambda: seen[-1].is_good and len(seen) > 2)
        assert any(c.gap is not None for c in seen[1:])


async def test_jobs_store_questions_and_machines() -> None:
    app = App("worker", config=Config)
    role = app.needs("filler", capability=PRODUCE)
    states: list[str] = []
    changes: list[bool] = []

    @app.on_job(role)
    async def job_state(ctx: Context[Config], view: JobView) -> None:
        states.append(view.state)

    @app.on_machine(role)
    async def came(ctx: Context[Config], change: MachineChange) -> None:
        changes.append(change.machine.is_online)

    @app.main
    async def work(ctx: Context[Config]) -> None:
        machine = await ctx.machine(role)
        assert [m.name for m in ctx.machines(capability=PRODUCE)] == ["filler"]
        assert await ctx.ask("shall I?", ["yes", "no"]) == "yes"
        await ctx.store.put("job", "j-1")
        job = await machine.skill(PRODUCE).start(job=await ctx.store.get("job"))
        again = await machine.skill(PRODUCE).start(job="j-1")
        assert again.id == job.id
        outcome = await job.outcome()
        assert (await machine.read("Made")).value == 1
        assert (await machine.write("Speed", 80.0)).confirmed
        await ctx.store.delete("job")
        assert await ctx.store.keys() == []
        ctx.log.info("done", state=outcome.state)

    machine = filler()
    async with app_under_test(app, [machine], profiles=[METHOD_PROFILE]) as t:
        assert await t.answer("yes") == "shall I?"
        await t.until(lambda: "done" in t.said)
        assert states[-1] == "Ended"
        assert changes[0] is True
        machine.drop()
        await t.until(lambda: False in changes)


async def test_what_is_not_granted_is_refused() -> None:
    app = App("guest", config=Config)
    role = app.needs("filler", signals=["Speed"])

    @app.main
    async def work(ctx: Context[Config]) -> None:
        machine = await ctx.machine(role)
        for forbidden in (
            lambda: machine.write("Speed", 1.0),
            lambda: machine.skill(PRODUCE).start(),
            lambda: ctx.commission.discover("memory:"),
        ):
            with pytest.raises(RefusedError):
                await forbidden()
        with pytest.raises(ConfigurationError, match="no skill Fly"):
            machine.skill("Fly")
        ctx.log.info("done")

    machine = filler()
    async with app_under_test(app, [machine], profiles=[METHOD_PROFILE], grants=[{"machine": "filler"}]) as t:
        await t.until(lambda: "done" in t.said)
    assert machine.commands == []


async def test_a_handlers_exception_is_the_apps_failure_and_it_starts_again() -> None:
    app = App("faulty", config=Config)
    role = app.needs("filler", signals=["Speed"])
    runs = 0

    @app.on_change(role)
    async def one(ctx: Context[Config], change: Change) -> None:
        nonlocal runs
        runs += 1
        if runs == 1:
            raise KeyError("recipe")
        ctx.log.info("well")

    with pytest.raises(AppFailure, match=r"KeyError: 'recipe'[\s\S]*in one"):
        async with app_under_test(app, [filler()], profiles=[METHOD_PROFILE]) as t:
            await t.until(lambda: False)
    runs = 0
    async with app_under_test(app, [filler()], profiles=[METHOD_PROFILE]) as t:
        await t.clock.settle()
        assert "KeyError" in t.failure
        await t.until(lambda: "well" in t.said)
        assert t.view.health == "ready"
        assert t.view.restarts == 1


async def test_a_wrong_configuration_is_one_sentence_and_no_restart() -> None:
    app = App("strict", config=Config)

    @app.every(1)
    async def tick(ctx: Context[Config]) -> None: ...

    async with app_under_test(app, config={"n": "many"}) as t:
        assert "config.n" in t.failure
        assert "it knows: n" in t.failure
        assert t.view.health == "failed"
        assert t.view.restarts == 0
    async with app_under_test(app, [filler()], roles={"hand": "filler"}) as t:
        assert "no role hand" in t.failure


async def test_every_runs_on_the_apps_clock_and_a_finished_main_ends_an_app_without_handlers() -> None:
    app = App("ticking", config=Config)
    ticks: list[float] = []

    @app.every(10)
    async def tick(ctx: Context[Config]) -> None:
        ticks.append(ctx.clock.monotonic())

    async with app_under_test(app) as t:
        await t.clock.advance(25)
        assert [x - ticks[0] for x in ticks] == [0, 10, 20]

    once = App("once", config=Config)

    @once.main
    async def main(ctx: Context[Config]) -> None:
        ctx.log.info("bye")

    async with app_under_test(once) as t:
        await t.until(lambda: t.view.health == "finished")
        assert t.said == ["bye"]


async def test_a_stop_lets_a_call_end_and_cancels_what_waits() -> None:
    app = App("slow", config=Config)
    ended: list[str] = []

    @app.every(100)
    async def tick(ctx: Context[Config]) -> None:
        await ctx.stop_requested.wait()
        await anyio.sleep(0.05)
        ended.append("call")

    @app.main
    async def main(ctx: Context[Config]) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            ended.append("main")

    with anyio.fail_after(5):
        async with app_under_test(app) as t:
            await t.settle()
    assert ended == ["call", "main"]


async def test_roles_bind_and_machines_play_what_they_can() -> None:
    app = App("two", config=Config)
    role = app.needs("filler", signals=["Speed"])
    seen: set[str] = set()

    @app.on_change(role)
    async def one(ctx: Context[Config], change: Change) -> None:
        seen.add(change.machine)

    a, b = filler("a"), filler("b")
    b.clock = a.clock
    async with app_under_test(app, [a, b], profiles=[METHOD_PROFILE]) as t:
        await t.until(lambda: seen == {"a", "b"})
    seen.clear()
    async with app_under_test(app, [filler("a"), filler("b")], profiles=[METHOD_PROFILE], roles={"filler": "b"}) as t:
        await t.until(lambda: bool(seen))
        await t.clock.advance(5)
    assert seen == {"b"}
