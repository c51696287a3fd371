"""Values that know who they are, and a receiver that reckons with them."""

from collections import defaultdict
from collections.abc import Iterable
from itertools import count

from dtios.model.batch import Batch
from dtios.model.gap import Gap, GapCause
from dtios.sdk.delivery import Delivery
from dtios.sdk.forwarding import Parcel

__all__ = ["SECOND", "Receiver", "Sender", "Turned"]

SECOND = 10**9


class Turned:
    """A clock that the test turns."""

    def __init__(self) -> None:
        self.time = 1_000 * SECOND

    def now(self) -> int:
        return self.time

    def monotonic(self) -> float:
        return self.time / SECOND

    async def sleep(self, seconds: float) -> None:
        raise NotImplementedError


class Sender:
    """A machine with two signals. Each value is a number of its own, and its times are that number."""

    def __init__(self, machine: str = "m") -> None:
        self.machine = machine
        self.paths = {1: "a", 2: "b"}
        self.sent: dict[str, list[int]] = {"a": [], "b": []}
        self._numbers = count(1)

    def delivery(self, values: int, *gaps: tuple[str, Gap], text: str = "") -> Delivery:
        number = next(self._numbers)
        handles = [1 + row % 2 for row in range(values)]
        for handle in handles:
            self.sent[self.paths[handle]].append(number)
        times = [number] * values
        column = [text or number for _ in range(values)]
        batch = Batch(handles, column, [0] * values, times, times, number, 1, times) if values else None
        return Delivery(self.machine, list(gaps), batch, self.paths)


class Receiver:
    """Keeps what it was given, once, by (epoch, sequence). Raises AssertionError where one number stands for two things."""

    def __init__(self) -> None:
        self.values: dict[tuple[int, int], tuple[str, str, int]] = {}
        self.gaps: list[tuple[str, str, Gap]] = []
        self.doubles = 0

    def take(self, parcels: Iterable[Parcel]) -> None:
        for parcel in parcels:
            for sequence, delivery in parcel.numbered():
                self.gaps += [(parcel.machine, path, gap) for path, gap in delivery.gaps]
                for offset, (handle, row) in enumerate(delivery.batch.rows() if delivery.batch is not None else ()):
                    assert row.receive_time is not None
                    what = (parcel.machine, delivery.paths[handle], row.receive_time)
                    key = (parcel.epoch, sequence + offset)
                    assert self.values.setdefault(key, what) == what
                    self.doubles += self.values[key] is not what

    def came(self, machine: str) -> dict[str, set[int]]:
        found: dict[str, set[int]] = defaultdict(set)
        for _machine, path, number in self.values.values():
            if _machine == machine:
                found[path].add(number)
        return found

    def lost(self, machine: str, path: str) -> list[Gap]:
        return [gap for m, p, gap in self.gaps if (m, p) == (machine, path) and gap.cause is GapCause.STORE_OVERFLOW]

    def missing(self, sender: Sender) -> list[tuple[str, int]]:
        """What neither came nor lies in a Gap."""
        found: list[tuple[str, int]] = []
        came = self.came(sender.machine)
        for path, numbers in sender.sent.items():
            spans = [(gap.receive_from or 0, gap.receive_to or 0) for gap in self.lost(sender.machine, path)]
            absent = (number for number in numbers if number not in came[path])
            found += [(path, number) for number in absent if not any(low <= number <= high for low, high in spans)]
        return found
