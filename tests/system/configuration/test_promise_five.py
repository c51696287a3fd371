"""Promise 5: the values of untouched machines keep flowing without one Gap through 50 changes of the configuration.

Judged by the machines: their counters say which values there were, their own logs which sessions and monitored items were made.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
import structlog

from dtios.model.errors import DtiosError
from dtios.runtime.configuration.config import load_config
from dtios.runtime.core import Runtime
from dtios.runtime.registry import Registry
from dtios.runtime.state import StateDirectory
from dtios.sdk import App, AppConfig, Context
from dtios.sdk.client import Client
from dtios_opcua import adapter
from tests.machines.process import MachineProcess, python_machine, running_machine
from tests.runtimes import client_of
from tests.system.configuration.changes import Changes
from tests.system.runtime.reckoning import Reckoning

CHANGES = 50
BY_FILE = 5
"""Every fifth change is left to the file's being noticed; the others are asked for."""
COUNTERS = 2
RATE = 100.0


class Config(AppConfig):
    n: int = 0


def watcher() -> App[Config]:
    app = App("watcher", config=Config)

    @app.main
    async def main(ctx: Context[Config]) -> None:
        await anyio.sleep_forever()

    return app


def machine(*more: str) -> list[str]:
    return python_machine("tests.machines.plain", "--counters", str(COUNTERS), "--rate", str(RATE), *more)


@asynccontextmanager
async def reckoning_of(client: Client, name: str) -> AsyncIterator[Reckoning]:
    """Every value of a machine's counters, held against its numbering; a Gap excuses nothing."""
    reckoning = Reckoning()
    async with anyio.create_task_group() as tasks, client.subscribe(name, ["Counter*"]) as stream:

        async def take() -> None:
            async for delivery in stream:
                for signal, gap in delivery.gaps:
                    reckoning.gap(signal, gap)
                if delivery.batch is not None:
                    for handle, reading in delivery.batch.rows():
                        reckoning.value(delivery.paths[handle], reading.value, reading.status)

        tasks.start_soon(take, name=f"values of {name}")
        await reckoning.grows(20)
        yield reckoning
        await reckoning.grows(20)
        tasks.cancel_scope.cancel()


def made(machine: MachineProcess, *prefixes: str) -> tuple[int, list[str]]:
    """Sessions, and monitored items made and deleted of these nodes, as the machine logged them."""
    items = [
        f"{call['method']} {node}"
        for method in ("CreateMonitoredItems", "DeleteMonitoredItems")
        for call in machine.calls(method)
        for node in call["args"]
        if node.startswith(prefixes)
    ]
    return len(machine.calls("CreateSession")), items


async def shown(client: Client, runtime: Runtime) -> dict[str, object]:
    """Machines as they are described and limited, by name."""
    rules = {m.name: (m.envelope, m.interlocks) for m in runtime.kernel.machines}
    return {view.machine.name: (view.health, view.machine, rules[view.machine.name]) for view in await client.machines()}


async def fresh(changes: Changes, state: Path) -> dict[str, object]:
    """What a runtime shows that has never known anything but the last configuration."""
    registry = Registry(adapters=[adapter], apps=[watcher()], installed=False)
    async with Runtime(load_config(changes.write()), StateDirectory(state), registry) as runtime, client_of(runtime) as client:
        return await shown(client, runtime)


async def applied(changes: Changes, client: Client, runtime: Runtime, *, by_file: bool) -> None:
    """The file is written, and what it says runs."""
    since = (await client.configuration()).since
    wanted = load_config(changes.write())
    if not by_file:
        report = await client.reload()
        assert report.troubles == []
    with anyio.fail_after(20):
        while by_file and (await client.configuration()).since == since:
            await anyio.sleep(0.05)
    assert runtime.configuration.running.config == wanted


@pytest.mark.slow
@pytest.mark.parametrize("seed", [5])
async def test_values_of_untouched_machines_keep_flowing_through_fifty_changes(tmp_path: Path, seed: int) -> None:
    async with (
        running_machine(machine(), tmp_path / "steady") as steady,
        running_machine(machine("--beside"), tmp_path / "shared") as shared,
        running_machine(machine(), tmp_path / "wild") as wild,
    ):
        changes = Changes(tmp_path, steady.endpoint, shared.endpoint, wild.endpoint, seed)
        registry = Registry(adapters=[adapter], apps=[watcher()], installed=False)
        path = changes.write()
        made_so = Runtime(load_config(path), StateDirectory(tmp_path / "state"), registry, path=path, watch=True)
        async with (
            made_so as runtime,
            client_of(runtime) as client,
            reckoning_of(client, "steady") as alone,
            reckoning_of(client, "pair") as paired,
        ):
            before = made(steady, "Plain."), made(shared, "Plain.")
            effects: list[str] = []
            with structlog.testing.capture_logs() as events:
                for number, change in enumerate(changes.draw(CHANGES), start=1):
                    change()
                    await applied(changes, client, runtime, by_file=number % BY_FILE == 0)
                    await alone.grows(10)
                    await paired.grows(10)
            effects = [change for event in events if event["event"] == "configuration changed" for change in event["changes"]]
            assert [e for e in events if e["log_level"] in ("error", "critical")] == []

            for reckoning in (alone, paired):
                assert reckoning.faults == []
                assert reckoning.gaps == []
                assert reckoning.bad == 0
            assert (made(steady, "Plain."), made(shared, "Plain.")) == before
            assert before[0][0] == before[1][0] == 1, "one session each"
            assert made(wild)[0] > 5, "the others were touched"
            assert any("Beside" in item for item in made(shared, "Beside.")[1])
            assert len([e for e in events if e["event"] == "configuration changed"]) > CHANGES * 0.8
            assert await shown(client, runtime) == await fresh(changes, tmp_path / "fresh")
            print(f"{CHANGES} changes touched {len(effects)} things; {alone.good + paired.good} values, none missing")
            for _, name, _, received, delivered, conflated, dropped, pending in await client.counters():
                assert received == delivered + conflated + dropped + pending, name


async def test_a_wrong_file_between_two_right_ones_is_never_applied(tmp_path: Path) -> None:
    async with running_machine(machine(), tmp_path / "steady") as steady:
        path = tmp_path / "dtios.yaml"
        right = f"machines:\n  m:\n    endpoint: {steady.endpoint}\n"
        path.write_text(right)
        made_so = Runtime(load_config(path), StateDirectory(tmp_path / "state"), Registry(), path=path, watch=True)
        async with made_so as runtime, client_of(runtime) as client, reckoning_of(client, "m") as reckoning:
            path.write_text(right + "    envelope:\n      signals:\n        Sped: [0, 1]\n")
            with anyio.fail_after(20):
                while (view := await client.configuration()).problem is None or view.problem[2] == str(path):
                    await anyio.sleep(0.05)
            assert "did you mean Speed?" in view.problem[3]
            assert f"{path}:6" in view.problem[2]
            with pytest.raises(DtiosError, match="no signal 'Sped'"):
                await client.reload()
            path.write_text(right)
            with anyio.fail_after(20):
                while (await client.configuration()).problem is not None:
                    await anyio.sleep(0.05)
            assert (reckoning.faults, reckoning.gaps, made(steady)[0]) == ([], [], 1)
