"""The whole world of an app: what its handlers are given."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import anyio

from dtios.model.condition import Condition, ConditionVerb
from dtios.model.errors import ConfigurationError
from dtios.model.machine import Machine, OnOwnerLost, Skill
from dtios.model.result import Result
from dtios.model.values import DataValue
from dtios.sdk import observing
from dtios.sdk.adapter import LISTEN
from dtios.sdk.client import Client, OnProgress, Written
from dtios.sdk.clock import Clock
from dtios.sdk.directory import Directory
from dtios.sdk.log import Log
from dtios.sdk.manifest import AppConfig, Need
from dtios.sdk.protocol import ClockView, MachineView, Policy
from dtios.sdk.running import JobHandle
from dtios.sdk.streams import Subscription

__all__ = ["Commission", "Context", "MachineChange", "MachineHandle", "SkillHandle", "Store"]

C = TypeVar("C", bound=AppConfig)


class SkillHandle:
    """A skill of one machine; starting it makes a job."""

    def __init__(self, client: Client, machine: str, skill: Skill) -> None:
        self._client = client
        self.machine = machine
        self.description = skill

    @property
    def path(self) -> str:
        return self.description.path

    async def start(
        self,
        parameters: Mapping[str, Any] | None = None,
        /,
        *,
        job: str | None = None,
        deadline: float | None = None,
        on_owner_lost: OnOwnerLost | None = None,
        **named: Any,
    ) -> JobHandle:
        """Start a job; parameters in canonical units, by name or as a mapping. The same `job` id with the same parameters is
        the same job: give one that you keep in the store, and a restarted app finds its job again.

        Raises RefusedError (grant, envelope, interlock, the machine's state), ConfigurationError (parameters that do not
        fit), TemporaryError (offline: nothing was sent).
        """
        return await self._client.start(
            self.machine,
            self.path,
            {**(parameters or {}), **named},
            job=job,
            deadline=deadline,
            on_owner_lost=on_owner_lost,
        )


class MachineHandle:
    """One machine. What it holds is asked for when it is used; a machine that has gone raises TemporaryError."""

    def __init__(self, client: Client, directory: Directory, view: MachineView) -> None:
        self._client = client
        self._directory = directory
        self._last = view

    @property
    def view(self) -> MachineView:
        """As it stands now (once it has gone: as it was last)."""
        self._last = self._directory.get(self.name) or self._last
        return self._last

    @property
    def name(self) -> str:
        return self._last.machine.name

    @property
    def description(self) -> Machine:
        return self.view.machine

    @property
    def is_online(self) -> bool:
        view = self._directory.get(self.name)
        return view is not None and view.health == "online"

    @property
    def packml(self) -> str | None:
        """The PackML state's name, None where the machine reports none."""
        return self.view.packml

    @property
    def clock(self) -> ClockView | None:
        """How far the machine's clock is from ours, for source times; None where it was not measured. It measures no time-outs:
        use the context's clock for those."""
        return self.view.clock

    async def read(self, signal: str) -> DataValue:
        """Read one signal now, from the machine."""
        return (await self._client.read(self.name, [signal]))[0][1]

    async def read_many(self, *signals: str) -> dict[str, DataValue]:
        """Paths or patterns; without any, all that can be read."""
        return dict(await self._client.read(self.name, signals))

    async def write(self, signal: str, value: object, *, deadline: float | None = None) -> Written:
        """Write in canonical units; returns when the machine has answered."""
        return await self._client.write(self.name, signal, value, deadline=deadline)

    def subscribe(
        self, *signals: str, policy: Policy = "block", capacity: int = 10_000, name: str = "", window: int = 2
    ) -> AbstractAsyncContextManager[Subscription]:
        """`async with machine.subscribe("Status/*") as deliveries: async for delivery in deliveries: ...`

        With a `name` the app goes on where it was when it subscribes again, also after its own end or the runtime's: what it
        missed meanwhile is told as Gaps. `window` (1 to 256) is how many deliveries may be taken and not acknowledged, for who
        keeps several at a time (`Subscription.take`, `Subscription.acknowledge`)."""
        return self._client.subscribe(self.name, signals, policy, capacity, name, window)

    def skill(self, name: str) -> SkillHandle:
        """By path, or by the IRI of its capability. Raises ConfigurationError if there is none, or not one alone."""
        skills = self.description.skills
        found = [s for s in skills if s.path == name] or [
            s for s in skills if s.capability is not None and s.capability.iri == name
        ]
        if len(found) != 1:
            have = ", ".join(s.path for s in (found or skills)) or "none"
            fault = f"{len(found)} skills realise {name}" if found else f"there is no skill {name}"
            raise ConfigurationError(fault, where=self.name, mend=f"name one of: {have}")
        return SkillHandle(self._client, self.name, found[0])

    async def conditions(self) -> list[Condition]:
        """What the machine complains about now. While it is offline they are Bad: as they were last told."""
        return await observing.conditions(self._client, self.name)

    async def acknowledge(self, condition: Condition | str, comment: str = "") -> Condition:
        """Somebody has taken note of it. Give the Condition, its id, or a name that only one has; returns it as told after.

        Raises RefusedError (grant, interlock, the machine), TemporaryError (offline: nothing was sent).
        """
        return await self._handle_condition(condition, ConditionVerb.ACKNOWLEDGE, comment)

    async def confirm(self, condition: Condition | str, comment: str = "") -> Condition:
        """Somebody has done what was to be done about it."""
        return await self._handle_condition(condition, ConditionVerb.CONFIRM, comment)

    async def shelve(self, condition: Condition | str, seconds: float | None = None) -> Condition:
        """Keep it from being shown, for some time or (None) until it is over or unshelved."""
        return await self._handle_condition(condition, ConditionVerb.SHELVE, duration=seconds)

    async def unshelve(self, condition: Condition | str) -> Condition:
        return await self._handle_condition(condition, ConditionVerb.UNSHELVE)

    async def _handle_condition(
        self, condition: Condition | str, verb: ConditionVerb, comment: str = "", duration: float | None = None
    ) -> Condition:
        named = condition if isinstance(condition, str) else condition.condition
        return await observing.command_condition(self._client, self.name, named, verb, comment=comment, duration=duration)

    def results(self) -> AbstractAsyncContextManager[AsyncIterator[Result]]:
        """`async with machine.results() as results: async for result in results: ...`, those from now on. A result before which
        others may be missing says so (`gap`)."""
        return observing.results(self._client, self.name)

    async def job(self, job: str) -> JobHandle:
        """A job that runs here or did, by its id."""
        return await self._client.job(job, self.name)

    async def jobs(self) -> list[JobHandle]:
        """The jobs here that are not over, newest first, whoever started them (`view.principal`)."""
        return [JobHandle(self._client, view) for view in await self._client.jobs(self.name, open_only=True)]


