"""The server of a benchmark, in a process of its own: `python -m benchmarks.server replay|live|tree COUNT`.

Prints its URL when it is ready and ends with its stdin.

- replay: COUNT Doubles, and what `benchmarks.replay` says.
- live: `Tick` (Int64, the time of its change in ns, every 20 ms) and `Ping`, which follows `Pong` by one as soon as a client
  writes it: a closed loop through the client. `Trips` (Double[]) are the last round trips in seconds.
- tree: COUNT variables in objects of 100.
"""

import asyncio
import logging
import sys
import time

from asyncua import Server, ua

from benchmarks.replay import install

__all__: list[str] = []

NAMESPACE = "urn:dtios:benchmarks"


async def main(kind: str, count: int) -> None:
    if kind == "replay":
        install(count)
    server = Server()
    await server.init()
    server.set_endpoint("opc.tcp://127.0.0.1:0")
    server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    space = await server.register_namespace(NAMESPACE)
    background = await _LIVE[kind](server, space, count)
    async with server:
        port = server.bserver.port
        print(f"opc.tcp://127.0.0.1:{port}", flush=True)
        ticking = asyncio.create_task(background(server), name="tick") if background else None
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        if ticking is not None:
            ticking.cancel()


async def _flat(server: Server, space: int, count: int) -> None:
    bench = await server.nodes.objects.add_object(ua.NodeId("Bench", space), ua.QualifiedName("Bench", space))
    for number in range(count):
        await bench.add_variable(ua.NodeId(f"v{number}", space), ua.QualifiedName(f"v{number}", space), 0.0)


async def _tree(server: Server, space: int, count: int) -> None:
    for group in range(count // 100):
        name = f"Unit{group}"
        unit = await server.nodes.objects.add_object(ua.NodeId(name, space), ua.QualifiedName(name, space))
        for number in range(99):
            below = f"v{number}"
            await unit.add_variable(ua.NodeId(f"{name}.{below}", space), ua.QualifiedName(below, space), 0.0)


async def _live(server: Server, space: int, count: int):  # type: ignore[no-untyped-def]  # a script's inner function
    bench = await server.nodes.objects.add_object(ua.NodeId("Bench", space), ua.QualifiedName("Bench", space))

    async def variable(name: str, value: object, kind: ua.VariantType):  # type: ignore[no-untyped-def]  # as above
        return await bench.add_variable(ua.NodeId(name, space), ua.QualifiedName(name, space), value, kind)

    tick = await variable("Tick", 0, ua.VariantType.Int64)
    ping = await variable("Ping", 0, ua.VariantType.Int64)
    pong = await variable("Pong", 0, ua.VariantType.Int64)
    trips_node = await variable("Trips", [0.0], ua.VariantType.Double)
    await pong.set_writable()
    written: asyncio.Queue[int] = asyncio.Queue()
    server.iserver.aspace.add_datachange_callback(
        pong.nodeid, ua.AttributeIds.Value, lambda _handle, value, _error=None: written.put_nowait(value.Value.Value)
    )

    async def bounce() -> None:
        sent, trips = time.perf_counter(), []
        while True:
            number = await written.get()
            trips.append(time.perf_counter() - sent)
            await trips_node.write_value(trips[-1000:])
            sent = time.perf_counter()
            await ping.write_value(ua.Variant(number + 1, ua.VariantType.Int64))

    async def background(_server: Server) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(bounce(), name="bounce")
            while True:
                await asyncio.sleep(0.02)
                await tick.write_value(ua.Variant(time.time_ns(), ua.VariantType.Int64))

    return background


_LIVE = {"replay": _flat, "tree": _tree, "live": _live}

if __name__ == "__main__":
    logging.disable(logging.ERROR)
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
