"""PackML (ISA-TR88.00.02, OPC 30050): states, commands and their transitions, as data."""

from enum import IntEnum, StrEnum
from typing import Final

__all__ = ["ACTING", "TRANSITIONS", "PackMLCommand", "PackMLState", "UnitMode", "allowed_commands", "next_state"]


class PackMLState(IntEnum):
    """The numbers are those of ISA-TR88.00.02, as in Status.StateCurrent."""

    Clearing = 1
    Stopped = 2
    Starting = 3
    Idle = 4
    Suspended = 5
    Execute = 6
    Stopping = 7
    Aborting = 8
    Aborted = 9
    Holding = 10
    Held = 11
    Unholding = 12
    Suspending = 13
    Unsuspending = 14
    Resetting = 15
    Completing = 16
    Complete = 17


class UnitMode(IntEnum):
    Invalid = 0
    Produce = 1
    Maintenance = 2
    Manual = 3


class PackMLCommand(StrEnum):
    """The methods of the state machines of OPC 30050."""

    RESET = "Reset"
    START = "Start"
    STOP = "Stop"
    HOLD = "Hold"
    UNHOLD = "Unhold"
    SUSPEND = "Suspend"
    UNSUSPEND = "Unsuspend"
    ABORT = "Abort"
    CLEAR = "Clear"
    TO_COMPLETE = "ToComplete"


_S = PackMLState
_C = PackMLCommand

_RUNNING: Final = (
    _S.Resetting, _S.Idle, _S.Starting, _S.Execute, _S.Completing, _S.Complete, _S.Holding, _S.Held, _S.Unholding,
    _S.Suspending, _S.Suspended, _S.Unsuspending,
)  # fmt: skip
_CLEARED: Final = (*_RUNNING, _S.Stopping, _S.Stopped, _S.Clearing)

ACTING: Final[dict[PackMLState, PackMLState]] = {
    _S.Clearing: _S.Stopped,
    _S.Resetting: _S.Idle,
    _S.Starting: _S.Execute,
    _S.Execute: _S.Completing,
    _S.Completing: _S.Complete,
    _S.Holding: _S.Held,
    _S.Unholding: _S.Execute,
    _S.Suspending: _S.Suspended,
    _S.Unsuspending: _S.Execute,
    _S.Stopping: _S.Stopped,
    _S.Aborting: _S.Aborted,
}
"""Acting states and where they lead by themselves, when what they do is done (State Complete)."""

TRANSITIONS: Final[dict[tuple[PackMLState, PackMLCommand], PackMLState]] = {
    (_S.Idle, _C.START): _S.Starting,
    (_S.Execute, _C.TO_COMPLETE): _S.Completing,
    (_S.Complete, _C.RESET): _S.Resetting,
    (_S.Stopped, _C.RESET): _S.Resetting,
    **{
        (state, _C.HOLD): _S.Holding
        for state in (_S.Execute, _S.Starting, _S.Suspending, _S.Suspended, _S.Unsuspending, _S.Unholding)
    },
    (_S.Held, _C.UNHOLD): _S.Unholding,
    (_S.Execute, _C.SUSPEND): _S.Suspending,
    (_S.Suspended, _C.UNSUSPEND): _S.Unsuspending,
    **{(state, _C.STOP): _S.Stopping for state in _RUNNING},
    **{(state, _C.ABORT): _S.Aborting for state in _CLEARED},
    (_S.Aborted, _C.CLEAR): _S.Clearing,
}
"""(state, command) -> state; a pair that is missing is refused."""


def next_state(state: PackMLState, command: PackMLCommand) -> PackMLState | None:
    """Where `command` leads from `state`, None if PackML knows no such way."""
    return TRANSITIONS.get((state, command))


def allowed_commands(state: PackMLState) -> frozenset[PackMLCommand]:
    return frozenset(command for at, command in TRANSITIONS if at is state)
