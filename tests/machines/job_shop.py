"""What a job order receiver does with its orders (OPC 10031-4 v2), without any protocol."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import IntFlag
from typing import Any, Final

__all__ = ["MOVES", "STATES", "SUBSTATES", "Job", "JobShop", "Return"]


class Return(IntFlag):
    """Annex B.2: the bits of ReturnStatus."""

    NO_ERROR = 1 << 0
    UNKNOWN_JOB_ORDER = 1 << 1
    INVALID_STATUS = 1 << 3
    NOT_ACCEPTED = 1 << 4
    INVALID_REQUEST = 1 << 32


STATES: Final = {"NotAllowedToStart": 1, "AllowedToStart": 2, "Running": 3, "Interrupted": 4, "Ended": 5, "Aborted": 6}
SUBSTATES: Final = {"Waiting": 1, "Ready": 2, "Loaded": 3, "Held": 1, "Suspended": 2, "Completed": 1, "Closed": 2}
_OPEN: Final = ("NotAllowedToStart", "AllowedToStart", "Running", "Interrupted")

MOVES: Final[dict[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "Start": (("NotAllowedToStart",), ("AllowedToStart", "Ready")),
    "RevokeStart": (("AllowedToStart",), ("NotAllowedToStart", "Ready")),
    "Pause": (("Running",), ("Interrupted", "Held")),
    "Resume": (("Interrupted",), ("Running",)),
    "Stop": (("Running", "Interrupted"), ("Ended", "Closed")),
    "Abort": (_OPEN, ("Aborted",)),
}
"""Method -> (states it is taken in, state and substate it leads to)."""

_REMOVALS: Final = {"Cancel": ("NotAllowedToStart", "AllowedToStart"), "Clear": ("Ended", "Aborted")}


@dataclass
class Job:
    """`order` is the protocol's own; `parameters`: Count, Duration (s), Fail."""

    id: str
    order: Any
    parameters: dict[str, Any]
    state: tuple[str, ...]
    worked: float = 0.0
    waited: float = 0.0
    started: datetime | None = None
    ended: datetime | None = None

    @property
    def made(self) -> int:
        """Pieces made so far: a share of Count by the share of Duration worked."""
        count, duration = int(self.parameters.get("Count", 1)), self._duration()
        return count if self.state == ("Ended", "Completed") else min(count, int(count * self.worked / duration))

    def _duration(self) -> float:
        return max(float(self.parameters.get("Duration", 0.3)), 1e-3)

    def work(self, seconds: float) -> tuple[str, ...] | None:
        """The state it comes into by itself, if it does."""
        if self.state[0] == "AllowedToStart":
            self.waited += seconds
            return ("Running",) if self.waited >= 0.05 else None
        if self.state[0] != "Running":
            return None
        self.worked += seconds
        if self.worked < self._duration():
            return None
        return ("Aborted",) if self.parameters.get("Fail") else ("Ended", "Completed")


@dataclass
class JobShop:
    """`limit`: MaxDownloadableJobOrders. `entered` hears of each state that a job comes into."""

    limit: int = 8
    entered: Callable[[Job], None] = lambda job: None
    jobs: dict[str, Job] = field(default_factory=dict)

    def store(self, id: str, order: Any, parameters: dict[str, Any], start: bool) -> Return:
        if not id:
            return Return.INVALID_REQUEST
        if id in self.jobs or len(self.jobs) >= self.limit:
            return Return.NOT_ACCEPTED
        self.jobs[id] = Job(id, order, parameters, ())
        self._enter(self.jobs[id], ("AllowedToStart" if start else "NotAllowedToStart", "Ready"))
        return Return.NO_ERROR

    def update(self, id: str, order: Any, parameters: dict[str, Any]) -> Return:
        code = self._check(id, ("NotAllowedToStart", "AllowedToStart"))
        if code is Return.NO_ERROR:
            self.jobs[id].order, self.jobs[id].parameters = order, parameters
        return code

    def command(self, method: str, id: str) -> Return:
        """One of MOVES, Cancel or Clear."""
        if method in _REMOVALS:
            code = self._check(id, _REMOVALS[method])
            if code is Return.NO_ERROR:
                del self.jobs[id]
            return code
        allowed, to = MOVES[method]
        code = self._check(id, allowed)
        if code is Return.NO_ERROR:
            self._enter(self.jobs[id], to)
        return code

    def advance(self, seconds: float) -> bool:
        """Lets time pass; whether a state changed."""
        moves = [(job, job.work(seconds)) for job in self.jobs.values()]
        for job, state in moves:
            if state:
                self._enter(job, state)
        return any(state for _, state in moves)

    def _check(self, id: str, allowed: tuple[str, ...]) -> Return:
        job = self.jobs.get(id)
        if job is None:
            return Return.UNKNOWN_JOB_ORDER
        return Return.NO_ERROR if job.state[0] in allowed else Return.INVALID_STATUS

    def _enter(self, job: Job, state: tuple[str, ...]) -> None:
        job.state = state
        if state[0] == "AllowedToStart":
            job.waited = 0.0
        if state[0] == "Running":
            job.started = job.started or datetime.now(UTC)
        if state[0] in ("Ended", "Aborted"):
            job.ended = datetime.now(UTC)
        self.entered(job)
