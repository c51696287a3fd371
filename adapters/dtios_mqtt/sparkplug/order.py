"""Sequence numbers of one edge node, and the reorder timer (5.4, operational-behavior-host-reordering)."""

from collections.abc import Iterator
from typing import Final, Generic, TypeVar

__all__ = ["MOST_HELD", "Order"]

T = TypeVar("T")

MOST_HELD: Final = 64
"""Messages that wait for a missing one before it; more, and the missing one is given up."""


class Order(Generic[T]):
    """Gives messages out in the order of their numbers (0 to 255, then 0 again). `expected` None: no birth yet."""

    def __init__(self, patience: float) -> None:
        """`patience` seconds is how long a missing message is waited for."""
        self._patience = patience
        self._held: dict[int, T] = {}
        self._since: float | None = None
        self.expected: int | None = None

    def born(self, seq: int) -> None:
        """A birth begins anew."""
        self._held.clear()
        self._since = None
        self.expected = (seq + 1) % 256

    def died(self) -> None:
        """The node is gone: what still waited for something before it is of the past."""
        self._held.clear()
        self._since = None
        self.expected = None

    def waits(self, seq: int) -> bool:
        """A message with this number waits already."""
        return seq in self._held

    def take(self, seq: int, message: T, now: float) -> Iterator[T]:
        """The messages whose turn it is now, this one among them unless it must wait (`now`: monotonic seconds)."""
        if self.expected is None or seq != self.expected:
            if self.expected is not None and len(self._held) < MOST_HELD:
                self._held[seq] = message
                self._since = now if self._since is None else self._since
            return
        yield message
        self.expected = (seq + 1) % 256
        yield from self._ready()

    def _ready(self) -> Iterator[T]:
        while self.expected in self._held:
            yield self._held.pop(self.expected)
            self.expected = (self.expected + 1) % 256
        if not self._held:
            self._since = None

    @property
    def holds(self) -> bool:
        """Messages wait for a missing one."""
        return bool(self._held)

    def is_overdue(self, now: float) -> bool:
        """A message is missing, and was waited for long enough."""
        return self._since is not None and (now - self._since >= self._patience or len(self._held) >= MOST_HELD)

    def give_up(self) -> Iterator[T]:
        """What waited, in order; what was missing is lost."""
        assert self.expected is not None
        while self._held:
            nearest = min(self._held, key=lambda seq: (seq - self.expected) % 256)  # type: ignore[operator]  # set by born
            yield self._held.pop(nearest)
            self.expected = (nearest + 1) % 256
        self._since = None
