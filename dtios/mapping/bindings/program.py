"""OPC UA programs (Part 10): Ready, Running, Suspended, Halted, and the methods that lead from one to another."""

from dataclasses import replace
from typing import ClassVar, Final

from dtios.mapping.bindings.following import Meaning
from dtios.mapping.bindings.state_machine import Kind, StateMachineBinding, StateMachineNodes, Step
from dtios.model.job import JobState, JobSubstate, JobVerb

__all__ = ["ProgramBinding"]

_HALTED, _READY, _RUNNING, _SUSPENDED = "Halted", "Ready", "Running", "Suspended"
_RUNS: Final = frozenset({_RUNNING, _SUSPENDED})

_STATES: Final[dict[int | str, str]] = {
    11: _HALTED, 12: _READY, 13: _RUNNING, 14: _SUSPENDED,
    "i=2406": _HALTED, "i=2400": _READY, "i=2402": _RUNNING, "i=2404": _SUSPENDED,
    **{name: name for name in (_HALTED, _READY, _RUNNING, _SUSPENDED)},
    **{name.lower(): name for name in (_HALTED, _READY, _RUNNING, _SUSPENDED)},
}  # fmt: skip
"""StateNumber (Part 10, 5.2.3), the NodeIds of the type's states, and their names."""

_MEANING: Final = Meaning(
    idle=_READY,
    open={_RUNNING: (JobState.RUNNING, None), _SUSPENDED: (JobState.INTERRUPTED, JobSubstate.SUSPENDED)},
    final={_HALTED: (JobState.ABORTED, None)},
    returned=(JobState.ENDED, JobSubstate.COMPLETED),
    unit="program",
    reasons={_HALTED: "the program was halted, or failed"},
)
"""A program that has run to its end is Ready again (RunningToReady). Halted is its state after Halt and after a failure alike."""

_HALT: Final = Step("Halt", _RUNS | {_READY}, frozenset({_HALTED}))
_STEPS: Final = {
    JobVerb.PAUSE: Step("Suspend", frozenset({_RUNNING}), frozenset({_SUSPENDED})),
    JobVerb.RESUME: Step("Resume", frozenset({_SUSPENDED}), frozenset({_RUNNING})),
}
_KIND: Final = Kind(_STATES, _MEANING, {**_STEPS, JobVerb.ABORT: _HALT}, frozenset({_HALTED}))
_ENDS_HALTED: Final = Kind(
    _STATES,
    replace(
        _MEANING,
        final={_HALTED: (JobState.ENDED, None)},
        reasons={_HALTED: "the program is Halted, which does not say whether it was completed"},
    ),
    {**_STEPS, JobVerb.STOP: _HALT},
    frozenset({_HALTED}),
)


class ProgramBinding(StateMachineBinding):
    """`ends_halted`: this program comes to Halted when it is through, too. Then Halt cannot be told from a good end: it is a
    stop, and no abort."""

    name: ClassVar[str] = "program"

    def __init__(self, nodes: StateMachineNodes, *, reset_before_start: bool = False, ends_halted: bool = False) -> None:
        reset_from = frozenset({_HALTED}) if reset_before_start else frozenset[str]()
        super().__init__(_ENDS_HALTED if ends_halted else _KIND, nodes, reset_from=reset_from)
