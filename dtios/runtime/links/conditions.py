"""Conditions that machines report, kept while they are of interest (Part 9: Retain), and told to who follows them."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import structlog

from dtios.model.condition import Condition
from dtios.model.errors import ConfigurationError, RefusedError
from dtios.model.status import BAD_NO_COMMUNICATION
from dtios.runtime.links.link import Link
from dtios.runtime.links.machines import LiveMachine

__all__ = ["ConditionBoard"]

log = structlog.get_logger("dtios.conditions")

Watcher = Callable[[LiveMachine, dict[str, Any]], None]

MOST: Final = 2_000
"""Conditions kept of one machine. Policy least-severe: where there are more, the least severe gives way, the oldest of these."""


@dataclass(slots=True)
class _Entry:
    """`told`: the machine has said it in this session (since the last loss of the connection)."""

    machine: LiveMachine
    condition: Condition
    told: bool = True


class ConditionBoard:
    """By machine and id. While a connection is lost its conditions are Bad, and nobody can say whether they still are."""

    def __init__(self) -> None:
        self._present: dict[str, dict[str, _Entry]] = {}
        self._watchers: dict[Watcher, None] = {}
        self.dropped = 0
        """Conditions that gave way to others."""

    def report(self, machine: LiveMachine, condition: Condition) -> None:
        """A condition came up or changed."""
        here = self._present.setdefault(machine.identity, {})
        entry = _Entry(machine, replace(condition, machine=machine.name))
        here.pop(condition.condition, None)  # what changed last stands last
        if condition.retain:
            self._make_room(machine, here)
            here[condition.condition] = entry
        self._tell(entry)

    def _make_room(self, machine: LiveMachine, here: dict[str, _Entry]) -> None:
        if len(here) >= MOST:
            least = min(here.values(), key=lambda entry: entry.condition.severity)
            del here[least.condition.condition]
            if not self.dropped:
                log.warning("more conditions than are kept, the least severe give way", machine=machine.name, kept=MOST)
            self.dropped += 1
            self._tell(_over(least))

    def down(self, link: Link) -> None:
        """The connection is lost: what is shown now is as it was last told."""
        for entry in self._behind(link):
            entry.told = False
            if entry.condition.status != BAD_NO_COMMUNICATION:
                entry.condition = replace(entry.condition, status=BAD_NO_COMMUNICATION)
                self._tell(entry)

    def refreshed(self, link: Link) -> None:
        """All that there is was told again: the others are over."""
        for entry in self._behind(link):
            if not entry.told:
                del self._present[entry.machine.identity][entry.condition.condition]
                self._tell(_Entry(entry.machine, replace(entry.condition, active=False, retain=False, status=0)))

    def forget(self, link: Link) -> None:
        """It is connected no more: nobody will say what becomes of them."""
        for entry in self._behind(link):
            del self._present[entry.machine.identity][entry.condition.condition]
            self._tell(_over(entry))

    def renamed(self, machines: Iterable[LiveMachine]) -> None:
        """They may go by other names now."""
        for machine in machines:
            for entry in tuple(self._present.get(machine.identity, {}).values()):
                if entry.condition.machine != machine.name:
                    entry.condition = replace(entry.condition, machine=machine.name)
                    self._tell(entry)

    def present(self, machine: str | None = None) -> Iterator[tuple[LiveMachine, dict[str, Any]]]:
        for here in tuple(self._present.values()):
            for entry in tuple(here.values()):
                if machine in (None, entry.machine.name):
                    yield entry.machine, asdict(entry.condition)

    def find(self, machine: LiveMachine, wanted: str) -> Condition:
        """By its id, or by a name or source that only one here has. Raises RefusedError, or ConfigurationError for several."""
        here = [entry.condition for entry in self._present.get(machine.identity, {}).values()]
        for name_of in (_id, _name, _source):
            found = [condition for condition in here if name_of(condition) == wanted]
            if len(found) > 1:
                ids = ", ".join(condition.condition for condition in found)
                raise ConfigurationError(f"several conditions are called {wanted}", where=machine.name, mend=f"say which: {ids}")
            if found:
                return found[0]
        raise RefusedError(
            f"it has no condition {wanted!r} now", where=machine.name, mend="`dtios condition list` shows those that are there"
        )

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        self._watchers[watcher] = None
        return lambda: self._watchers.pop(watcher, None) and None

    def _behind(self, link: Link) -> list[_Entry]:
        return [entry for here in self._present.values() for entry in here.values() if entry.machine.link is link]

    def _tell(self, entry: _Entry) -> None:
        for watcher in tuple(self._watchers):
            watcher(entry.machine, asdict(entry.condition))


def _over(entry: _Entry) -> _Entry:
    """No more shown here, whatever becomes of it there."""
    return _Entry(entry.machine, replace(entry.condition, retain=False, status=BAD_NO_COMMUNICATION))


def _id(condition: Condition) -> str:
    return condition.condition


def _name(condition: Condition) -> str:
    return condition.name


def _source(condition: Condition) -> str:
    return condition.source
