"""Which of the machines found behind an endpoint is which: configured names, lasting identity, handles that stay."""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import replace
from typing import Final

import structlog

from dtios.mapping.mapped import MappedMachine
from dtios.model.errors import ConfigurationError
from dtios.model.machine import Machine, effective_on_owner_lost
from dtios.runtime.configuration.config import MachineSettings
from dtios.runtime.jobs.runner import JobRunner
from dtios.runtime.links.absences import UNHEARD
from dtios.runtime.links.gone import all_gone, with_gone
from dtios.runtime.links.limits import Fault, limit_faults
from dtios.runtime.links.link import Link
from dtios.runtime.links.machines import LiveMachine, MachineTable
from dtios.runtime.links.observing import observed
from dtios.runtime.links.states import StateWatch

__all__ = ["Placement"]

log = structlog.get_logger("dtios.machines")

_SHOWN: Final = 5


class Placement:
    """The machines of one endpoint. `configured` names some of them; the others keep the name they were found under."""

    def __init__(
        self,
        url: str,
        configured: Mapping[str, MachineSettings],
        table: MachineTable,
        jobs: JobRunner,
        states: StateWatch,
    ) -> None:
        """`states` watches the machines' PackML states, where some are configured; else nobody would look."""
        self._states = states
        self._url = url
        self._configured = dict(configured)
        self._table = table
        self._jobs = jobs
        self._live: dict[str, LiveMachine] = {}
        self._expected: dict[str, LiveMachine] = {}
        self._complete = True
        """Whether what was found is all there is; else machines make themselves known by talking."""

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

    def presence(self, addresses: Sequence[str]) -> None:
        """These nodes are away, or here again."""
        told = set(addresses)
        for machine in self._live.values():
            if machine.mapped.root in told:
                self._table.changed(machine)

    # --- before it was ever described ---

    def expect(self, link: Link, wanted: Iterable[str] | None = None) -> None:
        """Configured machines (all, or those of `wanted`) are known by name before they were ever reached: whoever looks sees
        that they are missing."""
        for name in [name for name in self._expected if name not in self._configured]:
            machine = self._expected.pop(name)
            machine.present = False
            self._table.remove(machine)
        for name in self._configured if wanted is None else wanted:
            if name not in self._expected:
                unseen = MappedMachine(Machine(name, self._url, f"{self._url}#{name}"), {}, {})
                self._expected[name] = LiveMachine(unseen, link, described=False)
                self._table.add(self._expected[name])

    # --- described ---

    def faults(self, configured: Mapping[str, MachineSettings], found: Sequence[MappedMachine]) -> Iterator[Fault]:
        """What is wrong with such a configuration of what was found; nothing is changed. Keys are those below `machines`."""
        seen: dict[str, str] = {}
        for name, settings in configured.items():
            try:
                mapped = self._meant(found, name, settings)
            except ConfigurationError as error:
                yield (name, "machine"), error
                continue
            if mapped is None:
                continue
            other = seen.setdefault(mapped.machine.identity, name)
            if other != name:
                twice = ConfigurationError(f"{other} is the same machine", where=f"machines.{name}", mend="leave one of them out")
                yield (name, "machine"), twice
            live = self._live.get(mapped.machine.identity)
            mapped = mapped if live is None else with_gone(live.mapped, mapped)
            named = replace(mapped.machine, name=name)
            yield from (((name, *place), error) for place, error in limit_faults(named, settings))

    async def place(
        self,
        link: Link,
        found: Sequence[MappedMachine],
        notes: Sequence[str],
        *,
        verified: bool = True,
        complete: bool | None = None,
    ) -> None:
        """Take what was described (anew). Raises ConfigurationError where a configured machine cannot be told. `verified`: it is
        what is there now, so that jobs can be found again. `complete`: see `BrowseFacts`; None: as it was told last."""
        self._complete = self._complete if complete is None else complete
        there = {name: settings for name, settings in self._configured.items() if not self._went(name, settings, found)}
        for _, error in self.faults(there, found):
            raise error
        meant = {name: self._meant(found, name, settings) for name, settings in there.items()}
        names = {mapped.machine.identity: name for name, mapped in meant.items() if mapped is not None}
        fresh, renamed = self._take(link, self._all_named(found, names, notes), names)
        for live in self._live.values():
            if live.present:
                if live not in fresh:
                    self._table.changed(live)
                if verified:
                    await self._jobs.recover(live)
        for live in renamed:
            await self._jobs.store_name(live)
        here = {mapped.machine.identity for mapped in found}
        if self._complete:
            await self._gone([m for identity, m in self._live.items() if identity not in here and m.present])
        else:
            self._await(link, found, meant)
        await self._guard(link)
        await link.points.settle()

    def _await(self, link: Link, found: Sequence[MappedMachine], meant: Mapping[str, MappedMachine | None]) -> None:
        """What was not heard of is known all the same, and offline until it is."""
        known = {live.name for live in self._live.values()}
        self.expect(link, [name for name, mapped in meant.items() if mapped is None and name not in known])
        others = ", ".join(sorted(mapped.machine.name for mapped in found)[:_SHOWN])
        for machine in self._expected.values():
            machine.awaited = f"{UNHEARD}; heard of: {others}" if others else UNHEARD
            self._table.changed(machine)
        link.absences.compare([m.root for m in found], [live.mapped.root for live in self._live.values()])

    async def recover(self) -> None:
        """The description is that of what is there: jobs that were left open are found again."""
        for machine in self._live.values():
            if machine.present:
                await self._jobs.recover(machine)

    def _went(self, name: str, settings: MachineSettings, found: Sequence[MappedMachine]) -> bool:
        """It was there, is not now, and may come back. What is left of several is not taken for the one that went."""
        if not self._complete:
            return False
        known = [live for live in self._live.values() if live.configured and live.name == name]
        alone = len(found) == 1 and len(self._live) <= 1
        return bool(known) and not any(_is_meant(m.machine, name, settings.machine, alone=alone) for m in found)

    async def configure(
        self, link: Link, configured: Mapping[str, MachineSettings], found: Sequence[MappedMachine] | None, notes: Sequence[str]
    ) -> None:
        """Other names and rules for the same machines. `found` None: they were not described yet."""
        self._configured = dict(configured)
        if found is None:
            self.expect(link)
        else:
            await self.place(link, found, notes, verified=link.description.verified)

    def coming_guards(self, configured: Mapping[str, MachineSettings], found: Sequence[MappedMachine]) -> list[int]:
        """The signals that the interlocks of such a configuration look at, as far as they are known already."""
        handles = []
        for name, settings in configured.items():
            mapped = self._meant(found, name, settings)
            live = None if mapped is None else self._live.get(mapped.machine.identity)
            for interlock in settings.interlocks:
                wiring = None if mapped is None else mapped.signals.get(interlock.signal)
                if live is not None and wiring is not None and live.mapped.signals.get(interlock.signal) == wiring:
                    handles.append(live.handle(interlock.signal))
        return handles

    def _take(
        self, link: Link, found: Sequence[MappedMachine], names: Mapping[str, str]
    ) -> tuple[list[LiveMachine], list[LiveMachine]]:
        """All at one moment: nothing is awaited here. Returns those that were not known, and those of another name."""
        known = [(self._live[m.machine.identity], m) for m in found if m.machine.identity in self._live]
        renamed = {live.name: live for live, mapped in known if live.name != mapped.machine.name}

        def take() -> None:
            for live, mapped in known:
                live.take(mapped, self._configured.get(names.get(mapped.machine.identity, "")))

        for name in set(names.values()) & self._expected.keys():
            del self._expected[name]
        self._table.rename(renamed, take)
        for live in renamed.values():
            self._jobs.renamed(live)
        return [self._new(link, m, names) for m in found if m.machine.identity not in self._live], list(renamed.values())

    def _new(self, link: Link, mapped: MappedMachine, names: Mapping[str, str]) -> LiveMachine:
        live = LiveMachine(mapped, link)
        live.take(mapped, self._configured.get(names.get(live.identity, "")))
        self._live[live.identity] = live
        self._table.add(live)
        return live

    async def _gone(self, missing: Sequence[LiveMachine]) -> None:
        """Others may stand at their addresses now: nothing is sent there any more, and their jobs are Unknown."""
        for machine in missing:
            log.warning("machine is no longer behind its endpoint", machine=machine.name, endpoint=self._url)
            machine.present = False
            machine.describe(all_gone(machine.mapped))
            self._table.changed(machine)
            await self._jobs.forsake(machine, "its machine is no longer behind its endpoint")
            if self._table.find(machine.name) is not machine:  # another has its name
                del self._live[machine.identity]

    def _all_named(self, found: Sequence[MappedMachine], names: Mapping[str, str], notes: Sequence[str]) -> list[MappedMachine]:
        taken = set(self._configured)
        named = []
        for mapped in found:
            name = names.get(mapped.machine.identity) or self._own_name(mapped.machine, taken)
            taken.add(name)
            named.append(self._named(mapped, name, self._configured.get(name), notes))
        return named

    @staticmethod
    def _named(mapped: MappedMachine, name: str, settings: MachineSettings | None, notes: Sequence[str]) -> MappedMachine:
        machine = mapped.machine
        wanted = {} if settings is None else settings.on_owner_lost
        skills = tuple(
            replace(s, on_owner_lost=effective_on_owner_lost(wanted.get(s.path, s.on_owner_lost), s.verbs))
            for s in machine.skills
        )
        said = tuple(dict.fromkeys([*machine.notes, *notes]))
        named = replace(mapped, machine=replace(machine, name=name, skills=skills, notes=said))
        return named if settings is None else observed(named, settings)

    def _own_name(self, machine: Machine, taken: Set[str]) -> str:
        """One that nobody names keeps what it is called, unless that was a configured name."""
        live = self._live.get(machine.identity)
        if live is not None and not live.configured and live.name not in taken:
            return live.name
        return self._table.free_name(machine.name, taken)

    def _meant(self, found: Sequence[MappedMachine], name: str, settings: MachineSettings) -> MappedMachine | None:
        """The machine that a configured name is for. Raises ConfigurationError where it cannot be told; None where it is awaited:
        what was heard of first is not taken for it, and what it is once, it stays while others of its name come up."""
        if self._complete:
            return _only(found, name, settings, self._url)
        held = next((live for live in self._live.values() if live.configured and live.name == name), None)
        fitting = [m for m in found if _is_meant(m.machine, name, settings.machine, alone=False)]
        if held is not None and any(
            _may_be(m.machine, name, settings.machine) for m in found if m.machine.identity == held.identity
        ):
            return next(m for m in found if m.machine.identity == held.identity)
        return fitting[0] if fitting else None

    async def _guard(self, link: Link) -> None:
        """Interlock and state signals are always subscribed, so that their present reading is there without waiting."""
        machines = self._live.values()
        wanted = {machine.handle(interlock.signal): None for machine in machines for interlock in machine.interlocks}
        if self._configured:
            wanted |= dict.fromkeys(self._states.handles(machines))
        await link.points.guard(list(wanted))

    async def remove(self) -> None:
        for machine in (*self._expected.values(), *self._live.values()):
            machine.present = False
            await self._jobs.forsake(machine)
            self._table.remove(machine)
        self._live.clear()
        self._expected.clear()


def _only(found: Sequence[MappedMachine], name: str, settings: MachineSettings, url: str) -> MappedMachine:
    """The machine that a configured name is for. Raises ConfigurationError."""
    fitting = [m for m in found if _is_meant(m.machine, name, settings.machine, alone=len(found) == 1)]
    if len(fitting) != 1:
        have = ", ".join(m.machine.name for m in found) or "none"
        which = f"no machine {settings.machine!r}" if settings.machine else "no single machine"
        raise ConfigurationError(f"{which} stands behind {url}", where=f"machines.{name}", mend=f"say machine: one of {have}")
    return fitting[0]


def _may_be(machine: Machine, name: str, wanted: str | None) -> bool:
    """As `_is_meant`, of a machine that had the name before another one took it (`Press#2` now)."""
    return (wanted or name) in (machine.name.partition("#")[0], machine.name, machine.path, machine.identity)


def _is_meant(machine: Machine, name: str, wanted: str | None, *, alone: bool) -> bool:
    if wanted is not None:
        return wanted in (machine.name, machine.path, machine.identity)
    return alone or machine.name == name
