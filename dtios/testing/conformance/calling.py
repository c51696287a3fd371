"""Rules CAL: what holds for writes holds for method calls."""

import anyio

from dtios.model.errors import ConfigurationError, OutcomeUnknown, RefusedError
from dtios.sdk.grade import Level
from dtios.testing.conformance.base import Suite, call_of
from dtios.testing.conformance.commanding import refuse
from dtios.testing.conformance.rule import Need, allow, check, raises

__all__ = ["Calling"]


class Calling(Suite):
    @check("CAL-1", "when the last check refuses a call nothing is sent", Level.BRONZE, Need.METHODS)
    async def test_last_check_refuses_calls(self) -> None:
        async with self.session() as (rig, probe):
            before = await rig.writes("Add")
            await raises(RefusedError, probe.connection.call(await call_of(probe, "Add", 1.0, 2.0), refuse))
            await anyio.sleep(0.05)
            assert await rig.writes("Add") == before, "the machine received what the last check had refused"

    @check("CAL-2", "a method's outputs come back", Level.BRONZE, Need.METHODS)
    async def test_outputs(self) -> None:
        async with self.session() as (_, probe):
            outputs = await probe.connection.call(await call_of(probe, "Add", 1.5, 2.0), allow)
            assert outputs == [3.5], f"1.5 + 2.0 came back as {outputs}"

    @check("CAL-3", "the machine's refusal of a call is a RefusedError with its reason", Level.BRONZE, Need.METHODS)
    async def test_refused_calls(self) -> None:
        async with self.session() as (_, probe):
            error = await raises(RefusedError, probe.connection.call(await call_of(probe, "Refuse"), allow))
            assert error.message, "the refusal has no reason"
            short = await call_of(probe, "Add", 1.0)
            await raises((RefusedError, ConfigurationError), probe.connection.call(short, allow))

    @check(
        "CAL-4", "a call in flight when the connection breaks is OutcomeUnknown, and is not repeated", Level.GOLD, Need.METHODS
    )
    async def test_call_in_flight(self) -> None:
        async with self.session() as (rig, probe):
            slow = await call_of(probe, "Slow", 1.0)
            before = await rig.writes("Slow")
            over = anyio.Event()

            async def call() -> None:
                await raises(OutcomeUnknown, probe.connection.call(slow, allow))
                over.set()

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(call, name="conformance call")
                await anyio.sleep(0.2)
                await rig.cut()
                with anyio.move_on_after(2):
                    await over.wait()
                tasks.cancel_scope.cancel()
            assert over.is_set(), "a call in flight did not end within 2 s after the connection was cut"
            assert await rig.writes("Slow") - before <= 1, "the machine received the call more than once"
