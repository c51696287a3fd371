"""Jobs: running a skill, in the words of ISA-95 job control (OPC 10031-4 v2), plus Unknown.

The transition table is data; `next_states` and `may` read it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

__all__ = [
    "FINAL_STATES",
    "TRANSITIONS",
    "JobIdentity",
    "JobOrder",
    "JobOutcome",
    "JobState",
    "JobSubstate",
    "JobVerb",
    "allowed_verbs",
    "next_states",
]


class JobVerb(StrEnum):
    """The methods of ISA95JobOrderReceiverObjectType that this runtime uses."""

    STORE = "store"
    START = "start"
    PAUSE = "pause"
    RESUME = "resume"
    STOP = "stop"
    ABORT = "abort"
    CANCEL = "cancel"
    UPDATE = "update"


class JobState(StrEnum):
    """OPC 10031-4, 6.2.2; Unknown is ours: the outcome cannot be told."""

    NOT_ALLOWED_TO_START = "NotAllowedToStart"
    ALLOWED_TO_START = "AllowedToStart"
    RUNNING = "Running"
    INTERRUPTED = "Interrupted"
    ENDED = "Ended"
    ABORTED = "Aborted"
    UNKNOWN = "Unknown"


class JobSubstate(StrEnum):
    WAITING = "Waiting"
    READY = "Ready"
    LOADED = "Loaded"
    HELD = "Held"
    SUSPENDED = "Suspended"
    COMPLETED = "Completed"
    CLOSED = "Closed"


FINAL_STATES: Final = frozenset({JobState.ENDED, JobState.ABORTED})

_S = JobState
_V = JobVerb

TRANSITIONS: Final[frozenset[tuple[JobState, JobVerb | None, JobState]]] = frozenset(
    {
        (_S.NOT_ALLOWED_TO_START, _V.START, _S.ALLOWED_TO_START),
        (_S.NOT_ALLOWED_TO_START, _V.UPDATE, _S.NOT_ALLOWED_TO_START),
        (_S.NOT_ALLOWED_TO_START, _V.ABORT, _S.ABORTED),
        (_S.ALLOWED_TO_START, None, _S.RUNNING),
        (_S.ALLOWED_TO_START, _V.UPDATE, _S.ALLOWED_TO_START),
        (_S.ALLOWED_TO_START, _V.ABORT, _S.ABORTED),
        (_S.RUNNING, _V.PAUSE, _S.INTERRUPTED),
        (_S.RUNNING, _V.STOP, _S.ENDED),
        (_S.RUNNING, _V.ABORT, _S.ABORTED),
        (_S.RUNNING, None, _S.ENDED),
        (_S.RUNNING, None, _S.INTERRUPTED),
        (_S.RUNNING, None, _S.ABORTED),
        (_S.INTERRUPTED, _V.RESUME, _S.RUNNING),
        (_S.INTERRUPTED, _V.STOP, _S.ENDED),
        (_S.INTERRUPTED, _V.ABORT, _S.ABORTED),
        (_S.INTERRUPTED, None, _S.RUNNING),
        (_S.INTERRUPTED, None, _S.ENDED),
        (_S.INTERRUPTED, None, _S.ABORTED),
    }
)
"""(from, verb, to); verb None is what the machine does by itself. Cancel takes a job that has not started off the list:
it has no state to go to, so `allowed_verbs` adds it. Any open state may become Unknown and Unknown any state (not listed)."""

_CANCELLABLE: Final = frozenset({_S.NOT_ALLOWED_TO_START, _S.ALLOWED_TO_START})


def next_states(state: JobState, verb: JobVerb | None) -> frozenset[JobState]:
    """Where `verb` (or, with None, the machine by itself) may lead from `state`; empty if the standard knows no such way."""
    return frozenset(to for at, by, to in TRANSITIONS if at is state and by is verb)


def allowed_verbs(state: JobState) -> frozenset[JobVerb]:
    """The verbs that the standard allows in `state`. In Unknown only stop and abort: they lead towards standing still."""
    if state is JobState.UNKNOWN:
        return frozenset({JobVerb.STOP, JobVerb.ABORT})
    verbs = {by for at, by, _ in TRANSITIONS if at is state and by is not None}
    return frozenset(verbs | ({JobVerb.CANCEL} if state in _CANCELLABLE else set()))


class JobIdentity(StrEnum):
    """Whether a job can be found again on its machine after a sudden end of the runtime."""

    NATIVE = "native"
    """The machine keeps the id (JobOrderID, VDA orderId)."""
    INFERABLE = "inferable"
    """The machine keeps no id, but its state tells whether the job can still be running."""
    NONE = "none"


@dataclass(frozen=True, slots=True)
class JobOrder:
    """What a binding is asked to run. `parameters` are in canonical units, validated against the skill's schema."""

    job: str
    machine: str
    skill: str
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class JobOutcome:
    """How a job ended: a final state or Unknown. `results` fit the skill's schema; `reason` is a sentence for a person."""

    state: JobState
    substate: JobSubstate | None = None
    results: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""
