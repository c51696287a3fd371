"""A skill run by PackML commands (ISA-TR88.00.02, OPC 30050): one run of the unit from Idle to Complete.

The machine keeps no id of a job: what runs now cannot be told apart from what somebody else started at its panel meanwhile.
A job is therefore found again only by the state that the unit is in.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, ClassVar, Final

import anyio

from dtios.mapping.bindings.arguments import ASKED
from dtios.mapping.bindings.base import Report, SkillBinding
from dtios.mapping.bindings.following import Meaning, first_state, follow, unknown
from dtios.mapping.bindings.packml_points import (
    CallPoint,
    Commands,
    PackMLParameter,
    ResultPoint,
    StateLevel,
    StateReader,
    descriptor,
)
from dtios.mapping.bindings.variables import result_schema, with_results
from dtios.mapping.points import Change, Points
from dtios.mapping.skills.schema import object_schema, schema_of
from dtios.model.datatypes import ValueType
from dtios.model.errors import RefusedError
from dtios.model.job import JobIdentity, JobOrder, JobOutcome, JobState, JobSubstate, JobVerb
from dtios.model.packml import PackMLCommand, PackMLState, allowed_commands

__all__ = ["PackMLBinding"]

APPEAR: Final = 10.0
"""Seconds within which the state must change after an accepted command."""

_S = PackMLState
_C = PackMLCommand

_OPEN_STATES: Final[dict[PackMLState, tuple[JobState, JobSubstate | None]]] = {
    **dict.fromkeys(
        (_S.Starting, _S.Execute, _S.Completing, _S.Holding, _S.Unholding, _S.Suspending, _S.Unsuspending),
        (JobState.RUNNING, None),
    ),
    _S.Held: (JobState.INTERRUPTED, JobSubstate.HELD),
    _S.Suspended: (JobState.INTERRUPTED, JobSubstate.SUSPENDED),
}
"""A job is interrupted when the unit stands: only then can it be resumed."""
_FINAL_STATES: Final[dict[PackMLState, tuple[JobState, JobSubstate | None]]] = {
    _S.Complete: (JobState.ENDED, JobSubstate.COMPLETED),
    _S.Stopped: (JobState.ENDED, JobSubstate.CLOSED),
    _S.Aborted: (JobState.ABORTED, None),
}
_ENDING: Final = frozenset({_S.Stopping, _S.Aborting})
_PASSED: Final = frozenset({_S.Idle, _S.Resetting, _S.Clearing})
"""States in which no job runs any more, and which do not say how it ended."""
_MEANING: Final = Meaning(_S.Idle, _OPEN_STATES, _FINAL_STATES, _ENDING, _PASSED)

_STOPPING: Final = frozenset({JobVerb.STOP, JobVerb.ABORT})
_VERBS: Final = {JobVerb.PAUSE: _C.HOLD, JobVerb.RESUME: _C.UNHOLD, JobVerb.STOP: _C.STOP, JobVerb.ABORT: _C.ABORT}
_ASKED_ALREADY: Final = {
    _C.HOLD: frozenset({_S.Holding, _S.Held}),
    _C.UNHOLD: frozenset({_S.Unholding, _S.Execute}),
    _C.UNSUSPEND: frozenset({_S.Unsuspending, _S.Execute}),
    _C.STOP: frozenset({_S.Stopping, _S.Stopped}),
    _C.ABORT: frozenset({_S.Aborting, _S.Aborted}),
}
"""A verb says what is wanted: where the unit is on its way there or there, it is safe to ask again, and nothing is sent."""
_RESET_FROM: Final = frozenset({_S.Complete, _S.Stopped})
_OPEN: Final = {"type": "number", "minimum": -3.4e38, "maximum": 3.4e38}


class PackMLBinding(SkillBinding):
    """`takes_descriptors`: the machine's Start takes a list of PackMLDescriptorDataType, so that parameters nobody named in a
    profile may be given to it. `reset_before_start`: a start that finds Complete or Stopped resets the unit first."""

    name: ClassVar[str] = "packml"
    identity: ClassVar[JobIdentity] = JobIdentity.INFERABLE

    def __init__(
        self,
        levels: Sequence[StateLevel],
        commands: Commands,
        parameters: Sequence[PackMLParameter] = (),
        results: Sequence[ResultPoint] = (),
        *,
        reset_before_start: bool = False,
        takes_descriptors: bool = False,
    ) -> None:
        self._levels = tuple(levels)
        self._commands = commands
        self._known = tuple(parameters)
        self._points = tuple(results)
        self._reset = reset_before_start
        self._takes_descriptors = takes_descriptors
        asked = [p for p in self._known if p.fixed is ASKED]
        self._parameters = object_schema(
            {p.name: {**schema_of(p.type), **p.extra} for p in asked},
            [p.name for p in asked if p.required],
            open=_OPEN if takes_descriptors and not self._known else False,
        )
        self._results = result_schema(self._points)

    @property
    def verbs(self) -> frozenset[JobVerb]:
        return frozenset({JobVerb.START, *(verb for verb, command in _VERBS.items() if self._commands.has(command))})

    @property
    def parameters(self) -> Mapping[str, Any]:
        return self._parameters

    @property
    def results(self) -> Mapping[str, Any]:
        return self._results

    async def run(self, order: JobOrder, points: Points, report: Report) -> JobOutcome:
        given = {p.name: value for p in self._known if (value := p.wanted(order.parameters)) is not ASKED}
        descriptors = self._descriptors(given, order.parameters)
        reader = StateReader(self._levels)
        async with points.watch(reader.addresses) as changes:
            await self._until_idle(order, points, reader, changes)
            await self._hand_over(given, points)
            await self._commands.give(_C.START, points, state=_S.Idle, first=descriptors)
            return await self._follow(points, report, reader, changes)

    async def resume(self, order: JobOrder, points: Points, report: Report) -> JobOutcome:
        """Running or held: followed on. Complete, Stopped, Aborted: the end of it. Any other state: Unknown."""
        reader = StateReader(self._levels)
        async with points.watch(reader.addresses) as changes:
            if not await first_state(reader, changes, APPEAR):
                return unknown(f"the unit does not tell its state ({reader.shown})")
            if reader.state is _S.Idle:
                return unknown("the unit is Idle: the job has ended, or it never started")
            return await self._follow(points, report, reader, changes)

    async def command(self, verb: JobVerb, order: JobOrder, points: Points) -> None:
        reader = await self._read(points)
        command = self._command_for(verb, reader.state)
        if command is None:
            raise RefusedError(f"a PackML unit cannot be asked to {verb.value} a job", where=order.skill, mend="use another verb")
        state = reader.state
        if state in _ASKED_ALREADY[command]:
            return
        if verb in _STOPPING and (state is None or command in allowed_commands(state)):
            await self._commands.give(command, points, state=state)
            return
        if state is None or command not in allowed_commands(state):
            raise RefusedError(
                f"{command.value} is not allowed in {reader.shown}", where=order.skill, mend="wait for another state"
            )
        await self._commands.give(command, points, state=state)

    def _command_for(self, verb: JobVerb, state: PackMLState | None) -> PackMLCommand | None:
        if verb is JobVerb.RESUME and state is _S.Suspended and self._commands.has(_C.UNSUSPEND):
            return _C.UNSUSPEND
        return _VERBS.get(verb)

    async def _read(self, points: Points) -> StateReader:
        reader = StateReader(self._levels)
        for address, reading in zip(reader.addresses, await points.read(reader.addresses), strict=True):
            reader.take(address, reading)
        return reader

    # --- before the start ----------------------------------------------------------------------------------------------------

    async def _until_idle(self, order: JobOrder, points: Points, reader: StateReader, changes: AsyncIterator[Change]) -> None:
        """Raises RefusedError unless the unit is Idle, or gets there by the Reset that the profile allows.

        Returns when the changes have come to Idle too, so that none from before the start is taken for one of this job.
        """
        now = await self._read(points)
        if now.state is not _S.Idle:
            if not (self._reset and now.state in _RESET_FROM and self._commands.has(_C.RESET)):
                mend = "reset the unit to Idle first" if now.state in _RESET_FROM else "bring the unit to Idle first"
                raise RefusedError(f"the unit is in {now.shown}, and a start needs Idle", where=order.skill, mend=mend)
            await self._commands.give(_C.RESET, points, state=now.state)
        with anyio.move_on_after(APPEAR):
            async for address, reading in changes:
                reader.take(address, reading)
                if reader.state is _S.Idle and await self._is_idle(points):
                    return
        raise RefusedError("the unit did not come to Idle", where=order.skill, mend="look at the unit")

    async def _is_idle(self, points: Points) -> bool:
        """Asked again at once: among nested state machines an inner one may still show an older state when an outer one moves."""
        return (await self._read(points)).state is _S.Idle

    async def _hand_over(self, given: Mapping[str, Any], points: Points) -> None:
        calls: dict[CallPoint, list[PackMLParameter]] = {}
        for parameter in self._known:
            if parameter.name not in given:
                continue
            if parameter.write is not None:
                await points.write(parameter.write.address, given[parameter.name], parameter.write.type)
            elif parameter.call is not None:
                calls.setdefault(parameter.call, []).append(parameter)
        for call, parameters in calls.items():
            await points.call(call.owner, call.method, self._inputs(call, parameters, given))

    def _inputs(
        self, call: CallPoint, given: Sequence[PackMLParameter], values: Mapping[str, Any]
    ) -> list[tuple[Any, ValueType]]:
        inputs: list[Any] = [None] * len(call.inputs)
        for p in given:
            if p.is_descriptor:
                item = descriptor(p.number, p.label or p.name, values[p.name], p.unit)
                inputs[p.index] = [*(inputs[p.index] or []), item] if call.inputs[p.index].rank >= 0 else item
            else:
                inputs[p.index] = values[p.name]
        return list(zip(inputs, call.inputs, strict=True))

    def _descriptors(self, given: Mapping[str, Any], parameters: Mapping[str, Any]) -> list[Any] | None:
        """What goes into Start: parameters without another place."""
        if not self._takes_descriptors:
            return None
        known = [
            descriptor(p.number, p.label or p.name, given[p.name], p.unit)
            for p in self._known
            if p.name in given and p.write is None and p.call is None
        ]
        named = {p.name for p in self._known}
        others = [(n, v) for n, v in parameters.items() if n not in named]
        return known + [descriptor(i, n, v) for i, (n, v) in enumerate(others, 1)]

    # --- until the end -------------------------------------------------------------------------------------------------------

    async def _follow(self, points: Points, report: Report, reader: StateReader, changes: AsyncIterator[Change]) -> JobOutcome:
        outcome = await follow(_MEANING, reader, changes, report, APPEAR)
        return outcome if outcome.state is JobState.UNKNOWN else await with_results(outcome, self._points, points)
