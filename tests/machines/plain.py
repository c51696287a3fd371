"""A machine that follows no companion specification: flat variables, a set point, a method that takes a while.

Its counters show every number from 1 on, in order, so that a test can tell what was lost or reordered:
`python -m tests.machines.plain --counters 10 --rate 100 --log calls.jsonl`. With `--beside` a second machine, Beside, stands
behind the same endpoint, with counters of its own. The log also holds each session, and each monitored item that was created or
deleted.
"""

import argparse
import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from asyncua import Node, Server, ua
from asyncua.common.methods import uamethod

from dtios_packml.guard import guard_writes
from dtios_packml.hosting import hosted
from dtios_packml.lifecycle import CallLog, announce, ended
from tests.machines.overlapping import overlapping_requests
from tests.machines.services import log_services

__all__ = ["URI", "PlainMachine", "plain_machine"]

URI: Final = "urn:dtios:plain"
STEP: Final = 0.01
BEHIND: Final = 0.25
"""Seconds that the counters may be late and still show every number that is due."""
SPEEDS: Final = (0.1, 1000.0)
"""Pieces per second that SetSpeed and Make take."""


class PlainMachine:
    """`written`: the last number that the counters have shown. `making`: the piece work under way, if any."""

    def __init__(self, counters: int, rate: float, log: CallLog, beside: bool = False) -> None:
        self.log = log
        self.endpoint = ""
        self.written = 0
        self.made_ever = 0
        self.counting = True
        self.making: asyncio.Task[int] | None = None
        self._rate = rate
        self._count = counters
        self._beside = beside
        self._stop = asyncio.Event()
        self._nodes: dict[str, Node] = {}
        self._counters: list[ua.NodeId] = []

    async def build(self, server: Server) -> None:
        self._server = server
        index = await server.register_namespace(URI)
        machine = await server.nodes.objects.add_object(ua.NodeId("Plain", index), f"{index}:Plain")

        async def variable(name: str, value: Any, kind: ua.VariantType) -> Node:
            self._nodes[name] = await machine.add_variable(ua.NodeId(f"Plain.{name}", index), f"{index}:{name}", value, kind)
            return self._nodes[name]

        speed = await variable("Speed", 10.0, ua.VariantType.Double)
        await speed.add_property(0, "EURange", ua.Range(*SPEEDS))
        counting = await variable("Counting", True, ua.VariantType.Boolean)
        await variable("Running", False, ua.VariantType.Boolean)
        await variable("Made", 0, ua.VariantType.Int32)
        await variable("MadeEver", 0, ua.VariantType.UInt32)
        for number in range(self._count):
            self._counters.append((await variable(f"Counter{number}", 0, ua.VariantType.UInt32)).nodeid)
        if self._beside:
            other = await server.nodes.objects.add_object(ua.NodeId("Beside", index), f"{index}:Beside")
            for number in range(self._count):
                name = ua.NodeId(f"Beside.Counter{number}", index)
                node = await other.add_variable(name, f"{index}:Counter{number}", 0, ua.VariantType.UInt32)
                self._counters.append(node.nodeid)
        log_services(server, self.log)
        for node in (speed, counting):
            await node.set_writable()
        guard_writes(server, {
            speed.nodeid: (ua.VariantType.Double, self._writer("Speed", _speed_code)),
            counting.nodeid: (ua.VariantType.Boolean, self._writer("Counting", self._set_counting)),
        })  # fmt: skip
        inputs = [_argument("count", ua.VariantType.Int32), _argument("speed", ua.VariantType.Double)]
        outputs = [_argument("made", ua.VariantType.Int32)]
        await machine.add_method(ua.NodeId("Plain.Make", index), f"{index}:Make", uamethod(self._make), inputs, outputs)
        await machine.add_method(ua.NodeId("Plain.Stop", index), f"{index}:Stop", uamethod(self._halt), [], [])

    async def count(self) -> None:
        """Shows number after number at the rate, none left out, for ever; after a standstill it goes on from where it stood."""
        begun, at = time.monotonic(), 0.0
        while True:
            await asyncio.sleep(STEP)
            now = time.monotonic() - begun
            # What was frozen does not catch up: a burst could overflow its own queue, and asyncua's server does not say so.
            at = max(at, now - BEHIND)
            while at + 1 / self._rate <= now:
                at += 1 / self._rate
                if self.counting:
                    await self._show_next()

    async def end(self) -> None:
        """Breaks off the piece work, for the end of the machine."""
        if self.making:
            self.making.cancel()
            await asyncio.wait([self.making])

    async def _show_next(self) -> None:
        self.written += 1
        shown = ua.DataValue(ua.Variant(self.written, ua.VariantType.UInt32), SourceTimestamp=_now())
        for node in self._counters:
            await self._server.write_attribute_value(node, shown)

    async def _show(self, name: str, value: Any, kind: ua.VariantType) -> None:
        shown = ua.DataValue(ua.Variant(value, kind), SourceTimestamp=_now())
        await self._server.write_attribute_value(self._nodes[name].nodeid, shown)

    async def _make(self, _: ua.NodeId, count: int, speed: float) -> Any:
        """The work is the machine's own task: it goes on when the caller is gone."""
        code = self._may_make(count, speed)
        self.log.add("Make", [count, speed], status=code.name)
        if not code.is_good():
            return code
        self._stop.clear()
        self.making = asyncio.create_task(self._work(count, speed), name="piece work")
        return ua.Variant(await asyncio.shield(self.making), ua.VariantType.Int32)

    def _may_make(self, count: int, speed: float) -> ua.StatusCode:
        if self.making and not self.making.done():
            return ua.StatusCode(ua.StatusCodes.BadInvalidState)
        return _speed_code(speed) if count >= 1 else ua.StatusCode(ua.StatusCodes.BadOutOfRange)

    async def _work(self, count: int, speed: float) -> int:
        await self._show("Running", True, ua.VariantType.Boolean)
        await self._show("Made", 0, ua.VariantType.Int32)
        made = 0
        while made < count and not self._stop.is_set():
            try:
                await asyncio.wait_for(self._stop.wait(), 1 / speed)
            except TimeoutError:
                made += 1
                self.made_ever += 1
                await self._show("Made", made, ua.VariantType.Int32)
                await self._show("MadeEver", self.made_ever, ua.VariantType.UInt32)
        await self._show("Running", False, ua.VariantType.Boolean)
        self.log.add("made", [made])
        return made

    async def _halt(self, _: ua.NodeId) -> None:
        self.log.add("Stop", [])
        self._stop.set()

    def _set_counting(self, value: bool) -> ua.StatusCode:
        self.counting = value
        return ua.StatusCode()

    def _writer(self, name: str, judge: Callable[[Any], ua.StatusCode]) -> Callable[[Any], ua.StatusCode]:
        def write(value: Any) -> ua.StatusCode:
            code = judge(value)
            self.log.add(f"write {name}", [value], status=code.name)
            return code

        return write


