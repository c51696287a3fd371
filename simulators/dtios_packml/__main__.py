"""`python -m dtios_packml`: the simulated machine in a process of its own."""

import argparse
import asyncio
import os
from pathlib import Path

from dtios_packml.lifecycle import CallLog, announce, ended
from dtios_packml.plant import Plant, State


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m dtios_packml", description="A simulated PackML machine on 127.0.0.1.")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--speed", type=float, default=1.0, help="simulated seconds for each second")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jam-every", type=int, default=0, metavar="N", help="jam about every N parts")
    parser.add_argument("--state", choices=["Idle", "Stopped", "Aborted", "Complete", "Held", "Suspended"], default="Idle")
    parser.add_argument("--name", default="Filler", help="BrowseName of the machine")
    parser.add_argument("--sparkplug", metavar="URL", help="as a device of a Sparkplug edge node on this broker, not by OPC UA")
    parser.add_argument("--group", default="Plant", help="Sparkplug: the group")
    parser.add_argument("--node", default="Line1", help="Sparkplug: the edge node")
    parser.add_argument("--log", type=Path, help="file for a JSON line for each command")
    parser.add_argument("--with-parent", action="store_true", help="end when stdin is closed")
    return parser.parse_args()


async def _run(options: argparse.Namespace) -> None:
    plant = Plant(options.seed, options.jam_every, State[options.state])
    with CallLog(options.log) as log:
        if options.sparkplug is not None:
            await _on_broker(options, plant, log)
            return
        from dtios_packml.server import serve

        async with serve(plant, options.port, options.speed, log, options.name) as face:
            announce(endpoint=face.endpoint)
            await ended(options.with_parent)


async def _on_broker(options: argparse.Namespace, plant: Plant, log: CallLog) -> None:
    """The ready line comes with the first birth: when there is a broker."""
    from dtios_packml.sparkplug.face import on_broker

    async with on_broker(plant, options.sparkplug, options.group, options.node, options.name, options.speed, log) as face:
        ready = asyncio.create_task(face.edge.born.wait(), name="birth")
        ready.add_done_callback(lambda task: None if task.cancelled() else announce(endpoint=options.sparkplug))
        await ended(options.with_parent)
        ready.cancel()


if __name__ == "__main__":
    asyncio.run(_run(_options()))
    os._exit(0)  # all is closed; tearing down asyncua's types would take most of a second
