"""Bare paho with the same decoders, measured as the runtime is: `python -m benchmarks.mqtt_peers SCENARIO URL COUNT ITEMS`."""

import asyncio
import json
import os
import sys
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode

from benchmarks.meter import Meter
from benchmarks.mqtt_server import JSON_TOPIC
from dtios_mqtt.sparkplug.decoding import decode

__all__: list[str] = []


def sparkplug(payload: bytes) -> int:
    """Every value of the message, with the time of its metric."""
    return len([(metric.alias, metric.value, metric.timestamp) for metric in decode(payload).metrics])


def json_(payload: bytes) -> int:
    told = json.loads(payload)
    time = told.pop("ts")
    return len([(name, value, time) for name, value in told.items()])


_SCENARIOS: dict[str, tuple[str, Callable[[bytes], int]]] = {"sparkplug": ("spBv1.0/#", sparkplug), "json": (JSON_TOPIC, json_)}


def main(scenario: str, url: str, count: int) -> dict[str, Any]:
    """In one thread, paho's own loop."""
    topic, read = _SCENARIOS[scenario]
    meter = Meter(count)
    parts = urlsplit(url)
    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.on_connect = lambda *_: client.subscribe(topic)

    def take(_: paho.Client, __: Any, message: paho.MQTTMessage) -> None:
        meter.take(read(bytes(message.payload)))

    client.on_message = take
    client.connect(str(parts.hostname), int(parts.port or 0))
    while not meter.done.is_set():
        if client.loop() != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise SystemExit("the session was lost")
    return meter.outcome


async def _run() -> None:
    print(json.dumps(main(sys.argv[1], sys.argv[2], int(sys.argv[3]))), flush=True)


if __name__ == "__main__":
    asyncio.run(_run())
    os._exit(0)
