"""Skills of the Smart Machine Interface (OpenSMI, namespace http://smartfactory.de/UA/MachineSet): ten states, and four methods.

Start leads from Ready to Running, and from Suspended back to it. A finite skill comes to Completed, a continuous one runs until
it is halted. Halted is the state after Halt and after a failure alike.
"""

from collections.abc import Collection
from typing import ClassVar, Final

from dtios.mapping.bindings.following import Meaning
from dtios.mapping.bindings.state_machine import Kind, StateMachineBinding, StateMachineNodes, Step
from dtios.model.job import JobState, JobSubstate, JobVerb

__all__ = ["OPENSMI_RESETS", "OpenSMIBinding"]

_NUMBERS: Final = {
    "Halted": 11, "Ready": 12, "Running": 13, "Suspended": 14, "Completed": 15, "Starting": 16, "Halting": 17, "Completing": 18,
    "Resetting": 19, "Suspending": 20,
}  # fmt: skip
OPENSMI_RESETS: Final = frozenset({"Halted", "Completed"})
"""Reset leads to Ready from here, with no job under way."""

_BUSY: Final = (JobState.RUNNING, None)
_MEANING: Final = Meaning(
    idle="Ready",
    open={
        **dict.fromkeys(("Starting", "Running", "Completing", "Suspending"), _BUSY),
        "Suspended": (JobState.INTERRUPTED, JobSubstate.SUSPENDED),
    },
    final={"Completed": (JobState.ENDED, JobSubstate.COMPLETED), "Halted": (JobState.ABORTED, None)},
    ending=frozenset({"Halting"}),
    passed=frozenset({"Resetting"}),
    unit="skill",
    reasons={"Halted": "the skill was halted, or failed"},
)
_KIND: Final = Kind(
    {**{n: name for name, n in _NUMBERS.items()}, **{n: n for n in _NUMBERS}, **{n.lower(): n for n in _NUMBERS}},
    _MEANING,
    {
        JobVerb.PAUSE: Step("Suspend", frozenset({"Running"}), frozenset({"Suspending", "Suspended"})),
        JobVerb.RESUME: Step("Start", frozenset({"Suspended"}), frozenset({"Starting", "Running"})),
        JobVerb.ABORT: Step(
            "Halt",
            frozenset({"Resetting", "Ready", "Starting", "Running", "Completed", "Suspended", "Suspending", "Completing"}),
            frozenset({"Halting", "Halted"}),
        ),
    },
    OPENSMI_RESETS,
)


class OpenSMIBinding(StateMachineBinding):
    """Verbs are those whose methods the skill has: one that cannot be suspended has no Suspend. Without it there is nothing to
    resume either, though it has Start."""

    name: ClassVar[str] = "opensmi"

    def __init__(self, nodes: StateMachineNodes, *, reset_before_start: Collection[str] = ()) -> None:
        super().__init__(_KIND, nodes, reset_from=frozenset(reset_before_start))

    @property
    def verbs(self) -> frozenset[JobVerb]:
        verbs = super().verbs
        return verbs if JobVerb.PAUSE in verbs else verbs - {JobVerb.RESUME}
