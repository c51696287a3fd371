"""What the recorder wrote down, read as it grows: a stream of numbers and Gaps for each signal, through all its lives."""

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from dtios.model.gap import Gap
from dtios.model.status import is_good

__all__ = ["Key", "Stream", "Told"]

Key = tuple[str, str]
"""(machine, signal)."""


@dataclass(slots=True)
class Stream:
    """Good values in the order in which they came; `gaps` are (how many values came before it, Gap). `doubles` were dropped
    because their identity, (epoch, sequence), was known already."""

    numbers: "array[int]" = field(default_factory=lambda: array("q"))
    received: "array[int]" = field(default_factory=lambda: array("q"))
    gaps: list[tuple[int, Gap]] = field(default_factory=list)
    doubles: int = 0
    last: tuple[int, int] = (0, 0)

    def value(self, number: int, received: int, identity: tuple[int, int]) -> None:
        if identity <= self.last:
            self.doubles += 1
            return
        self.last = identity
        self.numbers.append(number)
        self.received.append(received)

    def gap(self, gap: Gap) -> None:
        self.gaps.append((len(self.numbers), gap))


class Told:
    """`read` takes what is new in the recorder's folder."""

    def __init__(self, folder: Path) -> None:
        self.streams: dict[Key, Stream] = {}
        self._folder = folder
        self._read: dict[Path, int] = {}

    def read(self) -> None:
        for path in sorted(self._folder.glob("*.jsonl")):
            for line in self._new(path):
                self._take(line)

    def flows(self, keys: Iterable[Key], since: int) -> bool:
        """Each of these signals had a Good value that was received after `since` (ns UTC)."""
        streams = [self.streams.get(key) for key in keys]
        return all(one is not None and one.received and one.received[-1] > since for one in streams)

    def first_after(self, keys: Iterable[Key], since: int) -> int:
        """When the slowest of these signals had its first value that was received after `since`."""
        streams = [self.streams[key].received for key in keys]
        return max(received[bisect_right(received, since)] for received in streams)

    def _new(self, path: Path) -> Iterator[bytes]:
        """Whole lines; a life that was killed may leave a torn one."""
        with path.open("rb") as file:
            file.seek(self._read.get(path, 0))
            data = file.read()
        whole = data.rfind(b"\n") + 1
        self._read[path] = self._read.get(path, 0) + whole
        yield from data[:whole].splitlines()

    def _take(self, line: bytes) -> None:
        machine, epoch, received, gaps, paths, values, statuses, sequences = msgspec.json.decode(line, type=list[Any])
        for signal, gap in gaps:
            self._stream(machine, signal).gap(msgspec.convert(gap, Gap))
        numbered = sequences or [0] * len(values)  # what the runtime made up itself (Bad on loss) has no numbers
        for signal, value, status, sequence in zip(paths, values, statuses, numbered, strict=True):
            if is_good(status):
                self._stream(machine, signal).value(int(value), received, (epoch, sequence))

    def _stream(self, machine: str, signal: str) -> Stream:
        return self.streams.setdefault((machine, signal), Stream())
