"""The apps and publishers that run here, by name."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from typing import Final

import anyio
import structlog
from anyio.abc import TaskGroup

from dtios.runtime.apps.supervisor import AppSupervisor, Serve
from dtios.runtime.apps.watchdog import watchdog
from dtios.runtime.configuration.setup import HostedSetup
from dtios.runtime.registry import AppPlugin
from dtios.sdk.clock import Clock
from dtios.sdk.protocol import AppView

__all__ = ["AppTable"]

START_LIMIT: Final = 10.0
"""Seconds until nobody waits any longer for apps that are being started; they go on starting."""


class AppTable:
    """Each app has a supervisor of its own, and a task of the runtime's group."""

    def __init__(
        self, find: Callable[[HostedSetup], AppPlugin], serve: Serve, clock: Clock, tasks: TaskGroup, around: ExitStack
    ) -> None:
        """`around` ends with the runtime: what watches inline apps is entered there with the first of them."""
        self._find = find
        self._serve = serve
        self._clock = clock
        self._tasks = tasks
        self._around = around
        self._watched = False
        self._apps: dict[str, AppSupervisor] = {}
        self._log = structlog.get_logger("dtios.runtime")

    def views(self) -> list[AppView]:
        return [app.view for app in self._apps.values()]

    async def start(self, hosted: Mapping[str, HostedSetup]) -> None:
        """Returns when each is ready or its first run is over, after START_LIMIT at the latest. Raises ConfigurationError."""
        plugins = {name: self._find(setup) for name, setup in hosted.items()}
        if not self._watched and any(setup.settings.isolation == "inline" for setup in hosted.values()):
            self._watched = True
            self._around.enter_context(watchdog(self._log))
        with anyio.move_on_after(START_LIMIT):
            async with anyio.create_task_group() as starting:
                for name, setup in hosted.items():
                    app = AppSupervisor(name, setup.settings, plugins[name], self._serve, self._clock, self._log)
                    self._apps[name] = app
                    self._tasks.start_soon(app.run, name=f"app {name}")
                    starting.start_soon(app.wait_known, name=f"app {name}: ready")

    async def stop(self, names: Iterable[str], reason: str, grace: float) -> None:
        """Returns when they are over, and what they left on machines was seen to."""
        ended = [(name, self._apps[name]) for name in names if name in self._apps]
        async with anyio.create_task_group() as ending:
            for name, app in ended:
                ending.start_soon(app.stop, reason, grace, name=f"stop app {name}")
        for name, app in ended:
            if self._apps.get(name) is app:
                del self._apps[name]

    async def stop_all(self, reason: str, grace: float) -> None:
        """At the runtime's end: they are still shown, as stopped."""
        async with anyio.create_task_group() as ending:
            for name, app in self._apps.items():
                ending.start_soon(app.stop, reason, grace, name=f"stop app {name}")

    def adjust(self, name: str, setup: HostedSetup) -> None:
        """Other limits for an app that goes on."""
        if name in self._apps:
            self._apps[name].adjust(setup.settings)
