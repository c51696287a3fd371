"""Apps in processes of their own, in the real runtime: what ails one is named, it is restarted, and nobody else waits."""

import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import psutil
import structlog.testing

from dtios.model.gap import GapCause
from dtios.runtime.configuration.config import AppSettings, RuntimeConfig
from dtios.runtime.core import Runtime
from dtios.runtime.registry import AppPlugin, Registry
from dtios.runtime.state import StateDirectory
from dtios.sdk.protocol import AppView, LedgerView
from dtios.testing import METHOD_PROFILE, MemoryAdapter, MemoryServer, method_machine

HERE = "tests.system.apps.bad_apps"


class Running:
    def __init__(self, runtime: Runtime, events: list[Any]) -> None:
        self.runtime = runtime
        self.events = events

    def view(self, app: str) -> AppView:
        return next(view for view in self.runtime.kernel.app_views() if view.name == app)

    def of(self, app: str, event: str) -> list[Any]:
        return [e for e in self.events if e.get("app") == app and e["event"] == event]

    def said(self, app: str) -> list[Any]:
        """The app's own log lines."""
        return [e for e in self.events if e.get("app") == app and e.get("source") == "app"]

    async def until(self, condition: Callable[[], object], within: float = 20) -> None:
        with anyio.fail_after(within):
            while not condition():
                await anyio.sleep(0.01)


@asynccontextmanager
async def running(folder: Path, machine: MemoryServer, **apps: Mapping[str, Any]) -> AsyncIterator[Running]:
    """A runtime with these apps of `bad_apps`, each in its own process."""
    profile = folder / "methods.yaml"
    profile.write_text(METHOD_PROFILE)
    config = RuntimeConfig.model_validate(
        {
            "profiles": [profile],
            "machines": {"filler": {"endpoint": machine.url}},
            "apps": {name: AppSettings.model_validate(settings) for name, settings in apps.items()},
        }
    )
    plugins = [AppPlugin("app", name, f"{HERE}:{name}") for name in apps]
    registry = Registry(adapters=[MemoryAdapter(machine)], plugins=plugins, installed=False)
    with structlog.testing.capture_logs() as events:
        async with machine, Runtime(config, StateDirectory(folder / "state"), registry) as runtime:
            yield Running(runtime, events)


async def test_an_app_finishes_and_says_so(tmp_path: Path) -> None:
    async with running(tmp_path, method_machine("filler"), finishing={}) as r:
        await r.until(lambda: r.view("finishing").health == "finished")
        said = r.said("finishing")
        assert [e["event"] for e in said] == ["finishing"]
        assert said[0]["pid"] != os.getpid()
        assert [e["text"] for e in r.of("finishing", "app prints")] == ["hello from a process"]
        assert r.view("finishing").restarts == 0


async def test_a_crash_is_told_with_its_line_and_the_app_restarts(tmp_path: Path) -> None:
    async with running(tmp_path, method_machine("filler"), crashing={"config": {"after": 0.0}}) as r:
        await r.until(lambda: r.view("crashing").restarts >= 2)
        failed = r.of("crashing", "app failed")[0]
        assert "ZeroDivisionError: a part of nothing" in failed["why"]
        assert "bad_apps.py:" in failed["where"]
        assert failed["where"].startswith("crash ")
        assert "in crash" in failed["traceback"]


async def test_an_exit_is_told_with_its_status_and_last_words(tmp_path: Path) -> None:
    async with running(tmp_path, method_machine("filler"), exiting={}) as r:
        await r.until(lambda: r.view("exiting").health == "backing-off")
        assert "exit status 7: these are my last words" in r.view("exiting").detail


async def test_a_wrong_configuration_is_one_sentence_and_no_restart(tmp_path: Path) -> None:
    async with running(tmp_path, method_machine("filler"), finishing={"config": {"aftr": 1}}) as r:
        await r.until(lambda: r.view("finishing").health == "failed")
        detail = r.view("finishing").detail
        assert "config.aftr" in detail
        assert "after" in detail
        assert r.view("finishing").restarts == 0


async def test_a_wrong_entry_point_harms_nobody_else(tmp_path: Path) -> None:
    async with running(tmp_path, method_machine("filler"), missing={}, finishing={}) as r:
        await r.until(lambda: r.view("finishing").health == "finished")
        await r.until(lambda: r.view("missing").health == "failed")
        assert f"missing = {HERE}:missing" in r.view("missing").detail


async def test_one_that_swallows_its_cancellation_is_killed_with_the_runtime(tmp_path: Path) -> None:
    async with running(tmp_path, method_machine("filler"), stubborn={}) as r:
        pid = r.view("stubborn").pid
        assert pid is not None
        assert psutil.pid_exists(pid)
    assert not psutil.pid_exists(pid)


