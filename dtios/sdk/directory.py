"""The machines an app may see, as they come, change and go; and which of them play which role."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio

from dtios.model.errors import ConfigurationError
from dtios.sdk.client import Client
from dtios.sdk.manifest import Need
from dtios.sdk.protocol import MachineChanged, MachineView
from dtios.sdk.streams import FOLLOW_CAPACITY, Inbox

__all__ = ["Directory"]


class Directory:
    """Kept current by `run`; everything else only looks at it."""

    def __init__(self, client: Client, roles: Mapping[str, Sequence[str]]) -> None:
        self._client = client
        self._bound = {role: list(names) for role, names in roles.items()}
        self._views: dict[str, MachineView] = {}
        self._listeners: set[Inbox[MachineChanged]] = set()

    async def run(self, known: anyio.Event) -> None:
        """Sets `known` when the machines that are there now are known."""
        async with self._client.follow_machines() as changes:
            for view in await self._client.machines():
                self._take(MachineChanged(0, view, False))
            known.set()
            async for change in changes:
                self._take(change)

    def _take(self, change: MachineChanged) -> None:
        name = change.view.machine.name
        if change.gone:
            if self._views.pop(name, None) is None:
                return
        else:
            self._views[name] = change.view
        for inbox in self._listeners:
            inbox.put(change)

    def get(self, name: str) -> MachineView | None:
        return self._views.get(name)

    def plays(self, need: Need, view: MachineView) -> bool:
        """True if this machine has the role and is online, so that it is described.

        Raises ConfigurationError if the configuration gives it a role that it cannot play.
        """
        bound = self._bound.get(need.role)
        name = view.machine.name
        if view.health != "online" or (bound and name not in bound):
            return False
        missing = need.missing(view.machine)
        if missing and bound:
            raise ConfigurationError(missing, where=f"machine {name} as {need.role}", mend="bind the role to another machine")
        return missing is None

    def why_not(self, need: Need, view: MachineView) -> str:
        """Why this machine does not play a role, for a person."""
        if self._bound.get(need.role) and view.machine.name not in self._bound[need.role]:
            return "the role is bound to another machine"
        return f"it is {view.health}" if view.health != "online" else need.missing(view.machine) or ""

    def playing(self, need: Need) -> list[MachineView]:
        """The machines that play a role now, in the order of the configuration, else by name."""
        names = self._bound.get(need.role) or sorted(self._views)
        return [view for name in names if (view := self._views.get(name)) is not None and self.plays(need, view)]

    def with_capability(self, capability: str | None, properties: Mapping[str, Any]) -> list[MachineView]:
        """The machines seen now that are online and have the capability; without one, all that are seen."""
        views = [self._views[name] for name in sorted(self._views)]
        if capability is None:
            return views
        need = Need(role="any", capability=capability, properties=dict(properties))
        return [view for view in views if view.health == "online" and need.missing(view.machine) is None]

    @asynccontextmanager
    async def follow(self) -> AsyncIterator[AsyncIterator[MachineChanged]]:
        """Those present first, then each change. A slow consumer sees each machine's latest state."""
        inbox: Inbox[MachineChanged] = Inbox(FOLLOW_CAPACITY, key=lambda change: change.view.machine.name)
        for view in self._views.values():
            inbox.put(MachineChanged(0, view, False))
        self._listeners.add(inbox)
        try:
            yield inbox
        finally:
            self._listeners.discard(inbox)

    async def wait_for(self, found: Callable[[], list[MachineView]]) -> MachineView:
        """The first machine that `found` finds, now or later."""
        async with self.follow() as changes:
            while not (views := found()):
                await anext(changes)
        return views[0]
