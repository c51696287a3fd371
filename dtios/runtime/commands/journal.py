"""The journal: what was asked of machines and what came of it, in one SQLite file in the state directory.

A command's intent is committed before the wire and its outcome after; a kill -9 between the two leaves an intent without an
outcome, which is how the next start knows. Everything runs in one writer thread: the event loop never waits for a disk.
"""

import json
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import anyio.to_thread
import msgspec

from dtios.model.errors import ConfigurationError, TemporaryError
from dtios.model.job import JobOutcome, JobState, JobSubstate
from dtios.sdk.codec import pack, pack_value, unpack_value
from dtios.sdk.protocol import JobEntry, JobView

__all__ = ["AuditLine", "Journal", "StoredJob"]

T = TypeVar("T")

RETENTION: Final = 30 * 24 * 3600 * 10**9
"""30 days in nanoseconds: how long a job id stays taken, and the audit is kept."""

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS epochs (epoch INTEGER PRIMARY KEY AUTOINCREMENT, started INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT, command TEXT NOT NULL, time INTEGER NOT NULL, principal TEXT NOT NULL,
    machine TEXT NOT NULL, action TEXT NOT NULL, target TEXT NOT NULL, detail TEXT NOT NULL,
    outcome TEXT, outcome_time INTEGER);
CREATE INDEX IF NOT EXISTS audit_command ON audit (command);
CREATE TABLE IF NOT EXISTS jobs (
    identity TEXT NOT NULL, job TEXT NOT NULL, machine TEXT NOT NULL, skill TEXT NOT NULL, principal TEXT NOT NULL,
    parameters BLOB NOT NULL, state TEXT NOT NULL, substate TEXT, created INTEGER NOT NULL, changed INTEGER NOT NULL,
    final INTEGER NOT NULL, sent INTEGER NOT NULL, outcome BLOB, error TEXT, PRIMARY KEY (identity, job));
