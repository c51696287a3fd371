"""The gate: every write and every job passes here, and nothing goes around it.

In order: grants, envelope, interlocks, lease. Then the intent goes to the journal, and at the moment of the hand-over to the
wire the permit is verified once more, with nothing awaited in between. Stop and abort need only the grant to stop.

What cannot be journalled is refused; only a command towards standing still is given all the same, and the log says so.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import structlog

from dtios.model.condition import ConditionVerb
from dtios.model.errors import DtiosError, RefusedError, TemporaryError
from dtios.model.machine import Range
from dtios.model.status import status_name
from dtios.model.values import LocalizedText, Record
from dtios.runtime.commands.journal import Journal
from dtios.runtime.commands.principal import Principal
from dtios.runtime.configuration.config import Interlock
from dtios.runtime.links.machines import LiveMachine
from dtios.sdk.clock import Clock

__all__ = ["Action", "Command", "Gate", "Permit"]

log = structlog.get_logger("dtios.gate")


class Action(StrEnum):
    WRITE = "write"
    START = "start"
    STEER = "steer"
    """A verb that moves a job on: resume, update."""
    HOLD = "hold"
    """A verb that leads to standing still with the job kept or not begun: pause, cancel. No interlock keeps it back."""
    STOP = "stop"
    """Stop, abort, and what the runtime does by itself when an owner is lost."""
    CONDITION = "condition"
    """Acknowledge, confirm, shelve, unshelve: `detail` says which (a ConditionVerb)."""


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

    def __init__(self, gate: "Gate", command: Command, intent: int | None) -> None:
        self._gate = gate
        self.command = command
        self._intent = intent

    def verify(self) -> None:
        """Raises RefusedError if, since the checks, the sender or its grant went, the deadline passed or an interlock fell."""
        self._gate.check(self.command)

    def verify_write(self, address: str, value: Any) -> None:
        """The same for a value (as on the wire) that goes to an address, and the limits of the signal that is there."""
        self.verify()
        self._gate.check_point(self.command, address, value)

    async def conclude(self, outcome: str) -> None:
        """Never raises: what came of a command does not change because it could not be written down."""
        if self._intent is not None:
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
        return Permit(self, command, await self._intend(command))

    async def _intend(self, command: Command) -> int | None:
        try:
            return await self._journal.intend(
                self._clock.now(),
                command.id,
                command.principal.name,
                command.machine.name,
                command.detail or command.action,
                command.target,
                dict(command.values),
            )
        except TemporaryError as error:
            if command.action not in _STILL:
                raise
            log.warning(
                "not in the journal, and given all the same",
                principal=command.principal.name, machine=command.machine.name, target=command.target,
                action=command.detail or command.action, reason=str(error),
            )  # fmt: skip
            return None

    async def note(self, machine: LiveMachine, action: str, target: str, outcome: str) -> None:
        """What the runtime did by itself, in the audit."""
        try:
            await self._journal.note(self._clock.now(), "", "runtime", machine.name, action, target, outcome)
        except TemporaryError as error:
            log.warning("not in the journal", machine=machine.name, action=action, outcome=outcome, reason=str(error))

    async def refuse(self, command: Command, refusal: DtiosError) -> None:
        try:
            await self._journal.note(
                self._clock.now(),
                command.id,
                command.principal.name,
                command.machine.name,
                command.detail or command.action,
                command.target,
                f"{refusal.kind}: {refusal}",
            )
        except TemporaryError as error:
            log.warning("a refusal is not in the journal", refusal=str(refusal), reason=str(error))

    async def conclude(self, intent: int, outcome: str) -> None:
        try:
            await self._journal.conclude(intent, outcome, self._clock.now())
        except TemporaryError as error:
            log.warning("an outcome is not in the journal", intent=intent, outcome=outcome, reason=str(error))

    def check(self, command: Command) -> None:
        """Everything that can be checked without waiting. Raises RefusedError, or TemporaryError: the description is checked."""
        where = f"{command.machine.name} {command.target}"
        if not command.principal.alive:
            raise RefusedError("its sender is gone", where=where, mend="start the app or command again")
        if command.deadline is not None and not self._clock.monotonic() <= command.deadline:
            raise RefusedError("its deadline has passed", where=where, mend="ask again if it is still wanted")
        if not command.machine.present:
            raise RefusedError(
                "it is no longer behind its endpoint", where=where, mend="look at what stands there, and correct dtios.yaml"
            )
        if command.action is not Action.STOP:  # a stop goes where it was right a moment ago: standing still comes first
            command.machine.link.check_verified()
        if command.action is Action.WRITE and command.machine.signal(command.target).gone:
            raise RefusedError(
                "the machine has it no longer", where=where, mend="it is back by itself when the machine has it again"
            )
        self._check_grant(command, where)
        if command.action in _STILL:
            return
        self._check_envelope(command, where)
        self._check_interlocks(command, where)

    def check_point(self, command: Command, address: str, value: Any) -> None:
        """A skill that writes a signal's point keeps within that signal's limits too. `value` is as on the wire."""
        machine = command.machine
        for path, wiring in machine.mapped.signals.items():
            if wiring.address == address:
                shown = value if wiring.conversion is None else wiring.conversion.up(value)
                for limits, whose in _signal_limits(machine, path):
                    slack = 1e-9 * max(abs(limits.low), abs(limits.high))  # what converting down and up again may add
                    wide = Range(limits.low - slack, limits.high + slack)
                    _check_within(shown, wide, whose, path, f"{machine.name} {command.target}")

    def _check_grant(self, command: Command, where: str) -> None:
        principal, machine = command.principal, command.machine.machine
        granted = {
            Action.WRITE: lambda: principal.may_write(machine, command.target),
            Action.START: lambda: principal.may_run(machine, command.target),
            Action.STEER: lambda: principal.may_run(machine, command.target),
            Action.HOLD: lambda: principal.may_run(machine, command.target),
            Action.STOP: lambda: principal.may_stop(machine) or principal.may_run(machine, command.target),
            Action.CONDITION: lambda: principal.may_handle(machine, command.detail),
        }[command.action]()
        if not granted:
            wanted = {"write": "write", "stop": "stop", "condition": command.detail}.get(command.action, "run")
            raise RefusedError(
                f"{principal.name} has no grant to {wanted} it",
                where=where,
                mend=f"grant it in dtios.yaml: apps.{principal.name}.grants",
            )

    def _check_envelope(self, command: Command, where: str) -> None:
        for name, value in command.values.items():
            for number in _leaves(value):
                if isinstance(number, float) and not math.isfinite(number):
                    raise RefusedError(f"{name} is {number}, not a finite number", where=where, mend="give a finite number")
            for limits, whose in self._limits(command, name):
                _check_within(value, limits, whose, name or command.target, where)

    @staticmethod
    def _limits(command: Command, name: str) -> Iterator[tuple[Range, str]]:
        if command.action is Action.WRITE:
            yield from _signal_limits(command.machine, command.target)
        elif command.action is not Action.CONDITION:
            envelope = command.machine.parameter_limits(command.target, name)
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


_STILL = frozenset({Action.HOLD, Action.STOP})
"""What leads towards standing still: neither limits nor interlocks nor the journal keep it back."""


_RELEASING = frozenset({ConditionVerb.ACKNOWLEDGE, ConditionVerb.CONFIRM})
"""Many a machine goes on when its alarm is acknowledged: an interlock that guards everything guards that too. Shelving moves
nothing."""


def _guards(interlock: Interlock, command: Command) -> bool:
    if command.action is Action.CONDITION and command.detail not in _RELEASING:
        return False
    if not interlock.skills and not interlock.writes:
        return True
    if command.action is Action.CONDITION:
        return False
    if command.action is Action.WRITE:
        return command.target in interlock.writes
    return any(command.machine.is_skill(name, command.target) for name in interlock.skills)


def _holds(interlock: Interlock, value: Any) -> bool:
    """A value that cannot be compared does not hold: unknown means refused."""
    number = isinstance(value, int | float) and not (isinstance(value, float) and math.isnan(value))
    return (
        (interlock.equals is None or _same(value, interlock.equals) is True)
        and (interlock.not_equals is None or _same(value, interlock.not_equals) is False)
        and (interlock.one_of is None or any(_same(value, one) is True for one in interlock.one_of))
        and (interlock.above is None or (number and value > interlock.above))
        and (interlock.below is None or (number and value < interlock.below))
    )


def _same(value: Any, wanted: bool | int | float | str) -> bool | None:
    """Whether a reading is what an interlock names; None where the two cannot be compared (then nothing holds).

    A text is compared with a LocalizedText's text and an enumeration's name, everything else as numbers.
    """
    if isinstance(wanted, str):
        text = (
            value.text if isinstance(value, LocalizedText) else value if isinstance(value, str) else getattr(value, "name", None)
        )
        return text == wanted if isinstance(text, str) and text else None
    if not isinstance(value, int | float) or (isinstance(value, float) and math.isnan(value)):
        return None
    return value == wanted


def _signal_limits(machine: LiveMachine, path: str) -> Iterator[tuple[Range, str]]:
    """An EURange without width (or of NaN) is what servers give that know none: it limits nothing."""
    signal = machine.signal(path)
    if signal.range is not None and signal.range.low < signal.range.high:
        yield signal.range, "the machine's range"
    envelope = machine.envelope.signal(path)
    if envelope is not None:
        yield envelope, "the envelope"


def _check_within(value: Any, limits: Range, whose: str, name: str, where: str) -> None:
    """What has limits is a number, or made of numbers: anything else could carry one past them."""
    for leaf in _leaves(value):
        number = _number(leaf)
        if number is None:
            raise RefusedError(f"{name} has limits, and {leaf!r} is no number", where=where, mend="give a number")
        if number not in limits:
            raise RefusedError(
                f"{name} = {number:g} is outside {whose} [{limits.low:g}, {limits.high:g}]",
                where=where,
                mend="stay within it, or have the integrator change it",
            )


def _number(leaf: Any) -> float | None:
    """A wide integer may be written as a text (JSON); true and false are what machines take for 1 and 0."""
    if isinstance(leaf, int | float):
        return leaf
    try:
        return int(leaf) if isinstance(leaf, str) else None
    except ValueError:
        return None


def _needed(interlock: Interlock) -> str:
    words = {
        "equal to": interlock.equals,
        "other than": interlock.not_equals,
        "above": interlock.above,
        "below": interlock.below,
        "one of": interlock.one_of,
    }
    return " and ".join(f"{word} {value}" for word, value in words.items() if value is not None)


def _leaves(value: Any) -> Iterator[Any]:
    """The single values of a value: of a list, an object, a structure."""
    if isinstance(value, Record):
        value = value.fields
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple) and not isinstance(value, LocalizedText):
        for element in value:
            yield from _leaves(element)
    else:
        yield value
