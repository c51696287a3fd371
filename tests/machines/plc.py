"""A PLC as they are: flat names that follow no rule, no types, bits to start things by, a set-point and what becomes of it.

`python -m tests.machines.plc --log calls.jsonl`. Three functions, each in its own way:

- station 1 in Booleans: `S1_xStart`, `Stn1.Busy`, `ST1 fertig`, `S1_Err`, taken from `S1_nCount` parts of 0.05 s each;
- station 2 in words: bit 3 of `CW_2` starts it; bit 0 of `SW_2` is *not* busy, bit 1 done, bit 2 error;
- the oven: `Oven_Cmd` 1 starts it, `Oven_State` is 0, 20 (at work), 30 (done), `Oven_Batches` counts;
- the drive: `Drv.nSet` is a set-point, `Drv.nAct` goes there.

With `--deaf` station 1 never answers; `--jam` makes its error come up after one part. `--lock` adds the device's lock: who
does not have it writes nothing.
"""

import argparse
import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from asyncua import Node, Server, ua

from dtios_packml.guard import guard_writes
from dtios_packml.hosting import hosted
from dtios_packml.lifecycle import CallLog, announce, ended
from tests.machines.lockable import DeviceLock, sessions_known
from tests.machines.overlapping import overlapping_requests

__all__ = ["PlcMachine", "plc_machine"]

URI: Final = "urn:dtios:plc"
SCAN: Final = 0.01
PART: Final = 0.05
"""Seconds for each part."""
LOCK_LASTS: Final = 0.5
"""Seconds that the lock lasts without being renewed."""

_BOOL, _INT, _WORD, _REAL = ua.VariantType.Boolean, ua.VariantType.Int16, ua.VariantType.UInt16, ua.VariantType.Float
VARIABLES: Final[dict[str, tuple[Any, ua.VariantType, bool]]] = {
    "S1_xStart": (False, _BOOL, True),
    "S1_xAbort": (False, _BOOL, True),
    "S1_nCount": (1, _INT, True),
    "Stn1.Busy": (False, _BOOL, False),
    "ST1 fertig": (False, _BOOL, False),
    "S1_Err": (False, _BOOL, False),
    "S1_ErrNo": (0, _INT, False),
    "S1_nMade": (0, _INT, False),
    "CW_2": (0b1000_0000, _WORD, True),
    "SW_2": (0b1, _WORD, False),
    "Oven_Cmd": (0, _INT, True),
    "Oven_State": (0, _INT, False),
    "Oven_Batches": (0, ua.VariantType.UInt32, False),
    "Drv.nSet": (0.0, _REAL, True),
    "Drv.nAct": (0.0, _REAL, False),
}
"""Name -> (first value, type, whether a client may write it)."""


