"""Acknowledging, confirming and shelving: through the gate, like every command."""

import math
from uuid import uuid4

from dtios.model.condition import Condition, ConditionVerb
from dtios.model.errors import ConfigurationError, DtiosError
from dtios.runtime.commands.gate import Action, Command, Gate
from dtios.runtime.commands.principal import Principal
from dtios.runtime.links.conditions import ConditionBoard
from dtios.runtime.links.machines import LiveMachine
from dtios.sdk.adapter import ConditionCommand
from dtios.sdk.clock import Clock

__all__ = ["ConditionCommands"]


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
        """The condition as it was last told before. `wanted.condition` may be a name that only one has.

        Raises RefusedError (gate, no such condition, the machine), TemporaryError (offline: nothing was sent), OutcomeUnknown.
        """
        asked = Command(
            command or str(uuid4()), principal, machine, Action.CONDITION, wanted.condition,
            {"comment": wanted.comment, "duration": wanted.duration},
            None if deadline is None else self._clock.monotonic() + deadline, lease, detail=wanted.verb,
        )  # fmt: skip
        try:
            _check_duration(wanted, machine.name)
            machine.link.session()
            found = self._board.find(machine, wanted.condition)
        except DtiosError as refusal:
            await self._gate.refuse(asked, refusal)
            raise
        permit = await self._gate.admit(asked)
        exact = ConditionCommand(found.condition, wanted.verb, wanted.comment, wanted.duration)
        try:
            await machine.link.command_condition(exact, permit.verify)
        except DtiosError as error:
            await permit.conclude(f"{error.kind}: {error}")
            raise
        await permit.conclude("Good")
        return found


def _check_duration(wanted: ConditionCommand, machine: str) -> None:
    if wanted.duration is None:
        return
    if wanted.verb is not ConditionVerb.SHELVE:
        raise ConfigurationError("only shelving takes a time", where=machine, mend="leave the time out")
    if not (math.isfinite(wanted.duration) and wanted.duration > 0):
        raise ConfigurationError(f"{wanted.duration:g} is no time to shelve for", where=machine, mend="give seconds above 0")
