"""Two tasks between the outbox and its file: one writes what must be kept, one reads ahead what is to be sent again."""

import sqlite3
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

import anyio

from dtios.sdk.clock import Clock
from dtios.sdk.forwarding.parcel import Parcel
from dtios.sdk.forwarding.receipt import Receipt
from dtios.sdk.forwarding.shelf import Limits, Outcome, Shelf
from dtios.sdk.log import Log

__all__ = ["Keeper", "Run"]

Run = Callable[..., Awaitable[Any]]
"""Calls something that blocks in the outbox's thread."""

AHEAD: Final = 16
"""Kept parcels that are read ahead; more are read when half of them are taken."""
PAUSE: Final = 1.0
"""Seconds until a transaction that failed is tried again."""
QUIET: Final = 60.0
"""Seconds between two lines of the log about losses."""


class Keeper:
    """All that is to be written waits here. What cannot be written is not secured: whoever handed it in is held up by that."""

    def __init__(self, shelf: Shelf, run: Run, clock: Clock, limits: Limits, linger: float, log: Log | None) -> None:
        self.shelf = shelf
        self._run = run
        self._clock = clock
        self._limits = limits
        self._linger = linger
        self._log = log
        self._direct: dict[int, Receipt] = {}
        self._live: dict[int, Receipt] = {}
        self._done: set[int] = set()
        self._page: deque[Parcel] | None = None
        self._on_page: Callable[[], None] = lambda: None
        self._cursor = 0
        self._unsettled: set[int] = set()
        self._look_for_old = False
        self._session = 0
        self._access = anyio.Lock()
        self._work = anyio.Event()
        self._urgent = anyio.Event()
        self._asked = anyio.Event()
        self._failing = False
        self._said = -QUIET

    # --- from the outbox ---

    def keep(self, receipt: Receipt) -> None:
        """Write it as soon as can be."""
        self._direct[receipt.parcel.position] = receipt
        self._work.set()
        self._urgent.set()

    def watch(self, receipt: Receipt) -> None:
        """Write it, unless it is acknowledged soon."""
        self._live[receipt.parcel.position] = receipt
        self._work.set()

    def acknowledged(self, receipt: Receipt) -> None:
        self._live.pop(receipt.parcel.position, None)
        if receipt.stored:
            self.remove(receipt.parcel.position)
        receipt.note(acknowledged=True)

    def remove(self, position: int) -> None:
        self._done.add(position)
        self._work.set()

    def serve(self, page: deque[Parcel], on_page: Callable[[], None]) -> None:
        """Read ahead into this page from the oldest parcel on, once all that waits to be written is."""
        self._session += 1
        self._page, self._on_page, self._cursor = page, on_page, 0
        self._unsettled = set(self._direct)
        self._look_for_old = True
        self._work.set()
        self._urgent.set()
        self.read_on()

    def rewind(self, unacknowledged: Iterable[Receipt]) -> None:
        """Nobody takes any more: these live ones are kept, and everything is read again from the oldest on."""
        self._session += 1
        self._page, self._on_page, self._cursor = None, lambda: None, 0
        for receipt in unacknowledged:
            receipt.parcel.historical = True
            self._live.pop(receipt.parcel.position, None)
            if not receipt.stored:
                self.keep(receipt)

    # --- writing ---

    async def write(self) -> None:
        """Until cancelled."""
        while True:
            await self._work.wait()
            self._work = anyio.Event()
            if not self._urgent.is_set():
                with anyio.move_on_after(self._linger):
                    await self._urgent.wait()
            self._urgent = anyio.Event()
            if not await self.flush():
                await anyio.sleep(PAUSE)
                self._work.set()

    async def flush(self) -> bool:
        """Write what is due, in one transaction; False if that failed."""
        async with self._access:
            new = sorted([*self._direct.values(), *self._late()], key=lambda receipt: receipt.parcel.position)
            if not (new or self._done or self._look_for_old):
                return True
            done, self._done = self._done, set()
            parcels = [receipt.parcel for receipt in new]
            busy = frozenset(self._live)
            try:
                outcome: Outcome = await self._run(
                    self.shelf.exchange, parcels, done, self._clock.now(), self._limits, self._cursor, busy
                )
            except sqlite3.Error as error:
                self._done |= done
                self._failed(error)
                return False
            self._written(new)
        self._tell(outcome)
        self.read_on()
        return True

    def _late(self) -> list[Receipt]:
        """Live ones that were not acknowledged in time; those that still have time are looked at again."""
        waiting = [receipt for receipt in self._live.values() if not receipt.is_secured]
        late = anyio.current_time() - 0.8 * self._linger
        if any(receipt.handed_in > late for receipt in waiting):
            self._work.set()
        return [receipt for receipt in waiting if receipt.handed_in <= late]

    def _written(self, receipts: list[Receipt]) -> None:
        self._look_for_old = False
        for receipt in receipts:
            position = receipt.parcel.position
            receipt.note(stored=True)
            self._direct.pop(position, None)
            if receipt.acknowledged:  # while it was being written
                self.remove(position)
        self._unsettled &= self._direct.keys()
        if self._failing:
            self._failing = False
            self._say("info", "the store can be written again")

    def _failed(self, error: sqlite3.Error) -> None:
        if not self._failing:
            self._say(
                "error",
                "the store cannot be written: values wait, and are lost with a Gap when there are too many",
                why=str(error),
            )
        self._failing = True

    def _tell(self, outcome: Outcome) -> None:
        if outcome.lost and self._clock.monotonic() - self._said >= QUIET:
            self._said = self._clock.monotonic()
            self._say("warning", "the store is full or too old: the oldest values were lost, with a Gap", values=self.shelf.lost)

    def _say(self, level: str, event: str, **fields: Any) -> None:
        if self._log is not None:
            getattr(self._log, level)(event, **fields)

    # --- reading ---

    def read_on(self) -> None:
        self._asked.set()

    async def read(self) -> None:
        """Until cancelled."""
        while True:
            await self._asked.wait()
            self._asked = anyio.Event()
            while self._page_to_fill() is not None:
                await self._read_some()

    def _page_to_fill(self) -> deque[Parcel] | None:
        page = self._page
        settled = not self._unsettled and not self._look_for_old
        wanted = page is not None and settled and len(page) <= AHEAD // 2 and self._cursor < self.shelf.last
        return page if wanted else None

    async def _read_some(self) -> None:
        async with self._access:
            if (page := self._page_to_fill()) is None:  # the uplink has changed while this waited
                return
            session, live, done = self._session, frozenset(self._live), frozenset(self._done)
            try:
                found, reached = await self._run(
                    self.shelf.read, self._cursor, AHEAD, lambda position: position not in live and position not in done
                )
            except sqlite3.Error as error:
                self._failed(error)
                await anyio.sleep(PAUSE)
                return
            if session == self._session:
                self._cursor = reached
                page.extend(found)
                self._on_page()
