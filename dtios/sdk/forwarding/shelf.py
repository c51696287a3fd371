"""The outbox's file: parcels in the order in which they were handed in, in SQLite, bounded by bytes and by age.

Everything here blocks; the outbox calls it in one thread. WAL with `synchronous=NORMAL`: what is committed survives the end of
the process, however sudden; a power failure may take the last transactions, never the file.
"""

import sqlite3
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from dtios.model.errors import ConfigurationError
from dtios.sdk.delivery import Delivery
from dtios.sdk.forwarding.losses import Losses
from dtios.sdk.forwarding.parcel import Parcel, pack_deliveries, unpack_deliveries

__all__ = ["Limits", "Outcome", "Shelf"]

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS store (epoch INTEGER NOT NULL, lost INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS layouts (layout INTEGER PRIMARY KEY, paths BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS parcels (
    position INTEGER PRIMARY KEY, machine TEXT NOT NULL, epoch INTEGER NOT NULL, sequence INTEGER NOT NULL,
    kept INTEGER NOT NULL, size INTEGER NOT NULL, number INTEGER NOT NULL, layout INTEGER NOT NULL, content BLOB NOT NULL);
"""

_ROW: Final = 100
"""Bytes that a row takes beside its content, roughly."""
_CHUNK: Final = 64
"""Where there is no room, a 64th of it is made at once: to write a Gap of a thousand signals for each parcel would be slow."""
_LAYOUTS: Final = 1_000
_PAGE: Final = 2**20
"""Bytes of content that are read at once, roughly."""

_paths = msgspec.msgpack.Decoder(dict[int, str])


@dataclass(frozen=True, slots=True)
class Limits:
    """`size` in bytes, `age` in nanoseconds."""

    size: int
    age: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a transaction did: how many values were lost by it, and what the file holds now."""

    lost: int
    size: int
    values: int
    last: int


class Shelf:
    """One process has it open at a time. Methods raise sqlite3.Error."""

    def __init__(self, database: sqlite3.Connection, epoch: int, lost: int) -> None:
        self.epoch = epoch
        self.lost = lost
        self._database = database
        self._layouts: dict[int, tuple[Mapping[int, str], int]] = {}
        self._known: dict[int, Mapping[int, str]] = {0: {}}
        size, values, last = database.execute("SELECT sum(size), sum(number), max(position) FROM parcels").fetchone()
        self.size: int = size or 0
        self.values: int = values or 0
        self.last: int = last or 0

    @classmethod
    def open(cls, file: Path, now: int) -> "Shelf":
        """`now` in ns UTC. The epoch is new: later than any before, also where the file was deleted meanwhile. Raises
        ConfigurationError."""
        try:
            database = sqlite3.connect(file, check_same_thread=False, isolation_level=None)
        except sqlite3.Error as error:
            raise _unusable(file, error) from error
        try:
            database.execute("PRAGMA locking_mode=EXCLUSIVE")
            database.execute("PRAGMA journal_mode=WAL")
            database.execute("PRAGMA synchronous=NORMAL")
            database.execute("PRAGMA journal_size_limit=4194304")
            database.executescript(_SCHEMA)
            database.execute("DELETE FROM layouts WHERE layout NOT IN (SELECT layout FROM parcels)")
            row = database.execute("SELECT epoch, lost FROM store").fetchone()
            before, lost = row or (0, 0)
            epoch = max(before + 1, now // 10**9)
            database.execute("UPDATE store SET epoch = ?" if row else "INSERT INTO store VALUES (?, 0)", (epoch,))
            return cls(database, epoch, lost)
        except sqlite3.Error as error:
            database.close()
            raise _unusable(file, error) from error

    def close(self) -> None:
        self._database.close()

    # --- a transaction ---

    def exchange(
        self, new: Sequence[Parcel], done: Sequence[int], now: int, limits: Limits, beyond: int, busy: Collection[int]
    ) -> Outcome:
        """Put parcels in and take others (positions) out; then make room, where there is too much or what is too old, among those
        `beyond` a position and not `busy`. One transaction."""
        before = (self.size, self.values, self.last, self.lost)
        self._database.execute("BEGIN IMMEDIATE")
        try:
            for parcel in new:
                self._insert(parcel, now, self._layout(parcel.paths), pack_deliveries(parcel.deliveries))
            for position in done:
                self._remove(position)
            lost = self._make_room(now, limits, beyond, busy)
            self._database.execute("COMMIT")
        except BaseException:
            self.size, self.values, self.last, self.lost = before
            self._layouts.clear()
            self._known = {0: {}}
            if self._database.in_transaction:  # SQLite may have rolled back by itself (disk full)
                self._database.execute("ROLLBACK")
            raise
        return Outcome(lost, self.size, self.values, self.last)

    def _insert(self, parcel: Parcel, now: int, layout: int, content: bytes) -> None:
        size, values = len(content) + _ROW, len(parcel)
        row = (parcel.position, parcel.machine, parcel.epoch, parcel.sequence, now, size, values, layout, content)
        self._database.execute("INSERT INTO parcels VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        self.size += size
        self.values += values
        self.last = max(self.last, parcel.position)

    def _remove(self, position: int) -> None:
        row = self._database.execute("DELETE FROM parcels WHERE position = ? RETURNING size, number", (position,)).fetchone()
        if row is not None:
            self.size -= row[0]
            self.values -= row[1]

    def _layout(self, paths: Mapping[int, str]) -> int:
        """A subscription's paths are kept once."""
        found = self._layouts.get(id(paths))
        if found is not None:
            return found[1]
        number = self._database.execute(
            "INSERT INTO layouts (paths) VALUES (?)", (msgspec.msgpack.encode(dict(paths)),)
        ).lastrowid
        if len(self._layouts) >= _LAYOUTS:
            del self._layouts[next(iter(self._layouts))]
        assert number is not None
        self._layouts[id(paths)] = (paths, number)
        return number

    # --- room ---

    def _make_room(self, now: int, limits: Limits, beyond: int, busy: Collection[int]) -> int:
        """How many values were lost. The Gaps take room too: where they take what was made, more is dropped."""
        lost = 0
        while dropped := self._drop_some(now, limits, beyond, busy):
            lost += dropped
        return lost

    def _drop_some(self, now: int, limits: Limits, beyond: int, busy: Collection[int]) -> int:
        """Drop the oldest, if there is too much or something too old; where they were stands one parcel of Gaps for each machine.
        How many values were lost."""
        excess = self.size - limits.size
        if excess > 0:
            excess = max(excess, limits.size // _CHUNK)
        oldest = now - limits.age
        if excess <= 0 and not self._too_old(beyond, oldest):
            return 0
        found: dict[str, tuple[Losses, int, int, int]] = {}
        rows = self._database.execute(
            "SELECT position, machine, epoch, sequence, kept, size, number, layout, content FROM parcels"
            " WHERE position > ? ORDER BY position",
            (beyond,),
        )
        dropped: list[int] = []
        for position, machine, epoch, sequence, kept, size, number, layout, content in rows:
            if position in busy:
                continue
            if number and excess <= 0 and kept >= oldest:
                break
            losses = found[machine][0] if machine in found else Losses()
            losses.drop(unpack_deliveries(content, machine, self._read_layout(layout)))
            found[machine] = (losses, position, epoch, sequence)
            dropped.append(position)
            if number:
                excess -= size
        rows.close()
        lost = sum(losses.values for losses, *_ in found.values())
        if not lost:  # Gaps alone: to write them again would gain nothing
            return 0
        for position in dropped:
            self._remove(position)
        for machine, (losses, position, epoch, sequence) in found.items():
            gaps = [Delivery(machine, losses.gaps(), None, {})]
            self._insert(Parcel(machine, epoch, sequence, gaps, position), now, 0, pack_deliveries(gaps))
        self.lost += lost
        self._database.execute("UPDATE store SET lost = ?", (self.lost,))
        return lost

    def _too_old(self, beyond: int, oldest: int) -> bool:
        first = "SELECT kept FROM parcels WHERE position > ? AND number > 0 ORDER BY position LIMIT 1"
        row = self._database.execute(first, (beyond,)).fetchone()
        return row is not None and row[0] < oldest

    # --- reading ---

    def read(self, beyond: int, most: int, wanted: Callable[[int], bool]) -> tuple[list[Parcel], int]:
        """The next parcels beyond a position that are `wanted`, and the position up to which was looked."""
        found: list[Parcel] = []
        read, reached = 0, beyond
        for position, machine, epoch, sequence, layout, content in self._rows(beyond):
            reached = position
            if wanted(position):
                deliveries = unpack_deliveries(content, machine, self._read_layout(layout))
                found.append(Parcel(machine, epoch, sequence, deliveries, position, True))
                read += len(content)
            if len(found) >= most or read >= _PAGE:
                break
        else:
            reached = max(reached, self.last)
        return found, reached

    def _rows(self, beyond: int) -> Iterator[tuple[int, str, int, int, int, bytes]]:
        columns = "position, machine, epoch, sequence, layout, content"
        return self._database.execute(f"SELECT {columns} FROM parcels WHERE position > ? ORDER BY position", (beyond,))

    def _read_layout(self, layout: int) -> Mapping[int, str]:
        if layout not in self._known:
            if len(self._known) >= _LAYOUTS:
                self._known = {0: {}}
            blob = self._database.execute("SELECT paths FROM layouts WHERE layout = ?", (layout,)).fetchone()[0]
            self._known[layout] = _paths.decode(blob)
        return self._known[layout]


def _unusable(file: Path, error: sqlite3.Error) -> ConfigurationError:
    return ConfigurationError(
        f"the store cannot be used ({error})",
        where=str(file),
        mend="check the folder's rights and free space, or move the file away",
    )
