"""A Sparkplug machine behind a broker, as the conformance suite wants it."""

import itertools
from pathlib import Path
from typing import Any, Final

from dtios.model.datatypes import BuiltinType
from dtios.model.status import status_code
from dtios.sdk.adapter import Connection
from dtios.testing.conformance import SAMPLES
from dtios_mqtt_rig.broker import Broker, Door
from dtios_mqtt_rig.node import SparkplugNode, Variable
from dtios_mqtt_rig.rig import LACKS, MqttBench, MqttRig

__all__ = ["SparkplugBench"]

_TYPES: Final = {
    (BuiltinType.SByte, -1): "Int8", (BuiltinType.Byte, -1): "UInt8", (BuiltinType.ByteString, -1): "Bytes",
    (BuiltinType.Int32, 1): "Int32Array", (BuiltinType.String, 1): "StringArray", (BuiltinType.Double, 1): "DoubleArray",
}  # fmt: skip
"""Sparkplug's name of a type, where it is not OPC UA's."""


class SparkplugRig(MqttRig):
    resolution = 1_000_000
    uncertain = status_code("UncertainLastUsableValue")
    lacks = LACKS
    profiles = (Path(__file__).parent / "sparkplug.yaml",)
    skill = ("Set", {"value": 7}, "Int32")
    above = "spb:Rig/Edge/Conformance/"

    def __init__(self, broker: Broker, door: Door, node: SparkplugNode) -> None:
        super().__init__(broker, door, node)
        self._node = node
        self._numbers = itertools.count()

    def connect(self, url: str | None = None, **settings: Any) -> Connection:
        """Two host applications with one name would think each other's STATE their own."""
        return super().connect(url, **{"host_id": f"host{next(self._numbers)}", **settings})

    async def remove(self, name: str) -> None:
        self._node.show(name, there=False)

    async def add(self, name: str) -> None:
        self._node.show(name, there=True)


class SparkplugBench(MqttBench):
    def made(self, broker: Broker) -> SparkplugNode:
        return SparkplugNode(broker.port, broker.version, _variables())

    def around(self, broker: Broker, door: Door, machine: SparkplugNode) -> SparkplugRig:
        return SparkplugRig(broker, door, machine)


def _variables() -> dict[str, Variable]:
    """Every second one has an alias, so that both ways of naming are tried."""
    made = {
        name: Variable(_TYPES.get((builtin, rank), builtin.name), samples[0], number if number % 2 else None)
        for number, (name, (builtin, rank, samples)) in enumerate(SAMPLES.items())
    }
    return made | {"Counter": Variable("Int64", 0, 100), "Fixed": Variable("Double", 0.5, 101, read_only=True)}
