"""Keeps one configured app running: starts it, hears whether it lives, names what ails it, ends it, starts it again."""

import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import anyio
import msgspec
import structlog
from anyio.abc import TaskStatus

from dtios.model.errors import ConfigurationError, DtiosError
from dtios.runtime.apps.blocker import blocker
from dtios.runtime.apps.child import Child, spawn
from dtios.runtime.configuration.config import AppSettings
from dtios.runtime.data.tap import Tap
from dtios.runtime.links.backoff import Backoff
from dtios.runtime.registry import AppPlugin
from dtios.sdk.clock import Clock
from dtios.sdk.codec import pack
from dtios.sdk.host import Host
from dtios.sdk.process import STOPPED_STATUS
from dtios.sdk.protocol import AppFailed, AppView, LogLine, Stop
from dtios.sdk.transport import Closed, Transport, memory_pair

__all__ = ["AppSupervisor", "Serve"]

Serve = Callable[[Transport, str], Awaitable[None]]
"""The runtime's session for one client: (transport, principal); returns when the transport is closed and all that the
client left behind was dealt with."""

HEALTHY: Final = 60.0
"""Seconds of readiness after which the back-off begins anew."""
STARTS_WITHIN: Final = 30.0
"""Seconds from the process's start to its first message: its imports."""
POLL: Final = 0.25
GRACE: Final = 2.0
_MIB: Final = 2**20
_TAKEN: Final = frozenset({"app", "source", "event", "level", "log_level", "logger", "timestamp", "exc_info", "stack_info"})
"""Fields of a log event that an app cannot set."""
_LEVELS: Final = frozenset({"debug", "info", "warning", "error"})


@dataclass(frozen=True, slots=True)
class _Ended:
    """How one run ended, in a sentence; `again`: it is worth another start."""

    health: str
    detail: str
    again: bool


