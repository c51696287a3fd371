"""A skill that is a state machine with methods: one run from the state in which it is ready to the end of it.

What the states and methods mean is data (`Kind`): OPC UA programs and OpenSMI skills are two of these. The machine keeps no id of
a job, so that a job is found again only by the state.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

import anyio

from dtios.mapping.bindings.arguments import Input, arguments, input_schema
from dtios.mapping.bindings.base import Report, SkillBinding
from dtios.mapping.bindings.following import Meaning, first_state, follow, unknown
from dtios.mapping.bindings.variables import (
    CallPoint,
    ResultPoint,
    Written,
    given_values,
    result_schema,
    started,
    with_results,
    written_schema,
)
from dtios.mapping.points import Change, Points
from dtios.mapping.skills.schema import object_schema
from dtios.mapping.state_names import look_up
from dtios.model.errors import RefusedError
from dtios.model.job import JobIdentity, JobOrder, JobOutcome, JobState, JobVerb
from dtios.model.values import DataValue

__all__ = ["Kind", "NamedState", "StateMachineBinding", "StateMachineNodes", "Step"]

APPEAR: Final = 10.0
"""Seconds within which the state must change after an accepted method."""

_STOPPING: Final = frozenset({JobVerb.STOP, JobVerb.ABORT})


@dataclass(frozen=True, slots=True)
class Step:
    """The method of a verb, the states that it is taken in, and those where it has been asked already: nothing is sent then."""

    method: str
    allowed: frozenset[str]
    asked: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Kind:
    """`states`: the values of CurrentState, its Id or Number, and the names that `meaning` knows. `resets`: where Reset leads to
    the ready state from."""

    states: Mapping[int | str, str]
    meaning: Meaning[str]
    steps: Mapping[JobVerb, Step]
    resets: frozenset[str]


@dataclass(frozen=True, slots=True)
class StateMachineNodes:
    """`states`: addresses that tell the state, the surest one first: the first whose value is known counts. `methods` by name."""

    states: tuple[str, ...]
    methods: Mapping[str, CallPoint]
    inputs: tuple[Input, ...] = ()
    """Of Start."""
    parameters: tuple[Written, ...] = ()
    results: tuple[ResultPoint, ...] = ()
    names: Mapping[int | str, str] = field(default_factory=dict)
    """The machine's own values for the states, over those of its kind."""


class NamedState:
    """Tells the state from whichever of the points tells it first."""

    def __init__(self, addresses: Sequence[str], states: Mapping[int | str, str]) -> None:
        self.addresses = list(addresses)
        self._states = states
        self._readings: dict[str, DataValue] = {}

    def take(self, address: str, reading: DataValue) -> None:
        self._readings[address] = reading

    @property
    def state(self) -> str | None:
        for address in self.addresses:
            reading = self._readings.get(address)
            if reading is not None and reading.is_good and (name := look_up(self._states, reading.value)) is not None:
                return name
        return None

    @property
    def shown(self) -> str:
        said = [self._readings[a] for a in self.addresses if a in self._readings]
        told = [str(getattr(r.value, "text", r.value)) if r.is_good else r.status_name for r in said]
        return self.state or " / ".join(told) or "nothing"


