"""The gate: every write and every job passes here, and nothing goes around it.

In order: grants, envelope, interlocks, lease. Then the intent goes to the journal, and at the moment of the hand-over to the
wire the permit is verified once more, with nothing awaited in between. Stop and abort need only the grant to stop.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from dtios.model.errors import DtiosError, RefusedError
from dtios.model.machine import Range
from dtios.model.status import status_name
from dtios.runtime.config import Interlock
from dtios.runtime.journal import Journal
from dtios.runtime.machines import LiveMachine
from dtios.runtime.principal import Principal
from dtios.sdk.clock import Clock

__all__ = ["Action", "Command", "Gate", "Permit"]


class Action(StrEnum):
    WRITE = "write"
    START = "start"
    STEER = "steer"
    """A verb that moves a job on: resume, pause, update, cancel."""
    STOP = "stop"
    """Stop, abort, and what the runtime does by itself when an owner is lost."""


@dataclass(frozen=True, slots=True)
class Command:
    """What is asked. `target` is a signal's or skill's path; `values` are what the envelope is asked of (canonical units).

    `deadline` is on the runtime's monotonic clock. `lease` is a fencing token; leases are not kept yet, its place is here.
    """

    id: str
    principal: Principal
    machine: LiveMachine
    action: Action
    target: str
    values: Mapping[str, Any]
    deadline: float | None = None
    lease: int | None = None
    detail: str = ""


class Permit:
    """A command that passed. `verify` is the last check: an adapter calls it at the hand-over to the socket."""

    def __init__(self, gate: "Gate", command: Command, intent: int) -> None:
        self._gate = gate
        self.command = command
        self._intent = intent

    def verify(self) -> None:
        """Raises RefusedError if, since the checks, the sender or its grant went, the deadline passed or an interlock fell."""
        self._gate.check(self.command)

    async def conclude(self, outcome: str) -> None:
        await self._gate.conclude(self._intent, outcome)


class Gate:
    def __init__(self, journal: Journal, clock: Clock) -> None:
        self._journal = journal
        self._clock = clock

    async def admit(self, command: Command) -> Permit:
        """All checks, then the intent in the journal. A refusal is written to the audit and raised as RefusedError."""
        try:
            self.check(command)
        except DtiosError as refusal:
            await self.refuse(command, refusal)
            raise
        intent = await self._journal.intend(
            self._clock.now(),
            command.id,
            command.principal.name,
            command.machine.name,
            command.detail or command.action,
            command.target,
            dict(command.values),
        )
        return Permit(self, command, intent)

    async def refuse(self, command: Command, refusal: DtiosError) -> None:
        await self._journal.note(
            self._clock.now(),
            command.id,
            command.principal.name,
            command.machine.name,
            command.detail or command.action,
            command.target,
            f"{refusal.kind}: {refusal}",
        )

    async def conclude(self, intent: int, outcome: str) -> None:
        await self._journal.conclude(intent, outcome, self._clock.now())

    def check(self, command: Command) -> None:
        """Everything that can be checked without waiting. Raises RefusedError."""
        where = f"{command.machine.name} {command.target}"
        if not command.principal.alive:
            raise RefusedError("its sender is gone", where=where, mend="start the app or command again")
        if command.deadline is not None and self._clock.monotonic() > command.deadline:
            raise RefusedError("its deadline has passed", where=where, mend="ask again if it is still wanted")
        self._check_grant(command, where)
        if command.action is Action.STOP:
            return
        if command.action in (Action.WRITE, Action.START):
            self._check_envelope(command, where)
        self._check_interlocks(command, where)

    def _check_grant(self, command: Command, where: str) -> None:
        principal, machine = command.principal, command.machine.machine
        granted = {
            Action.WRITE: lambda: principal.may_write(machine, command.target),
            Action.START: lambda: principal.may_run(machine, command.target),
            Action.STEER: lambda: principal.may_run(machine, command.target),
            Action.STOP: lambda: principal.may_stop(machine) or principal.may_run(machine, command.target),
        }[command.action]()
        if not granted:
            wanted = {"write": "write", "stop": "stop"}.get(command.action, "run")
            raise RefusedError(
                f"{principal.name} has no grant to {wanted} it",
                where=where,
                mend=f"grant it in dtios.yaml: apps.{principal.name}.grants",
            )

    def _check_envelope(self, command: Command, where: str) -> None:
        for name, value in command.values.items():
            for number in _numbers(value):
                if not math.isfinite(number):
                    raise RefusedError(f"{name} is {number}, not a finite number", where=where, mend="give a finite number")
                for limits, whose in self._limits(command, name):
                    if number not in limits:
                        raise RefusedError(
                            f"{name or command.target} = {number:g} is outside {whose} [{limits.low:g}, {limits.high:g}]",
                            where=where,
                            mend="stay within it, or have the integrator change it",
                        )

    @staticmethod
    def _limits(command: Command, name: str) -> Iterator[tuple[Range, str]]:
        machine = command.machine
        if command.action is Action.WRITE:
            signal = machine.signal(command.target)
            if signal.range is not None:
                yield signal.range, "the machine's range"
            envelope = machine.envelope.signal(command.target)
        else:
            envelope = machine.envelope.parameter(command.target, name)
        if envelope is not None:
            yield envelope, "the envelope"

    def _check_interlocks(self, command: Command, where: str) -> None:
        for interlock in command.machine.interlocks:
            if _guards(interlock, command):
                self._check_interlock(interlock, command.machine, where)

    def _check_interlock(self, interlock: Interlock, machine: LiveMachine, where: str) -> None:
        reading = machine.last(interlock.signal)
        name = interlock.message or f"interlock on {interlock.signal}"
        if reading is None:
            raise RefusedError(f"{name}: no reading yet", where=where, mend="wait until the machine reports it")
        if not reading.is_good:
            raise RefusedError(
                f"{name}: its signal is {status_name(reading.status)}", where=where, mend="restore the signal first"
            )
        age = machine.silence()
        if age > interlock.max_age:
            raise RefusedError(
                f"{name}: last heard of {age:.1f} s ago, {interlock.max_age:g} s are allowed",
                where=where,
                mend="wait until the machine reports again",
            )
        if not _holds(interlock, reading.value):
            raise RefusedError(
                f"{name}: {interlock.signal} is {reading.value!r}", where=where, mend=f"needed is {_needed(interlock)}"
            )


def _guards(interlock: Interlock, command: Command) -> bool:
    if not interlock.skills and not interlock.writes:
        return True
    named = interlock.writes if command.action is Action.WRITE else interlock.skills
    return command.target in named


def _holds(interlock: Interlock, value: Any) -> bool:
    """A value that cannot be compared does not hold: unknown means refused."""
    number = isinstance(value, int | float) and not (isinstance(value, float) and math.isnan(value))
    return (
        (interlock.equals is None or value == interlock.equals)
        and (interlock.not_equals is None or (value is not None and value != interlock.not_equals))
        and (interlock.one_of is None or value in interlock.one_of)
        and (interlock.above is None or (number and value > interlock.above))
        and (interlock.below is None or (number and value < interlock.below))
    )


def _needed(interlock: Interlock) -> str:
    words = {
        "equal to": interlock.equals,
        "other than": interlock.not_equals,
        "above": interlock.above,
        "below": interlock.below,
        "one of": interlock.one_of,
    }
    return " and ".join(f"{word} {value}" for word, value in words.items() if value is not None)


def _numbers(value: Any) -> Iterator[float]:
    if isinstance(value, bool):
        return
    if isinstance(value, int | float):
        yield value
    elif isinstance(value, list | tuple):
        for element in value:
            yield from _numbers(element)
    elif isinstance(value, dict):
        for element in value.values():
            yield from _numbers(element)
