"""Promise 1 in figures: what one consumer received of each signal, and what became of it.

Counting costs a few additions for each batch and nothing for each value. How many values of a signal were received is the
difference of the router's sequence numbers; where values leave a queue in the order in which they came, those that were neither
dropped nor are pending were delivered. That the figures agree is no tautology: rows are counted on the consumer's side as well,
and `Tally.balanced` holds the two against each other.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dtios.model.batch import Batch

__all__ = ["Account", "Tally", "counted"]


@dataclass(slots=True, frozen=True)
class Account:
    """Promise 1 for one signal and consumer, in values."""

    received: int = 0
    delivered: int = 0
    conflated: int = 0
    dropped: int = 0
    pending: int = 0

    @property
    def balanced(self) -> bool:
        parts = (self.delivered, self.conflated, self.dropped, self.pending)
        return self.received == sum(parts) and min(parts) >= 0

    def __add__(self, other: "Account") -> "Account":
        return Account(
            self.received + other.received,
            self.delivered + other.delivered,
            self.conflated + other.conflated,
            self.dropped + other.dropped,
            self.pending + other.pending,
        )


def counted(batch: Batch) -> list[int]:
    """The handles of rows that count: those with a sequence number."""
    if not batch.sequences:
        return []
    if 0 in batch.sequences:
        return [h for h, n in zip(batch.handles, batch.sequences, strict=True) if n]
    return batch.handles


class Tally:
    """The counts of one consumer's stream. `latest`: values are conflated, so that what was delivered is counted by signal."""

    def __init__(self, latest: bool) -> None:
        self._latest = latest
        self._numbers: Mapping[int, int] = {}
        self._first: dict[int, int] = {}
        self._final: dict[int, int] = {}
        self._delivered: Counter[int] = Counter()
        self._dropped: Counter[int] = Counter()
        self._rows_in = self._rows_delivered = self._rows_conflated = self._rows_dropped = 0

    # --- which signals, from when to when ---

    def begin(self, numbers: Mapping[int, int], handles: Iterable[int]) -> None:
        """`numbers` are the router's, of the last value of each signal; what comes from now on is this consumer's."""
        self._numbers = numbers
        self.follow(handles)

    def follow(self, handles: Iterable[int]) -> None:
        """These signals as well."""
        for handle in handles:
            if handle not in self._first:
                self._first[handle] = self._numbers.get(handle, 0)

    def end(self, handles: Iterable[int]) -> None:
        """Nothing more comes of these."""
        for handle in handles:
            if handle in self._first:
                self._final.setdefault(handle, self._numbers.get(handle, self._first[handle]))

    # --- what passes ---

    def take_in(self, batch: Batch) -> None:
        self._rows_in += len(batch.handles)

    def conflate(self, rows: int) -> None:
        self._rows_conflated += rows

    def drop(self, handles: list[int]) -> None:
        self._rows_dropped += len(handles)
        self._dropped.update(handles)

    def deliver(self, batch: Batch) -> None:
        """Rows that a handler has taken."""
        if self._latest:
            handles = counted(batch)
            self._rows_delivered += len(handles)
            self._delivered.update(handles)
        elif batch.sequences:
            self._rows_delivered += len(batch.handles)

    # --- the account ---

    def received(self, handle: int) -> int:
        first = self._first.get(handle, 0)
        return self._final.get(handle, self._numbers.get(handle, first)) - first

    def dropped(self, handle: int) -> int:
        return self._dropped[handle]

    def account(self, handle: int, pending: int) -> Account:
        received, dropped = self.received(handle), self._dropped[handle]
        if not self._latest:
            return Account(received, received - dropped - pending, 0, dropped, pending)
        delivered = self._delivered[handle]
        return Account(received, delivered, received - delivered - dropped - pending, dropped, pending)

    def balanced(self, pending: Mapping[int, int]) -> bool:
        """Whether the router's numbers, the rows that passed and those that are pending agree."""
        rows = self._rows_delivered + self._rows_conflated + self._rows_dropped + sum(pending.values())
        return rows == self._rows_in == sum(map(self.received, self._first))