class PlcMachine:
    """`memory` is the process image; each scan works on it and shows what has changed."""

    def __init__(self, log: CallLog, *, deaf: bool = False, jam: bool = False, lock: bool = False) -> None:
        self.log = log
        self.lock = DeviceLock(log, LOCK_LASTS) if lock else None
        self.endpoint = ""
        self.memory: dict[str, Any] = {name: first for name, (first, _, _) in VARIABLES.items()}
        self._shown = dict(self.memory)
        self._nodes: dict[str, Node] = {}
        self._deaf, self._jam = deaf, jam
        self._left = {"1": 0.0, "2": 0.0, "oven": 0.0}

    async def build(self, server: Server) -> None:
        self._server = server
        index = await server.register_namespace(URI)
        plc = await server.nodes.objects.add_object(ua.NodeId("PLC_1", index), f"{index}:PLC_1")
        for name, (first, kind, writable) in VARIABLES.items():
            self._nodes[name] = await plc.add_variable(ua.NodeId(f'"{name}"', index), f"{index}:{name}", first, kind)
            if writable:
                await self._nodes[name].set_writable()
        if self.lock is not None:
            await self.lock.build(server, plc, index)
        guard_writes(server, {
            self._nodes[name].nodeid: (kind, self._writer(name)) for name, (_, kind, writable) in VARIABLES.items() if writable
        })  # fmt: skip

    def _writer(self, name: str) -> Any:
        def write(value: Any) -> ua.StatusCode:
            if self.lock is not None and not self.lock.ours:
                return ua.StatusCode(ua.StatusCodes.BadRequiresLock)
            self.log.add(f"write {name}", [value])
            if name == "S1_xStart" and value and not self.memory[name]:
                self.log.add("started 1", [self.memory["S1_nCount"]])
            self.memory[name] = self._shown[name] = value
            return ua.StatusCode()

        return write

    async def scan(self) -> None:
        """For ever."""
        while True:
            await asyncio.sleep(SCAN)
            self._station1()
            self._station2()
            self._oven()
            self._drive()
            for name, value in self.memory.items():
                if value != self._shown[name]:
                    self._shown[name] = value
                    await self._server.write_attribute_value(
                        self._nodes[name].nodeid, ua.DataValue(ua.Variant(value, VARIABLES[name][1]))
                    )

    def _station1(self) -> None:
        m = self.memory
        if m["S1_xAbort"] and m["Stn1.Busy"]:
            m["Stn1.Busy"] = False
            self.log.add("aborted 1", [m["S1_nMade"]])
        elif m["Stn1.Busy"]:
            self._left["1"] -= SCAN
            m["S1_nMade"] = int(m["S1_nCount"] - max(self._left["1"], 0.0) / PART)
            if self._jam and m["S1_nMade"] >= 1:
                m.update({"Stn1.Busy": False, "S1_Err": True, "S1_ErrNo": 17})
            elif self._left["1"] <= 0:
                m.update({"Stn1.Busy": False, "ST1 fertig": True, "S1_nMade": m["S1_nCount"]})
                self.log.add("made 1", [m["S1_nMade"]])
        elif m["S1_xStart"] and not (m["ST1 fertig"] or m["S1_Err"] or m["S1_xAbort"] or self._deaf):
            m.update({"Stn1.Busy": True, "S1_nMade": 0})
            self._left["1"] = PART * m["S1_nCount"]
        elif not m["S1_xStart"]:
            m["ST1 fertig"] = False

    def _station2(self) -> None:
        m = self.memory
        started, idle, done = bool(m["CW_2"] & 0b1000), bool(m["SW_2"] & 1), bool(m["SW_2"] & 2)
        if started and idle and not done:
            self._left["2"], m["SW_2"] = 3 * PART, 0b00
        elif not idle:
            self._left["2"] -= SCAN
            m["SW_2"] = 0b11 if self._left["2"] <= 0 else 0b00
        elif not started:
            m["SW_2"] = 0b01

    def _oven(self) -> None:
        m = self.memory
        if m["Oven_State"] == 20:
            self._left["oven"] -= SCAN
            if self._left["oven"] <= 0:
                m.update({"Oven_State": 30, "Oven_Batches": m["Oven_Batches"] + 1})
        elif m["Oven_State"] == 0 and m["Oven_Cmd"] == 1:
            self._left["oven"], m["Oven_State"] = 3 * PART, 20
        elif m["Oven_State"] == 30 and m["Oven_Cmd"] == 0:
            m["Oven_State"] = 0

    def _drive(self) -> None:
        m = self.memory
        way = m["Drv.nSet"] - m["Drv.nAct"]
        m["Drv.nAct"] = m["Drv.nSet"] if abs(way) <= 5 else m["Drv.nAct"] + (5 if way > 0 else -5)


@asynccontextmanager
async def plc_machine(
    port: int = 0, log: CallLog | None = None, *, deaf: bool = False, jam: bool = False, lock: bool = False
) -> AsyncIterator[PlcMachine]:
    """The machine in this process while the block runs."""
    machine = PlcMachine(log or CallLog(), deaf=deaf, jam=jam, lock=lock)
    with overlapping_requests(), sessions_known():
        async with hosted("urn:dtios:plc:server", "/plc", port, machine.build) as endpoint:
            machine.endpoint = endpoint
            working = [asyncio.create_task(machine.scan(), name="scan")]
            if machine.lock is not None:
                working.append(asyncio.create_task(machine.lock.watch(), name="lock"))
            try:
                yield machine
            finally:
                for task in working:
                    task.cancel()
                await asyncio.wait(working)


async def _run(options: argparse.Namespace) -> None:
    with CallLog(options.log) as log:
        async with plc_machine(options.port, log, deaf=options.deaf, jam=options.jam, lock=options.lock) as machine:
            announce(endpoint=machine.endpoint)
            await ended(options.with_parent)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.machines.plc")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--deaf", action="store_true")
    parser.add_argument("--jam", action="store_true")
    parser.add_argument("--lock", action="store_true")
    parser.add_argument("--log", type=Path)
    parser.add_argument("--with-parent", action="store_true")
    asyncio.run(_run(parser.parse_args()))
