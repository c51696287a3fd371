"""The node-opcua servers of this folder: what is needed for them, and how they are started."""

import os
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from tests.machines.process import MachineProcess, machine_process, running_machine

__all__ = ["HERE", "missing", "node_command", "node_server", "require_node", "running_node_server"]

HERE = Path(__file__).parent


def missing() -> str | None:
    """What is not there, None if the server can run."""
    if shutil.which("node") is None:
        return "node is not installed"
    if not (HERE / "node_modules" / "node-opcua").is_dir():
        return "the packages of tests/interop are not installed (npm ci)"
    return None


def require_node() -> None:
    """Skips where node or the packages are missing; in CI that is a failure."""
    reason = missing()
    if reason is None:
        return
    if os.environ.get("CI", "").lower() in ("1", "true", "yes"):
        pytest.fail(reason)
    pytest.skip(reason)


@contextmanager
def node_server(log: Path, *options: str, script: str = "server") -> Iterator[MachineProcess]:
    """`script`.mjs while the block runs. Its own log of commands is `log`. Blocks until it is ready."""
    require_node()
    with machine_process(node_command(script, *options), log) as server:
        yield server


@asynccontextmanager
async def running_node_server(log: Path, *options: str, script: str = "server") -> AsyncIterator[MachineProcess]:
    """`node_server` for use in a test of its own, which may freeze or kill it."""
    require_node()
    async with running_machine(node_command(script, *options), log) as server:
        yield server


def node_command(script: str, *options: str) -> list[str]:
    """What starts one of the scripts here."""
    return ["node", str(HERE / f"{script}.mjs"), *options]
