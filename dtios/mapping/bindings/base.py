"""What every skill binding is: a way to run one skill over abstract points. It holds addresses, never state of a job."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, ClassVar

from dtios.mapping.points import Points
from dtios.model.job import JobIdentity, JobOrder, JobOutcome, JobState, JobSubstate, JobVerb

__all__ = ["Report", "SkillBinding"]

Report = Callable[[JobState, JobSubstate | None], Awaitable[None]]
"""A binding tells each state a job comes into; the final one it returns."""


class SkillBinding(ABC):
    """Runs jobs of one skill. One instance for each skill of a machine; methods may run for several jobs at once.

    `run` and `resume` raise RefusedError when the machine would not take the job (nothing was started), TemporaryError when
    it could not be asked (nothing was sent), OutcomeUnknown when nobody can tell. They never issue Clear, and Reset only
    where the profile says so.
    """

    name: ClassVar[str]
    identity: ClassVar[JobIdentity]

    @property
    def inferred_from(self) -> frozenset[str] | None:
        """With inferable identity: the addresses of the points that tell whether a job runs. Skills of a machine that share one
        run one job at a time. None: the state of the whole machine tells."""
        return None

    @property
    def updates_while_running(self) -> bool:
        """ISA-95 updates a job before it runs; some machines take more of the same job while it runs (VDA 5050, 6.6.4)."""
        return False

    @property
    @abstractmethod
    def verbs(self) -> frozenset[JobVerb]:
        """What can be asked of a job, given the methods and commands that this machine really has. START always."""

    @property
    @abstractmethod
    def parameters(self) -> Mapping[str, Any]:
        """JSON Schema of the parameters object, in the machine's units."""

    @property
    @abstractmethod
    def results(self) -> Mapping[str, Any]:
        """JSON Schema of the results object."""

    @abstractmethod
    async def run(self, order: JobOrder, points: Points, report: Report) -> JobOutcome:
        """Start the job, report its states, return when it is over (or Unknown)."""

    @abstractmethod
    async def resume(self, order: JobOrder, points: Points, report: Report) -> JobOutcome:
        """Find a job again that was started before (runtime or connection died) and follow it to its end, without ever
        starting it. Unknown where the machine cannot tell. A job the machine has certainly never seen is Aborted with the
        reason `never started`."""

    @abstractmethod
    async def command(self, verb: JobVerb, order: JobOrder, points: Points) -> None:
        """Ask a verb other than START of a job. Returns when the machine accepted; `run` reports the state that follows."""
