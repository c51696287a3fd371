"""Rules CHG: points of a machine come and go while a session stands."""

from collections.abc import Callable

import anyio

from dtios.model.status import is_bad, status_name
from dtios.model.values import DataValue
from dtios.sdk.grade import Level
from dtios.testing.conformance.base import Suite
from dtios.testing.conformance.probe import Probe
from dtios.testing.conformance.rig import Rig
from dtios.testing.conformance.rule import Need, check

__all__ = ["Changing"]

RECHECK = 0.3
GONE = "Float"


class Changing(Suite):
    @check("CHG-1", "a point that was removed is Bad, and the others go on", Level.GOLD, Need.REMOVAL)
    async def test_removed(self) -> None:
        async with self.session(recheck=RECHECK) as (rig, probe):
            await _watched(rig, probe)
            await rig.remove(GONE)
            reading = await _read_until(probe, lambda r: is_bad(r.status))
            assert is_bad(reading.status), f"after it was removed it is read as {status_name(reading.status)}"
            assert reading.value is None, f"a point that is not there has the value {reading.value!r}"
            assert probe.error is None, f"the session was ended: {probe.error}"
            await rig.set("Counter", 41)
            assert await probe.sink.until(2, 41), "another point was no longer delivered"
            late = [r for r in probe.sink.of(1)[1:] if not is_bad(r.status)]
            assert not late, f"a point that is not there delivered {late}"

    @check("CHG-2", "a point that was removed and is there again can be found, read and subscribed", Level.GOLD, Need.REMOVAL)
    async def test_added_again(self) -> None:
        async with self.session(recheck=RECHECK) as (rig, probe):
            await _watched(rig, probe)
            await rig.remove(GONE)
            await anyio.sleep(0.1)
            await rig.add(GONE)
            await rig.set(GONE, 2.5)
            await probe.known(GONE, rig.patience)
            found = (await _read_until(probe, lambda r: r.value == 2.5)).value
            assert found == 2.5, f"what holds 2.5 is read as {found!r}"
            await probe.connection.unsubscribe([1])
            assert await probe.connection.subscribe([await probe.point(3, GONE)]) == [0], "it could not be subscribed"
            await rig.set(GONE, 3.5)
            assert await probe.sink.until(3, 3.5), "a new value of it was not delivered"

    @check("CHG-3", "that points came or went is told", Level.PLATINUM, Need.REMOVAL, Need.TOLD_CHANGES)
    async def test_changes_are_told(self) -> None:
        async with self.session(recheck=RECHECK) as (rig, probe):
            await _watched(rig, probe)
            await anyio.sleep(2 * RECHECK)
            for change in (rig.remove, rig.add):
                probe.sink.changes = 0
                await change(GONE)
                with anyio.move_on_after(rig.patience):
                    while not probe.sink.changes:
                        await probe.sink.change()
                assert probe.sink.changes, f"{change.__name__}: nothing was told within {rig.patience:g} s"


async def _read_until(probe: Probe, so: Callable[[DataValue], bool]) -> DataValue:
    """The first reading of the point that is so, or the last one in time."""
    end = anyio.current_time() + probe.sink.patience
    reading = await probe.read(GONE)
    while not so(reading) and anyio.current_time() < end:
        await anyio.sleep(0.05)
        reading = await probe.read(GONE)
    return reading


async def _watched(rig: Rig, probe: Probe) -> None:
    """The point that will go as handle 1, Counter as handle 2."""
    await rig.set(GONE, 1.5)
    await rig.set("Counter", 40)
    await probe.connection.subscribe([await probe.point(1, GONE), await probe.point(2, "Counter")])
    assert await probe.sink.until(1, 1.5), "the present value was not delivered"
    assert await probe.sink.until(2, 40), "the present value was not delivered"
