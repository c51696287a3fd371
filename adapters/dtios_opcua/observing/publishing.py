"""The publish loop: two PublishRequests at the server, one message after the other to the sink.

While the sink does not take a message no further Publish is sent: that is the back-pressure to the server. Whether the
server lives is judged elsewhere (`supervising`), so that our own waiting never looks like its silence.
"""

import asyncio
import struct
import time
from collections import deque

from dtios.model.batch import Batch
from dtios.model.gap import GapCause
from dtios.model.status import OVERFLOW, is_bad
from dtios.sdk.adapter import Loss, Sink
from dtios_opcua.binary.notification import Columns, decode_notifications, read_header, read_message
from dtios_opcua.binary.wire import Reader, Undecodable
from dtios_opcua.errors import BadStatus, LostError
from dtios_opcua.observing.events import Events
from dtios_opcua.observing.subscribing import Subscription, Subscriptions
from dtios_opcua.session.channel import Answer, open_answer
from dtios_opcua.session.services import Service
from dtios_opcua.session.session import Session
from dtios_opcua.space.loading import load_types

__all__ = ["Publishing"]

_DEPTH = 3
_MOST_REPUBLISHED = 64
_PAUSE = 0.2
_NEVER = 3600.0


class Publishing:
    """Owns the outstanding PublishRequests of one session. Run `serve` in a task of the connection's."""

    def __init__(self, session: Session, subscriptions: Subscriptions, sink: Sink, events: Events) -> None:
        self._events = events
        self._session = session
        self._subscriptions = subscriptions
        self._sink = sink
        self._depth = _DEPTH
        self._outstanding: set[Answer] = set()
        self._arrived: deque[Answer] = deque()  # never longer than _DEPTH: one for each request
        self._wake = asyncio.Event()
        self._acknowledge: list[tuple[int, int]] = []
        self._faults = 0
        self._generation = 0
        self._sent_in: dict[Answer, int] = {}

    def wake(self) -> None:
        """There is a subscription now."""
        self._wake.set()

    async def serve(self) -> None:
        """Until cancelled. Raises LostError when the session is gone."""
        try:
            while True:
                self._fill()
                try:
                    async with asyncio.timeout(self._patience() / 4):
                        await self._wake.wait()
                except TimeoutError:
                    await self._recreate_silent()
                self._wake.clear()
                while self._arrived:
                    await self._one(self._arrived.popleft())
                    self._fill()
        finally:
            for answer in self._outstanding:
                answer.cancel()

    def _patience(self) -> float:
        return min((one.patience for one in self._subscriptions.by_id.values()), default=_NEVER)

    async def _recreate_silent(self) -> None:
        """A server that forgot a subscription says nothing: neither data nor keep-alives, to requests that wait there."""
        now = time.monotonic()
        for subscription in list(self._subscriptions.by_id.values()):
            if now - subscription.heard > subscription.patience:
                await self._recreate(subscription)

    def _fill(self) -> None:
        if not self._subscriptions.by_id:
            return
        while len(self._outstanding) + len(self._arrived) < self._depth:
            acknowledged, self._acknowledge = self._acknowledge, []
            payload = struct.pack("<i", len(acknowledged))
            payload += b"".join(struct.pack("<II", *one) for one in acknowledged)
            answer = self._session.channel.hand_over(Service.PUBLISH, payload, 0)
            self._outstanding.add(answer)
            self._sent_in[answer] = self._generation
            answer.add_done_callback(self._done)

    def _done(self, answer: Answer) -> None:
        self._outstanding.discard(answer)
        if not answer.cancelled():
            self._arrived.append(answer)
            self._wake.set()

    async def _one(self, answer: Answer) -> None:
        received = time.time_ns()
        generation = self._sent_in.pop(answer)
        try:
            error = answer.exception()
            if error is not None:
                raise LostError(str(error)) from error
            reader = open_answer(answer.result())
            number = read_header(reader)
        except BadStatus as error:
            await self._fault(error, generation)
            return
        except Undecodable:
            self._lose(GapCause.UNDECODABLE, None)
            return
        self._faults = 0
        subscription = self._subscriptions.by_id.get(number)
        if subscription is not None:
            await self._message(subscription, reader, received)
        now = time.monotonic()
        for other in self._subscriptions.by_id.values():
            other.heard = now if other is subscription else max(other.heard, now - other.patience / 2)

    async def _message(self, subscription: Subscription, reader: Reader, received: int) -> None:
        start = reader.pos
        try:
            sequence, bodies = read_message(reader)
        except Undecodable:
            reader.pos = start
            self._undecodable(subscription, reader)
            return
        await self._catch_up(subscription, sequence, received)
        if not bodies:
            self._sink.alive()
            return
        self._acknowledge.append((subscription.id, sequence))
        if (subscription.expected - sequence) % 2**32 in range(1, 2**31):
            return  # a message we had already
        subscription.expected = _after(sequence)
        await self._deliver(subscription, bodies, received)

    def _undecodable(self, subscription: Subscription, reader: Reader) -> None:
        sequence = reader.u32() if reader.end - reader.pos >= 4 else subscription.expected
        self._acknowledge.append((subscription.id, sequence))
        subscription.expected = _after(sequence)
        self._lose(GapCause.UNDECODABLE, subscription)

    async def _catch_up(self, subscription: Subscription, sequence: int, received: int) -> None:
        """Ask again for messages between the expected number and this one."""
        missing = (sequence - subscription.expected) % 2**32
        if missing == 0 or missing >= 2**31:
            return
        lost = missing > _MOST_REPUBLISHED
        wanted = [] if lost else [_after(subscription.expected, step) for step in range(missing)]
        for number in wanted:
            answer = await self._subscriptions.republish(subscription, number)
            if answer is None:
                lost = True
                continue
            try:
                got, bodies = read_message(answer)
            except Undecodable:
                self._lose(GapCause.UNDECODABLE, subscription)
                continue
            if got != number or not bodies:
                lost = True
                continue
            if lost:
                self._lose(GapCause.MESSAGE_MISSED, subscription)
                lost = False
            self._acknowledge.append((subscription.id, number))
            await self._deliver(subscription, bodies, received)
        subscription.expected = sequence
        if lost:
            self._lose(GapCause.MESSAGE_MISSED, subscription)

    async def _deliver(self, subscription: Subscription, bodies: list[tuple[tuple[int, object], bytes]], received: int) -> None:
        try:
            columns = decode_notifications(self._session.decoder, bodies)
            if self._session.types.missing and not self._session.types_loaded:
                await load_types(self._session)
                columns = decode_notifications(self._session.decoder, bodies)
        except Undecodable:
            self._lose(GapCause.UNDECODABLE, subscription)
            return
        if columns.handles:
            self._overflows(columns)
            await self._sink.deliver(
                Batch(
                    columns.handles,
                    columns.values,
                    columns.statuses,
                    columns.source_times,
                    columns.server_times,
                    received,
                )
            )
        for handle, fields in columns.events:
            await self._events.take(handle, fields)
        if columns.end is not None and is_bad(columns.end):
            await self._recreate(subscription)

    def _overflows(self, columns: Columns) -> None:
        """The overflow bit on a value says that the server's queue lost some before or after it (Part 4, 5.13.1.5)."""
        if any(columns.statuses):
            lost = tuple(
                dict.fromkeys(
                    handle
                    for handle, status in zip(columns.handles, columns.statuses, strict=True)
                    if status & OVERFLOW == OVERFLOW
                )
            )
            if lost:
                self._sink.lost(Loss(GapCause.SERVER_OVERFLOW, lost, None))

    async def _recreate(self, subscription: Subscription) -> None:
        self._generation += 1
        self._lose(GapCause.SUBSCRIPTION_RECREATED, subscription)
        gone = await self._subscriptions.recreate(subscription)
        if gone:
            raise LostError(f"{len(gone)} points could not be subscribed again after the server dropped their subscription")
        if subscription.events:
            await self._events.restore()

    def _lose(self, cause: GapCause, subscription: Subscription | None) -> None:
        handles, events = (None, True) if subscription is None else (subscription.handles, bool(subscription.events))
        self._sink.lost(Loss(cause, handles, None, events))
        if events:
            self._events.missed()

    async def _fault(self, error: BadStatus, generation: int) -> None:
        """A Publish that was answered with a fault; `generation` tells those sent before the last recreation."""
        match error.name:
            case "BadTooManyPublishRequests":
                self._depth = max(1, self._depth - 1)
            case "BadNoSubscription" if generation < self._generation:
                pass
            case "BadNoSubscription":
                for subscription in list(self._subscriptions.by_id.values()):
                    await self._recreate(subscription)
            case "BadTimeout":
                pass
            case "BadSessionIdInvalid" | "BadSessionClosed" | "BadSecureChannelIdInvalid" | "BadSessionNotActivated":
                raise LostError(f"the server ended the session ({error.name})")
            case _:
                self._faults += 1
                if self._faults > 10:
                    raise LostError(f"the server does not publish any more ({error.name})")
                await asyncio.sleep(_PAUSE)


def _after(sequence: int, step: int = 1) -> int:
    """Sequence numbers go from 4294967295 to 1 (Part 4, 7.27)."""
    return (sequence + step - 1) % 0xFFFFFFFF + 1
