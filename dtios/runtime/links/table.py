"""All connections of the runtime: configured ones for as long as they are configured, others while somebody uses them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import anyio
import structlog
from anyio.abc import TaskGroup
from pydantic import ValidationError

from dtios.mapping.facts import BrowseFacts
from dtios.mapping.matcher import map_machines
from dtios.mapping.profiles.library import ProfileLibrary
from dtios.model.errors import ConfigurationError, TemporaryError
from dtios.runtime.configuration.config import MachineSettings
from dtios.runtime.data.router import Router
from dtios.runtime.jobs.runner import JobRunner
from dtios.runtime.links.conditions import ConditionBoard
from dtios.runtime.links.discovery import discover
from dtios.runtime.links.link import Link
from dtios.runtime.links.machines import LiveMachine, MachineTable
from dtios.runtime.links.placement import Placement
from dtios.runtime.links.results import ResultBoard
from dtios.runtime.links.states import StateWatch
from dtios.runtime.links.telling import Telling
from dtios.runtime.registry import Registry
from dtios.sdk.adapter import ConnectionSettings, Progress
from dtios.sdk.clock import Clock
from dtios.sdk.secrets import TYPED

__all__ = ["LinkTable"]

log = structlog.get_logger("dtios.links")


Key = tuple[str, str | None]
"""(URL, user): one session for each endpoint and identity."""


class _Held:
    """A link, who needs it, and what stands behind it."""

    def __init__(
        self, link: Link, scope: anyio.CancelScope, placement: Placement, settings: ConnectionSettings, profiles: ProfileLibrary
    ) -> None:
        self.link = link
        self.profiles = profiles
        self.scope = scope
        self.placement = placement
        self.settings = settings
        self.users = 0
        self.ended = anyio.Event()


class LinkTable:
    """One link for each endpoint and user identity. A link's machines are described when it is first up."""

    def __init__(
        self,
        registry: Registry,
        router: Router,
        machines: MachineTable,
        jobs: JobRunner,
        conditions: ConditionBoard,
        results: ResultBoard,
        clock: Clock,
        tasks: TaskGroup,
        home: Path,
    ) -> None:
        """`home` is the state directory, where adapters keep what lasts."""
        self._registry = registry
        self._router = router
        self._machines = machines
        self._jobs = jobs
        self._conditions = conditions
        self._results = results
        self._clock = clock
        self._tasks = tasks
        self._home = home
        self._held: dict[Key, _Held] = {}

    def configure(self, url: str, machines: Mapping[str, MachineSettings], profiles: ProfileLibrary) -> Link:
        """Connect to an endpoint for as long as it stays configured. Raises ConfigurationError."""
        settings: dict[str, Any] = {}
        for name, machine in machines.items():
            if settings and machine.settings and machine.settings != settings:
                raise ConfigurationError(
                    "the machines behind one endpoint share its connection settings", where=f"machines.{name}",
                    mend="give the same settings, or give them once",
                )  # fmt: skip
            settings = settings or dict(machine.settings)
        held = self._connect(url, self._settings(url, settings), profiles, machines)
        held.users += 1
        held.link.events.want()
        held.placement.expect(held.link)
        return held.link

    async def open(
        self,
        url: str,
        settings: Mapping[str, Any],
        progress: Progress | None,
        profiles: Sequence[tuple[str, str]] = (),
    ) -> Link:
        """The link to a URL, made if there is none; each `open` wants its `close`. Returns when machines are described.

        Raises what the first attempt failed with.
        """
        held = self._find(url, settings)
        if held is not None and settings and self._settings(url, settings, TYPED) != held.settings:
            raise ConfigurationError(
                "it is connected already with other settings", where=url, mend="leave them out, or end the other use first"
            )
        if held is not None and profiles:
            raise ConfigurationError(
                "it is connected and described already", where=url, mend="leave the profile out, or name it in dtios.yaml"
            )
        if held is None:
            held = self._connect(url, self._settings(url, settings, TYPED), ProfileLibrary.load(texts=profiles), {})
        held.users += 1
        if progress is not None:
            held.link.progress.add(progress)
        try:
            if held.link.health in ("offline", "failed"):
                await held.link.retry()
            await held.link.wait_tried()
        except BaseException:
            await self.close(held.link)
            raise
        finally:
            if progress is not None:
                held.link.progress.discard(progress)
        return held.link

    async def close(self, link: Link, *, all_uses: bool = False) -> None:
        """One use less; the last one ends the link, its session closed and its machines gone. `all_uses`: at once."""
        key, held = next(((k, h) for k, h in self._held.items() if h.link is link), (None, None))
        if key is None or held is None:
            return
        held.users -= 1
        if held.users <= 0 or all_uses:
            del self._held[key]
            with anyio.CancelScope(shield=True):
                held.scope.cancel()
                await held.ended.wait()
            link.closed()
            self._conditions.forget(link)
            await held.placement.remove()
            link.forget_all()

    def find(self, url: str, user: str | None) -> Link | None:
        held = self._held.get((_normal(url), user))
        return None if held is None else held.link

    def machines(self, link: Link) -> list[LiveMachine]:
        """The machines behind a link, in the order they were found."""
        return next((h.placement.machines for h in self._held.values() if h.link is link), [])

    def profiles(self, link: Link) -> ProfileLibrary:
        """Those that its machines are described by."""
        return next((h.profiles for h in self._held.values() if h.link is link), ProfileLibrary.builtin())

    def _find(self, url: str, settings: Mapping[str, Any]) -> _Held | None:
        """Who says nothing of an identity takes the connection there is."""
        if "user" in settings:
            return self._held.get((_normal(url), settings["user"]))
        return next((h for (at, _), h in self._held.items() if at == _normal(url)), None)

    async def discover(self, hint: str, limit: float, progress: Progress) -> list[dict[str, Any]]:
        """See `dtios.runtime.links.discovery`."""
        return await discover(self._registry, hint, limit, progress)

    def _settings(self, url: str, settings: Mapping[str, Any], context: dict[str, Any] | None = None) -> ConnectionSettings:
        model = self._registry.adapter_for(url).settings
        try:
            return model.model_validate(dict(settings), context=context)
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(str(part) for part in first["loc"])
            raise ConfigurationError(
                f"the setting {key}: {first['msg']}", where=url, mend=f"it takes {', '.join(model.model_fields)}"
            ) from None

    def _connect(
        self, url: str, checked: ConnectionSettings, profiles: ProfileLibrary, machines: Mapping[str, MachineSettings]
    ) -> _Held:
        connection = self._registry.adapter_for(url).connect(url, checked, self._home)
        states = StateWatch(url, self._machines, self._router, self._clock) if machines else None
        placement = Placement(url, machines, self._machines, self._jobs, states)

        async def described(link: Link, facts: BrowseFacts) -> None:
            found = map_machines(facts, profiles)
            await placement.place(link, found, facts.notes)
            link.events.reconsider()

        link = Link(url, connection, self._router, described, self._clock)
        link.on_change(placement.changed)
        link.events.listener = Telling(link, placement, self._conditions, self._results)
        held = _Held(link, anyio.CancelScope(), placement, checked, profiles)
        self._held[_normal(url), checked.user] = held

        async def run() -> None:
            try:
                with held.scope:
                    async with anyio.create_task_group() as around:
                        if states is not None:
                            around.start_soon(states.run, name=f"states {url}")
                        await link.run()
            finally:
                held.ended.set()

        self._tasks.start_soon(run, name=f"link {url}")
        return held

    async def wait_first_tries(self, limit: float) -> None:
        """Until every link was tried once, or `limit` seconds: a machine that is off does not keep the rest waiting."""
        with anyio.move_on_after(limit):
            for held in tuple(self._held.values()):
                try:
                    await held.link.wait_tried()
                except (ConfigurationError, TemporaryError):
                    continue  # its health says so; the supervisor goes on trying


def _normal(url: str) -> str:
    return url.rstrip("/").lower() if "?" not in url else url
