"""The machines that are here, and who wants to know when they come, change and go."""

from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import replace
from difflib import get_close_matches
from typing import Any, Literal

from dtios.mapping.mapped import MappedMachine, MappedSignal, MappedSkill, StatePoint
from dtios.model.errors import ConfigurationError, TemporaryError
from dtios.model.machine import Machine, Range, Signal, Skill
from dtios.model.values import DataValue
from dtios.runtime.configuration.config import Envelope, Interlock, MachineSettings
from dtios.runtime.links.gone import with_gone
from dtios.runtime.links.link import Link
from dtios.sdk.patterns import is_pattern, path_matches
from dtios.sdk.protocol import MachineView

__all__ = ["LiveMachine", "MachineTable", "skill_among", "unknown"]


class LiveMachine:
    """A described machine and the connection it is behind. Its handles stay the same through reconnects."""

    def __init__(
        self,
        mapped: MappedMachine,
        link: Link,
        envelope: Envelope | None = None,
        interlocks: tuple[Interlock, ...] = (),
        *,
        described: bool = True,
    ) -> None:
        """`described` False: configured, and never reached so far."""
        self.link = link
        self.described = described
        self.envelope = envelope or Envelope()
        self.interlocks = interlocks
        self.configured = False
        """Whether dtios.yaml names it."""
        self.present = True
        self.awaited = ""
        """Why it is not described though its link is online."""
        self.mapped = mapped
        self._handles: dict[str, int] = {}
        self.describe(mapped)

    def describe(self, mapped: MappedMachine) -> None:
        """Take a new description; handles of paths that are still there stay, and so do signals that are not, as gone."""
        self.mapped = with_gone(self.mapped, mapped) if self._handles else mapped
        self._signals = {s.path: s for s in self.machine.signals}
        self._skills = {s.path: s for s in self.machine.skills}
        points = self.link.points
        for path, handle in tuple(self._handles.items()):
            if path in self._signals and path not in mapped.signals:
                points.lose(handle)
            elif path not in self._signals and points.is_used(handle):
                points.retire(handle)
            elif path not in self._signals:
                points.drop([self._handles.pop(path)])
        for path, wiring in self.mapped.signals.items():
            if path in mapped.signals:
                self._handles[path] = self._handle(path, wiring)
        self._paths = {handle: path for path, handle in self._handles.items()}

    def _handle(self, path: str, wiring: MappedSignal) -> int:
        return self.link.points.handle(
            self._handles.get(path),
            wiring.address,
            wiring.wire,
            wiring.conversion,
            sampling=wiring.sampling,
            dead_band=wiring.dead_band,
        )

    def take(self, mapped: MappedMachine, settings: MachineSettings | None) -> None:
        """A new description and new rules at one moment: no command sees one without the other."""
        self.envelope = Envelope() if settings is None else settings.envelope
        self.interlocks = () if settings is None else tuple(settings.interlocks)
        self.configured = settings is not None
        self.present = True
        self.describe(mapped)

    def check_described(self) -> None:
        """Raises TemporaryError for a machine that was never reached: nothing can be said of what it has."""
        if not self.described:
            why = f": {self.link.error.message}" if self.link.error is not None else f": {self.awaited}" if self.awaited else ""
            mend = self.link.error.mend if self.link.error is not None else ""
            raise TemporaryError(
                f"it was not reached yet{why}", where=f"{self.name} at {self.link.url}", mend=mend or "wait for it"
            )

    @property
    def machine(self) -> Machine:
        return self.mapped.machine

    @property
    def name(self) -> str:
        return self.mapped.machine.name

    @property
    def identity(self) -> str:
        return self.mapped.machine.identity

    def handle(self, path: str) -> int:
        self.signal(path)
        return self._handles[path]

    def path(self, handle: int) -> str | None:
        return self._paths.get(handle)

    def signal(self, path: str) -> Signal:
        """Raises ConfigurationError with what it may have meant."""
        self.check_described()
        found = self._signals.get(path)
        if found is None:
            raise unknown("signal", path, self._signals, self.name)
        return found

    def select(self, patterns: list[str]) -> list[Signal]:
        """The readable signals that the paths or patterns name, in the description's order; none named: all of them."""
        self.check_described()
        if not patterns:
            return [s for s in self.machine.signals if s.access.readable]
        named = {p for p in patterns if not is_pattern(p)}  # thousands of paths are looked up, not matched one by one
        wild = [p for p in patterns if is_pattern(p)]
        chosen = [s for s in self.machine.signals if s.path in named or path_matches(s.path, wild)]
        for pattern in patterns:
            known = any(path_matches(s.path, [pattern]) for s in chosen) if is_pattern(pattern) else pattern in self._signals
            if not known:
                raise unknown("signal", pattern, self._signals, self.name)
        return chosen

    def skill(self, path: str) -> Skill:
        """By path, or by the capability that only one skill here has. Raises ConfigurationError."""
        self.check_described()
        return skill_among(self._skills, path, self.name)

    def is_skill(self, name: str, path: str) -> bool:
        """Whether `name`, a path or the capability that only one skill here has, is the skill at `path`."""
        return name == path or (name not in self._skills and self.skill(name).path == path)

    def parameter_limits(self, skill: str, parameter: str) -> Range | None:
        """The envelope of a skill's parameter, in canonical units."""
        for name, limits in self.envelope.skills.items():
            if parameter in limits and self.is_skill(name, skill):
                return Range(*limits[parameter])
        return None

    def wiring(self, skill: str) -> MappedSkill:
        return self.mapped.skills[skill]

    def last(self, path: str) -> DataValue | None:
        handle = self._handles.get(path)
        return None if handle is None else self.link.last(handle)

    async def read(self, paths: list[str]) -> list[DataValue]:
        """Read now, in canonical units. Raises TemporaryError when offline."""
        readings = await self.link.read([self.mapped.signals[p].address for p in paths])
        return [self._canonical(path, reading) for path, reading in zip(paths, readings, strict=True)]

    async def read_raw(self, path: str) -> tuple[DataValue, DataValue]:
        """One signal as it is on the wire, and in canonical units."""
        (raw,) = await self.link.read([self.mapped.signals[path].address])
        return raw, self._canonical(path, raw)

    def _canonical(self, path: str, reading: DataValue) -> DataValue:
        conversion = self.mapped.signals[path].conversion
        if conversion is None or reading.is_bad:
            return reading
        return replace(reading, value=conversion.up(reading.value))

    async def read_states(self) -> tuple[str | None, str | None]:
        """The PackML state and UnitMode as the machine reports them now; None where it reports none."""
        points = [p for p in (self.mapped.state, self.mapped.unit_mode) if p is not None]
        paths = list(dict.fromkeys(path for point in points for path in point.signals))
        readings = dict(zip(paths, await self.read(paths), strict=True)) if paths else {}
        good = {path: reading.value for path, reading in readings.items() if reading.is_good}
        return _name(self.mapped.state, good), _name(self.mapped.unit_mode, good)

    def silence(self) -> float:
        """Seconds since the machine was last heard of."""
        return self.link.silence()

    @property
    def absence(self) -> str:
        """Why it cannot be reached though its link is online; empty where it can."""
        return self.link.absences.why(self.mapped.root) if self.described else self.awaited

    def check_reachable(self) -> None:
        """Raises TemporaryError: offline means refused, never queued."""
        self.link.session()
        if self.absence:
            raise TemporaryError(f"it is offline ({self.absence})", where=self.name, mend="ask again when it is back")

    def view(self) -> MachineView:
        health: Literal["connecting", "online", "offline", "failed"] = self.link.health
        detail = self.link.detail
        if health == "online" and not self.present:
            health, detail = "failed", "it is no longer behind its endpoint"
        elif health == "online" and self.absence:
            health, detail = "offline", self.absence
        packml, unit_mode = self._state(self.mapped.state), self._state(self.mapped.unit_mode)
        return MachineView(self.machine, health, detail, packml, unit_mode, self.link.clock_view())

    def _state(self, point: StatePoint | None) -> str | None:
        known = {} if point is None else {path: self.last(path) for path in point.signals}
        return _name(point, {path: r.value for path, r in known.items() if r is not None and r.is_good})


