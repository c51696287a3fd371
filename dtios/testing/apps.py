"""An app under test: the real runtime, the app inline, machines in memory, a clock turned by hand. No sockets, no waiting.

clock = VirtualClock()
press = packml_machine("press", clock=clock)
async with app_under_test(app, machines=[press], config={"parts": 2}) as t:
    await t.until(lambda: press.parts == 2)
"""

import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import anyio
import structlog.testing

from dtios.runtime.configuration.config import AppSettings, MachineSettings, RuntimeConfig
from dtios.runtime.core import Runtime
from dtios.runtime.registry import Registry
from dtios.runtime.state import StateDirectory
from dtios.sdk.app import App
from dtios.sdk.client import Client, open_client
from dtios.sdk.protocol import AppView
from dtios.sdk.transport import memory_pair
from dtios.testing.clock import VirtualClock
from dtios.testing.memory import MemoryAdapter
from dtios.testing.server import MemoryServer

__all__ = ["EVERYTHING", "AppFailure", "AppUnderTest", "app_under_test"]

EVERYTHING = {
    "read": ["**"],
    "write": ["**"],
    "run": ["**"],
    "stop": True,
    "conditions": ["acknowledge", "confirm", "shelve", "unshelve"],
}
"""What an app may do on each machine of its test, unless `grants` say less."""
_STEP = 0.01
_REAL_LIMIT = 10.0


class AppFailure(AssertionError):
    """The app under test failed, and the test did not look at `failure`."""


class AppUnderTest:
    """What a test sees. `client` is a command's (a person who may do everything)."""

    def __init__(self, name: str, clock: VirtualClock, runtime: Runtime, client: Client, events: list[Any]) -> None:
        self._name = name
        self._runtime = runtime
        self._events = events
        self._looked_at = ""
        self.clock = clock
        self.client = client

    @property
    def view(self) -> AppView:
        return next(view for view in self._runtime.kernel.app_views() if view.name == self._name)

    @property
    def failure(self) -> str:
        """The sentence the app failed with, empty if it did not. Looking at it takes note of it."""
        self._looked_at = self._failure()
        return self._looked_at

    def _failure(self) -> str:
        view = self.view
        return view.detail if view.health in ("failed", "backing-off") else ""

    @property
    def log(self) -> list[tuple[str, str, dict[str, Any]]]:
        """What the app said: (level, event, fields)."""
        own = [dict(e) for e in self._events if e.get("source") == "app"]
        return [(e.pop("log_level"), e.pop("event"), {k: v for k, v in e.items() if k not in ("app", "source")}) for e in own]

    @property
    def said(self) -> list[str]:
        """The events alone."""
        return [event for _, event, _ in self.log]

    async def until(self, condition: Callable[[], object], *, within: float = 60.0) -> None:
        """Turn the clock until something is so; at most `within` seconds of it. Raises AssertionError, or what ailed the app."""
        end = self.clock.monotonic() + within
        real_end = time.monotonic() + _REAL_LIMIT
        await self.settle()
        while not condition():
            self.check()
            if self.clock.monotonic() >= end or time.monotonic() > real_end:
                raise AssertionError(f"it did not become so within {within:g} s of the test's clock; the app said: {self.said}")
            await self.clock.advance(_STEP)
            await self.settle()

    async def settle(self) -> None:
        """Let everything come to rest without turning the clock, what the journal's thread works on included."""
        await self.clock.settle()
        await self._runtime.kernel.journal.get(self._name, "")
        await self.clock.settle()

    async def answer(self, text: str, *, within: float = 60.0) -> str:
        """Wait for the app's question to a person, answer it, and return the question."""
        await self.until(self._runtime.kernel.questions.open, within=within)
        question = (await self.client.questions())[0]
        await self.client.answer(question.id, text)
        await self.settle()
        return question.text

    def check(self) -> None:
        """Raises AppFailure with the app's traceback if it failed and the test did not look at that."""
        failure = self._failure()
        if failure and failure != self._looked_at:
            traces = [e.get("traceback", "") for e in self._events if e["event"] == "app failed"]
            raise AppFailure("\n".join([failure, *traces[-1:]]))


@asynccontextmanager
async def app_under_test(
    app: App[Any],
    machines: Sequence[MemoryServer] = (),
    *,
    config: Mapping[str, Any] | None = None,
    roles: Mapping[str, str | list[str]] | None = None,
    grants: Sequence[Mapping[str, Any] | str] | None = None,
    profiles: Sequence[str] = (),
    clock: VirtualClock | None = None,
    state: Path | None = None,
) -> AsyncIterator[AppUnderTest]:
    """Run an app on machines in memory, which are switched on here.

    `config` is the app's; `roles` bind (role -> machine name), without them machines play what they can; `grants` as in
    dtios.yaml, without them the app may do everything on each machine. `profiles` are texts of profile files. `state` keeps
    the store between two runs. The clock is the machines' own where they were made with a VirtualClock.
    """
    clock = clock or next((m.clock for m in machines if isinstance(m.clock, VirtualClock)), None) or VirtualClock()
    if grants is None:
        grants = [{"machine": machine.name, **EVERYTHING} for machine in machines]
    settings = AppSettings.model_validate(
        {"isolation": "inline", "config": dict(config or {}), "machines": dict(roles or {}), "grants": list(grants)}
    )
    registry = Registry(adapters=[MemoryAdapter(*machines)], apps=[app], installed=False)
    with tempfile.TemporaryDirectory(prefix="dtios-") as folder, structlog.testing.capture_logs() as events, _unwrapped():
        runtime_config = RuntimeConfig(
            machines={machine.name: MachineSettings(endpoint=machine.url) for machine in machines},
            apps={app.name: settings},
            profiles=[_written(Path(folder) / f"profile{i}.yaml", text) for i, text in enumerate(profiles)],
        )
        async with AsyncExitStack() as stack:
            for machine in machines:
                machine.clock = clock
                await stack.enter_async_context(machine)
            place = StateDirectory(state or Path(folder) / "state")
            runtime = await stack.enter_async_context(Runtime(runtime_config, place, registry, clock))
            tasks = await stack.enter_async_context(anyio.create_task_group())
            ours, theirs = memory_pair()
            tasks.start_soon(runtime.serve, theirs, "cli:test", name="test's client")
            client = await stack.enter_async_context(open_client(ours, "command"))
            under_test = AppUnderTest(app.name, clock, runtime, client, events)
            await _ready(under_test)
            yield under_test
            under_test.check()


def _written(file: Path, text: str) -> Path:
    file.write_text(text, encoding="utf-8")
    return file


@contextmanager
def _unwrapped() -> Iterator[None]:
    """What a test raises comes out as it is, not in the groups of the tasks around it."""
    try:
        yield
    except BaseExceptionGroup as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
            error = error.exceptions[0]
        raise error from error.__cause__


async def _ready(under_test: AppUnderTest) -> None:
    """Until the app is ready, or has failed: then the first wait, or the test's end, says so."""
    end = time.monotonic() + _REAL_LIMIT
    while under_test.view.health == "starting" and time.monotonic() < end:
        await under_test.settle()