CREATE TABLE IF NOT EXISTS job_history (
    identity TEXT NOT NULL, job TEXT NOT NULL, time INTEGER NOT NULL, event TEXT NOT NULL, principal TEXT NOT NULL,
    detail TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS history_job ON job_history (identity, job);
CREATE TABLE IF NOT EXISTS store (app TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (app, key));
"""

_decoder = msgspec.msgpack.Decoder(ext_hook=unpack_value)


@dataclass(slots=True)
class StoredJob:
    """A job's row. `identity` is the machine's; `sent`: something of it may have reached the wire."""

    identity: str
    view: JobView
    sent: bool


@dataclass(slots=True)
class AuditLine:
    """One command as it was asked and what came of it; `outcome` None: the runtime ended in between."""

    id: int
    command: str
    time: int
    principal: str
    machine: str
    action: str
    target: str
    detail: str
    outcome: str | None
    outcome_time: int | None


class Journal:
    """Open with `await Journal.open(path, now)`. Every method is one transaction, durable when it returns."""

    def __init__(self, database: sqlite3.Connection, epoch: int) -> None:
        self._database = database
        self._thread = anyio.CapacityLimiter(1)
        self.epoch = epoch

    @classmethod
    async def open(cls, path: Path, now: int) -> "Journal":
        """Raises ConfigurationError where the file is not a journal or cannot be written."""
        try:
            return await anyio.to_thread.run_sync(cls._open, path, now)
        except sqlite3.Error as error:
            raise ConfigurationError(
                f"the journal cannot be used ({error})", where=str(path), mend="check the folder's rights and free space"
            ) from error

    @classmethod
    def _open(cls, path: Path, now: int) -> "Journal":
        database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        try:
            database.execute("PRAGMA journal_mode=WAL")
            database.execute("PRAGMA synchronous=FULL")
            database.executescript(_SCHEMA)
            epoch = database.execute("INSERT INTO epochs (started) VALUES (?)", (now,)).lastrowid
            database.execute("DELETE FROM audit WHERE time < ?", (now - RETENTION,))
            for table in ("job_history", "jobs"):
                database.execute(
                    f"DELETE FROM {table} WHERE (identity, job) IN (SELECT identity, job FROM jobs WHERE final AND changed < ?)",
                    (now - RETENTION,),
                )
        except sqlite3.Error:
            database.close()
            raise
        return cls(database, epoch or 1)

    async def aclose(self) -> None:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self._database.close, limiter=self._thread)

    async def _transact(self, work: Callable[[sqlite3.Connection], T]) -> T:
        def run() -> T:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                result = work(self._database)
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:  # SQLite may have rolled back by itself (disk full)
                    self._database.execute("ROLLBACK")
                raise
            return result

        # Shielded: a cancelled caller must not leave open whether its intent was written.
        with anyio.CancelScope(shield=True):
            try:
                result = await anyio.to_thread.run_sync(run, limiter=self._thread)
            except sqlite3.Error as error:
                raise TemporaryError(
                    f"the journal cannot be used ({error})", where="state directory", mend="check its free space and its disk"
                ) from error
        return result

    async def transact(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """One transaction of another room's, in the writer's thread. Raises TemporaryError."""
        return await self._transact(work)

    # --- audit: intent before the wire, outcome after ---

    async def intend(
        self, time: int, command: str, principal: str, machine: str, action: str, target: str, detail: dict[str, Any]
    ) -> int:
        """Commit an intent; returns its number for `conclude`."""
        text = json.dumps(detail, default=str)

        def work(database: sqlite3.Connection) -> int:
            return _insert_audit(database, time, command, principal, machine, action, target, text)

        return await self._transact(work)

    async def conclude(self, intent: int, outcome: str, time: int) -> None:
        def work(database: sqlite3.Connection) -> None:
            database.execute("UPDATE audit SET outcome = ?, outcome_time = ? WHERE id = ?", (outcome, time, intent))

        await self._transact(work)

    async def note(self, time: int, command: str, principal: str, machine: str, action: str, target: str, outcome: str) -> None:
        """A line that is intent and outcome at once: a refusal, an owner lost."""

        def work(database: sqlite3.Connection) -> None:
            number = _insert_audit(database, time, command, principal, machine, action, target, "{}")
            database.execute("UPDATE audit SET outcome = ?, outcome_time = ? WHERE id = ?", (outcome, time, number))

        await self._transact(work)

    async def audit(self, limit: int = 1000) -> list[AuditLine]:
        """Newest first."""

        def work(database: sqlite3.Connection) -> list[AuditLine]:
            rows = database.execute("SELECT * FROM audit ORDER BY id DESC LIMIT ?", (limit,))
            return [AuditLine(*row) for row in rows]

        return await self._transact(work)

    # --- jobs ---

    async def create_job(self, identity: str, view: JobView) -> JobView | None:
        """Take a job id on a machine. If it is taken already, the job that has it is returned and nothing is written."""

        def work(database: sqlite3.Connection) -> JobView | None:
            present = _job(database, identity, view.job)
            if present is not None:
                return present.view
            _insert_job(database, identity, view)
            _insert_history(database, identity, view.job, JobEntry(view.created, "created", view.principal))
            return None

        return await self._transact(work)

    async def change_job(self, identity: str, view: JobView, entry: JobEntry) -> None:
        """Write a job's new state and a line of its history."""

        def work(database: sqlite3.Connection) -> None:
            database.execute(
                "UPDATE jobs SET state = ?, substate = ?, changed = ?, final = ?, outcome = ?, error = ?, principal = ?"
                " WHERE identity = ? AND job = ?",
                (*_state_columns(view), view.principal, identity, view.job),
            )
            _insert_history(database, identity, view.job, entry)

        await self._transact(work)

    async def rename_machine(self, identity: str, name: str) -> None:
        """Jobs that are not over are known by the name that their machine has now."""

        def work(database: sqlite3.Connection) -> None:
            database.execute("UPDATE jobs SET machine = ? WHERE identity = ? AND NOT final", (name, identity))

        await self._transact(work)

    async def mark_sent(self, identity: str, job: str) -> None:
        """From here on something of the job may be on the wire. Committed before it is."""

        def work(database: sqlite3.Connection) -> None:
            database.execute("UPDATE jobs SET sent = 1 WHERE identity = ? AND job = ?", (identity, job))

        await self._transact(work)

    async def add_history(self, identity: str, job: str, entry: JobEntry) -> None:
        await self._transact(lambda database: _insert_history(database, identity, job, entry))

    async def job(self, identity: str, job: str) -> StoredJob | None:
        return await self._transact(lambda database: _job(database, identity, job))

    async def jobs(self, job: str | None = None, open_only: bool = False) -> list[StoredJob]:
        """Newest first; with `job` only those of this id (one for each machine)."""

        def work(database: sqlite3.Connection) -> list[StoredJob]:
            rows = database.execute(
                "SELECT * FROM jobs WHERE (? IS NULL OR job = ?) AND (NOT ? OR NOT final) ORDER BY created DESC, rowid DESC",
                (job, job, open_only),
            )
            return [_stored(row) for row in rows]

        return await self._transact(work)

    async def history(self, identity: str, job: str) -> list[JobEntry]:
        def work(database: sqlite3.Connection) -> list[JobEntry]:
            rows = database.execute(
                "SELECT time, event, principal, detail FROM job_history WHERE identity = ? AND job = ? ORDER BY rowid",
                (identity, job),
            )
            return [JobEntry(*row) for row in rows]

        return await self._transact(work)

    # --- the apps' durable store ---

    async def put(self, app: str, key: str, value: Any) -> None:
        """None deletes."""
        blob = pack(pack_value(value))

        def work(database: sqlite3.Connection) -> None:
            if value is None:
                database.execute("DELETE FROM store WHERE app = ? AND key = ?", (app, key))
            else:
                database.execute("INSERT OR REPLACE INTO store VALUES (?, ?, ?)", (app, key, blob))

        await self._transact(work)

    async def get(self, app: str, key: str) -> Any:
        def work(database: sqlite3.Connection) -> Any:
            row = database.execute("SELECT value FROM store WHERE app = ? AND key = ?", (app, key)).fetchone()
            return None if row is None else _decoder.decode(row[0])

        return await self._transact(work)

    async def keys(self, app: str, prefix: str) -> list[str]:
        def work(database: sqlite3.Connection) -> list[str]:
            rows = database.execute("SELECT key FROM store WHERE app = ? ORDER BY key", (app,))
            return [key for (key,) in rows if key.startswith(prefix)]

        return await self._transact(work)


def _insert_audit(database: sqlite3.Connection, *columns: Any) -> int:
    cursor = database.execute(
        "INSERT INTO audit (time, command, principal, machine, action, target, detail) VALUES (?, ?, ?, ?, ?, ?, ?)", columns
    )
    return int(cursor.lastrowid or 0)


def _insert_history(database: sqlite3.Connection, identity: str, job: str, entry: JobEntry) -> None:
    database.execute(
        "INSERT INTO job_history VALUES (?, ?, ?, ?, ?, ?)",
        (identity, job, entry.time, entry.event, entry.principal, entry.detail),
    )


def _state_columns(view: JobView) -> tuple[Any, ...]:
    outcome = None
    if view.outcome is not None:
        o = view.outcome
        outcome = pack([o.state, o.substate, pack_value(dict(o.results)), o.reason])
    error = None if view.error is None else json.dumps(view.error)
    return (view.state, view.substate, view.changed, view.final, outcome, error)


def _insert_job(database: sqlite3.Connection, identity: str, view: JobView) -> None:
    state, substate, changed, final, outcome, error = _state_columns(view)
    database.execute(
        "INSERT INTO jobs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?)",
        (
            identity, view.job, view.machine, view.skill, view.principal, pack(pack_value(view.parameters)), state, substate,
            view.created, changed, final, outcome, error,
        ),
    )  # fmt: skip


def _job(database: sqlite3.Connection, identity: str, job: str) -> StoredJob | None:
    row = database.execute("SELECT * FROM jobs WHERE identity = ? AND job = ?", (identity, job)).fetchone()
    return None if row is None else _stored(row)


def _stored(row: tuple[Any, ...]) -> StoredJob:
    identity, job, machine, skill, principal, parameters, state, substate, created, changed, final, sent, outcome, error = row
    ended = None
    if outcome is not None:
        s, sub, results, reason = _decoder.decode(outcome)
        ended = JobOutcome(JobState(s), None if sub is None else JobSubstate(sub), results, reason)
    view = JobView(
        machine, skill, job, principal, JobState(state), None if substate is None else JobSubstate(substate),
        _decoder.decode(parameters), created, changed, bool(final), ended, None if error is None else tuple(json.loads(error)),
    )  # fmt: skip
    return StoredJob(identity, view, bool(sent))
