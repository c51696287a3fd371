"""Carries a plan out. It was checked, so nothing should fail; what fails all the same is told and stays as it was, and the next
reload tries it again."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import anyio
import structlog

from dtios.model.errors import DtiosError
from dtios.runtime.apps.hosting import AppTable
from dtios.runtime.configuration.plan import Plan
from dtios.runtime.configuration.setup import HostedSetup, Key, LinkSetup, Setup
from dtios.runtime.kernel import Client
from dtios.runtime.links.machines import MachineTable
from dtios.runtime.links.table import LinkTable

__all__ = ["Applier", "Trouble", "links_after"]

log = structlog.get_logger("dtios.configuration")

GRACE: Final = 2.0
"""Seconds that an app gets to end by itself when its configuration changed."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """A part that could not be changed: the key of a link, or an app's name."""

    part: Key | str
    sentence: str


class Applier:
    """Grants count at once; then apps that end are ended, links are changed side by side, and apps that begin are begun."""

    def __init__(self, links: LinkTable, apps: AppTable, machines: MachineTable, clients: Callable[[], Iterable[Client]]) -> None:
        self._links = links
        self._apps = apps
        self._machines = machines
        self._clients = clients

    async def apply(self, plan: Plan, new: Setup) -> list[Trouble]:
        """Called with the links of the plan held still, when there are no faults. Raises nothing but cancellation."""
        troubles: list[Trouble] = []
        self._regrant(new, plan.renamed)
        for name, setup in plan.adjusted.items():
            self._apps.adjust(name, setup)
        await self._apps.stop([*plan.stopped, *plan.restarted], "its configuration was changed", GRACE)
        async with anyio.create_task_group() as together:

            def begin(part: Key, work: Callable[[], Awaitable[None]]) -> None:
                together.start_soon(self._part, part, work, troubles, name=f"change {part[0]}")

            for change in plan.changed:
                begin(change.key, lambda change=change: self._links.change(change))  # type: ignore[misc]
            for key in plan.closed:
                begin(key, lambda key=key: self._links.drop(key))  # type: ignore[misc]
        for key, link in plan.opened.items():  # after those that were closed: a machine may have moved
            await self._part(key, lambda link=link: self._links.configure(link), troubles)  # type: ignore[misc]
        self._regrant(new, {})
        for client in tuple(self._clients()):
            client.regranted()
        self._machines.recheck()
        await self._start({**plan.restarted, **plan.started}, troubles)
        return troubles

    def _regrant(self, new: Setup, renamed: Mapping[str, str]) -> None:
        """Nothing is awaited here. While a machine is being renamed, a grant on its new name counts for the former one too."""
        former = {name: old for old, name in renamed.items()}
        for client in tuple(self._clients()):
            setup = new.hosted.get(client.principal.name)
            if setup is not None:
                also = [
                    grant.model_copy(update={"machine": former[grant.machine]})
                    for grant in setup.grants
                    if grant.machine in former
                ]
                client.principal.regrant([*setup.grants, *also], commission=setup.commission)
            elif not client.principal.name.startswith("cli:"):
                client.principal.regrant([], commission=False)

    async def _start(self, hosted: Mapping[str, HostedSetup], troubles: list[Trouble]) -> None:
        try:
            await self._apps.start(hosted)
        except DtiosError as error:
            troubles += [Trouble(name, str(error)) for name in hosted]
        views = {view.name: view for view in self._apps.views()}
        for name in hosted:
            if name in views and views[name].health in ("failed", "backing-off"):
                troubles.append(Trouble(name, f"app {name} does not start: {views[name].detail}"))

    async def _part(self, part: Key, work: Callable[[], Awaitable[None]], troubles: list[Trouble]) -> None:
        try:
            await work()
        except Exception as raised:  # one link's fault must not leave the others half changed
            if not isinstance(raised, DtiosError):
                log.error("changing a connection failed", endpoint=part[0], exc_info=raised)  # noqa: TRY400
            reason = str(raised) if isinstance(raised, DtiosError) else f"{type(raised).__name__}: {raised}"
            troubles.append(Trouble(part, f"{part[0]} stays as it was: {reason}"))


def links_after(old: Setup, new: Setup, plan: Plan, troubles: Iterable[Trouble]) -> dict[Key, LinkSetup]:
    """What runs when a plan was carried out but for some parts."""
    failed = {trouble.part for trouble in troubles}
    links = dict(new.links)
    for change in plan.changed:
        if change.key in failed:
            links.pop(change.setup.key, None)
            links[change.key] = old.links[change.key]
    for key in plan.opened:
        if key in failed:
            links.pop(key, None)
    for key in plan.closed:
        if key in failed:
            links[key] = old.links[key]
    return links