def _name(point: StatePoint | None, good: Mapping[str, Any]) -> str | None:
    return None if point is None else point.name_among(good)


def skill_among(skills: Mapping[str, Skill], path: str, where: str) -> Skill:
    """By path, or by the capability that only one of them has. Raises ConfigurationError."""
    found = skills.get(path)
    if found is None:
        by_capability = [s for s in skills.values() if s.capability is not None and s.capability.iri == path]
        if len(by_capability) != 1:
            raise unknown("skill", path, skills, where)
        found = by_capability[0]
    return found


def unknown(what: str, path: str, known: Mapping[str, Any], where: str) -> ConfigurationError:
    """The error for a name that is not there, with what it may have meant."""
    if is_pattern(path):
        return ConfigurationError(f"none of its {what}s fits {path!r}", where=where, mend=f"`describe` lists its {what}s")
    close = get_close_matches(path, list(known), n=3, cutoff=0.5)
    if not close:
        close = [k for k in known if k.rsplit("/", 1)[-1].lower() == path.rsplit("/", 1)[-1].lower()][:3]
    mend = f"did you mean {' or '.join(close)}?" if close else f"`describe` lists its {what}s"
    return ConfigurationError(f"it has no {what} {path!r}", where=where, mend=mend)


class MachineTable:
    """All machines by name. A watcher is called at each change with (machine, gone); `gone` None: see `recheck`."""

    def __init__(self) -> None:
        self._machines: dict[str, LiveMachine] = {}
        self._former: dict[str, LiveMachine] = {}
        self._watchers: dict[Callable[[LiveMachine, bool | None], None], None] = {}

    def __iter__(self) -> Iterator[LiveMachine]:
        return iter(tuple(self._machines.values()))

    def get(self, name: str) -> LiveMachine:
        """Raises ConfigurationError with what it may have meant."""
        found = self.find(name)
        if found is None:
            close = get_close_matches(name, list(self._machines), n=3, cutoff=0.4)
            have = f"the machines here are {', '.join(sorted(self._machines))}" if self._machines else "none is connected"
            raise ConfigurationError(
                f"there is no machine {name!r}", where=name, mend=f"did you mean {' or '.join(close)}?" if close else have
            )
        return found

    def find(self, name: str) -> LiveMachine | None:
        """By its name; a machine that was renamed while the runtime runs answers to the former one too, so that whoever started
        a job can still stop it."""
        return self._machines.get(name) or self._former.get(name)

    def by_identity(self, identity: str) -> LiveMachine | None:
        return next((m for m in self._machines.values() if m.identity == identity), None)

    def free_name(self, name: str, taken: Set[str] = frozenset()) -> str:
        """The name, or with `#2`, `#3` after it. `taken` are others that it may not be."""
        candidate, number = name, 1
        while candidate in self._machines or candidate in taken:
            number += 1
            candidate = f"{name}#{number}"
        return candidate

    def add(self, machine: LiveMachine) -> None:
        self._machines[machine.name] = machine
        self.changed(machine)

    def rename(self, machines: Mapping[str, LiveMachine], take: Callable[[], None]) -> None:
        """`take` gives these machines (by the names they go by now) new ones, all at one moment: names may be swapped."""
        for name, machine in machines.items():
            if self._machines.get(name) is machine:
                del self._machines[name]
                self._tell(machine, True)
        take()
        for name, machine in machines.items():
            self._former[name] = machine
        for machine in machines.values():
            self.add(machine)

    def remove(self, machine: LiveMachine) -> None:
        self._former = {name: other for name, other in self._former.items() if other is not machine}
        if self._machines.get(machine.name) is machine:
            del self._machines[machine.name]
            self._tell(machine, True)

    def changed(self, machine: LiveMachine) -> None:
        self._tell(machine, False)

    def recheck(self) -> None:
        """Who may see what may have changed: whoever watches looks again, and nobody is told what he knows."""
        for machine in self:
            self._tell(machine, None)

    def _tell(self, machine: LiveMachine, gone: bool | None) -> None:
        for watcher in tuple(self._watchers):
            watcher(machine, gone)

    def watch(self, watcher: Callable[[LiveMachine, bool | None], None]) -> Callable[[], None]:
        """Returns what ends it."""
        self._watchers[watcher] = None
        return lambda: self._watchers.pop(watcher, None) and None
