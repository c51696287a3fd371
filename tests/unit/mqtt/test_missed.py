"""What a broker kept for us waits for its points, within bounds."""

import pytest

import dtios_mqtt.missed
from dtios.model.datatypes import BuiltinType, ValueType
from dtios.model.gap import GapCause
from dtios.sdk.adapter import MonitoredPoint
from dtios.testing.conformance import Recorder
from dtios_mqtt.image import ProcessImage
from dtios_mqtt.missed import Missed

INT = ValueType(BuiltinType.Int64)


def test_it_is_taken_once_and_in_order() -> None:
    missed = Missed()
    for number in range(4):
        missed.keep(("ab"[number % 2], number, 0, 0))
    found, dropped = missed.take(["a", "c"])
    assert ({address: [value for _, value, _, _ in rows] for address, rows in found.items()}, dropped) == (
        {"a": [0, 2], "c": []},
        {},
    )
    assert missed.take(["a"])[0] == {"a": []}
    assert [value for _, value, _, _ in missed.take(["b"])[0]["b"]] == [1, 3]


async def test_what_is_too_much_is_dropped_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dtios_mqtt.missed, "_MOST", 3)
    sink = Recorder()
    image = ProcessImage(sink)
    image.missed = Missed()
    await image.tell([("a", number, 0, 0) for number in range(5)], 1)
    assert await image.subscribe([MonitoredPoint(7, "a", INT)], 2) == [0]
    assert [reading.value for reading in sink.of(7)] == [2, 3, 4]
    ((cause, handles, count),) = [(loss.cause, loss.handles, loss.count) for loss in sink.losses]
    assert (cause, handles, count) == (GapCause.QUEUE_OVERFLOW, (7,), 2)


async def test_who_subscribes_later_gets_the_present_value() -> None:
    sink = Recorder()
    image = ProcessImage(sink)
    image.missed = Missed()
    await image.tell([("a", 1, 0, 0), ("a", 2, 0, 0)], 1)
    await image.subscribe([MonitoredPoint(1, "a", INT)], 2)
    await image.subscribe([MonitoredPoint(2, "a", INT)], 3)
    await image.tell([("a", 3, 0, 0)], 4)
    assert [reading.value for reading in sink.of(1)] == [1, 2, 3]
    assert [reading.value for reading in sink.of(2)] == [2, 3]
