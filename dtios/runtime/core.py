"""The runtime: assembled, started and ended in order. One owns a state directory.

    async with Runtime(config, state, registry) as runtime:
        await runtime.serve(transport, "cli:anna")

Start: lock, journal, links (each tried once, none waited for longer than START_LIMIT), then apps. End: apps are asked to stop,
what they left is held or stopped, then sessions, links and journal close.
"""

from collections.abc import Iterable
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import anyio
import anyio.to_thread
import structlog
from anyio.abc import TaskGroup

from dtios.mapping.profiles.library import ProfileLibrary
from dtios.runtime.apps.supervisor import AppSupervisor
from dtios.runtime.apps.watchdog import watchdog
from dtios.runtime.clients import observing, requests  # noqa: F401  # register the handlers of every request
from dtios.runtime.clients.questions import QuestionBoard
from dtios.runtime.clients.session import Session
from dtios.runtime.commands.conditions import ConditionCommands
from dtios.runtime.commands.gate import Gate
from dtios.runtime.commands.journal import Journal
from dtios.runtime.commands.principal import Principal
from dtios.runtime.commands.writer import SignalWriter
from dtios.runtime.configuration.config import AppSettings, Grant, MachineSettings, PublisherSettings, RuntimeConfig
from dtios.runtime.configuration.patching import patched, write_machines
from dtios.runtime.data.router import Router
from dtios.runtime.jobs.runner import JobRunner
from dtios.runtime.kernel import Kernel
from dtios.runtime.links.conditions import ConditionBoard
from dtios.runtime.links.machines import MachineTable
from dtios.runtime.links.results import ResultBoard
from dtios.runtime.links.table import LinkTable
from dtios.runtime.registry import Registry
from dtios.runtime.state import StateDirectory
from dtios.sdk import protocol as p
from dtios.sdk.clock import Clock, SystemClock
from dtios.sdk.transport import Transport

__all__ = ["Runtime"]

log = structlog.get_logger("dtios.runtime")

START_LIMIT: Final = 10.0
STOP_GRACE: Final = 0.5
"""Seconds that apps and commands get to end by themselves."""


