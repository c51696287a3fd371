"""A machine of counters over plain MQTT topics, on paho's own client, that writes down each number before it sends it.

`python -m tests.machines.counting_topics --broker mqtt://127.0.0.1:1883 --values FILE --log LOG`: a line `NS NUMBER` for each
message. The profile is beside it.
"""

import argparse
import asyncio
import json
import time
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from dtios_packml.lifecycle import announce, ended

__all__ = ["PROFILE"]

PROFILE: Final = Path(__file__).with_suffix(".yaml")


async def count(mqtt: Client, values: Path, rate: float) -> None:
    number = 0
    with values.open("a") as log:
        while True:
            number += 1
            log.write(f"{time.time_ns()} {number}\n")
            log.flush()
            mqtt.publish("counting/m/numbers", json.dumps(dict.fromkeys("abc", number)), qos=1)
            await asyncio.sleep(1 / rate)


async def main(options: argparse.Namespace) -> None:
    parts = urlsplit(options.broker)
    mqtt = Client(CallbackAPIVersion.VERSION2, "counting-topics")
    mqtt.connect(parts.hostname or "", parts.port or 1883)
    mqtt.loop_start()
    counting = asyncio.create_task(count(mqtt, options.values, options.rate), name="counters")
    announce(endpoint=options.broker)
    try:
        await ended(options.with_parent)
    finally:
        counting.cancel()
        mqtt.loop_stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.machines.counting_topics")
    parser.add_argument("--broker", required=True)
    parser.add_argument("--values", type=Path, required=True)
    parser.add_argument("--rate", type=float, default=100.0)
    parser.add_argument("--log", type=Path)
    parser.add_argument("--with-parent", action="store_true")
    asyncio.run(main(parser.parse_args()))
