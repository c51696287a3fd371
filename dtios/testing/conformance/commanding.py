"""Rules CMD: a write leaves once, after the last check, or not at all; and where nobody can know, that is said."""

import asyncio

import anyio

from dtios.model.datatypes import INTEGER_RANGES, BuiltinType
from dtios.model.errors import ConfigurationError, OutcomeUnknown, RefusedError
from dtios.model.status import is_bad, status_name
from dtios.sdk.grade import Level
from dtios.testing.conformance.base import Suite
from dtios.testing.conformance.probe import connected
from dtios.testing.conformance.rule import Need, allow, check, raises

__all__ = ["Commanding", "refuse"]


class Commanding(Suite):
    @check("CMD-1", "when the last check refuses a write nothing is sent", Level.BRONZE)
    async def test_last_check_refuses(self) -> None:
        async with self.session() as (rig, probe):
            await rig.set("Counter", 1)
            before = await rig.writes("Counter")
            await raises(RefusedError, probe.write("Counter", 2, refuse))
            await anyio.sleep(0.05)
            assert await rig.writes("Counter") == before, "the machine received what the last check had refused"
            assert await rig.get("Counter") == 1, "the machine holds what the last check had refused"

    @check("CMD-2", "nothing is awaited between the last check and the hand-over", Level.SILVER)
    async def test_last_check_is_last(self) -> None:
        async with self.session() as (rig, probe):
            address_known = await probe.typed("Counter")
            assert address_known, "Counter was not found"
            # Who awaited something now would be cancelled there, and the command would not leave.
            with anyio.CancelScope() as scope:

                def cancel_next_turn() -> None:
                    asyncio.get_running_loop().call_soon(scope.cancel)

                await probe.write("Counter", 77, cancel_next_turn)
            with anyio.move_on_after(2):
                while await rig.get("Counter") != 77:  # noqa: ASYNC110  # the machine tells nobody what it received
                    await anyio.sleep(0.02)
            assert await rig.get("Counter") == 77, "a command that was cancelled right after its last check did not leave"

    @check("CMD-3", "a write that the machine refuses is answered Bad", Level.BRONZE)
    async def test_refused_writes(self) -> None:
        async with self.session() as (rig, probe):
            held = await rig.get("Fixed")
            status = await probe.write("Fixed", 1.25, allow)
            assert is_bad(status), f"a refused write was answered {status_name(status)}"
            assert await rig.get("Fixed") == held, "the machine holds what may not be written"

    @check("CMD-4", "a value that does not fit its type is refused before it is sent", Level.BRONZE)
    async def test_writes_that_do_not_fit(self) -> None:
        async with self.session() as (rig, probe):
            await rig.set("Byte", 1)
            before = await rig.writes("Byte")
            for value in (INTEGER_RANGES[BuiltinType.Byte][1] + 1, -1, 1.5, "1", None):
                await raises((RefusedError, ConfigurationError), probe.write("Byte", value, allow))
            assert await rig.get("Byte") == 1, "the machine holds something else"
            assert await rig.writes("Byte") == before, "the machine received a value that does not fit"

    @check("CMD-5", "commands at the same time do not disturb each other", Level.SILVER)
    async def test_concurrent_commands(self) -> None:
        async with self.session() as (rig, probe):
            names = [name for name, builtin, rank, _ in self.samples(rig) if rank == -1 and builtin in INTEGER_RANGES]

            async def write(name: str) -> None:
                for value in (1, 2, 3):
                    status = await probe.write(name, value, allow)
                    assert status == 0, f"{name} = {value} was answered {status_name(status)}"

            await probe.node(names[0])
            async with anyio.create_task_group() as tasks:
                for name in names:
                    tasks.start_soon(write, name, name=f"conformance write {name}")
            held = {name: await rig.get(name) for name in names}
            assert set(held.values()) == {3}, f"3 was written to all, and they hold {held}"

    @check("CMD-6", "a write whose answer never comes is OutcomeUnknown, within its time, and is not repeated", Level.GOLD)
    async def test_unanswered_command(self) -> None:
        async with self.session(timeout=0.5, keep_alive=5) as (rig, probe):
            await probe.node("Counter")
            before = await rig.writes("Counter")
            await rig.freeze()
            try:
                with anyio.move_on_after(2) as late:
                    await raises(OutcomeUnknown, probe.write("Counter", 5, allow))
                assert not late.cancelled_caught, "a write with 0.5 s was not given up within 2 s"
            finally:
                await rig.thaw()
            await anyio.sleep(0.2)
            assert await rig.writes("Counter") - before <= 1, "the machine received the write more than once"

    @check(
        "CMD-7", "a write in flight when the connection breaks is OutcomeUnknown, and is not repeated", Level.GOLD, Need.NETWORK
    )
    async def test_write_in_flight(self) -> None:
        async with self.rigged() as rig, rig.line() as (url, line), connected(rig, url) as probe:
            await probe.node("Counter")
            before = await rig.writes("Counter")
            over = anyio.Event()

            async def write() -> None:
                await raises(OutcomeUnknown, probe.write("Counter", 6, allow))
                over.set()

            line.black_hole()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(write, name="conformance write")
                await anyio.sleep(0.2)
                line.cut(reset=True)
                with anyio.move_on_after(2):
                    await over.wait()
                tasks.cancel_scope.cancel()
            assert over.is_set(), "a write in flight did not end within 2 s after the connection was cut"
            await line.heal()
            async with connected(rig, url):
                await anyio.sleep(0.1)
            assert await rig.writes("Counter") - before <= 1, "the machine received the write more than once"


def refuse() -> None:
    """A last check that says no."""
    raise RefusedError("the lease is gone", mend="nothing: this is a check")
