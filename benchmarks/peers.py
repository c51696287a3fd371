"""Bare asyncua, measured as the runtime is: `python -m benchmarks.peers SCENARIO URL COUNT`. Prints one JSON object."""

import asyncio
import json
import logging
import os
import statistics
import sys
import time
from typing import Any

from asyncua import Client, ua
from asyncua.common.node import Node

from benchmarks.meter import Meter, rss

__all__: list[str] = []

PERIOD = 1
"""Publishing interval in ms: as short as the server goes, so that the figure is the client's."""


async def _nodes(client: Client, count: int) -> list[Node]:
    space = await client.get_namespace_index("urn:dtios:benchmarks")
    return [client.get_node(ua.NodeId(f"v{number}", space)) for number in range(count)]


async def handler(client: Client, url: str, count: int, items: int) -> dict[str, Any]:
    meter = Meter(count)

    class Handler:
        def datachange_notification(self, node: Node, value: Any, data: Any) -> None:
            meter.take(1)

    subscription = await client.create_subscription(PERIOD, Handler())
    await subscription.subscribe_data_change(await _nodes(client, items), queuesize=1)
    return await meter.result()


async def iterator(client: Client, url: str, count: int, items: int) -> dict[str, Any]:
    meter = Meter(count)
    subscription = await client.create_subscription(PERIOD, queue_maxsize=100_000)
    await subscription.subscribe_data_change(await _nodes(client, items), queuesize=1)
    async for _event in subscription:
        meter.take(1)
        if meter.done.is_set():
            break
    return await meter.result()


async def _variable(client: Client, name: str) -> Node:
    space = await client.get_namespace_index("urn:dtios:benchmarks")
    return client.get_node(ua.NodeId(name, space))


async def latency(client: Client, url: str, count: int, items: int) -> dict[str, Any]:
    """Seconds from the server's change to the handler."""
    found: list[float] = []
    done = asyncio.Event()

    class Handler:
        def datachange_notification(self, node: Node, value: Any, data: Any) -> None:
            found.append((time.time_ns() - value) / 1e9)
            if len(found) > count:
                done.set()

    subscription = await client.create_subscription(PERIOD, Handler())
    await subscription.subscribe_data_change(await _variable(client, "Tick"))
    await done.wait()
    return {"seconds": statistics.median(found[1:])}


async def loop(client: Client, url: str, count: int, items: int) -> dict[str, Any]:
    """Seconds from the server's change through a handler that writes to the server again."""
    ping, pong, trips = [await _variable(client, name) for name in ("Ping", "Pong", "Trips")]
    done = asyncio.Event()

    class Handler:
        first: int | None = None

        async def datachange_notification(self, node: Node, value: Any, data: Any) -> None:
            if self.first is None:
                self.first = value
            if value >= self.first + count:
                done.set()
                return
            variant = ua.Variant(value, ua.VariantType.Int64)
            await pong.write_attribute(ua.AttributeIds.Value, ua.DataValue(variant))

    subscription = await client.create_subscription(PERIOD, Handler())
    await subscription.subscribe_data_change(ping)
    await done.wait()
    return {"seconds": statistics.median((await trips.read_value())[10 - count :])}


async def browse(client: Client, url: str, count: int, items: int) -> dict[str, Any]:
    """Recursion as a program on asyncua does it: children, and of each what a description needs."""
    before, begun, found = rss(), time.perf_counter(), 0

    async def below(node: Node) -> None:
        nonlocal found
        for child in await node.get_children_descriptions():
            found += 1
            inner = client.get_node(child.NodeId)
            if child.NodeClass == ua.NodeClass.Variable:
                await inner.read_attributes([ua.AttributeIds.DataType, ua.AttributeIds.ValueRank, ua.AttributeIds.AccessLevel])
            if child.BrowseName.NamespaceIndex:
                await below(inner)

    await below(client.nodes.objects)
    return {"seconds": time.perf_counter() - begun, "bytes": max(1, rss() - before), "nodes": found}


async def idle(client: Client, url: str, count: int, items: int) -> dict[str, Any]:
    """Memory of a session with its subscription, and the time to get there."""

    class Handler:
        def datachange_notification(self, node: Node, value: Any, data: Any) -> None: ...

    subscription = await client.create_subscription(PERIOD, Handler())
    await subscription.subscribe_data_change(await _nodes(client, items), queuesize=1)
    return {"bytes": rss()}


async def main(scenario: str, url: str, count: int, items: int) -> None:
    run = {f.__name__: f for f in (handler, iterator, latency, loop, browse, idle)}[scenario]
    begun = time.perf_counter()
    async with Client(url, timeout=30) as client:
        found = await run(client, url, count, items)
        print(json.dumps({"start": time.perf_counter() - begun, **found}), flush=True)
        os._exit(0)  # an endless replay is not worth a goodbye


if __name__ == "__main__":
    logging.disable(logging.ERROR)
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