@dataclass(frozen=True, slots=True)
class MachineChange:
    """A machine came, changed its health or state, or (`gone`) plays its role no longer."""

    machine: MachineHandle
    gone: bool


class Store:
    """What the app must not forget. Committed before the await returns, kept over restarts, for this app alone."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def put(self, key: str, value: object) -> None:
        """Values: plain ones, lists and dicts of them, and those of dtios.model.values. None deletes."""
        await self._client.put(key, value)

    async def get(self, key: str, default: Any = None) -> Any:
        value = await self._client.get(key)
        return default if value is None else value

    async def delete(self, key: str) -> None:
        await self._client.put(key, None)

    async def keys(self, prefix: str = "") -> list[str]:
        return await self._client.keys(prefix)


class Commission:
    """Connecting machines. RefusedError without the grant `commission`."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def discover(self, hint: str, progress: OnProgress | None = None, listen: float = LISTEN) -> list[dict[str, Any]]:
        """Endpoints at or around an address, as `Adapter.discover` has it: `adapter`, `url`, `name`, `details`, `error`."""
        return await self._client.discover(hint, progress, listen=listen)

    async def browse(self, url: str, progress: OnProgress | None = None) -> Any:
        """Nested dicts of the nodes behind an endpoint."""
        return await self._client.browse(url, progress)

    async def configure(self, patch: Mapping[str, Any]) -> None:
        """Merge a patch (RFC 7396) into the configuration's machines."""
        await self._client.configure(patch)


