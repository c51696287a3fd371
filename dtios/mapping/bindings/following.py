"""Following one run of a state machine to its end, by the states that the machine tells: PackML, programs, skills."""

import math
from collections.abc import AsyncIterator, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

import anyio

from dtios.mapping.bindings.base import Report
from dtios.mapping.points import Change
from dtios.model.job import JobOutcome, JobState, JobSubstate
from dtios.model.status import BAD_NO_COMMUNICATION
from dtios.model.values import DataValue

__all__ = ["Ended", "Meaning", "Reader", "first_state", "follow", "unknown"]

S = TypeVar("S", bound=Hashable)
S_co = TypeVar("S_co", bound=Hashable, covariant=True)
Ended = tuple[JobState, JobSubstate | None]


class Reader(Protocol[S_co]):
    """Tells the state from the readings that it was given; None while they do not tell."""

    @property
    def state(self) -> S_co | None: ...

    @property
    def shown(self) -> str:
        """What the machine says of its state, for a sentence."""
        ...

    def take(self, address: str, reading: DataValue) -> None: ...


@dataclass(frozen=True, slots=True)
class Meaning(Generic[S]):
    """What each state says of the job. `idle` is where a start is taken; `ending` leads to an end; in `passed` no job runs any
    more, and they do not say how it ended. `returned`: what it means that a run which was watched all the time is in `idle`
    again, where the machine has no state for a completed run. `unit` is what the machine is called in a sentence.
    """

    idle: S
    open: Mapping[S, Ended]
    final: Mapping[S, Ended]
    ending: frozenset[S] = frozenset()
    passed: frozenset[S] = frozenset()
    returned: Ended | None = None
    unit: str = "unit"
    reasons: Mapping[S, str] = field(default_factory=dict)
    """Why it ended so, for final states that need a word."""


def unknown(reason: str) -> JobOutcome:
    return JobOutcome(JobState.UNKNOWN, reason=reason)


async def first_state(reader: Reader[S], changes: AsyncIterator[Change], appear: float) -> bool:
    """Take changes until they tell a state; False if they do not within `appear` seconds of a connection."""
    with anyio.move_on_after(appear) as patience:
        async for address, reading in changes:
            reader.take(address, reading)
            if reader.state is not None:
                return True
            lost = reading.status == BAD_NO_COMMUNICATION
            patience.deadline = math.inf if lost else min(patience.deadline, anyio.current_time() + appear)
    return False


async def follow(
    meaning: Meaning[S], reader: Reader[S], changes: AsyncIterator[Change], report: Report, appear: float
) -> JobOutcome:
    """Until the run is over; its results are not yet in the outcome. `appear`: seconds within which a started run must show.

    A state that cannot be told (connection lost, a number nobody named) is waited out.
    """
    run = _Run(meaning, report)
    with anyio.move_on_after(appear) as appearing:
        done = await run.take(reader.state)
        while not done:
            if run.begun:
                appearing.deadline = math.inf
            try:
                address, reading = await anext(changes)
            except StopAsyncIteration:
                return unknown("the machine stopped telling its state")
            reader.take(address, reading)
            if reader.state is None and not reading.is_good:
                run.lost = True
                if reading.status == BAD_NO_COMMUNICATION:
                    appearing.deadline = math.inf
            if reading.status != BAD_NO_COMMUNICATION:  # late only while there is a connection to hear it on
                appearing.deadline = min(appearing.deadline, anyio.current_time() + appear)
            done = await run.take(reader.state)
    if run.ended is not None:
        return JobOutcome(*run.ended, reason=run.reason)
    idle = meaning.idle
    shown = f"never left {_name(idle)}" if reader.state == idle else f"does not tell its state ({reader.shown})"
    return unknown(run.reason or f"the {meaning.unit} took Start, but {shown}")


class _Run(Generic[S]):
    """One run as its states tell it."""

    def __init__(self, meaning: Meaning[S], report: Report) -> None:
        self._meaning = meaning
        self._report = report
        self._told: Ended | None = None
        self.begun = False
        self.lost = False
        self.ended: Ended | None = None
        self.reason = ""

    async def take(self, state: S | None) -> bool:
        """True when it is over."""
        meaning = self._meaning
        if state is None or (state == meaning.idle and not self.begun and not self.lost):
            return False
        if state == meaning.idle and self.begun and not self.lost and meaning.returned is not None:
            self.ended = meaning.returned
            return True
        if state in meaning.passed or state == meaning.idle:
            self.reason = f"the {meaning.unit} is in {_name(state)} again, and the end of the job was not seen"
            return True
        self.begun = True
        if state in meaning.final:
            self.ended = meaning.final[state]
            self.reason = meaning.reasons.get(state, "")
            return True
        self.lost = False
        if state not in meaning.ending and meaning.open[state] != self._told:
            self._told = meaning.open[state]
            await self._report(*self._told)
        return False


def _name(state: Hashable) -> str:
    return str(getattr(state, "name", state))
