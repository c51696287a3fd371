"""Names without end on a broker: each kind has a bound, and what is beyond it is a complaint."""

import json
import zlib
from collections.abc import Iterable
from typing import Any

import psutil
import pytest

from dtios.model.status import status_name
from dtios_mqtt import image as images
from dtios_mqtt.complaints import Complaints
from dtios_mqtt.session.messages import Incoming
from dtios_mqtt.sparkplug import host
from dtios_mqtt.sparkplug.compression import COMPRESSED
from dtios_mqtt.sparkplug.encoding import encode
from dtios_mqtt.sparkplug.mark import MARK
from dtios_mqtt.sparkplug.metric import Metric, Payload
from dtios_mqtt.sparkplug.schema import PayloadMessage
from dtios_mqtt.speakers import topics, vda5050
from dtios_mqtt.topics import machine
from tests.fuzz.mqtt import OWN, Listener
from tests.fuzz.mqtt_seeds import state


class Flood(Listener):
    """Does not look at what is there after each message."""

    async def say(self, topic: str, payload: bytes) -> None:
        self.messages += 1
        message = Incoming(topic, payload, 0, False, self.messages)
        for speaker in self.speakers:
            if await speaker.take(message):
                return

    def causes(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for (_, cause), count in self.complaints.counts.items():
            found[cause] = found.get(cause, 0) + count
        return found


@pytest.fixture
async def flood() -> Flood:
    made = Flood()
    await made.begin()
    return made


def birth(seq: int, names: Iterable[str] = (), *more: Metric) -> bytes:
    metrics = [Metric(name, datatype=3, value=1) for name in names]
    return encode(Payload(1, seq, [Metric("bdSeq", datatype=4, value=1), *metrics, *more]))


async def test_edge_nodes(flood: Flood, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "_MOST_NODES", 50)
    for n in range(40):
        await flood.say(f"spBv1.0/g/NBIRTH/e{n}", birth(0, ["a"]))
    for n in range(300):
        await flood.say(f"spBv1.0/g/NDATA/never-born{n}", birth(0))
    assert len(flood.sparkplug._host.nodes) == 50
    assert sum(1 for edge in flood.sparkplug._host.nodes.values() if edge.online) == 40, "who was born does not give way"
    assert flood.causes() == {"more edge nodes than are kept": 290}
    for n in range(300):
        await flood.say(f"spBv1.0/g/NBIRTH/more{n}", birth(0, ["a"]))
    assert len(flood.sparkplug._host.nodes) == 50
    assert all(edge.online for edge in flood.sparkplug._host.nodes.values())
    for n in range(300):
        await flood.say(f"spBv1.0/g/NDEATH/e{n % 40}", birth(0))
        await flood.say(f"spBv1.0/g/NBIRTH/late{n}", birth(0, ["a"]))
    assert len(flood.sparkplug._host.nodes) == 50
    assert len(flood.image._last) <= 50 * 3, "what gave way has no values left"
    assert sum(len(n.children) for n in flood.sparkplug.nodes()) <= 50


async def test_devices_metrics_and_names_that_change(flood: Flood, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "_MOST_POINTS", 1000)
    monkeypatch.setattr(images, "_MOST_GONE", 200)
    await flood.say("spBv1.0/g/NBIRTH/e", birth(0, ["a"]))
    for n in range(1000):
        await flood.say(f"spBv1.0/g/DBIRTH/e/d{n}", birth((n + 1) % 256, ["x", "y", "z"]))
    parts = flood.sparkplug._host.nodes["g", "e"].parts
    assert sum(max(1, len(part.metrics)) for part in parts.values()) <= 1000
    assert flood.causes()["more points than are kept"] == 1000 - (len(parts) - 1)
    await flood.say("spBv1.0/g/NBIRTH/other", birth(0, (f"m{n}" for n in range(2000))))
    assert ("g", "other") not in flood.sparkplug._host.nodes
    for n in range(300):
        await flood.say("spBv1.0/g/NBIRTH/e", birth(0, [f"{n}"]))
    assert len(flood.image._last) < 1100
    assert len(flood.image._gone) == 200
    assert status_name(flood.image.read("spb:g/e//298").status) == "BadNodeIdUnknown"
    assert status_name(flood.image.read("spb:g/e//0").status) == "BadWaitingForInitialData", "it gave way to later ones"
    for n in range(3):
        await flood.say(f"spBv1.0/g/NBIRTH/own{n}", birth(0, [], Metric(MARK, datatype=12, value=OWN)))
    assert ("g", "own0") not in flood.sparkplug._host.nodes


async def test_vehicles(flood: Flood, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vda5050, "_MOST", 50)
    told = state()
    told["errors"] = [{"errorType": f"{n}" * 100, "errorLevel": "FATAL"} for n in range(2000)]
    payload = json.dumps(told).encode()
    for n in range(60):
        await flood.say(f"uagv/v2/m/{n}/state", payload if n < 3 else json.dumps(state()).encode())
    assert len(flood.vda._vehicles) == 50
    assert flood.causes()["more vehicles than are kept"] == 10
    conditions = flood.vda._vehicles[next(iter(flood.vda._vehicles))].conditions
    assert len(conditions) <= 1002
    assert all(len(one.condition) < 300 and len(one.name) <= 200 for one in conditions.values())


async def test_plain_machines_and_the_names_they_give(flood: Flood, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topics, "_MACHINES", 20)
    monkeypatch.setattr(topics, "_TOPICS", 30)
    monkeypatch.setattr(machine, "_MOST_OF_ALL", 100)
    for n in range(100):
        names: Any = {"metrics": [{"n": f"{n}-{m}", "v": m} for m in range(8)]}
        await flood.say(f"plant/a/m{n}/metrics", json.dumps(names).encode())
        await flood.say(f"plant/a/m{n}/state", json.dumps({f"{n}-{m}" * 200: 1 for m in range(8)}).encode())
    assert len(flood.topics._machines) == 20
    assert sum(len(one._own) for one in flood.topics._machines.values()) == 100
    assert len(flood.topics._bound) <= 30
    assert flood.causes()["too many names"] == 60
    assert flood.causes()["too many machines"] >= 80
    assert all(
        sum(map(len, shape)) <= 4_000 for one in flood.topics._layouts.values() for m in one.messages for shape in m._shapes
    )


def test_complaints() -> None:
    complaints = Complaints()
    for n in range(3000):
        complaints.add(f"{n}" * 10_000, f"{n}" * 10_000, "t" * 10_000, b"p" * 10_000, n)
    told = complaints.told()
    assert len(told) < 1010
    assert sum(one.count for one in told) == 3000, "each is counted"
    assert sum(len(repr(one)) for one in told) < 2**20


async def test_bombs(flood: Flood) -> None:
    """Some kilobytes that would be gigabytes."""
    before = psutil.Process().memory_info().rss
    metrics = b"\x12\x00" * (2 * 2**20 - 1)
    rows = PayloadMessage(timestamp=1, seq=0)
    table = rows.metrics.add(name="t", datatype=16).dataset_value
    table.num_of_columns = 0
    table.MergeFromString(b"\x22\x00" * 200_000)
    bits = PayloadMessage(timestamp=1, seq=0)
    bits.metrics.add(name="b", datatype=32, bytes_value=(2**24).to_bytes(4, "little") + bytes(2**21))
    texts = PayloadMessage(timestamp=1, seq=0)
    texts.metrics.add(name="s", datatype=33, bytes_value=bytes(2**21))
    for inside in (bytes(2**26), metrics, rows.SerializeToString(), bits.SerializeToString(), texts.SerializeToString()):
        packed = PayloadMessage(uuid=COMPRESSED, body=zlib.compress(inside)).SerializeToString()
        await flood.say("spBv1.0/g/NBIRTH/e", packed)
        if len(inside) < 2**23:
            await flood.say("spBv1.0/g/NBIRTH/f", inside)
    assert flood.causes() == {
        "compressed data that is cut off or grows too large": 1,
        "more metrics, properties and cells than a payload may have": 4,
        "an array that is too long": 4,
    }
    assert flood.sparkplug._host.nodes == {}
    assert psutil.Process().memory_info().rss - before < 600 * 2**20
