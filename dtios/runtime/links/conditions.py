"""Conditions that machines report, kept while they are of interest (Part 9: Retain), and told to who follows them."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from typing import Any

from dtios.model.condition import Condition
from dtios.runtime.links.machines import LiveMachine

__all__ = ["ConditionBoard"]

Watcher = Callable[[LiveMachine, dict[str, Any]], None]


class ConditionBoard:
    def __init__(self) -> None:
        self._present: dict[tuple[str, str], tuple[LiveMachine, dict[str, Any]]] = {}
        self._watchers: dict[Watcher, None] = {}

    def report(self, machine: LiveMachine, condition: Condition) -> None:
        """A condition came up or changed."""
        told = asdict(replace(condition, machine=machine.name))
        key = (machine.identity, condition.condition)
        if condition.retain:
            self._present[key] = (machine, told)
        else:
            self._present.pop(key, None)
        for watcher in tuple(self._watchers):
            watcher(machine, told)

    def present(self) -> Iterator[tuple[LiveMachine, dict[str, Any]]]:
        return iter(tuple(self._present.values()))

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        self._watchers[watcher] = None
        return lambda: self._watchers.pop(watcher, None) and None
