"""Acknowledging, confirming and shelving: through the gate, like every command."""

import math
from typing import Any, Final
from uuid import uuid4

import anyio

from dtios.model.condition import Condition, ConditionVerb
from dtios.model.errors import ConfigurationError, DtiosError
from dtios.runtime.commands.gate import Action, Command, Gate
from dtios.runtime.commands.principal import Principal
from dtios.runtime.links.conditions import ConditionBoard
from dtios.runtime.links.machines import LiveMachine
from dtios.sdk.adapter import ConditionCommand
from dtios.sdk.clock import Clock

__all__ = ["ConditionCommands"]


SETTLE: Final = 2.0
"""Seconds to wait until the machine tells what came of an accepted command."""


class ConditionCommands:
    def __init__(self, gate: Gate, board: ConditionBoard, clock: Clock) -> None:
        self._gate = gate
        self._board = board
        self._clock = clock

    async def give(
        self,
        principal: Principal,
        machine: LiveMachine,
        wanted: ConditionCommand,
        *,
        command: str = "",
        deadline: float | None = None,
        lease: int | None = None,
    ) -> Condition:
        """The condition as the machine tells it after, or as it was before where that takes longer than SETTLE.
        `wanted.condition` may be a name that only one has.

        Raises RefusedError (gate, no such condition, the machine), TemporaryError (offline: nothing was sent), OutcomeUnknown.
        """
        asked = Command(
            command or str(uuid4()), principal, machine, Action.CONDITION, wanted.condition,
            {"comment": wanted.comment, "duration": wanted.duration},
            None if deadline is None else self._clock.monotonic() + deadline, lease, detail=wanted.verb,
        )  # fmt: skip
        try:
            _check_duration(wanted, machine.name)
            machine.check_reachable()
            found = self._board.find(machine, wanted.condition)
        except DtiosError as refusal:
            await self._gate.refuse(asked, refusal)
            raise
        permit = await self._gate.admit(asked)
        exact = ConditionCommand(found.condition, wanted.verb, wanted.comment, wanted.duration)
        after = _After(machine, found, wanted.verb)
        unwatch = self._board.watch(after.told)
        try:
            await machine.link.command_condition(exact, permit.verify)
            await permit.conclude("Good")
            return await after.condition()
        except DtiosError as error:
            await permit.conclude(f"{error.kind}: {error}")
            raise
        finally:
            unwatch()


class _After:
    """Waits for what a command leads to. Who acknowledges and then confirms at once speaks of a state the machine has told."""

    def __init__(self, machine: LiveMachine, before: Condition, verb: ConditionVerb) -> None:
        self._machine = machine
        self._last = before
        self._verb = verb
        self._so = anyio.Event()

    def told(self, machine: LiveMachine, form: dict[str, Any]) -> None:
        if machine is self._machine and form["condition"] == self._last.condition:
            self._last = Condition(**form)
            if not self._last.retain or _is_so(self._last, self._verb):
                self._so.set()

    async def condition(self) -> Condition:
        with anyio.move_on_after(SETTLE):
            await self._so.wait()
        return self._last


def _is_so(condition: Condition, verb: ConditionVerb) -> bool:
    return {
        ConditionVerb.ACKNOWLEDGE: condition.acknowledged,
        ConditionVerb.CONFIRM: condition.confirmed,
        ConditionVerb.SHELVE: condition.shelved,
        ConditionVerb.UNSHELVE: not condition.shelved,
    }[verb]


def _check_duration(wanted: ConditionCommand, machine: str) -> None:
    if wanted.duration is None:
        return
    if wanted.verb is not ConditionVerb.SHELVE:
        raise ConfigurationError("only shelving takes a time", where=machine, mend="leave the time out")
    if not (math.isfinite(wanted.duration) and wanted.duration > 0):
        raise ConfigurationError(f"{wanted.duration:g} is no time to shelve for", where=machine, mend="give seconds above 0")
