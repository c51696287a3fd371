"""How far a consumer's stream is complete, beyond the runtime's end: a row in the journal's file for each machine of it."""

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from dtios.model.gap import Gap, GapCause
from dtios.runtime.commands.journal import Journal

__all__ = ["Mark", "MarkStore"]

RETENTION: Final = 30 * 24 * 3600 * 10**9
"""30 days in nanoseconds: a consumer that stays away for longer is a new one when it comes back."""
MOST_AWAY: Final = 10_000
"""Marks of consumers that are away; of more the oldest are forgotten."""

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS ledger (
    consumer TEXT NOT NULL, identity TEXT NOT NULL, signals BLOB NOT NULL, complete INTEGER NOT NULL,
    stopped INTEGER NOT NULL, owed BLOB NOT NULL, PRIMARY KEY (consumer, identity))
"""

_signals = msgspec.msgpack.Decoder(list[str])
_owed = msgspec.msgpack.Decoder(dict[str, tuple[GapCause, int]])


@dataclass(slots=True)
class Mark:
    """Of one consumer on one machine. All that was received before `complete` (ns UTC) is delivered, or lies in a Gap that was
    told. `stopped`: the consumer ended while the runtime went on. `owed`: signals that were not heard of since the consumer came
    back, and from when on they are missing and why."""

    consumer: str
    identity: str
    signals: list[str]
    complete: int
    stopped: bool = False
    owed: dict[str, tuple[GapCause, int]] = field(default_factory=dict)

    def gap(self, signal: str, ended: bool) -> Gap | None:
        """What is missing of a signal when the consumer comes back; None for one it did not follow. `ended`: with the runtime."""
        if signal in self.owed:
            cause, since = self.owed[signal]
            return Gap(cause, receive_from=since)
        if signal not in self.signals:
            return None
        cause = GapCause.RUNTIME_RESTART if ended and not self.stopped else GapCause.CONSUMER_STOPPED
        return Gap(cause, receive_from=self.complete)


class MarkStore:
    """Every method is one transaction, durable when it returns, in the journal's thread. Raises TemporaryError."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    async def load(self, now: int) -> list[Mark]:
        """All of them, without those that nobody came back for."""

        def work(database: sqlite3.Connection) -> list[Mark]:
            database.execute(_SCHEMA)
            database.execute("DELETE FROM ledger WHERE complete < ?", (now - RETENTION,))
            newest = "SELECT rowid FROM ledger ORDER BY complete DESC LIMIT ?"
            database.execute(f"DELETE FROM ledger WHERE rowid NOT IN ({newest})", (MOST_AWAY,))
            return [_mark(*row) for row in database.execute("SELECT * FROM ledger")]

        return await self._journal.transact(work)

    async def enter(self, mark: Mark) -> None:
        row = (mark.consumer, mark.identity, msgspec.msgpack.encode(mark.signals), *_figures(mark))

        def work(database: sqlite3.Connection) -> None:
            database.execute("INSERT OR REPLACE INTO ledger VALUES (?, ?, ?, ?, ?, ?)", row)

        await self._journal.transact(work)

    async def move(self, marks: Sequence[Mark]) -> None:
        """How far they have come."""
        rows = [(*_figures(mark), mark.consumer, mark.identity) for mark in marks]

        def work(database: sqlite3.Connection) -> None:
            where = "WHERE consumer = ? AND identity = ?"
            database.executemany(f"UPDATE ledger SET complete = ?, stopped = ?, owed = ? {where}", rows)

        await self._journal.transact(work)

    async def forget(self, marks: Iterable[Mark]) -> None:
        rows = [(mark.consumer, mark.identity) for mark in marks]

        def work(database: sqlite3.Connection) -> None:
            database.executemany("DELETE FROM ledger WHERE consumer = ? AND identity = ?", rows)

        await self._journal.transact(work)


def _figures(mark: Mark) -> tuple[int, bool, bytes]:
    return mark.complete, mark.stopped, msgspec.msgpack.encode(mark.owed)


def _mark(consumer: str, identity: str, signals: bytes, complete: int, stopped: int, owed: bytes) -> Mark:
    return Mark(consumer, identity, _signals.decode(signals), complete, bool(stopped), dict(_owed.decode(owed)))
