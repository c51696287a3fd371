"""The runtime: assembled, started and ended in order. One owns a state directory.

    async with Runtime(config, state, registry) as runtime:
        await runtime.serve(transport, "cli:anna")

Start: lock, journal, the embedded broker (if configured),
links (each tried once, none waited for longer than START_LIMIT), then apps. End: apps are asked to stop,
what they left is held or stopped, then sessions, links, broker and journal close.
"""

from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import anyio
import anyio.to_thread
import structlog
from anyio.abc import TaskGroup

from dtios.runtime.apps.hosting import AppTable
from dtios.runtime.broker.embedded import EmbeddedBroker
from dtios.runtime.broker.names import resolve, resolved
from dtios.runtime.clients import complaints, observing, requests  # noqa: F401  # register the handlers of every request
from dtios.runtime.clients.questions import QuestionBoard
from dtios.runtime.clients.session import Session
from dtios.runtime.commands.conditions import ConditionCommands
from dtios.runtime.commands.gate import Gate
from dtios.runtime.commands.journal import Journal
from dtios.runtime.commands.principal import Principal
from dtios.runtime.commands.writer import SignalWriter
from dtios.runtime.configuration.applying import Applier
from dtios.runtime.configuration.config import RuntimeConfig
from dtios.runtime.configuration.keeper import ConfigurationKeeper
from dtios.runtime.configuration.loading import hosted_plugin, make_setup
from dtios.runtime.configuration.setup import Setup
from dtios.runtime.data.router import Router
from dtios.runtime.jobs.runner import JobRunner
from dtios.runtime.kernel import Kernel
from dtios.runtime.ledger.ledger import Ledger
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
        watch: bool = False,
    ) -> None:
        """`path` is the dtios.yaml that `config` came from: it is read again and written to while the runtime runs. `watch`: it
        is applied whenever it changes."""
        self._config = config
        self._path = path
        self._watch = watch
        self._state = state
        self._registry = registry
        self._clock = clock or SystemClock()
        self._stack = AsyncExitStack()
        self._tasks: TaskGroup
        self.apps: AppTable
        self.broker: EmbeddedBroker | None = None
        self.configuration: ConfigurationKeeper
        self.kernel: Kernel

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            stack.enter_context(self._state.lock())
            journal = await Journal.open(self._state.journal, self._clock.now())
            stack.push_async_callback(journal.aclose)
            router = Router(self._clock, journal.epoch)
            ledger = await Ledger.open(journal, router, self._clock, self._checkpoint)
            setup = await anyio.to_thread.run_sync(self._set_up)
            around = stack.enter_context(ExitStack())
            self.broker = await self._start_broker(stack)
            self._tasks = await stack.enter_async_context(anyio.create_task_group())
            stack.callback(self._tasks.cancel_scope.cancel)
            self.kernel = self._assemble(journal, router, ledger, setup, around)
            try:
                for link in setup.links.values():
                    await self.kernel.links.configure(link)
                await self.kernel.links.wait_first_tries(START_LIMIT)
                await self.apps.start(setup.hosted)
                self._tasks.start_soon(ledger.keep, name="ledger's checkpoints")
                if self._watch:
                    self._tasks.start_soon(self.configuration.watch, name="watch dtios.yaml")
            except BaseException:
                self._tasks.cancel_scope.cancel()
                raise
            self._stack = stack.pop_all()
        log.info("runtime started", epoch=journal.epoch, state=str(self._state.path))
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with anyio.CancelScope(shield=True):
            self.kernel.ledger.ending()
            await self.apps.stop_all("the runtime ends", STOP_GRACE)
            await self._end_sessions()
            await self.kernel.ledger.checkpoint()
        await self._stack.__aexit__(None, None, None)
        log.info("runtime ended", epoch=self.kernel.journal.epoch)

    def _checkpoint(self) -> float:
        """Seconds between two of the ledger's."""
        return self.configuration.running.config.ledger.checkpoint

    def _set_up(self) -> Setup:
        files = () if self._path is None else (self._path,)
        return make_setup(self._config, self._registry, self._state.path, files=files, check=False)

    async def _start_broker(self, stack: AsyncExitStack) -> EmbeddedBroker | None:
        """Its task is not among the others: it goes on until all of them are over."""
        if self._config.broker is None:
            return None
        broker = EmbeddedBroker(self._config.broker.port, self._clock)
        stack.push_async_callback(broker.stop)
        await broker.start()
        around = await stack.enter_async_context(anyio.create_task_group())
        stack.callback(around.cancel_scope.cancel)
        around.start_soon(broker.run, name="embedded broker")
        return broker

    def _address(self, url: str) -> str:
        return resolve(url, None if self.broker is None else self.broker.url)

    def _assemble(self, journal: Journal, router: Router, ledger: Ledger, setup: Setup, around: ExitStack) -> Kernel:
        clock, tasks = self._clock, self._tasks
        gate = Gate(journal, clock)
        machines = MachineTable()
        jobs = JobRunner(journal, gate, router, clock, tasks)
        conditions = ConditionBoard()
        results = ResultBoard()
        links = LinkTable(
            self._registry, router, machines, jobs, conditions, results, clock, tasks, self._state.path, self._address
        )
        self.apps = AppTable(lambda one: hosted_plugin(self._registry, one), self.serve, clock, tasks, around)
        self.configuration = ConfigurationKeeper(setup, self._path, self._registry, self._state.path, clock, journal, links)
        self.configuration.use(Applier(links, self.apps, machines, lambda: self.kernel.sessions))
        return Kernel(
            clock=clock,
            journal=journal,
            router=router,
            ledger=ledger,
            machines=machines,
            gate=gate,
            jobs=jobs,
            writer=SignalWriter(gate, clock),
            links=links,
            questions=QuestionBoard(clock),
            conditions=conditions,
            results=results,
            condition_commands=ConditionCommands(gate, conditions, clock),
            configuration=self.configuration,
            app_views=self.apps.views,
            broker_view=lambda: None if self.broker is None else self.broker.view(),
        )

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
        hosted = self.configuration.running.hosted[name]
        config = resolved(hosted.settings.config, None if self.broker is None else self.broker.url)
        welcome = p.Welcome(name, epoch, config, hosted.roles, str(self._state.app_folder(name)))
        return Principal(name, hosted.grants, commission=hosted.commission), welcome

    async def _end_sessions(self) -> None:
        """Commands are told; their jobs are held, stopped or finished as each session ends."""
        sessions = tuple(self.kernel.sessions)
        async with anyio.create_task_group() as ending:
            for session in sessions:
                ending.start_soon(session.end, "the runtime ends", STOP_GRACE, name="end session")
