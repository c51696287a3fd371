"""The runtime and a client of it, on the machines behind one endpoint, and what its views look like as JSON."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import jsonschema

from dtios.cli.schema import schemas
from dtios.model.wire import machine_to_json
from dtios.runtime.configuration.config import RuntimeConfig
from dtios.runtime.core import Runtime
from dtios.runtime.registry import Registry
from dtios.runtime.state import StateDirectory
from dtios.sdk.client import Client
from tests.runtimes import client_of
from tests.system.cli.conftest import Ended

__all__ = ["changes_of", "described", "machines_of", "reached", "runtime_of"]


@asynccontextmanager
async def runtime_of(folder: Path, config: Mapping[str, Any]) -> AsyncIterator[Client]:
    """A client of a runtime with this dtios.yaml; the plug-ins are the installed ones."""
    checked = RuntimeConfig.model_validate(dict(config))
    async with Runtime(checked, StateDirectory(folder / "state"), Registry()) as runtime, client_of(runtime) as client:
        yield client


@asynccontextmanager
async def reached(folder: Path, endpoint: str) -> AsyncIterator[Client]:
    """A client that has opened the endpoint, without any configuration."""
    async with runtime_of(folder, {}) as client:
        await client.open(endpoint)
        yield client


async def described(client: Client, machine: str) -> dict[str, Any]:
    """The machine as JSON, without its values."""
    form: dict[str, Any] = json.loads(json.dumps(machine_to_json((await client.describe(machine)).machine, {})))
    return form


async def changes_of(client: Client, machine: str, signals: Sequence[str], seconds: float = 10.0) -> dict[str, tuple[Any, str]]:
    """(value, status name) of each signal as a subscription first tells it."""
    seen: dict[str, tuple[Any, str]] = {}
    wanted = set(signals)
    with anyio.fail_after(seconds):
        async with client.subscribe(machine, list(signals)) as deliveries:
            async for delivery in deliveries:
                for change in delivery.changes():
                    seen.setdefault(change.signal, (change.value, change.status_name))
                if wanted <= seen.keys():
                    return seen
    return seen


def machines_of(ended: Ended) -> dict[str, dict[str, Any]]:
    """`describe --json` of all machines, by name; its signals and skills by path."""
    assert ended.status == 0, ended
    (form,) = ended.lines
    jsonschema.Draft202012Validator(schemas()["describe"]).validate(form)
    by_name = {m["name"]: m for m in form["machines"]}
    assert len(by_name) == len(form["machines"])
    return {n: {**m, **{part: {x["path"]: x for x in m[part]} for part in ("signals", "skills")}} for n, m in by_name.items()}
