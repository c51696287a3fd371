"""The runtime, measured as its peers are: `python -m benchmarks.ours SCENARIO URL COUNT ITEMS`. Prints one JSON object."""

import asyncio
import gc
import json
import logging
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import anyio
import structlog

from benchmarks import sink
from benchmarks.meter import Meter, rss
from benchmarks.mqtt_server import JSON_VALUES, json_profile
from dtios.mapping.facts import NodeKind
from dtios.mapping.matcher import map_machines
from dtios.mapping.profiles.library import ProfileLibrary
from dtios.model.batch import Batch
from dtios.runtime.configuration.config import RuntimeConfig
from dtios.runtime.core import Runtime
from dtios.runtime.links.cache import FactsCache
from dtios.runtime.registry import AppPlugin, Registry
from dtios.runtime.state import StateDirectory
from dtios.sdk.adapter import Connection, MonitoredPoint, Sink
from dtios_opcua import adapter

__all__: list[str] = []

PERIOD = 0.001


class _Count(Sink):
    """A sink with nothing behind it: what the adapter alone costs."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter

    async def deliver(self, batch: Batch) -> None:
        self._meter.take(len(batch))


async def _connected(url: str, count: Meter, work: Any) -> dict[str, Any]:
    made = adapter() if isinstance(adapter, type) else adapter
    connection = made.connect(
        url, made.settings(publishing_interval=PERIOD, keep_alive=60.0, timeout=30.0), Path(tempfile.gettempdir()) / "dtios-bench"
    )
    async with anyio.create_task_group() as tasks:
        await tasks.start(connection.run, _Count(count))
        result: dict[str, Any] = await work(connection)
        tasks.cancel_scope.cancel()
    return result


async def connection(url: str, count: int, items: int) -> dict[str, Any]:
    meter = Meter(count)

    async def work(connection: Connection) -> dict[str, Any]:
        facts = await connection.browse()
        variables = [n for n in facts.root.walk() if n.kind is NodeKind.VARIABLE and n.name.name.startswith("v")][:items]
        points = [MonitoredPoint(i, n.address, n.type) for i, n in enumerate(variables) if n.type is not None]
        await connection.subscribe(points)
        return await meter.result()

    return await _connected(url, meter, work)


async def browse(url: str, count: int, items: int) -> dict[str, Any]:
    async def work(connection: Connection) -> dict[str, Any]:
        before, begun = rss(), time.perf_counter()
        facts = await connection.browse()
        taken = time.perf_counter() - begun
        return {"seconds": taken, "bytes": max(1, rss() - before), "nodes": sum(1 for _ in facts.root.walk())}

    return await _connected(url, Meter(1), work)


async def describe(url: str, count: int, items: int) -> dict[str, Any]:
    """From a first session to the machines, and what is kept of it on disk."""

    async def work(connection: Connection) -> dict[str, Any]:
        before, begun = rss(), time.perf_counter()
        facts = await connection.browse()
        map_machines(facts, ProfileLibrary.builtin())
        with tempfile.TemporaryDirectory() as folder:
            await FactsCache(Path(folder)).save(url, None, await connection.fingerprint(), facts)
        taken = time.perf_counter() - begun
        return {"seconds": taken, "bytes": max(1, rss() - before), "nodes": sum(1 for _ in facts.root.walk())}

    return await _connected(url, Meter(1), work)


async def cached(url: str, count: int, items: int) -> dict[str, Any]:
    """The same from what is kept, as at the next start; the browse that fills the cache is not counted."""

    async def work(connection: Connection) -> dict[str, Any]:
        with tempfile.TemporaryDirectory() as folder:
            cache = FactsCache(Path(folder))
            await cache.save(url, None, await connection.fingerprint(), await connection.browse())
            gc.collect()
            before, begun = rss(), time.perf_counter()
            known = await cache.load(url, None)
            assert known is not None
            assert known.facts is not None
            map_machines(known.facts, ProfileLibrary.builtin())
            return {"seconds": time.perf_counter() - begun, "bytes": max(1, rss() - before)}

    return await _connected(url, Meter(1), work)


async def _through_app(app: str, isolation: str, url: str, count: int, hold: float = 0.0) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "figures.json"
        machine: dict[str, Any] = {"endpoint": url, "settings": {"publishing_interval": PERIOD}}
        if url.startswith("mqtt:"):
            settings = {"keep_alive": 60, "version": "3.1.1"}
            machine = {"endpoint": url, "machine": "bench", "settings": settings, "profiles": [_profile(Path(folder))]}
        config = RuntimeConfig.model_validate(
            {
                "machines": {"bench": machine},
                "apps": {
                    f"bench-{app}": {
                        "isolation": isolation,
                        "config": {"count": count, "runtime": os.getpid(), "output": str(output)},
                        "machines": {"machine": "bench"},
                        "grants": [{"machine": "bench", "write": ["**"]}],
                    }
                },
            }
        )
        registry = _Registry()
        begun = time.perf_counter()
        async with Runtime(config, StateDirectory(Path(folder) / "state"), registry) as runtime:
            started = time.perf_counter() - begun
            if hold:
                await anyio.sleep(hold)
                return {"bytes": rss(os.getpid(), *_pids(runtime)), "start": started}
            while not output.exists():  # noqa: ASYNC110  # written by another process
                await anyio.sleep(0.05)
            return {**json.loads(output.read_text()), "start": started}


def _profile(folder: Path) -> str:
    """Of the JSON messages; Sparkplug describes itself."""
    file = folder / "bench.yaml"
    file.write_text(json_profile(JSON_VALUES), "utf-8")
    return str(file)


def _pids(runtime: Runtime) -> list[int]:
    return [view.pid for view in runtime.kernel.app_views() if view.pid is not None]


class _Registry(Registry):
    """What is installed, and the apps of this folder."""

    def __init__(self) -> None:
        super().__init__(adapters=[adapter() if isinstance(adapter, type) else adapter])
        for app in (sink.batches, sink.changes, sink.ticker, sink.looper):
            target = next(name for name in sink.__all__ if getattr(sink, name) is app)
            self._plugins["app"][app.name] = [AppPlugin("app", app.name, f"benchmarks.sink:{target}")]


_ALONE = {"browse": browse, "describe": describe, "cached": cached}


async def main(scenario: str, url: str, count: int, items: int) -> None:
    name, _, isolation = scenario.partition("-")
    if name == "connection":
        result = await connection(url, count, items)
    elif name in _ALONE:
        result = await _ALONE[name](url, count, items)
    elif name == "idle":
        result = await _through_app("batches", isolation, url, 10**9, hold=1.5)
    else:
        result = await _through_app(name, isolation, url, count)
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    logging.disable(logging.ERROR)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
    sys.stdout.flush()