class Context(Generic[C]):
    """`config`, `clock`, `log`, `store`, `commission`; machines by role or capability; a person to ask.

    `folder` is the app's own in the state directory: it is there, and stays over restarts. `stop_requested` is set when the
    runtime wants the app to end.
    """

    def __init__(
        self,
        app: str,
        config: C,
        clock: Clock,
        client: Client,
        directory: Directory,
        needs: Mapping[str, Need],
        folder: Path = Path(),
    ) -> None:
        self.app = app
        self.config = config
        self.folder = folder
        self.clock = clock
        self.log = Log()
        self.store = Store(client)
        self.commission = Commission(client)
        self.stop_requested: anyio.Event = client.stopping
        self._client = client
        self._directory = directory
        self._needs = needs

    def machines(
        self, role: Need | str | None = None, *, capability: str | None = None, properties: Mapping[str, Any] | None = None
    ) -> list[MachineHandle]:
        """Now: those that play a role, or are online with a capability that admits these property values, or all seen."""
        if role is not None:
            views = self._directory.playing(self._need(role))
        else:
            views = self._directory.with_capability(capability, properties or {})
        return [self._handle(view) for view in views]

    async def machine(self, role: Need | str) -> MachineHandle:
        """The (first) machine that plays the role; waits until there is one that is online."""
        need = self._need(role)
        return self._handle(await self._directory.wait_for(lambda: self._directory.playing(need)))

    @asynccontextmanager
    async def follow_machines(
        self, *, capability: str | None = None, properties: Mapping[str, Any] | None = None
    ) -> AsyncIterator[AsyncIterator[MachineChange]]:
        """Machines as they come, change and go, those present first. With a capability, a machine that cannot be reached or
        no longer fits has gone."""
        need = Need(role="any", capability=capability, properties=dict(properties or {}))

        async def changes() -> AsyncIterator[MachineChange]:
            seen: set[str] = set()
            async for change in events:
                view, name = change.view, change.view.machine.name
                fits = capability is None or (view.health == "online" and need.missing(view.machine) is None)
                if fits and not change.gone:
                    seen.add(name)
                    yield MachineChange(self._handle(view), False)
                elif name in seen:
                    seen.discard(name)
                    yield MachineChange(self._handle(view), True)

        async with self._directory.follow() as events:
            yield changes()

    async def note_refusal(self, machine: str, action: str, target: str, reason: str) -> None:
        """Write into the runtime's audit that somebody outside asked for this and did not get it. It commands nothing."""
        await self._client.note_refusal(machine, action, target, reason)

    async def ask(self, text: str, choices: Sequence[str] = ()) -> str:
        """Ask a person, who answers on the command line: with one of `choices` where there are any."""
        return await self._client.ask(text, choices)

    async def sleep(self, seconds: float) -> None:
        """On the app's clock, so that a test can turn it."""
        await self.clock.sleep(seconds)

    def handle(self, name: str) -> MachineHandle:
        """A machine by its name. Raises ConfigurationError if the app sees none of that name."""
        view = self._directory.get(name)
        if view is None:
            raise ConfigurationError(
                f"this app sees no machine {name}", where=f"app {self.app}", mend="grant it, or check the name"
            )
        return self._handle(view)

    def _handle(self, view: MachineView) -> MachineHandle:
        return MachineHandle(self._client, self._directory, view)

    def _need(self, role: Need | str) -> Need:
        name = role if isinstance(role, str) else role.role
        if name not in self._needs:
            have = ", ".join(self._needs) or "none"
            raise ConfigurationError(f"there is no role {name}", where=f"app {self.app}", mend=f"it declares: {have}")
        return self._needs[name]
