"""OPC UA upwards to MQTT, ours and a bridge on bare asyncua and paho: `python -m benchmarks.north SCENARIO URL COUNT ITEMS`.

Both send with QoS 1 to the same sink, which counts. The processor time is that of all that lies between the machine and the
sink: of ours the runtime's and the publisher's process.
"""

import json
import logging
import os
import sys
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
import paho.mqtt.client as paho
import structlog
from asyncua import Client, ua
from asyncua.common.node import Node
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks.meter import Meter
from benchmarks.mqtt_sink import measured_sink
from dtios.runtime.configuration.config import RuntimeConfig
from dtios.runtime.core import Runtime
from dtios.runtime.registry import Registry
from dtios.runtime.state import StateDirectory

__all__: list[str] = []

PERIOD = 1
"""Publishing interval in ms: as short as the server goes, so that the figure is not the server's."""


async def json_(url: str, count: int, items: int) -> dict[str, Any]:
    """The JSON publisher, as it is configured by default."""
    async with measured_sink() as (sink, counting):
        written = {
            "machines": {"bench": {"endpoint": url, "settings": {"publishing_interval": PERIOD / 1000}}},
            "publishers": {"json": {"config": {"url": sink, "version": "3.1.1", "enterprise": "acme", "site": "bench"}}},
        }
        with tempfile.TemporaryDirectory() as folder:
            state = StateDirectory(Path(folder) / "state")
            async with Runtime(RuntimeConfig.model_validate(written), state, Registry()) as runtime:
                pids = [view.pid for view in runtime.kernel.app_views() if view.pid is not None]
                meter = Meter(count, *pids)
                gaps = await counting.run(meter)
                return {**meter.outcome, "gaps": gaps}


async def bridge(url: str, count: int, items: int) -> dict[str, Any]:
    """What one writes in an afternoon: a handler that publishes each value, and paho's own thread."""
    async with measured_sink() as (sink, counting):
        parts = urlsplit(sink)
        upwards = paho.Client(CallbackAPIVersion.VERSION2)
        upwards.connect(str(parts.hostname), int(parts.port or 0))
        upwards.loop_start()

        class Handler:
            def datachange_notification(self, node: Node, value: Any, data: Any) -> None:
                reading = data.monitored_item.Value
                told = {"value": value, "status": reading.StatusCode.name, "source_time": reading.SourceTimestamp.isoformat()}
                upwards.publish(f"acme/bench/{node.nodeid.Identifier}", json.dumps(told), qos=1)

        async with Client(url, timeout=30) as client:
            space = await client.get_namespace_index("urn:dtios:benchmarks")
            nodes = [client.get_node(ua.NodeId(f"v{number}", space)) for number in range(items)]
            subscription = await client.create_subscription(PERIOD, Handler())
            await subscription.subscribe_data_change(nodes, queuesize=1)
            meter = Meter(count)
            await counting.run(meter)
            print(json.dumps(meter.outcome), flush=True)
            os._exit(0)  # an endless replay is not worth a goodbye


async def main(scenario: str, url: str, count: int, items: int) -> None:
    result = await {"json": json_, "bridge": bridge}[scenario](url, count, items)
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    logging.disable(logging.ERROR)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    anyio.run(main, sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
