"""A runtime with a client, for tests: real session, gate and journal, whatever machines are given."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio

from dtios.runtime.configuration.config import RuntimeConfig
from dtios.runtime.configuration.setup import hosted_setups
from dtios.runtime.core import Runtime
from dtios.runtime.registry import Registry
from dtios.runtime.state import StateDirectory
from dtios.sdk.client import Client, open_client
from dtios.sdk.clock import Clock
from dtios.sdk.transport import memory_pair
from dtios.testing import MemoryAdapter, MemoryServer

__all__ = ["client_of", "running", "with_apps"]


@asynccontextmanager
async def client_of(runtime: Runtime, principal: str = "cli:tester") -> AsyncIterator[Client]:
    """A client of its own, as a command or an app has it."""
    ours, theirs = memory_pair()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(runtime.serve, ours, principal, name=f"serve {principal}")
        async with open_client(theirs, "command") as client:
            yield client


def with_apps(runtime: Runtime, apps: Mapping[str, Any]) -> None:
    """Principals with the grants of these apps, without running them."""
    keeper = runtime.configuration
    config = RuntimeConfig.model_validate({**keeper.running.config.model_dump(by_alias=True), "apps": dict(apps)})
    keeper.running = replace(keeper.running, config=config, hosted=hosted_setups(config))


@asynccontextmanager
async def running(
    state: Path,
    *servers: MemoryServer,
    machines: Mapping[str, Any] | None = None,
    apps: Mapping[str, Any] | None = None,
    registry: Registry | None = None,
    clock: Clock | None = None,
) -> AsyncIterator[Runtime]:
    """A runtime in `state` over servers in memory (`memory:NAME`)."""
    config = RuntimeConfig.model_validate({"machines": dict(machines or {}), "apps": dict(apps or {})})
    registry = registry or Registry(adapters=[MemoryAdapter(*servers)], installed=False)
    async with Runtime(config, StateDirectory(state), registry, clock) as runtime:
        yield runtime
