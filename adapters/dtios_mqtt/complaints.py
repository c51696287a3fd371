"""What could not be understood: counted by machine and cause, and the last few kept to be looked at."""

from collections import Counter, deque
from dataclasses import dataclass
from typing import Final

__all__ = ["Complaint", "Complaints"]

_KEPT: Final = 20
_MOST: Final = 1_000
"""Different (machine, cause) pairs; further machines are counted together, so that a flood of topics cannot fill memory."""
_SHOWN: Final = 200


@dataclass(frozen=True, slots=True)
class Complaint:
    """One message that was not understood; of its payload the beginning."""

    machine: str
    cause: str
    topic: str
    payload: bytes
    time: int


class Complaints:
    """Lives as long as the connection object."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()
        self.last: deque[Complaint] = deque(maxlen=_KEPT)

    def add(self, machine: str, cause: str, topic: str, payload: bytes, time: int) -> None:
        key = (machine, cause)
        if key not in self.counts and len(self.counts) >= _MOST:
            key = ("others", cause if ("others", cause) in self.counts else "other causes")
        self.counts[key] += 1
        self.last.append(Complaint(machine, cause, topic[:_SHOWN], payload[:_SHOWN], time))