class StateMachineBinding(SkillBinding):
    """`reset_from`: states from which a start may give Reset first, as the profile says."""

    identity: ClassVar[JobIdentity] = JobIdentity.INFERABLE

    def __init__(self, kind: Kind, nodes: StateMachineNodes, *, reset_from: frozenset[str] = frozenset()) -> None:
        self._kind = kind
        self._nodes = nodes
        self._reset_from = reset_from & kind.resets if "Reset" in nodes.methods else frozenset()
        written, given = written_schema(nodes.parameters), input_schema(nodes.inputs)
        self._parameters = object_schema(
            {**given["properties"], **written["properties"]}, [*given.get("required", ()), *written.get("required", ())]
        )
        self._results = result_schema(nodes.results)

    @property
    def inferred_from(self) -> frozenset[str]:
        return frozenset(self._nodes.states)

    @property
    def verbs(self) -> frozenset[JobVerb]:
        return frozenset({JobVerb.START, *(v for v, step in self._kind.steps.items() if step.method in self._nodes.methods)})

    @property
    def parameters(self) -> Mapping[str, Any]:
        return self._parameters

    @property
    def results(self) -> Mapping[str, Any]:
        return self._results

    async def run(self, order: JobOrder, points: Points, report: Report) -> JobOutcome:
        values = given_values(self._nodes.parameters, order.parameters)
        given = arguments(self._nodes.inputs, order.parameters)
        reader = self._reader()
        async with points.watch(reader.addresses) as changes:
            await self._until_ready(order, points, reader, changes)
            start = self._nodes.methods["Start"]
            refused = await started(self._nodes.parameters, values, points, lambda: points.call(start.owner, start.method, given))
            if refused is not None:
                return refused
            return await self._follow(points, report, reader, changes)

    async def resume(self, order: JobOrder, points: Points, report: Report) -> JobOutcome:
        """Running or standing: followed on. A state that is an end: the end of it. Any other state: Unknown."""
        reader, meaning = self._reader(), self._kind.meaning
        async with points.watch(reader.addresses) as changes:
            if not await first_state(reader, changes, APPEAR):
                return unknown(f"the {meaning.unit} does not tell its state ({reader.shown})")
            if reader.state == meaning.idle:
                return unknown(f"the {meaning.unit} is {meaning.idle}: the job has ended, or it never started")
            return await self._follow(points, report, reader, changes)

    async def command(self, verb: JobVerb, order: JobOrder, points: Points) -> None:
        step = self._kind.steps.get(verb)
        if step is None or step.method not in self._nodes.methods:
            unit = self._kind.meaning.unit
            raise RefusedError(f"this {unit} cannot be asked to {verb.value} a job", where=order.skill, mend="use another verb")
        reader = await self._read(points)
        state = reader.state
        if state in step.asked:
            return
        # what leads towards standing still is for the machine to judge where its state cannot be told
        if state not in step.allowed and not (state is None and verb in _STOPPING):
            raise RefusedError(
                f"{step.method} is not allowed in {reader.shown}", where=order.skill, mend="wait for another state"
            )
        await self._call(step.method, points)

    async def _call(self, name: str, points: Points) -> None:
        method = self._nodes.methods[name]
        await points.call(method.owner, method.method, [])

    def _reader(self) -> NamedState:
        return NamedState(self._nodes.states, {**self._kind.states, **self._nodes.names})

    async def _read(self, points: Points) -> NamedState:
        reader = self._reader()
        for address, reading in zip(reader.addresses, await points.read(reader.addresses), strict=True):
            reader.take(address, reading)
        return reader

    async def _follow(self, points: Points, report: Report, reader: NamedState, changes: AsyncIterator[Change]) -> JobOutcome:
        outcome = await follow(self._kind.meaning, reader, changes, report, APPEAR)
        return outcome if outcome.state is JobState.UNKNOWN else await with_results(outcome, self._nodes.results, points)

    async def _until_ready(self, order: JobOrder, points: Points, reader: NamedState, changes: AsyncIterator[Change]) -> None:
        """Raises RefusedError unless it is ready, or gets there by the Reset that the profile allows. Returns when the changes
        have come to the ready state too, so that none from before the start is taken for one of this job."""
        ready, unit = self._kind.meaning.idle, self._kind.meaning.unit
        now = await self._read(points)
        if now.state != ready:
            if now.state not in self._reset_from:
                mend = "reset it first" if now.state in self._kind.resets else "wait for it, or look at it"
                raise RefusedError(f"the {unit} is {now.shown}, and a start needs {ready}", where=order.skill, mend=mend)
            await self._call("Reset", points)
        with anyio.move_on_after(APPEAR):
            async for address, reading in changes:
                reader.take(address, reading)
                if reader.state == ready and (await self._read(points)).state == ready:
                    return
        raise RefusedError(f"the {unit} did not come to {ready}", where=order.skill, mend="look at it")
