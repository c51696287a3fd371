"""The edge node of sparkplug.mjs: started, told what to do, and asked what it did."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.brokers import BrokerProcess
from tests.interop.node_server import running_node_server
from tests.machines.process import MachineProcess

__all__ = ["EdgeNodeProcess", "edge_node"]


class EdgeNodeProcess:
    """`machine` is its process; what it was commanded stands in its own log."""

    def __init__(self, machine: MachineProcess) -> None:
        self.machine = machine

    def tell(self, what: str, **more: Any) -> None:
        stdin = self.machine.process.stdin
        assert stdin is not None
        stdin.write(json.dumps({"do": what, **more}).encode() + b"\n")
        stdin.flush()

    def data(self, name: str, kind: str, value: Any, device: str = "Press1", **more: Any) -> None:
        self.tell("data", device=device, metrics=[{"name": name, "type": kind, "value": value, **more}])

    def commands(self, method: str) -> list[list[dict[str, Any]]]:
        """The metrics of each NCMD ("ncmd") or DCMD ("dcmd") it was sent."""
        return [call["args"] for call in self.machine.calls(method)]


@asynccontextmanager
async def edge_node(broker: BrokerProcess, folder: Path, *options: str, name: str = "Edge1") -> AsyncIterator[EdgeNodeProcess]:
    """Born when the block begins, and talking; killed at its end."""
    command = ("--broker", broker.url, "--node", name, "--beat", "150", *options)
    async with running_node_server(folder / f"{name}.jsonl", *command, script="sparkplug") as machine:
        yield EdgeNodeProcess(machine)
