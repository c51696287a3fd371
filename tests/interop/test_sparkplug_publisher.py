"""What the runtime publishes as an edge node, decoded by `sparkplug-payload`."""

import base64
import json
import subprocess
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest

from dtios.model.datatypes import BuiltinType, ValueType
from dtios.model.machine import Machine, Range, Signal, Unit
from dtios.model.values import DateTime, LocalizedText
from dtios_mqtt.north.edge.node import GAPS, PublishedNode
from tests.conformance.test_sparkplug_edge import stage
from tests.interop.node_server import node_command, require_node

B = BuiltinType
VALUES: dict[str, tuple[BuiltinType, int, Any, Any]] = {
    "Boolean": (B.Boolean, -1, True, True),
    "SByte": (B.SByte, -1, -128, -128),
    "Int16": (B.Int16, -1, -32768, -32768),
    "Int32": (B.Int32, -1, -(2**31), -(2**31)),
    "Int64": (B.Int64, -1, -(2**63), str(2**63)),
    "Byte": (B.Byte, -1, 255, 255),
    "UInt16": (B.UInt16, -1, 65535, 65535),
    "UInt32": (B.UInt32, -1, 2**32 - 1, str(2**32 - 1)),
    "UInt64": (B.UInt64, -1, 2**64 - 1, str(2**64 - 1)),
    "Float": (B.Float, -1, 0.5, 0.5),
    "Double": (B.Double, -1, 0.1, 0.1),
    "String": (B.String, -1, "Größe ⌀ 12", "Größe ⌀ 12"),
    "DateTime": (B.DateTime, -1, DateTime(1_700_000_000_123_000_000), "1700000000123"),
    "Text": (B.LocalizedText, -1, LocalizedText("Halt", "de"), '{"text":"Halt","locale":"de"}'),
    "Matrix": (B.Int32, 2, [[1, 2], [3, 4]], "[[1,2],[3,4]]"),
}


async def _decoded(payloads: list[bytes]) -> list[dict[str, Any]]:
    require_node()
    lines = b"".join(base64.b64encode(one) + b"\n" for one in payloads)

    def run() -> bytes:
        return subprocess.run(node_command("payloads"), input=lines, capture_output=True, check=True, timeout=60).stdout

    return [json.loads(line) for line in (await anyio.to_thread.run_sync(run)).splitlines()]


async def test_what_it_sends_is_read_by_a_third_party(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        await on.until("NBIRTH", "DBIRTH")
        await on.data(3.25)
    said = on.broker.published()
    decoded = await _decoded([one.payload for one in said])
    birth, device = decoded[0], decoded[1]
    metrics = {metric["name"]: metric for metric in birth["metrics"]}
    assert metrics["Node Control/Rebirth"]["value"] is False
    assert metrics["bdSeq"]["type"] == "Int64"
    speed = next(metric for metric in device["metrics"] if metric["name"] == "Speed")
    assert (speed["type"], speed["properties"]["Quality"]["type"]) == ("Double", "Int32")
    data = [metric for one in decoded for metric in one["metrics"] if metric.get("alias") == speed["alias"]]
    assert 3.25 in [metric["value"] for metric in data]


async def test_every_type_that_it_sends() -> None:
    signals = tuple(
        Signal(name, name, ValueType(kind, rank=rank), unit=Unit("MTR", "m"), range=Range(0.0, 5.0))
        for name, (kind, rank, _, _) in VALUES.items()
    )
    machine = Machine("m", "memory:", "m", signals=signals)
    published = PublishedNode("Plant", "Edge", mark="us", epoch=3)
    published.will(0, 10**18)
    published.tell(machine, online=True, now=10**18)
    published._devices["m"].last = {name: (value, 0, 10**18) for name, (_, _, value, _) in VALUES.items()}
    births = published.births(10**18)
    decoded = await _decoded([one.payload for one in births])
    metrics = {metric["name"]: metric for metric in decoded[1]["metrics"]}
    for name, (_, _, value, wanted) in VALUES.items():
        if name == "Int64":
            continue  # that library reads it unsigned
        said = metrics[name]["value"]
        assert str(said) == str(wanted) if isinstance(wanted, str) else said == wanted, (name, value, said)
        assert metrics[name]["properties"]["engUnit"]["value"] == "MTR"
    assert metrics[GAPS]["value"] == "[]"


@pytest.mark.parametrize("value", [2**31, -1, "text", None, float("nan")])
def test_a_value_that_does_not_fit_its_type_is_null_and_bad(value: Any) -> None:
    machine = Machine("m", "memory:", "m", signals=(Signal("x", "x", ValueType(B.UInt16)),))
    published = PublishedNode("Plant", "Edge", mark="us", epoch=3)
    published.tell(machine, online=True, now=10**18)
    form = published._devices["m"].forms["x"]
    metric = form.data(value, 0, 10**18, 10**18, historical=False)
    assert metric.is_null
    assert value is None or metric.properties["Quality"] == 0
