"""A station that works on one part at a time, by jobs."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from dtios_cell.plant.housing import Housing
from dtios_cell.plant.station import Refused, Station, Surroundings

__all__ = ["Job", "JobState", "Worker"]

_KEPT: Final = 1000
"""Jobs that a station remembers; the oldest go first."""


class JobState(StrEnum):
    RUNNING = "Running"
    ENDED = "Ended"
    ABORTED = "Aborted"


@dataclass(slots=True)
class Job:
    """`result` is what the station itself knows of it when it has ended; `reason` why it did not."""

    id: str
    serial: str
    state: JobState = JobState.RUNNING
    result: dict[str, object] = field(default_factory=dict)
    reason: str = ""


class Worker(Station):
    """`part`: what lies in it. The same job id is the same job: a station that has it does not do it again."""

    def __init__(self, name: str, around: Surroundings) -> None:
        super().__init__(name, around)
        self.part: Housing | None = None
        self.jobs: dict[str, Job] = {}
        self.changed: list[Callable[[Job], None]] = []
        self._job: Job | None = None
        self.down = ""
        """Why it does not work until somebody resets it."""

    @property
    def job(self) -> Job | None:
        """The one that runs."""
        return self._job

    def load(self, part: Housing) -> None:
        """Raises Refused where something lies in it, or it is at work."""
        if self.part is not None or self.is_busy:
            raise Refused(f"{self.name} has a part in it already" if self.part is not None else f"{self.name} is busy")
        self.part = part
        self.tell("Part/Present", True)

    def unload(self) -> Housing:
        """Raises Refused where nothing lies in it, or it is at work."""
        part = self._part_for_work()
        self.part = None
        self.tell("Part/Present", False)
        return part

    def run(self, job_id: str, seconds: float, watts: float, finish: Callable[[Housing], dict[str, object]]) -> Job:
        """Start a job on the part that lies in it; `finish` makes it true and says what the station knows of it. A job that it
        has already is not done again. Raises Refused: nothing in it, busy, down."""
        if job_id in self.jobs:
            return self.jobs[job_id]
        part = self._part_for_work()
        if self.down:
            raise Refused(f"{self.name} is down: {self.down}")
        job = Job(job_id, part.serial)

        def over() -> None:
            job.result = finish(part)
            self._ended(JobState.ABORTED if self.down else JobState.ENDED, self.down)

        self.begin(seconds, watts, over)
        self._job = self.jobs[job_id] = job
        while len(self.jobs) > _KEPT:
            del self.jobs[next(iter(self.jobs))]
        self._say(job)
        return job

    def abort(self, reason: str = "aborted") -> None:
        """Break off what it does; the part is scrap. Nothing happens where it does nothing."""
        if self.break_off():
            assert self.part is not None
            self.part.scrapped = f"{self.name}: {reason}"
            self._ended(JobState.ABORTED, reason)

    def reset(self) -> None:
        """It works again. Raises Refused while what put it out of work is not mended."""
        self.down = ""
        self.tell("State", "Idle")

    def _ended(self, state: JobState, reason: str) -> None:
        job, self._job = self._job, None
        assert job is not None
        job.state, job.reason = state, reason
        self._say(job)

    def _say(self, job: Job) -> None:
        self.write_down("job", job=job.id, serial=job.serial, state=job.state.value, reason=job.reason)
        self.tell("State", "Execute" if job.state is JobState.RUNNING else self.down or "Idle")
        for listener in self.changed:
            listener(job)

    def _part_for_work(self) -> Housing:
        if self.is_busy:
            raise Refused(f"{self.name} is busy")
        if self.part is None:
            raise Refused(f"there is no part in {self.name}")
        return self.part
