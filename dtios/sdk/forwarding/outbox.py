"""Between a publisher and its receiver: straight through while the receiver takes, by way of the disk while it does not."""

from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import anyio
import anyio.to_thread

from dtios.sdk.clock import Clock
from dtios.sdk.delivery import Delivery
from dtios.sdk.forwarding.keeper import Keeper
from dtios.sdk.forwarding.parcel import Parcel
from dtios.sdk.forwarding.receipt import Receipt
from dtios.sdk.forwarding.shelf import Limits, Shelf
from dtios.sdk.log import Log

__all__ = ["Figures", "Outbox", "Receipt", "Uplink", "open_outbox"]

T = TypeVar("T")

DAY: Final = 86_400.0
WAITING: Final = 64
"""Live parcels that wait in memory to be taken; more go to disk and are historical."""


@dataclass(frozen=True, slots=True)
class Figures:
    """`values` and `size` (bytes) are on disk now; `lost` were dropped since the file was made, each in a Gap."""

    values: int
    size: int
    lost: int


class Outbox:
    """See `open_outbox`. Of one event loop."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self._sequence = 0
        self._position = keeper.shelf.last
        self._uplink: Uplink | None = None

    @property
    def epoch(self) -> int:
        """Of all that is handed in from now on."""
        return self._keeper.shelf.epoch

    @property
    def figures(self) -> Figures:
        shelf = self._keeper.shelf
        return Figures(shelf.values, shelf.size, shelf.lost)

    def hand_in(self, deliveries: Sequence[Delivery]) -> Receipt:
        """Take deliveries of one machine, of one subscription, in the order of time. Nothing is awaited: who hands in more than
        it keeps receipts for bounds it, as `collect` does. Raises ValueError for deliveries that do not belong together."""
        first = deliveries[0]
        if any(one.machine != first.machine or one.paths is not first.paths for one in deliveries):
            raise ValueError("a parcel holds deliveries of one subscription")
        self._position += 1
        parcel = Parcel(first.machine, self.epoch, self._sequence + 1, list(deliveries), self._position)
        self._sequence += parcel.numbers
        receipt = Receipt(parcel, anyio.current_time())
        if self._uplink is None or not self._uplink.offer(receipt):
            parcel.historical = True
            self._keeper.keep(receipt)
        return receipt

    async def put(self, deliveries: Sequence[Delivery]) -> None:
        """Hand in, and wait until it is secured."""
        await self.hand_in(deliveries).secured()

    @asynccontextmanager
    async def uplink(self, *, live: int = 32, historical: int = 4, share: int = 4) -> AsyncIterator["Uplink"]:
        """The receiver is there, for as long as this block lasts. One at a time.

        At most `live` parcels of the present and `historical` kept ones are taken and not acknowledged at a time. While live ones
        wait, after `share` of them one kept parcel goes: the present is never held up by more than that, and what was kept drains
        all the same.
        """
        assert self._uplink is None, "one uplink at a time"
        self._uplink = Uplink(self._keeper, live, historical, share)
        try:
            yield self._uplink
        finally:
            uplink, self._uplink = self._uplink, None
            self._keeper.rewind(uplink.end())


class Uplink:
    """What a sender takes from, and tells what its receiver has."""

    def __init__(self, keeper: Keeper, live: int, historical: int, share: int) -> None:
        self._keeper = keeper
        self._most_live = live
        self._most_historical = historical
        self._share = share
        self._in_a_row = 0
        self._waiting: deque[Receipt] = deque()
        self._live: dict[int, Receipt] = {}
        self._kept: dict[int, Parcel] = {}
        self._page: deque[Parcel] = deque()
        self._changed = anyio.Event()
        keeper.serve(self._page, self._wake)

    def _wake(self) -> None:
        self._changed.set()

    def offer(self, receipt: Receipt) -> bool:
        """False: there is no room in memory."""
        if len(self._waiting) >= WAITING:
            return False
        self._waiting.append(receipt)
        self._keeper.watch(receipt)
        self._wake()
        return True

    async def take(self) -> Parcel:
        """The next one to send; waits until there is one, and while too many are unacknowledged. What was taken and is not
        acknowledged when the uplink ends comes again with the next one."""
        while (parcel := self._next()) is None:
            self._changed = anyio.Event()
            await self._changed.wait()
        return parcel

    def _next(self) -> Parcel | None:
        live = bool(self._waiting) and len(self._live) < self._most_live
        kept = bool(self._page) and len(self._kept) < self._most_historical
        if live and not (kept and self._in_a_row >= self._share):
            self._in_a_row += 1
            receipt = self._waiting.popleft()
            self._live[receipt.parcel.position] = receipt
            return receipt.parcel
        if not kept:
            return None
        self._in_a_row = 0
        parcel = self._page.popleft()
        self._kept[parcel.position] = parcel
        self._keeper.read_on()
        return parcel

    def acknowledge(self, *parcels: Parcel) -> None:
        """The receiver has them. In any order; what is not under way here is passed over."""
        for parcel in parcels:
            receipt = self._live.pop(parcel.position, None)
            if receipt is not None:
                self._keeper.acknowledged(receipt)
            elif self._kept.pop(parcel.position, None) is not None:
                self._keeper.remove(parcel.position)
        self._wake()

    def end(self) -> list[Receipt]:
        """Nothing is taken or acknowledged here any more. What is left of the live ones."""
        left = [*self._live.values(), *self._waiting]
        for held in (self._live, self._kept, self._waiting, self._page):
            held.clear()
        return left


@asynccontextmanager
async def open_outbox(
    file: Path,
    clock: Clock,
    *,
    size: int = 256 * 2**20,
    age: float = 7 * DAY,
    linger: float = 0.05,
    log: Log | None = None,
) -> AsyncIterator[Outbox]:
    """The outbox in a file, with what an earlier one left in it. Raises ConfigurationError where it cannot be used.

    `size` bytes at most are kept and nothing for longer than `age` seconds: the oldest gives way, counted, and a Gap
    (`store-overflow`) stands in its place in the stream. What is not acknowledged within `linger` seconds goes to disk, so that
    it is secured; while the receiver is quick nothing is written.
    """
    limits = Limits(size, round(age * 1e9))
    thread = anyio.CapacityLimiter(1)

    async def run(work: Callable[..., T], *args: Any) -> T:
        with anyio.CancelScope(shield=True):  # a cancelled caller must not leave open whether it was written
            result = await anyio.to_thread.run_sync(work, *args, limiter=thread)
        return result

    shelf = await run(Shelf.open, file, clock.now())
    keeper = Keeper(shelf, run, clock, limits, linger, log)
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(keeper.write, name=f"outbox {file.name}: writer")
            tasks.start_soon(keeper.read, name=f"outbox {file.name}: reader")
            try:
                yield Outbox(keeper)
            finally:
                tasks.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        if len(group.exceptions) > 1:
            raise
        # The two tasks raise nothing of their own: a single exception is the body's.
        raise group.exceptions[0] from group.exceptions[0].__cause__
    finally:
        with anyio.CancelScope(shield=True):
            await keeper.flush()
            await run(shelf.close)
