"""The receiving end of a stream: a bounded inbox that the reader fills without ever waiting, and a consumer empties."""

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Mapping
from typing import Generic, TypeVar

import anyio

from dtios.model.errors import DtiosError, TemporaryError
from dtios.model.gap import Gap
from dtios.sdk.codec import unpack_batch
from dtios.sdk.delivery import Delivery
from dtios.sdk.protocol import Data

__all__ = ["DATA_WINDOW", "FOLLOW_CAPACITY", "LARGEST_WINDOW", "Inbox", "Subscription"]

T = TypeVar("T")

DATA_WINDOW = 2
"""How many Data of one subscription may wait for an Ack unless it asks for more (the runtime keeps to it)."""
LARGEST_WINDOW = 256
FOLLOW_CAPACITY = 1024


class Inbox(Generic[T]):
    """A bounded buffer with one consumer. Policy when full: with a `key`, the older item of the same key gives way (latest
    for each key), else the oldest item; `dropped` counts both. Without `lossy`, too much ends the stream with an error."""

    def __init__(self, capacity: int, *, key: Callable[[T], Hashable] | None = None, lossy: bool = True) -> None:
        self._items: deque[T] = deque()
        self._capacity = capacity
        self._key = key
        self._lossy = lossy
        self._arrived = anyio.Event()
        self.ended = False
        self.error: DtiosError | None = None
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: T) -> None:
        if self.ended:
            return
        if len(self._items) >= self._capacity:
            if not self._lossy:
                self.end(TemporaryError("the runtime sent more than was acknowledged", mend="update both to the same version"))
                return
            self._make_room(item)
        self._items.append(item)
        self._arrived.set()

    def _make_room(self, item: T) -> None:
        self.dropped += 1
        if self._key is not None:
            key = self._key(item)
            for index, old in enumerate(self._items):
                if self._key(old) == key:
                    del self._items[index]
                    return
        self._items.popleft()

    def end(self, error: DtiosError | None = None) -> None:
        """Nothing more comes; what is there can still be taken."""
        if not self.ended:
            self.ended, self.error = True, error
            self._arrived.set()

    async def get(self) -> T:
        """The next item. Raises StopAsyncIteration at the end, or the error the stream ended with."""
        while not self._items:
            if self.ended:
                if self.error is not None:
                    raise self.error
                raise StopAsyncIteration
            self._arrived = anyio.Event()
            await self._arrived.wait()
        return self._items.popleft()

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    async def __anext__(self) -> T:
        return await self.get()


class Subscription:
    """Deliveries of some signals of one machine. Asking for the next one acknowledges the one before.

    Who keeps several at a time (it asked for a larger `window`) uses `take` and `acknowledge` instead."""

    def __init__(
        self,
        machine: str,
        paths: Mapping[int, str],
        inbox: Inbox[Data],
        acknowledge: Callable[[int], Awaitable[None]],
    ) -> None:
        self.machine = machine
        self.paths = paths
        self._inbox = inbox
        self._send_ack = acknowledge
        self._open: Delivery | None = None

    async def take(self) -> Delivery:
        """The next one; those before it stay unacknowledged. Raises StopAsyncIteration at the end, or what ended the stream."""
        data = await self._inbox.get()
        gaps: list[tuple[str, Gap]] = [(self.paths.get(handle, ""), gap) for handle, gap in data.gaps]
        batch = None if data.batch is None else unpack_batch(data.batch)
        self._open = Delivery(self.machine, gaps, batch, self.paths, data.number)
        return self._open

    async def acknowledge(self, delivery: Delivery | None = None) -> None:
        """This Delivery (the last one taken, if none is named) has been dealt with, whatever becomes of us; the runtime may send
        another. What is not acknowledged when this subscription's name comes back lies in a Gap."""
        done = self._open if delivery is None else delivery
        if done is self._open:
            self._open = None
        if done is not None:
            await self._send_ack(done.number)

    def __aiter__(self) -> AsyncIterator[Delivery]:
        return self

    async def __anext__(self) -> Delivery:
        await self.acknowledge()
        return await self.take()
