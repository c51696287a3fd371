"""A machine of ten counters on an MQTT broker, in a process of its own, that writes down each number before it sends it.

`python -m tests.soak.sending KIND NAME --broker URL --values FILE`: a line `NS NUMBER` for each step of all counters, whether or
not the broker is there. KIND `sparkplug` is an edge node (QoS 0, as the standard has it) with the device NAME; `topics` sends
JSON with QoS 1, and keeps for a broker that is away what was not acknowledged. `--first` goes on where another life ended.
"""

import argparse
import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TextIO
from urllib.parse import urlsplit

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from dtios_packml.lifecycle import announce, ended
from dtios_packml.sparkplug.edge import EdgeNode
from dtios_packml.sparkplug.payload import Metric
from tests.soak.line import COUNTERS

_BEHIND = 0.2
_PATIENCE = 2
"""Seconds of MQTT's keep-alive, and the most between two tries to connect."""


class Counting:
    def __init__(self, first: int) -> None:
        self.number = first

    def picture(self) -> list[Metric]:
        return [Metric(name, "Int64", self.number) for name in COUNTERS]

    def document(self) -> str:
        return json.dumps(dict.fromkeys(COUNTERS, self.number))

    async def count(self, log: TextIO, rate: float, send: Callable[[], None]) -> None:
        """Late steps are caught up with, but not more than a moment's."""
        due = time.monotonic()
        while True:
            due = max(due + 1 / rate, time.monotonic() - _BEHIND)
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            self.number += 1
            log.write(f"{time.time_ns()} {self.number}\n")
            log.flush()
            send()


def sparkplug(counting: Counting, name: str, broker: str) -> tuple[Callable[[], None], Callable[[], None]]:
    edge = EdgeNode(broker, "soak", f"node-{name}", name, counting.picture, lambda _name, _value: None)
    edge.start()
    return edge.tell, edge.stop


def topics(counting: Counting, name: str, broker: str) -> tuple[Callable[[], None], Callable[[], None]]:
    parts = urlsplit(broker)
    mqtt = Client(CallbackAPIVersion.VERSION2, f"soak-{name}", clean_session=False)
    mqtt.reconnect_delay_set(1, _PATIENCE)
    mqtt.connect_async(parts.hostname or "", parts.port or 1883, _PATIENCE)
    mqtt.loop_start()
    topic = f"soak/{name}/numbers"

    def send() -> None:
        mqtt.publish(topic, counting.document(), qos=1)

    def stop() -> None:
        mqtt.loop_stop()

    return send, stop


async def main(options: argparse.Namespace) -> None:
    counting = Counting(options.first)
    send, stop = {"sparkplug": sparkplug, "topics": topics}[options.kind](counting, options.name, options.broker)
    with options.values.open("a") as log:
        log.write(f"{time.time_ns()} {options.first}\n")
        stepping = asyncio.create_task(counting.count(log, options.rate, send), name="counters")
        announce(endpoint=options.broker)
        try:
            await ended(options.with_parent)
        finally:
            stepping.cancel()
            await asyncio.wait([stepping])
            await asyncio.to_thread(stop)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.soak.sending")
    parser.add_argument("kind", choices=["sparkplug", "topics"])
    parser.add_argument("name")
    parser.add_argument("--broker", required=True)
    parser.add_argument("--rate", type=float, default=25.0)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--values", type=Path, required=True)
    parser.add_argument("--log", type=Path)
    parser.add_argument("--with-parent", action="store_true")
    asyncio.run(main(parser.parse_args()))