def _speed_code(speed: float) -> ua.StatusCode:
    fits = math.isfinite(speed) and SPEEDS[0] <= speed <= SPEEDS[1]
    return ua.StatusCode(ua.StatusCodes.Good if fits else ua.StatusCodes.BadOutOfRange)


def _argument(name: str, kind: ua.VariantType) -> ua.Argument:
    return ua.Argument(Name=name, DataType=ua.NodeId(kind.value), ValueRank=ua.ValueRank.Scalar)


def _now() -> Any:
    return ua.uatypes.datetime.now(ua.uatypes.timezone.utc)


@asynccontextmanager
async def plain_machine(
    counters: int = 4, rate: float = 20.0, port: int = 0, log: CallLog | None = None, beside: bool = False
) -> AsyncIterator[PlainMachine]:
    """The machine in this process while the block runs. `rate`: numbers per second on each counter."""
    machine = PlainMachine(counters, rate, log or CallLog(), beside)
    with overlapping_requests():
        async with hosted("urn:dtios:plain:server", "/plain", port, machine.build) as endpoint:
            machine.endpoint = endpoint
            counting = asyncio.create_task(machine.count(), name="counters")
            try:
                yield machine
            finally:
                counting.cancel()
                await asyncio.wait([counting])
                await machine.end()


async def _run(options: argparse.Namespace) -> None:
    with CallLog(options.log) as log:
        async with plain_machine(options.counters, options.rate, options.port, log, options.beside) as machine:
            announce(endpoint=machine.endpoint)
            await ended(options.with_parent)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.machines.plain")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--counters", type=int, default=4)
    parser.add_argument("--rate", type=float, default=20.0)
    parser.add_argument("--beside", action="store_true")
    parser.add_argument("--log", type=Path)
    parser.add_argument("--with-parent", action="store_true")
    asyncio.run(_run(parser.parse_args()))