class AppSupervisor:
    """One app of the configuration. `run` lasts until the app is finished, is stopped, or can never start."""

    def __init__(
        self,
        name: str,
        settings: AppSettings,
        plugin: AppPlugin,
        serve: Serve,
        clock: Clock,
        log: Any = None,
        *,
        backoff: Backoff | None = None,
    ) -> None:
        self._name = name
        self._settings = settings
        self._plugin = plugin
        self._serve = serve
        self._clock = clock
        self._log = (log or structlog.get_logger("dtios.apps")).bind(app=name)
        self._backoff = backoff or Backoff(first=0.5)
        self._view = AppView(name, plugin.name, settings.isolation, "starting", "", 0)
        self._tap: Tap | None = None
        self._child: Child | None = None
        self._failure: AppFailed | None = None
        self._verdict: str | None = None
        self._stop_asked = False
        self._kill = anyio.Event()
        self._over: anyio.Event | None = None
        self._known = anyio.Event()

    @property
    def view(self) -> AppView:
        return msgspec.structs.replace(self._view)

    def adjust(self, settings: AppSettings) -> None:
        """Other limits (memory, unresponsive_after), from the next look on."""
        self._settings = settings

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Started when the app is ready or its first run is over. Raises nothing but cancellation."""
        self._over = anyio.Event()
        if self._stop_asked:
            task_status.started()
            self._known.set()
            self._over.set()
            return
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._run, name=f"app {self._name}")
                await self._known.wait()
                task_status.started()
        finally:
            self._known.set()
            self._over.set()

    async def wait_known(self) -> None:
        """Until the app is ready or its first run is over."""
        await self._known.wait()

    async def stop(self, reason: str = "the runtime ends", grace: float = GRACE) -> None:
        """Ask the app to end, and end it after `grace` seconds. Returns when `run` is over."""
        self._stop_asked = True
        if self._over is None or self._over.is_set():
            return
        async with anyio.create_task_group() as tasks:
            if self._tap is not None:
                tasks.start_soon(self._say_stop, self._tap, reason, grace, name=f"app {self._name}: say stop")
                with anyio.move_on_after(grace + 0.5):
                    await self._over.wait()
            self._kill.set()
            await self._over.wait()

    async def _say_stop(self, tap: Tap, reason: str, grace: float) -> None:
        """An app that does not read keeps this waiting until it is killed."""
        with suppress(Closed):
            await tap.send(pack(Stop(reason, grace)))

    # --- one run after the other -----------------------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            self._change("starting")
            ended = await self._once()
            if self._stop_asked:
                ended = _Ended("stopped", "", False)
            if not ended.again:
                self._change(ended.health, ended.detail)
                self._known.set()
                return
            wait = self._backoff.next()
            self._change("backing-off", ended.detail)
            self._view.restarts += 1
            self._log.error("app restarts", why=ended.detail, seconds=round(wait, 2), restarts=self._view.restarts)
            self._known.set()
            if not await self._paused(wait):
                self._change("stopped")
                return

    async def _paused(self, seconds: float) -> bool:
        """False if a stop came meanwhile."""
        async with anyio.create_task_group() as tasks:

            async def stopped() -> None:
                await self._kill.wait()
                tasks.cancel_scope.cancel()

            tasks.start_soon(stopped, name=f"app {self._name}: stop")
            await self._clock.sleep(seconds)
            tasks.cancel_scope.cancel()
        return not self._kill.is_set()

    async def _once(self) -> _Ended:
        self._failure = self._verdict = None
        begun = self._clock.monotonic()
        try:
            if self._settings.isolation == "inline":
                ended = await self._inline()
            else:
                ended = await self._process()
        except ConfigurationError as error:
            ended = _Ended("failed", str(error), False)
        except DtiosError as error:
            ended = _Ended("failed", str(error), True)
        finally:
            self._tap = self._child = None
            self._view.pid = self._view.memory = None
        if self._clock.monotonic() - begun > HEALTHY:
            self._backoff.reset()
        return ended

    def _judged(self, otherwise: _Ended) -> _Ended:
        """What it said of its own failure counts more than how it ended; what we ended it for counts most."""
        if self._verdict is not None:
            return _Ended("failed", self._verdict, True)
        if (failure := self._failure) is None:
            return otherwise
        self._log.error("app failed", kind=failure.kind, where=failure.where, why=failure.message, traceback=failure.traceback)
        sentence = f"{failure.where}: {failure.message}" + (f"; {failure.mend}" if failure.mend else "")
        # Before it was ready a wrong configuration is wrong for good; later it may be a machine that changed.
        again = failure.kind != "configuration" or (self._tap is not None and self._tap.ready)
        return _Ended("failed", sentence, again)

    def _tapped(self, transport: Transport) -> Tap:
        self._tap = Tap(transport, self._ready, self._failed, self._write_log)
        return self._tap

    async def _session(self, tap: Tap, child: Child | None = None) -> None:
        try:
            await self._serve(tap, self._name)
        except DtiosError as error:
            self._failure = self._failure or AppFailed(error.kind, error.message, error.where, error.mend)
        except Exception:  # noqa: BLE001 - a fault in one app's session must not end the others; it is told aloud instead
            self._log.exception("app session failed")
        await tap.aclose()
        if child is not None:
            # It sees the end of its transport and ends by itself, unless it is blocked.
            with anyio.move_on_after(GRACE):
                await child.wait()
            child.kill()

    # --- inline ----------------------------------------------------------------------------------------------------------

    async def _inline(self) -> _Ended:
        app = self._plugin.load()
        ours, theirs = memory_pair()
        tap = self._tapped(ours)
        ending = "stopped"
        async with anyio.create_task_group() as tasks:

            async def killed() -> None:
                await self._kill.wait()
                host_scope.cancel()

            tasks.start_soon(killed, name=f"app {self._name}: stop")
            async with anyio.create_task_group() as session:
                session.start_soon(self._session, tap, name=f"app {self._name}: session")
                with anyio.CancelScope() as host_scope:
                    ending = await Host(app, theirs, self._clock, heartbeats=False).run()
                await theirs.aclose()
            tasks.cancel_scope.cancel()
        return self._judged(_Ended("finished", "", False) if ending == "finished" else _Ended("stopped", "it ended", True))

    # --- in a process of its own -------------------------------------------------------------------------------------------

    async def _process(self) -> _Ended:
        if not self._plugin.target:
            raise ConfigurationError(
                "an app that is no installed plug-in cannot have a process of its own",
                where=f"app {self._name}",
                mend="install it, or say `isolation: inline`",
            )
        async with spawn(self._plugin.target, self._plugin.name) as child:
            self._child = child
            self._view.pid = child.pid
            tap = self._tapped(child.transport)
            status = 0
            async with anyio.create_task_group() as around:
                around.start_soon(child.read_output, self._printed, name=f"app {self._name}: output")
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._watch, child, tap, name=f"app {self._name}: watch")
                    tasks.start_soon(self._end_on_stop, child, name=f"app {self._name}: stop")
                    async with anyio.create_task_group() as session:
                        session.start_soon(self._session, tap, child, name=f"app {self._name}: session")
                        status = await child.wait()
                    tasks.cancel_scope.cancel()
                # A grandchild may hold the pipes open: what was printed until now is read, no more is waited for.
                around.cancel_scope.deadline = anyio.current_time() + 0.2
        return self._judged(self._by_status(status, child))

    def _by_status(self, status: int, child: Child) -> _Ended:
        if status == 0:
            return _Ended("finished", "", False)
        if status == STOPPED_STATUS:
            return _Ended("stopped", "its session ended", True)
        how = f"it was ended by signal {-status}" if status < 0 else f"it ended by itself with exit status {status}"
        words = child.last_words
        return _Ended("failed", how + (f": {words.splitlines()[-1]}" if words else ""), True)

    async def _end_on_stop(self, child: Child) -> None:
        await self._kill.wait()
        child.kill()

    async def _watch(self, child: Child, tap: Tap) -> None:
        """Ends the process when it takes too much memory, says nothing for too long, or never begins."""
        silence = 0.0
        heard, last = -1, time.monotonic()
        while True:
            await anyio.sleep(POLL)
            now = time.monotonic()
            # While the session does not read, or the runtime itself stood still, silence proves nothing.
            step, last = (min(now - last, 2 * POLL) if tap.listening else 0.0), now
            silence = 0.0 if tap.heard != heard else silence + step
            heard = tap.heard
            memory = self._view.memory = child.memory()
            if memory is not None and memory > self._settings.memory * _MIB:
                limit = self._settings.memory
                self._condemn(
                    child, f"it used {memory // _MIB} MiB of memory and may use {limit}; raise `memory` if it needs that"
                )
            elif heard == 0 and silence > STARTS_WITHIN:
                self._condemn(child, f"it said nothing within {STARTS_WITHIN:.0f} s of its start" + blocker(await child.stack()))
            elif heard > 0 and silence > self._settings.unresponsive_after:
                stack = await child.stack()
                if tap.heard != heard:
                    continue
                self._log.error("app does not respond", seconds=round(silence, 2), stack="\n".join(stack))
                self._condemn(child, f"it did not respond for {silence:.1f} s{blocker(stack, tap.handler)}")

    def _condemn(self, child: Child, verdict: str) -> None:
        if self._verdict is None:
            self._verdict = verdict
        child.kill()

    # --- what the app says -------------------------------------------------------------------------------------------------

    def _ready(self) -> None:
        self._change("ready")
        self._known.set()

    def _failed(self, failure: AppFailed) -> None:
        self._failure = failure

    def _write_log(self, line: LogLine) -> None:
        level = line.level if line.level in _LEVELS else "info"
        fields = {f"{name}_" if name in _TAKEN else name: value for name, value in line.fields.items()}
        getattr(self._log, level)(line.event, source="app", **fields)

    def _printed(self, stream: str, line: str) -> None:
        self._log.info("app prints", stream=stream, text=line)

    def _change(self, health: Any, detail: str = "") -> None:
        self._view.health = health
        self._view.detail = detail
        if health in ("ready", "finished", "stopped"):
            self._log.info(f"app {health}", pid=self._view.pid)
        elif health == "failed":
            self._log.error("app failed for good", why=detail)
