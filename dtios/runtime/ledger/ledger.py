"""The ledger: every consumer's account, kept through its streams, and how far each is complete, kept through runtimes.

A checkpoint writes down how far each consumer with a name of its own has come, every second or as the configuration says, in one
transaction, off the data path. A consumer that comes back, after its own end or the runtime's, however sudden, is told what lies
between as a Gap of each signal, from the last checkpoint on.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

import structlog

from dtios.model.errors import TemporaryError
from dtios.runtime.commands.journal import Journal
from dtios.runtime.data.consumer import Consumer
from dtios.runtime.data.router import Router
from dtios.runtime.ledger.entry import Entry, Heard
from dtios.runtime.ledger.mark import MOST_AWAY, Mark, MarkStore
from dtios.sdk.clock import Clock

__all__ = ["Ledger"]

log = structlog.get_logger("dtios.ledger")

MARGIN: Final = 10**8
"""Nanoseconds that an adapter may take from a message's receipt to its delivery; a checkpoint vouches for what came before."""


class Ledger:
    """Open with `await Ledger.open(...)`; `keep` writes the checkpoints until it is cancelled; the last one is the caller's."""

    def __init__(self, store: MarkStore, marks: list[Mark], router: Router, clock: Clock, interval: Callable[[], float]) -> None:
        self._interval = interval
        self._store = store
        self._router = router
        self._clock = clock
        self._before = {(mark.consumer, mark.identity): mark for mark in marks}
        self._entries: dict[tuple[str, str], Entry] = {}
        self._stopped: list[Mark] = []
        self._ending = False
        self._failing = False

    @classmethod
    async def open(cls, journal: Journal, router: Router, clock: Clock, interval: Callable[[], float]) -> "Ledger":
        """`interval` tells the seconds between checkpoints. Raises TemporaryError."""
        store = MarkStore(journal)
        return cls(store, await store.load(clock.now()), router, clock, interval)

    def __iter__(self) -> Iterator[Entry]:
        return iter(tuple(self._entries.values()))

    async def enter(self, consumer: Consumer, identity: str, paths: Mapping[int, str], heard: Heard, *, lasting: bool) -> None:
        """A stream begins on the machine of this identity. `paths`: handle -> the signal's path; `heard` tells how far the
        machine was heard.

        `lasting`: the consumer's name is its own, and whoever has it later is the same consumer; it is durable when this returns.
        Two that live at one time are two: the second gets `#2` after its name. Raises TemporaryError."""
        consumer.name = self._free_name(consumer.name, identity)
        key = (consumer.name, identity)
        entry = self._entries.get(key)
        ended = entry is None
        if entry is None:
            mark = self._before.pop(key, Mark(*key, [], 0)) if lasting else None
            entry = self._entries[key] = Entry(*key, mark, self._clock, self._reach, self._over)
        entry.begin(consumer, paths, heard)
        if entry.mark is not None:
            await self._go_on(entry.mark, consumer, paths, ended)

    async def _go_on(self, mark: Mark, consumer: Consumer, paths: Mapping[int, str], ended: bool) -> None:
        missing = {handle: mark.gap(path, ended) for handle, path in paths.items()}
        consumer.owed = {handle: gap for handle, gap in missing.items() if gap is not None}
        mark.owed = {paths[handle]: (gap.cause, gap.receive_from or 0) for handle, gap in consumer.owed.items()}
        mark.signals, mark.stopped, mark.complete = list(paths.values()), False, self._clock.now()
        try:
            await self._store.enter(mark)
        except BaseException:
            consumer.close()
            raise

    def _free_name(self, name: str, identity: str) -> str:
        candidate, number = name, 1
        while (entry := self._entries.get((candidate, identity))) is not None and entry.consumer is not None:
            number += 1
            candidate = f"{name}#{number}"
        return candidate

    def _reach(self) -> int:
        """All that was received before this time (ns UTC) has come to the consumers' queues."""
        now = self._clock.now() - MARGIN
        held = self._router.held_since
        return now if held is None else min(held, now)

    def _over(self, entry: Entry) -> None:
        """Its stream has ended."""
        if entry.mark is None:
            del self._entries[entry.key]
            return
        entry.mark.stopped = not self._ending
        self._stopped.append(entry.mark)

    # --- checkpoints ---

    async def keep(self) -> None:
        """Until cancelled."""
        while True:
            await self._clock.sleep(self._interval())
            await self.checkpoint()

    async def checkpoint(self) -> None:
        """What cannot be written is tried again the next time; until then Gaps would begin earlier, and hide nothing."""
        stopped, self._stopped = self._stopped, []
        marks = [mark for entry in self._entries.values() if (mark := entry.advance()) is not None]
        if not marks and not stopped:
            return
        try:
            await self._store.move([*stopped, *marks])
        except TemporaryError as error:
            self._stopped = [*stopped, *self._stopped]
            if not self._failing:
                log.warning("the ledger's checkpoint failed", reason=str(error))
            self._failing = True
            return
        self._failing = False
        await self._forget_some()

    async def _forget_some(self) -> None:
        """Of consumers that are away the oldest, where there are too many."""
        away = [entry for entry in self._entries.values() if entry.consumer is None and entry.mark is not None]
        if len(away) > MOST_AWAY:
            away.sort(key=lambda entry: entry.mark.complete if entry.mark is not None else 0)
            some = away[: len(away) - MOST_AWAY]
            for entry in some:
                del self._entries[entry.key]
            await self._store.forget(entry.mark for entry in some if entry.mark is not None)

    def ending(self) -> None:
        """The runtime ends: who is stopped from now on is stopped by that."""
        self._ending = True
