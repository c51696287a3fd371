"""What could not be understood: counted by machine and cause, and the last few kept to be looked at."""

from collections import Counter, deque
from dataclasses import dataclass
from typing import Final

from dtios.sdk.adapter import Complaint

__all__ = ["Complaints", "Unheard"]

_KEPT: Final = 20
_ALIKE: Final = 3
"""Of one machine and cause, so that a frequent one does not push out the others."""
_MOST: Final = 1_000
"""Different (machine, cause) pairs; further machines are counted together, so that a flood of topics cannot fill memory."""
_SHOWN: Final = 200
"""Characters of a machine's name, a cause and a topic, and bytes of a payload."""


@dataclass(frozen=True, slots=True)
class Unheard:
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
        self.last: deque[Unheard] = deque(maxlen=_KEPT)

    def add(self, machine: str, cause: str, topic: str, payload: bytes, time: int) -> None:
        machine, cause = machine[:_SHOWN], cause[:_SHOWN]
        key = (machine, cause)
        if key not in self.counts and len(self.counts) >= _MOST:
            key = ("others", cause if ("others", cause) in self.counts else "other causes")
        self.counts[key] += 1
        alike = [one for one in self.last if one.machine == machine and one.cause == cause]
        if len(alike) >= _ALIKE:
            self.last.remove(alike[0])
        self.last.append(Unheard(machine, cause, topic[:_SHOWN], payload[:_SHOWN], time))

    def told(self) -> list[Complaint]:
        """The most frequent first."""
        return [
            Complaint(
                machine,
                cause,
                count,
                tuple((one.topic, one.payload, one.time) for one in self.last if (one.machine, one.cause) == (machine, cause)),
            )
            for (machine, cause), count in self.counts.most_common()
        ]
