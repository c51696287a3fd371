"""Who asks: an app by its name or a person at a command (`cli:USER`), and what they are granted."""

from collections.abc import Iterable

from dtios.model.machine import Machine
from dtios.runtime.configuration.config import Grant
from dtios.sdk.patterns import path_matches

__all__ = ["Principal"]


class Principal:
    """One sender of commands for as long as its session lives. `alive` turns False when it is gone or replaced."""

    def __init__(self, name: str, grants: Iterable[Grant] = (), *, everything: bool = False, commission: bool = False) -> None:
        self.name = name
        self.alive = True
        self._grants = tuple(grants)
        self._everything = everything
        self.commission = commission or everything

    def regrant(self, grants: Iterable[Grant], *, commission: bool) -> None:
        """Other grants from now on, also for commands that are under way: the gate asks at its last check."""
        self._grants = tuple(grants)
        self.commission = commission or self._everything

    def _applying(self, machine: Machine) -> Iterable[Grant]:
        offered = {skill.capability.iri for skill in machine.skills if skill.capability is not None}
        for grant in self._grants:
            if grant.machine in (machine.name, "*") or grant.capability in offered:
                yield grant

    def may_see(self, machine: Machine) -> bool:
        return self._everything or any(True for _ in self._applying(machine))

    def may_read(self, machine: Machine, path: str) -> bool:
        return self._everything or any(path_matches(path, g.read) for g in self._applying(machine))

    def may_write(self, machine: Machine, path: str) -> bool:
        return self._everything or any(path_matches(path, g.write) for g in self._applying(machine))

    def may_run(self, machine: Machine, skill: str) -> bool:
        return self._everything or any(self._runs(machine, skill, g) for g in self._applying(machine))

    def may_stop(self, machine: Machine) -> bool:
        return self._everything or any(g.stop for g in self._applying(machine))

    def may_handle(self, machine: Machine, verb: str) -> bool:
        """Whether it may acknowledge, confirm, shelve or unshelve conditions."""
        return self._everything or any(verb in g.conditions for g in self._applying(machine))

    @staticmethod
    def _runs(machine: Machine, skill: str, grant: Grant) -> bool:
        if path_matches(skill, grant.run):
            return True
        # A grant by capability needs no skill names: it is for what offers that capability.
        return (
            grant.capability is not None
            and any(s.path == skill and s.capability is not None and s.capability.iri == grant.capability for s in machine.skills)
            and (not grant.run or grant.capability in grant.run)
        )
