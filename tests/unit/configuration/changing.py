"""A runtime over machines in memory whose dtios.yaml is a file that the test writes."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import yaml

from dtios.runtime.configuration.config import load_config
from dtios.runtime.core import Runtime
from dtios.runtime.registry import Registry
from dtios.runtime.state import StateDirectory
from dtios.sdk.app import App
from dtios.sdk.client import Client
from dtios.sdk.clock import Clock
from dtios.testing import MemoryAdapter, MemoryServer
from tests.runtimes import client_of

__all__ = ["Line", "changing"]


class Line:
    """`write` is what an editor does; `document` what stands in the file, to be changed and written again."""

    def __init__(self, file: Path, document: dict[str, Any]) -> None:
        self.file = file
        self.document = document
        self.runtime: Runtime
        self.client: Client
        self.write()

    def write(self, text: str | None = None) -> None:
        """Replaces the file, as editors do."""
        beside = self.file.with_suffix(".swp")
        beside.write_text(yaml.safe_dump(self.document, sort_keys=False) if text is None else text, "utf-8")
        beside.replace(self.file)

    async def apply(self) -> list[tuple[str, str, tuple[str, ...]]]:
        """(name, change, effects) of what the reload touched."""
        self.write()
        report = await self.client.reload()
        assert report.applied
        assert report.troubles == []
        return [(c.name, c.change, tuple(c.effects)) for c in report.changes]


@asynccontextmanager
async def changing(
    folder: Path,
    *servers: MemoryServer,
    machines: dict[str, Any] | None = None,
    apps: dict[str, Any] | None = None,
    given: tuple[App[Any], ...] = (),
    clock: Clock | None = None,
    watch: bool = False,
) -> AsyncIterator[Line]:
    document = {"machines": machines or {s.name: {"endpoint": s.url} for s in servers}, "apps": apps or {}}
    line = Line(folder / "dtios.yaml", document)
    registry = Registry(adapters=[MemoryAdapter(*servers)], apps=given, installed=False)
    async with AsyncExitStack() as stack:
        for server in servers:
            await stack.enter_async_context(server)
        made = Runtime(load_config(line.file), StateDirectory(folder / "state"), registry, clock, path=line.file, watch=watch)
        line.runtime = await stack.enter_async_context(made)
        line.client = await stack.enter_async_context(client_of(line.runtime))
        yield line