class Runtime:
    """See the module. `serve` may be called from any task while the runtime is entered.

    Whoever enters it and may be cancelled cancels the body inside, not the task that entered: a cancelled runtime has lost
    its connections before it could hold or stop what its apps and commands left running.
    """

    def __init__(
        self,
        config: RuntimeConfig,
        state: StateDirectory,
        registry: Registry,
        clock: Clock | None = None,
        path: Path | None = None,
    ) -> None:
        """`path` is the dtios.yaml that `config` came from: changes made while running are written there."""
        self.config = config
        self._path = path
        self._state = state
        self._registry = registry
        self._clock = clock or SystemClock()
        self._apps: dict[str, AppSupervisor] = {}
        self._stack = AsyncExitStack()
        self._tasks: TaskGroup
        self._app_tasks: TaskGroup
        self.kernel: Kernel

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            stack.enter_context(self._state.lock())
            journal = await Journal.open(self._state.journal, self._clock.now())
            stack.push_async_callback(journal.aclose)
            hosted: list[AppSettings | PublisherSettings] = [*self.config.apps.values(), *self.config.publishers.values()]
            if any(one.isolation == "inline" for one in hosted):
                stack.enter_context(watchdog(log))
            self._tasks = await stack.enter_async_context(anyio.create_task_group())
            stack.callback(self._tasks.cancel_scope.cancel)
            self.kernel = self._assemble(journal)
            try:
                self._connect(self.config)
                await self.kernel.links.wait_first_tries(START_LIMIT)
                await self._start_apps()
            except BaseException:
                self._tasks.cancel_scope.cancel()
                raise
            self._stack = stack.pop_all()
        log.info("runtime started", epoch=journal.epoch, state=str(self._state.path))
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with anyio.CancelScope(shield=True):
            await self._end_apps()
            await self._end_sessions()
        await self._stack.__aexit__(None, None, None)
        log.info("runtime ended", epoch=self.kernel.journal.epoch)

    def _assemble(self, journal: Journal) -> Kernel:
        clock, tasks = self._clock, self._tasks
        router = Router(clock, journal.epoch)
        gate = Gate(journal, clock)
        machines = MachineTable()
        jobs = JobRunner(journal, gate, router, clock, tasks)
        conditions = ConditionBoard()
        results = ResultBoard()
        return Kernel(
            clock=clock,
            journal=journal,
            router=router,
            machines=machines,
            gate=gate,
            jobs=jobs,
            writer=SignalWriter(gate, clock),
            links=LinkTable(self._registry, router, machines, jobs, conditions, results, clock, tasks, self._state.path),
            questions=QuestionBoard(clock),
            conditions=conditions,
            results=results,
            condition_commands=ConditionCommands(gate, conditions, clock),
            configure=self._configure,
            app_views=lambda: [app.view for app in self._apps.values()],
        )

    def _connect(self, config: RuntimeConfig, only: Iterable[tuple[str, str | None]] | None = None) -> None:
        for key, machines in _by_endpoint(config).items():
            if only is None or key in only:
                files = [*config.profiles, *(f for m in machines.values() for f in m.profiles)]
                self.kernel.links.configure(key[0], machines, ProfileLibrary.load(files))

    # --- clients ---

    async def serve(self, transport: Transport, principal: str, *, survives: bool = False) -> None:
        """Serve one client until it closes. `principal` is `cli:USER`, which holds all grants, or a configured app's name.

        `survives`: the client is a process of its own that lives on when this runtime ends (a command at the local socket).
        """
        who, welcome = self._principal(principal)
        await Session(self.kernel, transport, who, welcome, survives).run()

    def _principal(self, name: str) -> tuple[Principal, p.Welcome]:
        epoch = self.kernel.journal.epoch
        if name.startswith("cli:"):
            return Principal(name, everything=True), p.Welcome(name, epoch)
        app = self.config.apps.get(name)
        if app is not None:
            roles = {role: [bound] if isinstance(bound, str) else bound for role, bound in app.machines.items()}
            grants = [g for g in app.grants if isinstance(g, Grant)]
            return Principal(name, grants, commission="commission" in app.grants), p.Welcome(name, epoch, app.config, roles)
        publisher = self.config.publishers[name]
        grants = [Grant(machine=m) for m in publisher.machines or ["*"]]
        return Principal(name, grants), p.Welcome(name, epoch, publisher.config)

    # --- apps ---

    async def _start_apps(self) -> None:
        plugins = [(n, a, self._registry.app(a.app or n)) for n, a in self.config.apps.items()]
        plugins += [
            (n, AppSettings(isolation=b.isolation, config=b.config), self._registry.publisher(b.publisher or n))
            for n, b in self.config.publishers.items()
        ]
        with anyio.move_on_after(START_LIMIT):
            async with anyio.create_task_group() as starting:
                for name, settings, plugin in plugins:
                    app = self._apps[name] = AppSupervisor(name, settings, plugin, self.serve, self._clock, log)
                    self._tasks.start_soon(app.run, name=f"app {name}")
                    starting.start_soon(app.wait_known, name=f"app {name}: ready")

    async def _end_apps(self) -> None:
        async with anyio.create_task_group() as ending:
            for name, app in self._apps.items():
                ending.start_soon(app.stop, "the runtime ends", STOP_GRACE, name=f"stop app {name}")

    async def _end_sessions(self) -> None:
        """Commands are told; their jobs are held, stopped or finished as each session ends."""
        sessions = tuple(self.kernel.sessions)
        async with anyio.create_task_group() as ending:
            for session in sessions:
                ending.start_soon(session.end, "the runtime ends", STOP_GRACE, name="end session")

    # --- configuration ---

    async def _configure(self, patch: dict[str, Any]) -> None:
        """Apply a patch of the machines: endpoints whose machines did not change are not touched."""
        config = patched(self.config, patch)
        before, after = _by_endpoint(self.config), _by_endpoint(config)
        changed = [key for key in {**before, **after} if before.get(key) != after.get(key)]
        for key in changed:
            link = self.kernel.links.find(*key)
            if link is not None:  # whoever else uses it sees its machines go, and come back as configured now
                await self.kernel.links.close(link, all_uses=True)
        self._connect(config, [key for key in after if after[key] != before.get(key)])
        self.config = config
        if self._path is not None:
            await anyio.to_thread.run_sync(write_machines, self._path, patch)
        log.info("configuration changed", endpoints=[url for url, _ in changed])


def _by_endpoint(config: RuntimeConfig) -> dict[tuple[str, str | None], dict[str, MachineSettings]]:
    """What shares a connection: machines by endpoint and user."""
    found: dict[tuple[str, str | None], dict[str, MachineSettings]] = {}
    for name, settings in config.machines.items():
        found.setdefault((settings.endpoint, settings.settings.get("user")), {})[name] = settings
    return found
