"""Whose condition, whose result: what comes over one connection, told to the machines behind it."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

import structlog

from dtios.mapping.results import result_of
from dtios.model.condition import Condition
from dtios.model.event import Event
from dtios.model.gap import Gap
from dtios.runtime.links.conditions import ConditionBoard
from dtios.runtime.links.link import Link
from dtios.runtime.links.machines import LiveMachine
from dtios.runtime.links.placement import Placement
from dtios.runtime.links.results import ResultBoard
from dtios.sdk.adapter import EventFields

__all__ = ["Telling"]

log = structlog.get_logger("dtios.events")

MOST_WAITING: Final = 1_000
"""Conditions kept for machines that are not described yet. Policy drop-oldest, counted among the unplaced."""


class Telling:
    """The EventListener of one link."""

    def __init__(self, link: Link, placement: Placement, conditions: ConditionBoard, results: ResultBoard) -> None:
        self._link = link
        self._placement = placement
        self._conditions = conditions
        self._results = results
        self.unplaced = 0
        """What came from a node of no machine, where several stand here."""
        self._waiting: OrderedDict[tuple[str, str], Condition] = OrderedDict()

    def wanted(self) -> Sequence[EventFields]:
        """Each event type once, with the fields that any machine's profile reads."""
        fields: dict[object, dict[object, None]] = {}
        kinds = {}
        for machine in self._placement.machines:
            for source in machine.mapped.results:
                kinds[source.type] = source.type
                fields.setdefault(source.type, {}).update(dict.fromkeys(source.fields))
        return [EventFields(kind, tuple(fields[kind])) for kind in kinds]  # type: ignore[arg-type]

    def condition(self, source: str, condition: Condition) -> None:
        machine = self._placement.by_address(source, _node(condition))
        if machine is not None:
            self._conditions.report(machine, condition)
            return
        self._waiting[source, condition.condition] = condition
        self._waiting.move_to_end((source, condition.condition))
        if len(self._waiting) > MOST_WAITING:
            self._waiting.popitem(last=False)
            self.unplaced += 1

    def placed(self) -> None:
        """Machines were described: a condition may have been told before its machine was."""
        waiting, self._waiting = self._waiting, OrderedDict()
        for (source, _), condition in waiting.items():
            if self._whose(source, _node(condition), condition.message) is not None:
                self.condition(source, condition)

    def down(self) -> None:
        self._waiting.clear()
        self._conditions.down(self._link)

    def refreshed(self) -> None:
        self._conditions.refreshed(self._link)

    def event(self, event: Event) -> None:
        machine = self._whose(event.source, "", event.message)
        if machine is None:
            self._results.unplaced += 1
            return
        result = result_of(machine.mapped.results, machine.name, event)
        if result is not None:
            self._results.report(machine, result)

    def missed(self, gap: Gap) -> None:
        telling = [machine for machine in self._placement.machines if machine.mapped.results]
        if telling:
            log.warning("results may be missing", endpoint=self._link.url, cause=gap.cause, count=gap.count)
        for machine in telling:
            self._results.missed(machine, gap)

    def _whose(self, source: str, other: str, message: str) -> LiveMachine | None:
        machine = self._placement.by_address(source, other)
        if machine is None:
            self.unplaced += 1
            if self.unplaced == 1:
                log.warning("event of no machine", endpoint=self._link.url, source=source, message=message)
        return machine


def _node(condition: Condition) -> str:
    """Its own node; a branch has the same."""
    return condition.condition.partition("#")[0]
