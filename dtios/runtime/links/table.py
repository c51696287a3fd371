"""All connections of the runtime: configured ones for as long as they are configured, others while somebody uses them."""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import structlog
from anyio.abc import TaskGroup
from pydantic import ValidationError

from dtios.mapping.facts import BrowseFacts
from dtios.mapping.mapped import MappedMachine
from dtios.mapping.matcher import map_machines
from dtios.mapping.profiles.library import ProfileLibrary
from dtios.model.errors import ConfigurationError, TemporaryError
from dtios.model.job import JobIdentity, JobState
from dtios.runtime.configuration.config import MachineSettings
from dtios.runtime.configuration.plan import LinkChange
from dtios.runtime.configuration.setup import Key, LinkSetup, link_key, normal_url
from dtios.runtime.data.router import Router
from dtios.runtime.jobs.runner import JobRunner
from dtios.runtime.links.cache import FactsCache
from dtios.runtime.links.conditions import ConditionBoard
from dtios.runtime.links.discovery import discover
from dtios.runtime.links.examining import examine
from dtios.runtime.links.limits import Fault
from dtios.runtime.links.link import Link
from dtios.runtime.links.machines import LiveMachine, MachineTable
from dtios.runtime.links.placement import Placement
from dtios.runtime.links.readings import first_readings
from dtios.runtime.links.results import ResultBoard
from dtios.runtime.links.states import StateWatch
from dtios.runtime.links.telling import Telling
from dtios.runtime.registry import Registry
from dtios.sdk.adapter import Complaint, ConnectionSettings, Finding, Progress
from dtios.sdk.clock import Clock
from dtios.sdk.secrets import TYPED

__all__ = ["LinkTable"]

log = structlog.get_logger("dtios.links")


