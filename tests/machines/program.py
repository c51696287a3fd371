"""A machine that runs an OPC UA Program (Part 10): `python -m tests.machines.program --log calls.jsonl`.

`Welder/Seam` is of ProgramStateMachineType. It takes 0.05 s for each of `Welder/Count` points. Its CurrentState is told in
German, so that only Number and Id are of use. With `--halted` it begins Halted.
"""

import argparse
import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from asyncua import Node, Server, ua
from asyncua.common.methods import uamethod

from dtios_packml.hosting import hosted
from dtios_packml.lifecycle import CallLog, announce, ended
from tests.machines.overlapping import overlapping_requests

__all__ = ["ProgramMachine", "program_machine"]

URI: Final = "urn:dtios:welder"
STEP: Final = 0.01
POINT: Final = 0.05
STATES: Final = {
    "Halted": (11, 2406, "Angehalten"), "Ready": (12, 2400, "Bereit"), "Running": (13, 2402, "Läuft"),
    "Suspended": (14, 2404, "Unterbrochen"),
}  # fmt: skip
MOVES: Final = {
    "Start": (("Ready",), "Running"),
    "Suspend": (("Running",), "Suspended"),
    "Resume": (("Suspended",), "Running"),
    "Halt": (("Ready", "Running", "Suspended"), "Halted"),
    "Reset": (("Halted",), "Ready"),
}


class ProgramMachine:
    def __init__(self, log: CallLog, state: str = "Ready") -> None:
        self.log = log
        self.endpoint = ""
        self.state = state
        self.welded = 0
        self._left = 0.0
        self._nodes: dict[str, Node] = {}

    async def build(self, server: Server) -> None:
        self._server = server
        own = await server.register_namespace(URI)
        welder = await server.nodes.objects.add_object(ua.NodeId("Welder", own), f"{own}:Welder")
        self._count = await welder.add_variable(ua.NodeId("Count", own), f"{own}:Count", 3, ua.VariantType.Int32)
        await self._count.set_writable()
        kind = ua.NodeId(ua.ObjectIds.ProgramStateMachineType)
        program = await welder.add_object(ua.NodeId("Seam", own), f"{own}:Seam", kind, False)
        current = await program.get_child("0:CurrentState")
        self._nodes = {"state": current, "number": await current.get_child("0:Number"), "id": await current.get_child("0:Id")}
        await self._enter(self.state)
        results = await program.add_object(ua.NodeId("Seam.Results", own), "0:FinalResultData")
        made = await results.add_variable(ua.NodeId("Seam.Welded", own), f"{own}:Welded", 0, ua.VariantType.Int32)
        self._nodes["welded"] = made
        for name in MOVES:
            await program.add_method(ua.NodeId(f"Seam.{name}", own), f"0:{name}", uamethod(self._method(name)), [], [])

    def _method(self, name: str) -> Any:
        async def method(_: ua.NodeId) -> ua.StatusCode | None:
            allowed, to = MOVES[name]
            code = ua.StatusCodes.Good if self.state in allowed else ua.StatusCodes.BadInvalidState
            self.log.add(name, [], state=self.state, status=ua.StatusCode(code).name)
            if code != ua.StatusCodes.Good:
                return ua.StatusCode(code)
            if name == "Start":
                self._wanted = await self._count.read_value()
                self.welded, self._left = 0, POINT * self._wanted
            await self._enter(to)
            return None

        return method

    async def _enter(self, state: str) -> None:
        self.state = state
        number, node, text = STATES[state]
        for name, value in (
            ("number", ua.Variant(number, ua.VariantType.UInt32)),
            ("id", ua.Variant(ua.NodeId(node), ua.VariantType.NodeId)),
            ("state", ua.Variant(ua.LocalizedText(text, "de"), ua.VariantType.LocalizedText)),
        ):
            await self._server.write_attribute_value(self._nodes[name].nodeid, ua.DataValue(value))

    async def work(self) -> None:
        """For ever."""
        while True:
            await asyncio.sleep(STEP)
            if self.state != "Running":
                continue
            self._left -= STEP
            if self._left <= 0:
                self.welded = self._wanted
                self.log.add("welded", [self.welded])
                value = ua.DataValue(ua.Variant(self.welded, ua.VariantType.Int32))
                await self._server.write_attribute_value(self._nodes["welded"].nodeid, value)
                await self._enter("Ready")


@asynccontextmanager
async def program_machine(port: int = 0, log: CallLog | None = None, state: str = "Ready") -> AsyncIterator[ProgramMachine]:
    """The machine in this process while the block runs."""
    machine = ProgramMachine(log or CallLog(), state)
    with overlapping_requests():
        async with hosted("urn:dtios:welder:server", "/welder", port, machine.build) as endpoint:
            machine.endpoint = endpoint
            working = asyncio.create_task(machine.work(), name="welding")
            try:
                yield machine
            finally:
                working.cancel()
                await asyncio.wait([working])


async def _run(options: argparse.Namespace) -> None:
    with CallLog(options.log) as log:
        async with program_machine(options.port, log, "Halted" if options.halted else "Ready") as machine:
            announce(endpoint=machine.endpoint)
            await ended(options.with_parent)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.machines.program")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--halted", action="store_true")
    parser.add_argument("--log", type=Path)
    parser.add_argument("--with-parent", action="store_true")
    asyncio.run(_run(parser.parse_args()))
