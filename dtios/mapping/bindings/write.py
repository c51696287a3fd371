"""A skill that writes set-points, and is done when read-back points confirm them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import anyio

from dtios.mapping.bindings.base import Report, SkillBinding
from dtios.mapping.bindings.following import unknown
from dtios.mapping.bindings.variables import (
    ResultPoint,
    WritePoint,
    Written,
    given_values,
    result_schema,
    with_results,
    written_schema,
)
from dtios.mapping.points import Points
from dtios.model.datatypes import BuiltinType
from dtios.model.errors import OutcomeUnknown, RefusedError, TemporaryError
from dtios.model.job import JobIdentity, JobOrder, JobOutcome, JobState, JobSubstate, JobVerb
from dtios.model.status import BAD_NO_COMMUNICATION
from dtios.model.values import DataValue

__all__ = ["Confirmed", "WriteBinding"]

_FLOAT_SLACK = 1e-6
"""Of a value that went through a 32-bit Float."""


@dataclass(frozen=True, slots=True)
class Confirmed:
    """A set-point, the point that shows what became of it, and how far it may be off, in the machine's unit."""

    parameter: Written
    readback: WritePoint
    tolerance: float = 0.0

    def holds(self, wanted: Any, reading: DataValue | None) -> bool:
        if reading is None or not reading.is_good:
            return False
        value = getattr(reading.value, "text", reading.value)
        wanted = getattr(wanted, "text", wanted)
        if isinstance(wanted, bool) or isinstance(value, bool) or not _numbers(wanted, value):
            return bool(value == wanted)
        single = BuiltinType.Float in (self.parameter.to.type.builtin, self.readback.type.builtin)
        slack = _FLOAT_SLACK * abs(wanted) if single else 0.0
        return bool(abs(value - wanted) <= self.tolerance + slack)


def _numbers(*values: Any) -> bool:
    return all(isinstance(v, int | float) and math.isfinite(v) for v in values)


class WriteBinding(SkillBinding):
    """`within`: seconds from the last write to the confirmation of all."""

    name: ClassVar[str] = "write"
    identity: ClassVar[JobIdentity] = JobIdentity.INFERABLE

    def __init__(self, setpoints: Sequence[Confirmed], results: Sequence[ResultPoint] = (), *, within: float = 10.0) -> None:
        self._setpoints = tuple(setpoints)
        self._points = tuple(results)
        self._within = within
        self._parameters = written_schema([s.parameter for s in self._setpoints])
        self._results = result_schema(self._points)

    @property
    def inferred_from(self) -> frozenset[str]:
        return frozenset(s.parameter.to.address for s in self._setpoints)

    @property
    def verbs(self) -> frozenset[JobVerb]:
        return frozenset({JobVerb.START})

    @property
    def parameters(self) -> Mapping[str, Any]:
        return self._parameters

    @property
    def results(self) -> Mapping[str, Any]:
        return self._results

    async def run(self, order: JobOrder, points: Points, report: Report) -> JobOutcome:
        values = self._values(order)
        written = ""
        for setpoint in self._setpoints:
            name, to = setpoint.parameter.name, setpoint.parameter.to
            if name not in values:
                continue
            try:
                await points.write(to.address, values[name], to.type)
            except OutcomeUnknown:
                raise
            except (TemporaryError, RefusedError) as error:
                if not written:
                    raise
                return JobOutcome(JobState.ABORTED, reason=f"{written} was written, {name} was not: {error}")
            written = f"{written}, {name}" if written else name
        await report(JobState.RUNNING, None)
        return await self._confirmed(values, points)

    async def resume(self, order: JobOrder, points: Points, report: Report) -> JobOutcome:
        """The set-points that stand there are the job's: its confirmation is waited for. Others: Unknown."""
        values = self._values(order)
        wanted = [s for s in self._setpoints if s.parameter.name in values]
        readings = await points.read([s.parameter.to.address for s in wanted])
        for setpoint, reading in zip(wanted, readings, strict=True):
            name = setpoint.parameter.name
            if not Confirmed(setpoint.parameter, setpoint.parameter.to).holds(values[name], reading):
                shown = reading.value if reading.is_good else reading.status_name
                return unknown(f"the set-point of {name} is {shown}: it was not written, or somebody has changed it since")
        await report(JobState.RUNNING, None)
        return await self._confirmed(values, points)

    async def command(self, verb: JobVerb, order: JobOrder, points: Points) -> None:
        raise RefusedError(
            f"writing set-points cannot be asked to {verb.value}", where=order.skill, mend="write other set-points instead"
        )

    def _values(self, order: JobOrder) -> dict[str, Any]:
        values = given_values([s.parameter for s in self._setpoints], order.parameters)
        if not values:
            raise RefusedError("no set-point was given", where=order.skill, mend="give at least one of its parameters")
        return values

    async def _confirmed(self, values: Mapping[str, Any], points: Points) -> JobOutcome:
        wanted = [s for s in self._setpoints if s.parameter.name in values]
        readings: dict[str, DataValue] = {}
        async with points.watch(list(dict.fromkeys(s.readback.address for s in wanted))) as changes:
            with anyio.move_on_after(self._within) as patience:
                async for address, reading in changes:
                    readings[address] = reading
                    if not _missing(wanted, values, readings):
                        break
                    lost = reading.status == BAD_NO_COMMUNICATION
                    patience.deadline = math.inf if lost else min(patience.deadline, anyio.current_time() + self._within)
        missing = _missing(wanted, values, readings)
        if missing:
            return self._late(missing, readings)
        return await with_results(JobOutcome(JobState.ENDED, JobSubstate.COMPLETED), self._points, points)

    def _late(self, missing: Sequence[Confirmed], readings: Mapping[str, DataValue]) -> JobOutcome:
        """A read-back that is Good says what is the case; one that is not leaves it Unknown."""
        said = []
        for setpoint in missing:
            reading = readings.get(setpoint.readback.address)
            if reading is None or not reading.is_good:
                status = "nothing" if reading is None else reading.status_name
                return unknown(f"the read-back of {setpoint.parameter.name} does not tell ({status})")
            said.append(f"{setpoint.parameter.name} reads {reading.value}")
        return JobOutcome(JobState.ABORTED, reason=f"not confirmed within {self._within:g} s: {', '.join(said)}")


def _missing(wanted: Sequence[Confirmed], values: Mapping[str, Any], readings: Mapping[str, DataValue]) -> list[Confirmed]:
    return [s for s in wanted if not s.holds(values[s.parameter.name], readings.get(s.readback.address))]
