"""Rules SUB: what changes is delivered, in order, once, and what is lost is told."""

from typing import Any, Final

import anyio

from dtios.model.status import is_overflow
from dtios.sdk.grade import Level
from dtios.testing.conformance.base import Suite
from dtios.testing.conformance.probe import Probe, connected
from dtios.testing.conformance.rule import Need, check

__all__ = ["Observing"]

MANY: Final = 2_000


class Observing(Suite):
    @check("SUB-1", "the present value comes first", Level.BRONZE)
    async def test_present_value_first(self) -> None:
        async with self.session() as (rig, probe):
            await rig.set("Double", 4.5)
            assert await probe.connection.subscribe([await probe.point(7, "Double")]) == [0], "it was not subscribed"
            assert await probe.sink.until(7, 4.5), "the present value was not delivered"
            await rig.set("Double", 5.5)
            assert await probe.sink.until(7, 5.5), "a change was not delivered"
            assert _values(probe, 7) == [4.5, 5.5], f"4.5 and 5.5 were delivered as {_values(probe, 7)}"

    @check("SUB-2", "under load the order holds, and a queue that is long enough loses nothing", Level.SILVER)
    async def test_order_under_load(self) -> None:
        async with self.session() as (rig, probe):
            await rig.set("Counter", 0)
            await probe.connection.subscribe([await probe.point(1, "Counter", queue=2 * MANY)])
            assert await probe.sink.until(1, 0), "the present value was not delivered"
            await rig.count(1, MANY)
            assert await probe.sink.until(1, MANY, times=4), f"the last of {MANY} values was not delivered"
            counted(_values(probe, 1), MANY)
            assert not probe.sink.losses, f"a loss was told: {probe.sink.losses}"

    @check("SUB-3", "a sink that waits is given nothing more, and nothing at the same time", Level.GOLD)
    async def test_back_pressure(self) -> None:
        async with self.session() as (rig, probe):
            await rig.set("Counter", 0)
            await probe.connection.subscribe([await probe.point(1, "Counter")])
            assert await probe.sink.until(1, 0), "the present value was not delivered"
            probe.sink.close()
            for number in range(1, 6):
                await rig.set("Counter", number)
                await anyio.sleep(0.03)
            assert probe.sink.most_inside == 1, f"{probe.sink.most_inside} batches were delivered at the same time"
            assert _values(probe, 1)[-1] == 0, "values were delivered to a sink that waits"
            probe.sink.open.set()
            assert await probe.sink.until(1, 5), "what waited was not delivered"

    @check("SUB-4", "unsubscribe stops what was subscribed, and no more", Level.SILVER)
    async def test_unsubscribe(self) -> None:
        async with self.session() as (rig, probe):
            await rig.set("Double", 0.0)
            await rig.set("Counter", 0)
            await probe.connection.subscribe([await probe.point(1, "Double"), await probe.point(2, "Counter")])
            assert await probe.sink.until(1, 0.0), "the present value was not delivered"
            await probe.connection.unsubscribe([1])
            await rig.set("Double", 1.0)
            await rig.set("Counter", 1)
            assert await probe.sink.until(2, 1), "what is still subscribed was not delivered"
            await anyio.sleep(0.1)
            assert _values(probe, 1) == [0.0], f"after unsubscribe {_values(probe, 1)[1:]} was delivered"

    @check("SUB-5", "two handles of one point, and two connections, each get every value", Level.SILVER)
    async def test_two_subscribers(self) -> None:
        async with self.session() as (rig, probe), connected(rig) as other:
            await rig.set("Counter", 0)
            await probe.connection.subscribe([await probe.point(1, "Counter"), await probe.point(2, "Counter")])
            await other.connection.subscribe([await other.point(1, "Counter")])
            seen = ((probe, 1), (probe, 2), (other, 1))
            for one, handle in seen:
                assert await one.sink.until(handle, 0), "the present value was not delivered to all"
            await rig.count(1, 20)
            for one, handle in seen:
                assert await one.sink.until(handle, 20), "the last value was not delivered to all"
                counted(_values(one, handle), 20)

    @check("SUB-6", "what a full queue of the machine loses is told, and the order holds", Level.PLATINUM, Need.OVERFLOW)
    async def test_overflow_is_told(self) -> None:
        async with self.session() as (rig, probe):
            await rig.set("Counter", 0)
            await probe.connection.subscribe([await probe.point(1, "Counter", queue=2)])
            assert await probe.sink.until(1, 0), "the present value was not delivered"
            probe.sink.close()
            await rig.count(1, MANY)
            probe.sink.open.set()
            assert await probe.sink.until(1, MANY, times=4), "the last value was not delivered"
            values = _values(probe, 1)
            assert values == sorted(set(values)), "the order does not hold, or a value came twice"
            assert len(values) < MANY, "the rig's queue was never full: nothing was tried"
            told = probe.sink.losses or any(is_overflow(reading.status) for reading in probe.sink.of(1))
            assert told, "values are missing, and nothing was told"


def _values(probe: Probe, handle: int) -> list[Any]:
    return [reading.value for reading in probe.sink.of(handle)]


def counted(values: list[Any], last: int) -> None:
    """0 to `last`, each once."""
    wanted = list(range(last + 1))
    if values != wanted:
        at = next((i for i, (a, b) in enumerate(zip(values, wanted, strict=False)) if a != b), min(len(values), len(wanted)))
        raise AssertionError(f"of 0 to {last} came {len(values)} values, and at place {at} {values[at : at + 3]}")
