"""A machine in a process of its own, known by its ready line, to be frozen, killed and asked what it was commanded."""

import asyncio
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["MachineProcess", "machine_process", "python_machine", "running_machine"]


@dataclass
class MachineProcess:
    """`port` may be given to another process to take this one's place."""

    endpoint: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def port(self) -> int:
        return int(self.endpoint.split(":")[2].split("/")[0])

    def calls(self, method: str | None = None) -> list[dict[str, Any]]:
        """What it was commanded, from its own log; it is whole after kill -9, but for a torn last line."""
        if not self.log.exists():
            return []
        entries = []
        for line in self.log.read_text("utf-8").splitlines():
            with suppress(json.JSONDecodeError):
                entries.append(json.loads(line))
        return [e for e in entries if method in (None, e["method"])]

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """kill -9, and wait for the end."""
        self.process.kill()
        self.process.wait(10)

    def stop(self) -> None:
        """SIGTERM, and wait for the end."""
        self.process.terminate()
        self.process.wait(10)


@contextmanager
def machine_process(command: Sequence[str], log: Path, timeout: float = 60.0) -> Iterator[MachineProcess]:
    """Starts `command` with `--with-parent --log LOG` and waits for its ready line. Whatever happened to it, it is gone after.

    Blocks: in an event loop use `running_machine`.
    """
    full = [*command, "--with-parent", "--log", str(log)]
    with subprocess.Popen(full, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            yield MachineProcess(_ready(process, timeout)["endpoint"], process, log)
        finally:
            process.kill()


@asynccontextmanager
async def running_machine(command: Sequence[str], log: Path, timeout: float = 60.0) -> AsyncIterator[MachineProcess]:
    """`machine_process` that leaves the event loop free while the machine gets ready."""
    machine = machine_process(command, log, timeout)
    started = await asyncio.to_thread(machine.__enter__)
    try:
        yield started
    finally:
        await asyncio.to_thread(machine.__exit__, None, None, None)


def python_machine(module: str, *options: str) -> list[str]:
    """The command of a module such as `tests.machines.plain` or `dtios_packml`."""
    return [sys.executable, "-m", module, *options]


def _ready(process: subprocess.Popen[bytes], timeout: float) -> dict[str, Any]:
    assert process.stdout is not None
    stream = process.stdout.fileno()
    deadline, got = time.monotonic() + timeout, b""
    while b"\n" not in got:
        if not select.select([stream], [], [], max(0.0, deadline - time.monotonic()))[0]:
            raise TimeoutError(f"{process.args!r} is not ready after {timeout:g} s")
        piece = os.read(stream, 4096)
        if not piece:
            raise RuntimeError(f"{process.args!r} ended with {process.wait()} before it was ready")
        got += piece
    ready: dict[str, Any] = json.loads(got.split(b"\n", 1)[0])
    return ready
