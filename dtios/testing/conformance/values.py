"""Rules VAL: a value is what the machine holds, with its status and its time."""

from typing import Any, Final

from dtios.model.status import is_bad, is_good, status_code, status_name
from dtios.model.values import DataValue
from dtios.sdk.adapter import MonitoredPoint
from dtios.sdk.grade import Level
from dtios.testing.conformance.base import DOUBLE, Suite
from dtios.testing.conformance.rule import Need, allow, check

__all__ = ["Values", "same"]

BAD: Final = status_code("BadSensorFailure")
NOWHERE: Final = "nsu=urn:dtios:nowhere;s=Nothing"


class Values(Suite):
    @check("VAL-1", "every type is read as the machine holds it", Level.BRONZE)
    async def test_read_types(self) -> None:
        async with self.session() as (rig, probe):
            for name, _, _, samples in self.samples(rig):
                for sample in samples:
                    await rig.set(name, sample)
                    same(name, await probe.read(name), sample)

    @check("VAL-2", "every type is written exactly", Level.BRONZE)
    async def test_write_types(self) -> None:
        async with self.session() as (rig, probe):
            for name, _, _, samples in self.samples(rig):
                for sample in samples:
                    status = await probe.write(name, sample, allow)
                    assert status == 0, f"{name} = {sample!r:.40} was answered {status_name(status)}"
                    held = await rig.get(name)
                    assert held == sample, f"{name} = {sample!r:.40} was written, and the machine holds {held!r:.40}"

    @check("VAL-3", "a Bad reading has its status and no value", Level.BRONZE)
    async def test_bad_has_no_value(self) -> None:
        async with self.session() as (rig, probe):
            await rig.set("Double", 1.5, status=BAD)
            reading = await probe.read("Double")
            assert is_bad(reading.status), f"what the machine calls Bad was read as {status_name(reading.status)}"
            assert reading.value is None, f"a Bad reading has the value {reading.value!r}"

    @check("VAL-4", "source times arrive as they were", Level.SILVER, Need.SOURCE_TIMES)
    async def test_source_times(self) -> None:
        async with self.session() as (rig, probe):
            time = 1_700_000_000_123_456_700 // rig.resolution * rig.resolution
            await rig.set("Double", 2.5, source_time=time)
            found = (await probe.read("Double")).source_time
            assert found == time, f"the machine's time {time} was read as {found}"

    @check("VAL-5", "an unknown point is Bad, not an exception, and spoils no other", Level.BRONZE)
    async def test_unknown_points(self) -> None:
        async with self.session() as (rig, probe):
            await rig.set("Double", 3.5)
            point = await probe.point(1, "Double")
            nowhere, known = await probe.connection.read([NOWHERE, point.address])
            assert is_bad(nowhere.status), f"an unknown point was read as {status_name(nowhere.status)}"
            assert nowhere.value is None, f"an unknown point has the value {nowhere.value!r}"
            assert known.value == 3.5, f"beside an unknown point {known.value!r} was read, not 3.5"
            statuses = await probe.connection.subscribe([MonitoredPoint(2, NOWHERE, DOUBLE), point])
            assert [is_bad(status) for status in statuses] == [True, False], f"subscribed: {list(map(status_name, statuses))}"
            assert await probe.sink.until(1, 3.5), "beside an unknown point nothing was delivered"
            assert not [r for r in probe.sink.of(2) if not is_bad(r.status)], "an unknown point delivered a value"

    @check("VAL-6", "an Uncertain reading keeps its value and its status", Level.SILVER, Need.UNCERTAIN)
    async def test_uncertain_keeps_its_value(self) -> None:
        async with self.session() as (rig, probe):
            await rig.set("Double", 1.5, status=rig.uncertain)
            reading = await probe.read("Double")
            wanted, found = (1.5, status_name(rig.uncertain)), (reading.value, status_name(reading.status))
            assert found == wanted, f"{wanted} was read as {found}"

    @check("VAL-7", "every type and status comes by subscription as it is read", Level.SILVER)
    async def test_types_by_subscription(self) -> None:
        async with self.session() as (rig, probe):
            names = [(name, samples) for name, _, _, samples in self.samples(rig)]
            for name, samples in names:
                await rig.set(name, samples[0])
            points = [await probe.point(handle, name) for handle, (name, _) in enumerate(names)]
            statuses = await probe.connection.subscribe(points)
            assert not any(statuses), f"subscribed: {list(map(status_name, statuses))}"
            for handle, (name, samples) in enumerate(names):
                for sample in samples:
                    await rig.set(name, sample)
                    assert await probe.sink.until(handle, sample), f"{name} = {sample!r:.40} was not delivered"
                    same(name, probe.sink.of(handle)[-1], sample)
            handle = [name for name, _ in names].index("Double")
            await rig.set("Double", 1.5, status=BAD)
            assert await probe.sink.until(handle, None), "that it is Bad was not delivered"
            assert is_bad(probe.sink.of(handle)[-1].status), "a value without status was delivered"


def same(name: str, reading: DataValue, sample: Any) -> None:
    assert is_good(reading.status), f"{name} = {sample!r:.40} came as {status_name(reading.status)}"
    found = reading.value
    assert found == sample, f"{name} = {sample!r:.40} came as {found!r:.40}"
    assert isinstance(found, type(sample)), f"{name} = {sample!r:.40} came as a {type(found).__name__}"
