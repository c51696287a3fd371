"""The sequence numbers of one subscription's messages (Part 4, 5.14.1.1): what is new, what is missing, what came before."""

from collections import OrderedDict
from collections.abc import Iterable
from enum import Enum, auto
from typing import Any, Final

__all__ = ["Arrival", "Numbering", "after"]

_REMEMBERED: Final = 128
_HALF: Final = 2**31


class Arrival(Enum):
    """`AHEAD`: others are missing before it. `RESET`: the server numbers anew, and what it sent meanwhile nobody can tell."""

    NEXT = auto()
    AHEAD = auto()
    REPEATED = auto()
    RESET = auto()


class Numbering:
    """`expected` is the number of the next message, from 1."""

    def __init__(self) -> None:
        self.expected = 1
        self._seen: OrderedDict[int, int | None] = OrderedDict()  # number -> hash of its content, None: given up

    def judge(self, number: int, content: Iterable[Any]) -> Arrival:
        """TCP repeats nothing, but servers do; one that begins to count anew must not be taken for one that repeats."""
        ahead = (number - self.expected) % 2**32
        if ahead == 0:
            return Arrival.NEXT
        if ahead < _HALF:
            return Arrival.AHEAD
        if number not in self._seen:
            return Arrival.RESET
        known = self._seen[number]
        return Arrival.REPEATED if known is None or known == hash(tuple(content)) else Arrival.RESET

    def missing(self, number: int) -> int:
        """How many are missing before this one; 0 for one that is not ahead."""
        ahead = (number - self.expected) % 2**32
        return ahead if ahead < _HALF else 0

    def took(self, number: int, content: Iterable[Any] | None) -> None:
        """It was delivered, or (None) given up: if it comes after all, it is too late."""
        self._seen[number] = None if content is None else hash(tuple(content))
        if len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        self.expected = after(number)

    def restart(self, number: int) -> None:
        """The server numbers anew, and this one comes next."""
        self._seen.clear()
        self.expected = number


def after(sequence: int, step: int = 1) -> int:
    """Sequence numbers go from 4294967295 to 1 (Part 4, 7.27)."""
    return (sequence + step - 1) % 0xFFFFFFFF + 1
