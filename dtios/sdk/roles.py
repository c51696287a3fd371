"""Serves an app's handlers for the machines that play its roles, as these come and go."""

from collections.abc import Callable

import anyio
import msgspec

from dtios.model.condition import Condition
from dtios.model.errors import TemporaryError
from dtios.model.gap import Gap
from dtios.sdk.app import Handler
from dtios.sdk.client import Client
from dtios.sdk.context import Context, MachineChange, MachineHandle
from dtios.sdk.crew import Crew
from dtios.sdk.directory import Directory
from dtios.sdk.manifest import AppConfig, Need
from dtios.sdk.observing import results
from dtios.sdk.patterns import is_pattern, path_matches
from dtios.sdk.protocol import MachineView

__all__ = ["Roles"]

RETRY = 1.0
"""Seconds after which a stream that ended is opened again, if its machine still plays the role."""


class Roles:
    """One task for each handler and machine; calls of one handler for one machine never overlap."""

    def __init__(self, crew: Crew, client: Client, directory: Directory, context: Context[AppConfig]) -> None:
        self._crew = crew
        self._client = client
        self._directory = directory
        self._context = context
        self._serving: dict[tuple[int, str], anyio.CancelScope] = {}

    async def begin(self, handlers: list[Handler]) -> None:
        """Returns when every handler is subscribed on the machines that are there now; others follow as they come."""
        waiting: list[anyio.Event] = []
        streams: list[tuple[Handler, Need]] = []
        for handler in handlers:
            if handler.need is None:
                continue
            if handler.kind == "machine":
                self._crew.start(handler.name, self._tell_machines, handler, handler.need)
            else:
                streams.append((handler, handler.need))
        for number, (handler, need) in enumerate(streams):
            waiting.extend(self._serve(number, handler, need, view) for view in self._directory.playing(need))
        for event in waiting:
            await event.wait()
        if streams:
            self._crew.start("roles", self._follow, streams)

    async def _follow(self, streams: list[tuple[Handler, Need]]) -> None:
        async with self._directory.follow() as changes:
            async for change in changes:
                name = change.view.machine.name
                for number, (handler, need) in enumerate(streams):
                    scope = self._serving.get((number, name))
                    if change.gone and scope is not None:
                        scope.cancel()
                    elif not change.gone and self._directory.plays(need, change.view):
                        self._serve(number, handler, need, change.view)

    async def _tell_machines(self, handler: Handler, need: Need) -> None:
        """A machine is told of from when it first plays the role until it has gone; losing contact is a change."""
        told: set[str] = set()
        async with self._directory.follow() as changes:
            async for change in changes:
                name = change.view.machine.name
                if not change.gone and self._directory.plays(need, change.view):
                    told.add(name)
                if name in told:
                    if change.gone:
                        told.discard(name)
                    await self._crew.call(handler, self._context, MachineChange(self._handle(change.view), change.gone))

    def _serve(self, number: int, handler: Handler, need: Need, view: MachineView) -> anyio.Event:
        """Serve this handler for this machine, unless it is served. The event: it is subscribed, or cannot be now."""
        key, begun = (number, view.machine.name), anyio.Event()
        if key in self._serving:
            begun.set()
        else:
            scope = self._serving[key] = anyio.CancelScope()
            self._crew.start(f"{handler.name}:{view.machine.name}", self._keep, key, scope, handler, need, view, begun)
        return begun

    async def _keep(
        self,
        key: tuple[int, str],
        scope: anyio.CancelScope,
        handler: Handler,
        need: Need,
        view: MachineView,
        begun: anyio.Event,
    ) -> None:
        machine = self._handle(view)
        try:
            with scope:
                while (now := self._directory.get(machine.name)) is not None and self._directory.plays(need, now):
                    try:
                        await self._play(handler, machine, begun.set)
                    except TemporaryError as error:
                        if self._client.closed is not None:
                            raise
                        self._context.log.info("a handler waits for its machine", handler=handler.name, why=str(error))
                    begun.set()
                    await self._context.sleep(RETRY)
        finally:
            begun.set()
            del self._serving[key]

    async def _play(self, handler: Handler, machine: MachineHandle, started: Callable[[], None]) -> None:
        """One stream, until it ends."""
        match handler.kind:
            case "job":
                async with self._client.follow_jobs(machine.name) as jobs:
                    started()
                    async for job in jobs:
                        await self._crew.call(handler, self._context, job.view)
            case "condition":
                async with self._client.follow_conditions(machine.name) as conditions:
                    started()
                    async for change in conditions:
                        await self._crew.call(handler, self._context, msgspec.convert(change.condition, Condition))
            case "result":
                async with results(self._client, machine.name) as found:
                    started()
                    async for result in found:
                        await self._crew.call(handler, self._context, result)
            case _:
                await self._values(handler, machine, started)

    async def _values(self, handler: Handler, machine: MachineHandle, started: Callable[[], None]) -> None:
        gaps: dict[str, Gap] = {}
        paths = [signal.path for signal in machine.description.signals]
        # A pattern may name nothing on one of the machines that play the role; a plain path must be there.
        signals = [s for s in handler.signals if not is_pattern(s) or any(path_matches(path, [s]) for path in paths)]
        if not signals:
            started()
            await anyio.sleep_forever()
        subscribed = self._client.subscribe(machine.name, signals, handler.policy, handler.capacity, handler.name)
        async with subscribed as deliveries:
            started()
            async for delivery in deliveries:
                if handler.kind == "batch":
                    await self._crew.call(handler, self._context, delivery)
                    continue
                for change in delivery.changes(gaps):
                    await self._crew.call(handler, self._context, change)

    def _handle(self, view: MachineView) -> MachineHandle:
        return MachineHandle(self._client, self._directory, view)
