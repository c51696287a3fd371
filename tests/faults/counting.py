"""A machine of counters in a process of its own, on asyncua, that writes down each value before it sets it.

`python -m tests.faults.counting --values FILE`: a line `NS NUMBER` for each step of all counters; `FILE.held` says what clients
hold. `--first` goes on where another life ended; `--before URI` declares a namespace before the machine's own, `--numeric`
gives other NodeIds, `--type` another type.
"""

import argparse
import asyncio
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TextIO

import psutil
from asyncua import Server, ua

from dtios_packml.hosting import hosted
from dtios_packml.lifecycle import announce, ended

__all__ = ["URI", "values_of"]

URI: Final = "urn:dtios:counting"
_BEHIND: Final = 0.2


def values_of(*logs: Path, last: int = 2**40) -> list[tuple[int, int]]:
    """(ns, number) of each value that was set, in all lives, from their `last` bytes; a killed one may leave a torn line."""
    found = []
    for log in logs:
        with log.open("rb") as file:
            begin = max(0, log.stat().st_size - last)
            file.seek(begin)
            lines = file.read().decode().splitlines(keepends=True)
        for line in lines[1 if begin else 0 :]:
            if line.endswith("\n"):
                at, _, number = line.partition(" ")
                found.append((int(at), int(number)))
    return found


class Counting:
    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._kind = getattr(ua.VariantType, options.type)
        self._cast: Callable[[int], Any] = float if options.type == "Double" else int
        self._number = options.first
        self._nodes: list[ua.NodeId] = []
        self._server: Any = None

    async def build(self, server: Server) -> None:
        self._server = server
        for uri in self._options.before:
            await server.register_namespace(uri)
        index = await server.register_namespace(URI)
        machine = await server.nodes.objects.add_object(ua.NodeId("Machine", index), f"{index}:Machine")
        for number in range(self._options.counters):
            key: Any = 5000 + number if self._options.numeric else f"Counter{number}"
            first = self._cast(self._number)
            node = await machine.add_variable(ua.NodeId(key, index), f"{index}:Counter{number}", first, self._kind)
            self._nodes.append(node.nodeid)

    async def count(self, log: TextIO) -> None:
        due = time.monotonic()
        while True:
            due = max(due + 1 / self._options.rate, time.monotonic() - _BEHIND)
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            self._number += 1
            log.write(f"{time.time_ns()} {self._number}\n")
            log.flush()
            shown = ua.DataValue(ua.Variant(self._cast(self._number), self._kind), SourceTimestamp=datetime.now(UTC))
            for node in self._nodes:
                await self._server.write_attribute_value(node, shown)

    def held(self) -> dict[str, int]:
        """What clients hold of it now."""
        subscriptions = self._server.iserver.subscription_service.subscriptions
        return {"connections": len(self._server.bserver.clients), "subscriptions": len(subscriptions)}


async def _tell(machine: Counting, path: Path) -> None:
    while True:
        await asyncio.sleep(0.1)
        process = psutil.Process()
        told = {**machine.held(), "files": process.num_fds(), "tasks": len(asyncio.all_tasks())}
        path.with_suffix(".new").write_text(json.dumps(told))
        path.with_suffix(".new").replace(path)


async def _run(options: argparse.Namespace) -> None:
    machine = Counting(options)
    with options.values.open("a") as log:
        log.write(f"{time.time_ns()} {options.first}\n")
        async with hosted("urn:dtios:counting:server", "/counting", options.port, machine.build) as endpoint:
            counting = asyncio.create_task(machine.count(log), name="counters")
            telling = asyncio.create_task(_tell(machine, options.values.with_suffix(".held")), name="what is held")
            announce(endpoint=endpoint)
            try:
                await ended(options.with_parent)
            finally:
                for task in (counting, telling):
                    task.cancel()
                await asyncio.wait([counting, telling])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.faults.counting")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--counters", type=int, default=3)
    parser.add_argument("--rate", type=float, default=50.0)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--before", action="append", default=[])
    parser.add_argument("--numeric", action="store_true")
    parser.add_argument("--type", default="Int64")
    parser.add_argument("--values", type=Path, required=True)
    parser.add_argument("--log", type=Path)
    parser.add_argument("--with-parent", action="store_true")
    asyncio.run(_run(parser.parse_args()))
