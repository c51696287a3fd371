"""Runs an app over a transport, the same in a process of its own and inline: hello, configuration, roles, handlers, stop."""

from enum import StrEnum
from pathlib import Path
from typing import Any

import anyio
from pydantic import ValidationError

from dtios.model.errors import ConfigurationError, TemporaryError
from dtios.sdk.app import App, Handler
from dtios.sdk.client import Client, open_client
from dtios.sdk.clock import Clock
from dtios.sdk.context import Context
from dtios.sdk.crew import Crew, report
from dtios.sdk.directory import Directory
from dtios.sdk.manifest import AppConfig
from dtios.sdk.protocol import AppFailed, Heartbeat, Ready, Welcome
from dtios.sdk.roles import Roles
from dtios.sdk.transport import Transport

__all__ = ["HEARTBEAT", "Ending", "Host"]

HEARTBEAT = 0.5
"""Seconds between two heartbeats."""


class Ending(StrEnum):
    FINISHED = "finished"
    """Main returned and there are no handlers."""
    STOPPED = "stopped"
    """The runtime asked for it, or is gone."""
    FAILED = "failed"
    """A handler raised, or the configuration does not fit; AppFailed was sent."""


class Host:
    """One run of an app. `heartbeats` are for a process; inline there is one event loop, and nobody to hear them."""

    def __init__(self, app: App[Any], transport: Transport, clock: Clock, *, heartbeats: bool = True) -> None:
        self._app = app
        self._transport = transport
        self._clock = clock
        self._heartbeats = heartbeats

    async def run(self) -> Ending:
        """Returns when the app is over, and has closed the transport then. Raises nothing but cancellation."""
        try:
            async with open_client(self._transport, "app") as client:
                try:
                    context, directory = self._prepare(client, client.welcome)
                except ConfigurationError as error:
                    return await self._end(client, report("start", error), Ending.FAILED)
                return await self._run(client, context, directory)
        except TemporaryError:
            return Ending.STOPPED

    def _prepare(self, client: Client, welcome: Welcome) -> tuple[Context[Any], Directory]:
        self._app.manifest().check_bindings(welcome.roles)
        config = read_config(self._app, welcome.config)
        directory = Directory(client, welcome.roles)
        needs = {need.role: need for need in self._app.roles}
        return Context(self._app.name, config, self._clock, client, directory, needs, Path(welcome.folder)), directory

    async def _run(self, client: Client, context: Context[Any], directory: Directory) -> Ending:
        finished = False

        async def serve() -> None:
            nonlocal finished
            await self._serve(client, context, directory, crew)
            finished = True
            crew.end()

        async with anyio.create_task_group() as tasks:
            crew = Crew(self._app.name, client, tasks)
            if self._heartbeats:
                crew.start("heartbeat", self._beat, client, crew)
            crew.start("log", self._write_log, client, context)
            crew.start("stop", crew.stop)
            crew.start("serve", serve)
        if client.closed is None:
            for line in context.log.drain():
                await client.tell(line)
        return await self._end(client, crew.failure, Ending.FINISHED if finished else Ending.STOPPED)

    async def _serve(self, client: Client, context: Context[Any], directory: Directory, crew: Crew) -> None:
        """Returns when nothing is left to do: main has returned and there are no handlers."""
        known = anyio.Event()
        crew.start("machines", directory.run, known)
        await known.wait()
        handlers = self._app.handlers
        await Roles(crew, client, directory, context).begin([h for h in handlers if h.need is not None])
        for handler in handlers:
            if handler.kind == "every":
                crew.start(handler.name, self._every, context, handler, crew)
        self._say_what_is_missing(context, directory)
        await client.tell(Ready())
        mains = [handler for handler in handlers if handler.kind == "main"]
        for main in mains:
            done = anyio.Event()
            crew.start(main.name, self._main, context, main, crew, done)
            await done.wait()
        if len(handlers) > len(mains):
            await anyio.sleep_forever()

    def _say_what_is_missing(self, context: Context[Any], directory: Directory) -> None:
        """An app that waits for a machine looks idle; the log says for which, and why those there are not it."""
        for need in self._app.roles:
            if not directory.playing(need):
                why = {view.machine.name: directory.why_not(need, view) for view in directory.with_capability(None, {})}
                context.log.warning("no machine plays the role yet", role=need.role, **why)

    async def _main(self, context: Context[Any], handler: Handler, crew: Crew, done: anyio.Event) -> None:
        if handler.finish:
            await crew.call(handler, context)
        else:
            await handler.call(context)
        done.set()

    async def _every(self, context: Context[Any], handler: Handler, crew: Crew) -> None:
        due = self._clock.monotonic()
        while True:
            await crew.call(handler, context)
            due = max(due + handler.period, self._clock.monotonic())
            await self._clock.sleep(due - self._clock.monotonic())

    async def _beat(self, client: Client, crew: Crew) -> None:
        while True:
            await client.tell(Heartbeat(crew.running))
            await anyio.sleep(HEARTBEAT)

    async def _write_log(self, client: Client, context: Context[Any]) -> None:
        while True:
            line = await context.log.next()
            try:
                await client.tell(line)
            except anyio.get_cancelled_exc_class():
                context.log.put_back(line)
                raise

    async def _end(self, client: Client, failure: AppFailed | None, ending: Ending) -> Ending:
        if failure is None:
            return ending
        if client.closed is None:
            await client.tell(failure)
        return Ending.FAILED


def read_config(app: App[Any], config: dict[str, Any]) -> AppConfig:
    """The app's typed configuration. Raises ConfigurationError naming the first entry that does not fit."""
    try:
        model: AppConfig = app.config.model_validate(config)
    except ValidationError as error:
        first = error.errors()[0]
        entry = ".".join(["config", *(str(part) for part in first["loc"])])
        given = "" if first["type"] in ("missing", "secret") else f" (given: {first['input']!r})"
        raise ConfigurationError(
            f"{entry}: {first['msg']}{given}", where=f"app {app.name}", mend=f"it knows: {_entries(app)}"
        ) from None
    return model


def _entries(app: App[Any]) -> str:
    return ", ".join(app.config.model_fields) or "no entries"
