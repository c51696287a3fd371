"""Bare paho, measured as the runtime is: `python -m benchmarks.mqtt_peers SCENARIO URL COUNT ITEMS`. Prints one JSON object.

The same decode, as a program of one's own does it: protobuf's own classes or `json.loads`, and of each value its name, the value
in its type, its time and its type, in a list.
"""

import json
import os
import sys
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode

from benchmarks.meter import Meter
from benchmarks.mqtt_server import JSON_TOPIC, JSON_VALUES, json_names
from dtios_mqtt.sparkplug.schema import PayloadMessage

__all__: list[str] = []

Told = list[tuple[str, Any, int, Any]]
"""(name, value, ms, type)"""

_SIGNED: Final = {1: 8, 2: 16, 3: 32, 4: 64}
"""Sparkplug's Int8 to Int64: the bits of the two's complement in which they travel."""
_names: dict[int, str] = {}
"""Of aliases, from the births."""


def sparkplug(topic: str, data: bytes) -> Told:
    payload = PayloadMessage()
    payload.ParseFromString(data)
    if "BIRTH" in topic:
        _names.update((metric.alias, metric.name) for metric in payload.metrics if metric.HasField("alias"))
    told: Told = []
    for metric in payload.metrics:
        if metric.is_historical:
            continue
        field = metric.WhichOneof("value")
        value = None if field is None or metric.is_null else getattr(metric, field)
        datatype = metric.datatype
        if value and datatype in _SIGNED:
            bits = _SIGNED[datatype]
            value = value - (1 << bits) if value >> (bits - 1) else value
        told.append((metric.name or _names[metric.alias], value, metric.timestamp or payload.timestamp, datatype))
    return told


def json_(topic: str, data: bytes) -> Told:
    """The path of each value, as the profile names them; what is not there is left out."""
    document = json.loads(data)
    time = document["ts"]
    told: Told = []
    for name, path in _PATHS:
        value = document
        for step in path:
            value = value.get(step)
            if value is None:
                break
        else:
            told.append((name, float(value), time, float))
    return told


_PATHS: Final = [(name, name.split(".")) for name in json_names(JSON_VALUES)]
_SCENARIOS: Final[dict[str, tuple[str, Callable[[str, bytes], Told]]]] = {
    "sparkplug": ("spBv1.0/#", sparkplug),
    "json": (JSON_TOPIC, json_),
}


def main(scenario: str, url: str, count: int) -> dict[str, Any]:
    """In one thread, paho's own loop."""
    topic, read = _SCENARIOS[scenario]
    meter = Meter(count)
    values: Told = []
    parts = urlsplit(url)
    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.on_connect = lambda *_: client.subscribe(topic)

    def take(_: paho.Client, __: Any, message: paho.MQTTMessage) -> None:
        told = read(message.topic, message.payload)
        values.extend(told)
        if len(values) > 10_000:
            values.clear()
        meter.take(len(told))

    client.on_message = take
    client.connect(str(parts.hostname), int(parts.port or 0))
    while not meter.done.is_set():
        if client.loop() != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise SystemExit("the session was lost")
    return meter.outcome


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], sys.argv[2], int(sys.argv[3]))), flush=True)
    os._exit(0)
