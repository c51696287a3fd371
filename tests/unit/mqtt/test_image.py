"""The process image: what is known of every point, and what goes on to those who follow them."""

from dtios.model.batch import Batch
from dtios.model.datatypes import BuiltinType, ValueType
from dtios.model.gap import Gap
from dtios.model.status import BAD_NODE_ID_UNKNOWN, BAD_WAITING_FOR_INITIAL_DATA
from dtios.model.values import NO_TIME
from dtios.sdk.adapter import MonitoredPoint, Sink
from dtios_mqtt.image import ProcessImage, Reading

DOUBLE = ValueType(BuiltinType.Double)


class _Kept(Sink):
    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.gaps: list[Gap] = []

    async def deliver(self, batch: Batch) -> None:
        self.batches.append(batch)

    def taken(self) -> list[tuple[int, list[tuple[int, object, int, int]]]]:
        """(receive time, rows) of each batch since the last time."""
        found = [(b.receive_time, list(zip(b.handles, b.values, b.statuses, b.source_times, strict=True))) for b in self.batches]
        assert all(len(b.server_times) == len(b) for b in self.batches)
        self.batches.clear()
        return found


def point(handle: int, address: str) -> MonitoredPoint:
    return MonitoredPoint(handle, address, DOUBLE)


def reading(address: str, value: object) -> Reading:
    return (address, value, 0, 7)


async def test_what_came_at_one_time_goes_on_together_and_keeps_its_time() -> None:
    sink = _Kept()
    image = ProcessImage(sink)
    await image.subscribe([point(1, "a"), point(2, "b")], 5)
    assert sink.taken() == [(5, [(n, None, BAD_WAITING_FOR_INITIAL_DATA, NO_TIME) for n in (1, 2)])]
    await image.tell([reading("a", 1.0)], 10, hold=True)
    await image.tell([reading("b", 2.0), reading("a", 3.0)], 10, hold=True)
    assert sink.taken() == []
    await image.tell([reading("a", 4.0)], 11, hold=True)
    assert sink.taken() == [(10, [(1, 1.0, 0, 7), (2, 2.0, 0, 7), (1, 3.0, 0, 7)])]
    await image.tell([reading("b", 5.0)], 11)
    assert sink.taken() == [(11, [(1, 4.0, 0, 7), (2, 5.0, 0, 7)])]


async def test_what_is_held_back_is_bounded() -> None:
    sink = _Kept()
    image = ProcessImage(sink)
    await image.subscribe([point(1, "a")], 5)
    sink.batches.clear()
    for number in range(2_500):
        await image.tell([reading("a", number)], 10, hold=True)
    assert [len(batch) for batch in sink.batches] == [1_000, 1_000]
    await image.flush()
    assert [value for batch in sink.batches for value in batch.values] == list(range(2_500))


async def test_who_follows_a_point_is_told_and_nobody_else() -> None:
    sink = _Kept()
    image = ProcessImage(sink)
    await image.subscribe([point(1, "a"), point(2, "a"), point(3, "b")], 5)
    sink.batches.clear()
    await image.tell([reading("a", 1.0), reading("b", 2.0), reading("c", 3.0)], 10)
    assert sink.taken() == [(10, [(1, 1.0, 0, 7), (2, 1.0, 0, 7), (3, 2.0, 0, 7)])]
    image.unsubscribe([1, 3])
    await image.tell([reading("a", 4.0), reading("b", 5.0)], 11)
    assert sink.taken() == [(11, [(2, 4.0, 0, 7)])]
    assert image.handles(["a", "b", "c"]) == (2,)


async def test_the_last_reading_is_known_however_many_came_before() -> None:
    image = ProcessImage(_Kept())
    for number in range(40):
        await image.tell([reading("a", number), reading(f"once {number}", number)], number)
        assert (image.read("a").value, image.read("a").receive_time) == (number, number)
    for number in range(40):
        await image.tell([reading("a", -number)], 100 + number)
    assert (image.read("a").value, image.read("once 3").value) == (-39, 3)
    assert image.read("never").status == BAD_WAITING_FOR_INITIAL_DATA


async def test_what_exists_no_more_is_bad_until_it_is_heard_of() -> None:
    sink = _Kept()
    image = ProcessImage(sink)
    await image.tell([reading("a", 1.0)], 9)
    await image.forget(["a"], 10)
    assert image.read("a").status == BAD_NODE_ID_UNKNOWN
    assert await image.subscribe([point(1, "a")], 11) == [BAD_NODE_ID_UNKNOWN]
    await image.tell([reading("a", 2.0)], 12)
    assert await image.subscribe([point(1, "a")], 13) == [0]
    assert sink.taken() == [(13, [(1, 2.0, 0, 7)])]