RUNTIME = """
import anyio
from dtios.runtime.apps.child import spawn

async def main():
    async with spawn("never_imported:app", "never_imported") as child:
        print(child.pid, flush=True)
        await child.read_output(lambda stream, line: print(line, flush=True))

anyio.run(main)
"""


async def test_an_app_that_blocks_dies_with_a_runtime_that_is_killed(tmp_path: Path) -> None:
    (tmp_path / "never_imported.py").write_text("print('importing')\nwhile True: pass\n")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *filter(None, sys.path)])}
    runtime = await anyio.open_process([sys.executable, "-c", RUNTIME], env=environment)
    async with runtime:
        assert runtime.stdout is not None
        said = ""
        with anyio.fail_after(20):
            while "importing" not in said:
                said += (await runtime.stdout.receive()).decode()
        pid = int(said.split()[0])
        assert psutil.pid_exists(pid)
        runtime.kill()
        await runtime.wait()
        with anyio.fail_after(5):
            while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                await anyio.sleep(0.01)


async def test_a_frozen_process_is_named_and_replaced(tmp_path: Path) -> None:
    app = {"config": {"after": 3600}, "unresponsive_after": 0.8}
    async with running(tmp_path, method_machine("filler"), crashing=app) as r:
        await r.until(lambda: r.view("crashing").health == "ready")
        pid = r.view("crashing").pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        await r.until(lambda: r.view("crashing").restarts == 1)
        assert "did not respond" in r.of("crashing", "app restarts")[0]["why"]
        await r.until(lambda: r.view("crashing").health == "ready")
        assert r.view("crashing").pid != pid


async def test_an_app_that_was_killed_goes_on_in_its_account_and_is_told_what_it_missed(tmp_path: Path) -> None:
    machine = method_machine("filler")
    speed = machine.find("Machines/filler/Speed")
    async with running(tmp_path, machine, watching={"grants": [{"machine": "filler"}]}) as r:
        await r.until(lambda: r.view("watching").health == "ready")

        def page() -> LedgerView:
            return next(one.view("filler") for one in r.runtime.kernel.ledger if one.name == "watching/speed")

        machine.set(speed, 1.0)
        await r.until(lambda: page().delivered >= 1 and page().pending == 0)
        delivered, pid, killed = page().delivered, r.view("watching").pid, time.time_ns()
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        await r.until(lambda: not page().open)
        await r.until(lambda: r.view("watching").health == "ready" and page().open)
        machine.set(speed, 2.0)
        await r.until(lambda: page().delivered > delivered and page().pending == 0)
        assert page().balanced
        (noted,) = page().gaps
        assert (noted.gap.cause, noted.signals) == (GapCause.CONSUMER_STOPPED, ["Speed"])
        assert noted.gap.receive_from is not None
        assert noted.gap.receive_to is not None
        assert noted.gap.receive_from < killed + 10**9
        assert noted.gap.receive_to > killed


async def test_promise_4(tmp_path: Path) -> None:
    """One app blocks, one leaks a gigabyte, one dies at once; the values of another come less than a second late."""
    machine = method_machine("filler")
    watching: dict[str, Any] = {"grants": [{"machine": "filler"}]}
    bad: dict[str, dict[str, Any]] = {"blocking": {"unresponsive_after": 1.0}, "leaking": {"memory": 200}, "exiting": {}}
    async with running(tmp_path, machine, watching=watching, **bad) as r:
        await r.until(lambda: r.view("watching").health == "ready")

        async def change() -> None:
            number = 0.0
            while True:
                machine.set(machine.find("Machines/filler/Speed"), number := (number + 1) % 100)
                await anyio.sleep(0.02)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(change)
            await r.until(lambda: r.view("blocking").restarts >= 1 and r.view("leaking").restarts >= 1)
            seen = len(r.said("watching"))
            await r.until(lambda: len(r.said("watching")) > seen + 20)
            tasks.cancel_scope.cancel()

        values = r.said("watching")
        # The first reading's source time is when the machine was made.
        late = [e["late"] / 1e9 for e in values[1:]]
        assert len(late) > 50
        assert max(late) < 1.0, f"{max(late):.2f} s late"
        blocked = r.of("blocking", "app restarts")[0]["why"]
        assert "did not respond" in blocked
        assert "in spin, at" in blocked
        assert "bad_apps.py:" in blocked
        assert "MiB of memory and may use 200" in r.of("leaking", "app restarts")[0]["why"]
        assert r.view("watching").restarts == 0
