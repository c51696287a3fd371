"""Which of the machines found behind an endpoint is which: configured names, lasting identity, handles that stay."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import structlog

from dtios.mapping.mapped import MappedMachine
from dtios.model.errors import ConfigurationError
from dtios.model.machine import Machine, effective_on_owner_lost
from dtios.runtime.configuration.config import MachineSettings
from dtios.runtime.jobs.runner import JobRunner
from dtios.runtime.links.link import Link
from dtios.runtime.links.machines import LiveMachine, MachineTable, unknown
from dtios.runtime.links.observing import observed
from dtios.runtime.links.states import StateWatch

__all__ = ["Placement"]

log = structlog.get_logger("dtios.machines")


class Placement:
    """The machines of one endpoint. `configured` names some of them; the others keep the name they were found under."""

    def __init__(
        self,
        url: str,
        configured: Mapping[str, MachineSettings],
        table: MachineTable,
        jobs: JobRunner,
        states: StateWatch | None = None,
    ) -> None:
        """`states` watches the machines' PackML states; None where nobody would look."""
        self._states = states
        self._url = url
        self._configured = dict(configured)
        self._table = table
        self._jobs = jobs
        self._live: dict[str, LiveMachine] = {}
        self._expected: dict[str, LiveMachine] = {}

    def expect(self, link: Link) -> None:
        """Configured machines are known by name before they were ever reached: whoever looks sees that they are missing."""
        for name in self._configured:
            unseen = MappedMachine(Machine(name, self._url, f"{self._url}#{name}"), {}, {})
            self._expected[name] = LiveMachine(unseen, link, described=False)
            self._table.add(self._expected[name])

    @property
    def machines(self) -> list[LiveMachine]:
        return list(self._live.values())

    def by_address(self, *addresses: str) -> LiveMachine | None:
        """Whose node the first of these addresses is that is any machine's; with a single machine, that one."""
        if len(self._live) == 1:
            return next(iter(self._live.values()))
        return next((m for a in addresses for m in self._live.values() if a in m.mapped.addresses), None)

    def changed(self) -> None:
        """The link's health changed."""
        for machine in (*self._expected.values(), *self._live.values()):
            self._table.changed(machine)

    async def place(self, link: Link, found: Sequence[MappedMachine], notes: Sequence[str]) -> None:
        """Take what was described (anew). Raises ConfigurationError where a configured machine cannot be told."""
        names = self._names(found)
        here = set()
        for mapped in found:
            name = names.get(mapped.machine.identity)
            settings = self._configured.get(name) if name is not None else None
            named = self._named(mapped, name, settings, notes)
            here.add(named.machine.identity)
            await self._put(link, named, settings)
        await self._gone([m for identity, m in self._live.items() if identity not in here and m.present])
        await self._guard(link)

    async def _gone(self, missing: Sequence[LiveMachine]) -> None:
        """Others may stand at their addresses now: nothing is sent there any more, and their jobs are Unknown."""
        for machine in missing:
            log.warning("machine is no longer behind its endpoint", machine=machine.name, endpoint=self._url)
            machine.present = False
            await self._jobs.forsake(machine, "its machine is no longer behind its endpoint")
            if self._table.find(machine.name) is not machine:  # another has its name
                del self._live[machine.identity]

    async def _put(self, link: Link, mapped: MappedMachine, settings: MachineSettings | None) -> None:
        live = self._live.get(mapped.machine.identity)
        if live is None:
            if settings is None:
                free = self._table.free_name(mapped.machine.name)
                mapped = replace(mapped, machine=replace(mapped.machine, name=free))
            envelope = None if settings is None else settings.envelope
            live = LiveMachine(mapped, link, envelope, () if settings is None else tuple(settings.interlocks))
            self._check_limits(live)
            self._live[mapped.machine.identity] = live
            self._expected.pop(live.name, None)
            self._table.add(live)
            await self._jobs.recover(live)
        else:
            live.present = True
            live.describe(replace(mapped, machine=replace(mapped.machine, name=live.name)))
            self._table.changed(live)
            self._check_limits(live)
            await self._jobs.recover(live)

    def _names(self, found: Sequence[MappedMachine]) -> dict[str, str]:
        """identity -> configured name."""
        names: dict[str, str] = {}
        for name, settings in self._configured.items():
            fitting = [m for m in found if _is_meant(m, name, settings.machine, len(found))]
            if len(fitting) != 1:
                have = ", ".join(m.machine.name for m in found) or "none"
                which = f"no machine {settings.machine!r}" if settings.machine else "no single machine"
                raise ConfigurationError(
                    f"{which} stands behind {self._url}", where=f"machines.{name}", mend=f"say machine: one of {have}"
                )
            names[fitting[0].machine.identity] = name
        return names

    @staticmethod
    def _named(mapped: MappedMachine, name: str | None, settings: MachineSettings | None, notes: Sequence[str]) -> MappedMachine:
        machine = mapped.machine
        wanted = {} if settings is None else settings.on_owner_lost
        skills = tuple(
            replace(s, on_owner_lost=effective_on_owner_lost(wanted.get(s.path, s.on_owner_lost), s.verbs))
            for s in machine.skills
        )
        said = tuple(dict.fromkeys([*machine.notes, *notes]))
        named = replace(mapped, machine=replace(machine, name=name or machine.name, skills=skills, notes=said))
        return named if settings is None else observed(named, settings)

    def _check_limits(self, live: LiveMachine) -> None:
        """An envelope or interlock for what is not there guards nothing: that must not pass silently."""
        for path in live.envelope.signals:
            live.signal(path)
        for path, parameters in live.envelope.skills.items():
            known = live.skill(path).parameters
            for name in parameters:
                if name not in known.get("properties", {}) and not known.get("additionalProperties"):
                    raise unknown("parameter", name, known.get("properties", {}), f"{live.name} {path}")
        for interlock in live.interlocks:
            live.signal(interlock.signal)
            for path in interlock.skills:
                live.skill(path)
            for path in interlock.writes:
                live.signal(path)

    async def _guard(self, link: Link) -> None:
        """Interlock and state signals are always subscribed, so that their present reading is there without waiting."""
        machines = self._live.values()
        wanted = {machine.handle(interlock.signal): None for machine in machines for interlock in machine.interlocks}
        if self._states is not None:
            wanted |= dict.fromkeys(self._states.handles(machines))
        await link.guard(list(wanted))

    async def remove(self) -> None:
        for machine in (*self._expected.values(), *self._live.values()):
            machine.present = False
            await self._jobs.forsake(machine)
            self._table.remove(machine)
        self._live.clear()
        self._expected.clear()


def _is_meant(mapped: MappedMachine, name: str, wanted: str | None, found: int) -> bool:
    machine = mapped.machine
    if wanted is not None:
        return wanted in (machine.name, machine.path, machine.identity)
    return found == 1 or machine.name == name
