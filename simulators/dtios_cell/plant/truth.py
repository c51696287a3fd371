"""The ground truth: what really was, beside what the machines told. For scoring; nothing that runs the cell may read it."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TypeAlias

__all__ = ["Entry", "Figure", "Truth", "read"]

Figure: TypeAlias = str | int | float | bool | list[float] | None


@dataclass(frozen=True, slots=True)
class Entry:
    """`time` in nanoseconds of plant time; `what` one word: `part`, `fault`, `tool`, `job`, `move` ..."""

    time: int
    station: str
    what: str
    figures: dict[str, Figure]


@dataclass(slots=True)
class Truth:
    """Kept in memory, and in a file of JSON lines where one is given."""

    entries: list[Entry] = field(default_factory=list)
    file: IO[str] | None = None

    def write(self, time: int, station: str, what: str, **figures: Figure) -> None:
        self.entries.append(Entry(time, station, what, figures))
        if self.file is not None:
            self.file.write(json.dumps({"time": time, "station": station, "what": what, **figures}) + "\n")
            self.file.flush()

    def of(self, what: str, station: str | None = None) -> list[Entry]:
        return [one for one in self.entries if one.what == what and station in (None, one.station)]


def read(path: Path) -> list[Entry]:
    """The entries of a file; its last line may be cut off."""
    found = []
    for line in path.read_text("utf-8").splitlines():
        try:
            form = json.loads(line)
        except ValueError:
            break
        found.append(Entry(form.pop("time"), form.pop("station"), form.pop("what"), form))
    return found