class _Held:
    """A link, who needs it, and what stands behind it. `setup` None: not configured. `facts` are those last browsed."""

    def __init__(self, link: Link, placement: Placement, settings: ConnectionSettings, profiles: ProfileLibrary) -> None:
        self.link = link
        self.placement = placement
        self.settings = settings
        self.profiles = profiles
        self.configured = False
        self.facts: BrowseFacts | None = None
        self.scope = anyio.CancelScope()
        self.users = 0
        self.ended = anyio.Event()
        self.still = anyio.Lock()
        """Held while its machines are placed: what was tried out is still so when it is done."""


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
        address: Callable[[str], str],
    ) -> None:
        """`home` is the state directory, where adapters keep what lasts; `address` gives what an endpoint's name stands for."""
        self._registry = registry
        self._router = router
        self._machines = machines
        self._jobs = jobs
        self._conditions = conditions
        self._results = results
        self._clock = clock
        self._tasks = tasks
        self._home = home
        self._address = address
        self._held: dict[Key, _Held] = {}

    # --- configured ---

    async def configure(self, setup: LinkSetup) -> None:
        """Connect to an endpoint for as long as it stays configured; one that somebody has open already goes on."""
        held = self._held.get(setup.key)
        if held is not None:
            held.users += 1
            held.configured = True
            held.link.events.want()
            async with held.still:
                await self._apply(held, LinkChange(setup.key, setup, reconnects=held.settings != setup.settings, profiles=True))
            return
        held = self._connect(setup.url, setup.settings, setup.profiles, setup.machines, setup.adapter)
        held.users += 1
        held.link.events.want()
        held.configured = True
        held.placement.expect(held.link)

    @asynccontextmanager
    async def still(self, keys: Iterable[Key]) -> AsyncIterator[None]:
        """Nothing is placed anew behind these links meanwhile."""
        async with AsyncExitStack() as stack:
            for key in sorted(keys, key=repr):
                if key in self._held:
                    await stack.enter_async_context(self._held[key].still)
            yield

    async def faults(self, change: LinkChange) -> list[Fault]:
        """What is wrong with it, by the facts that are held. Keys are those below `machines`. Called inside `still`."""
        held = self._held[change.key]
        found = None if held.facts is None else await self._mapped(held, change)
        faults = [] if found is None else list(held.placement.faults(change.setup.machines, found))
        return faults or list(_job_faults(held.placement.machines, found, self._jobs, reconnects=change.reconnects))

    async def change(self, change: LinkChange) -> None:
        """Make a link what it shall be, touching nothing else. Called inside `still`, when there are no `faults`."""
        held, key = self._held[change.key], change.setup.key
        if key != change.key and key in self._held:  # somebody has that session open already
            await self._leave(held)
            await self.configure(change.setup)
            return
        await self._apply(held, change)
        self._held[key] = self._held.pop(change.key)

    async def _apply(self, held: _Held, change: LinkChange) -> None:
        setup, link = change.setup, held.link
        found = None if held.facts is None else await self._mapped(held, change)
        held.profiles, held.settings = setup.profiles, setup.settings
        if found is not None and link.online:
            ahead = held.placement.coming_guards(setup.machines, found)
            await link.points.guard(list(dict.fromkeys([*link.points.guarded, *ahead])))
            await first_readings(self._router, ahead, self._clock)
        notes = () if held.facts is None else held.facts.notes
        await held.placement.configure(link, setup.machines, found, notes)
        self._conditions.renamed(held.placement.machines)
        link.events.reconsider()
        if change.told:
            link.reconfigure(setup.settings)
        if change.reconnects:
            connection = self._registry.adapter(setup.adapter).connect(self._address(setup.url), setup.settings, self._home)
            connection.learn(setup.profiles)
            link.replace(connection, setup.settings.user)
        elif change.profiles:
            link.learn(setup.profiles)
        elif not link.online:
            await link.retry()  # what kept it from coming up may be mended

    async def _mapped(self, held: _Held, change: LinkChange) -> list[MappedMachine]:
        """In a thread: with many nodes it takes long, and the values of others go on meanwhile."""
        assert held.facts is not None
        return await anyio.to_thread.run_sync(map_machines, held.facts, change.setup.profiles)

    async def drop(self, key: Key) -> None:
        """No longer configured: its jobs are seen to, and it ends unless somebody else has it open."""
        held = self._held.get(key)
        if held is not None and held.configured:
            async with held.still:
                await self._leave(held)

    async def _leave(self, held: _Held) -> None:
        for machine in held.placement.machines:
            await self._jobs.let_go(machine)
        if held.users > 1:
            found = None if held.facts is None else map_machines(held.facts, held.profiles)
            await held.placement.configure(held.link, {}, found, ())
        held.configured = False
        held.link.events.release()
        await self.close(held.link)

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

    async def close(self, link: Link) -> None:
        """One use less; the last one ends the link, its session closed and its machines gone."""
        key, held = next(((k, h) for k, h in self._held.items() if h.link is link), (None, None))
        if key is None or held is None:
            return
        held.users -= 1
        if held.users <= 0:
            del self._held[key]
            with anyio.CancelScope(shield=True):
                held.scope.cancel()
                await held.ended.wait()
            link.closed()
            self._conditions.forget(link)
            await held.placement.remove()
            link.points.forget_all()

    def machines(self, link: Link) -> list[LiveMachine]:
        """The machines behind a link, in the order they were found."""
        return next((h.placement.machines for h in self._held.values() if h.link is link), [])

    def misunderstood(self) -> list[tuple[Link, Complaint]]:
        """What the adapters could not understand, of every endpoint."""
        return [(held.link, complaint) for held in self._held.values() for complaint in held.link.misunderstood()]

    def profiles(self, link: Link) -> ProfileLibrary:
        """Those that its machines are described by."""
        return next((h.profiles for h in self._held.values() if h.link is link), ProfileLibrary.builtin())

    def _find(self, url: str, settings: Mapping[str, Any]) -> _Held | None:
        """Who says nothing of an identity takes the connection there is."""
        if "user" in settings:
            return self._held.get((normal_url(url), settings["user"]))
        return next((h for (at, _), h in self._held.items() if at == normal_url(url)), None)

    async def discover(
        self, hint: str, limit: float, listen: float, settings: Mapping[str, Any], progress: Progress
    ) -> list[dict[str, Any]]:
        """See `dtios.runtime.links.discovery`. Without settings: with those of the connection there is at a URL."""
        held = self._find(hint, settings) if "://" in hint else None
        checked = held.settings if held is not None and not settings else None
        if settings:
            checked = self._settings(hint, settings, TYPED)
        return await discover(self._registry, hint, limit, listen, checked, progress)

    async def examine(self, url: str, settings: Mapping[str, Any], limit: float) -> list[Finding]:
        """See `dtios.runtime.links.examining`. Without settings: with those of the connection there is."""
        held = self._find(url, settings)
        checked = held.settings if held is not None and not settings else self._settings(url, settings, TYPED)
        known, link = (None, None) if held is None else (held.facts, held.link)
        return await examine(self._registry.adapter_for(url), self._address(url), checked, self._home, known, link, limit)

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
        self,
        url: str,
        settings: ConnectionSettings,
        profiles: ProfileLibrary,
        machines: Mapping[str, MachineSettings],
        adapter: str | None = None,
    ) -> _Held:
        found = self._registry.adapter_for(url) if adapter is None else self._registry.adapter(adapter)
        connection = found.connect(self._address(url), settings, self._home)
        connection.learn(profiles)
        states = StateWatch(url, self._machines, self._router, self._clock)
        placement = Placement(url, machines, self._machines, self._jobs, states)

        async def described(link: Link, facts: BrowseFacts | None, verified: bool) -> None:
            async with held.still:
                if facts is not None:
                    held.facts = facts
                    found = await anyio.to_thread.run_sync(map_machines, facts, held.profiles)
                    await placement.place(link, found, facts.notes, verified=verified, complete=facts.complete)
                else:
                    await link.points.settle()
                    if verified:
                        await placement.recover()
            telling.placed()
            link.events.reconsider()

        # what nobody configured is looked at by who asks for it now, and must not be an old picture
        cache = FactsCache(self._home / "browse" if machines else None)
        link = Link(url, connection, self._router, described, self._clock, user=settings.user, cache=cache)
        held = _Held(link, placement, settings, profiles)
        link.on_change(placement.changed)
        link.absences.listener = placement.presence
        telling = link.events.listener = Telling(link, placement, self._conditions, self._results)
        self._held[link_key(url, settings.user)] = held

        async def run() -> None:
            try:
                with held.scope:
                    async with anyio.create_task_group() as around:
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


def _job_faults(
    machines: Iterable[LiveMachine], found: Sequence[MappedMachine] | None, jobs: JobRunner, *, reconnects: bool
) -> Iterator[Fault]:
    """A job that is under way would be lost sight of. `found` None: not known yet."""
    skills = {mapped.machine.identity: mapped.skills.keys() for mapped in found or ()}
    for machine in machines:
        for job in jobs.on(machine):
            name = job.view.job
            mend = f"wait for its end, or stop it: `dtios job stop {name}`"
            if found is not None and job.view.skill not in skills.get(machine.identity, ()):
                yield (
                    (machine.name,),
                    TemporaryError(f"its job {name} is {job.view.state}, and {job.view.skill} would be gone", mend=mend),
                )
            elif reconnects and job.identity is JobIdentity.NONE and job.view.state is not JobState.UNKNOWN:
                why = "the machine keeps no record of it: connecting anew would lose it"
                yield (machine.name,), TemporaryError(f"its job {name} is {job.view.state}, and {why}", mend=mend)
