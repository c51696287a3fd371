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
from dtios_opcua.observing.sequence import Arrival, after
from dtios_opcua.observing.subscribing import Subscription, Subscriptions
from dtios_opcua.observing.watching import Storm, Watch
from dtios_opcua.session.channel import Answer, open_answer
from dtios_opcua.session.services import Service
from dtios_opcua.session.session import Session
from dtios_opcua.space.loading import load_types

__all__ = ["Publishing"]

_DEPTH = 3
_MOST_REPUBLISHED = 64
_PAUSE = 0.2


class Publishing:
    """Owns the outstanding PublishRequests of one session. Run `serve` in a task of the connection's."""

    def __init__(self, session: Session, subscriptions: Subscriptions, sink: Sink, events: Events, patience: float) -> None:
        """`patience`: seconds of a subscription's silence after which the server is asked for it."""
        self._watch = Watch(session.channel, subscriptions, patience)
        self._storm = Storm()
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
                began = time.monotonic()
                try:
                    async with asyncio.timeout(self._watch.tick):
                        await self._wake.wait()
                except TimeoutError:
                    pass
                self._watch.passed(began)
                self._wake.clear()
                while self._arrived:
                    await self._one(self._arrived.popleft())
                    self._fill()
                for subscription in await self._watch.forgotten():
                    await self._recreate(subscription)
        finally:
            for answer in self._outstanding:
                answer.cancel()
            for one in self._subscriptions.by_id.values():
                self._end(one)

    def _end(self, subscription: Subscription) -> None:
        """A server that ends, or is about to hang, may have stopped publishing before it stopped answering."""
        self._sink.lost(Loss(GapCause.CONNECTION_LOST, subscription.handles, since=subscription.complete))

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
            reader = open_answer(answer.result(), Service.PUBLISH)
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
            subscription.heard = self._subscriptions.waited
            await self._message(subscription, reader, received)
        else:  # one that was given up, or that was never ours
            await self._slow_down()

    async def _slow_down(self) -> None:
        """A server that answers without end and tells nothing does not keep us busy."""
        if self._storm.idle():
            await asyncio.sleep(_PAUSE)

    async def _message(self, subscription: Subscription, reader: Reader, received: int) -> None:
        start = reader.pos
        try:
            sequence, bodies = read_message(reader)
        except Undecodable:
            reader.pos = start
            self._undecodable(subscription, reader)
            return
        numbers = subscription.numbers
        if numbers.missing(sequence):
            await self._catch_up(subscription, sequence, received)
        if not bodies:
            subscription.complete = received
            self._sink.alive()
            await self._slow_down()
            return
        self._acknowledge.append((subscription.id, sequence))
        arrival = numbers.judge(sequence, bodies)
        if arrival is Arrival.REPEATED:
            return
        if arrival is Arrival.RESET:
            self._lose(GapCause.MESSAGE_MISSED, subscription)
            numbers.restart(sequence)
        numbers.took(sequence, bodies)
        await self._deliver(subscription, bodies, received)
        subscription.complete = received

    def _undecodable(self, subscription: Subscription, reader: Reader) -> None:
        if reader.end - reader.pos >= 4:
            sequence = reader.u32()
            self._acknowledge.append((subscription.id, sequence))
            subscription.numbers.took(sequence, None)
        self._lose(GapCause.UNDECODABLE, subscription)

    async def _catch_up(self, subscription: Subscription, sequence: int, received: int) -> None:
        """Ask again for messages between the expected number and this one."""
        numbers = subscription.numbers
        missing = numbers.missing(sequence)
        lost = missing > _MOST_REPUBLISHED
        for number in [] if lost else [after(numbers.expected, step) for step in range(missing)]:
            cause = await self._again(subscription, number, received, lost)
            if cause is GapCause.UNDECODABLE:
                self._lose(cause, subscription)
            lost = cause is GapCause.MESSAGE_MISSED
        numbers.expected = sequence
        if lost:
            self._lose(GapCause.MESSAGE_MISSED, subscription)

    async def _again(self, subscription: Subscription, number: int, received: int, lost: bool) -> GapCause | None:
        """Deliver one message that was missed (after the Gap, if those before it are `lost`); else why it cannot be."""
        answer = await self._subscriptions.republish(subscription, number)
        subscription.numbers.took(number, None)
        if answer is None:
            return GapCause.MESSAGE_MISSED
        try:
            got, bodies = read_message(answer)
        except Undecodable:
            return GapCause.UNDECODABLE
        if got != number or not bodies:
            return GapCause.MESSAGE_MISSED
        if lost:
            self._lose(GapCause.MESSAGE_MISSED, subscription)
        self._acknowledge.append((subscription.id, number))
        await self._deliver(subscription, bodies, received)
        return None

    async def _deliver(self, subscription: Subscription, bodies: list[tuple[tuple[int, object], bytes]], received: int) -> None:
        try:
            columns = decode_notifications(self._session.decoder, bodies)
            if self._session.types.missing and not self._session.types_loaded:
                await load_types(self._session)
                columns = decode_notifications(self._session.decoder, bodies)
        except Undecodable:
            self._lose(GapCause.UNDECODABLE, subscription)
            return
        if not all(map(subscription.points.__contains__, columns.handles)):
            _drop_strangers(columns, subscription)
        if columns.handles:
            self._overflows(columns, subscription)
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

    def _overflows(self, columns: Columns, subscription: Subscription) -> None:
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
                self._sink.lost(Loss(GapCause.SERVER_OVERFLOW, lost, None, since=subscription.complete))

    async def _recreate(self, subscription: Subscription) -> None:
        self._generation += 1
        try:
            self._storm.recreated()
            gone = await self._subscriptions.recreate(subscription)
        except (LostError, BadStatus, Undecodable):
            self._end(subscription)
            raise
        self._lose(GapCause.SUBSCRIPTION_RECREATED, subscription)  # up to here: nothing was delivered meanwhile
        if gone:
            raise LostError(f"{len(gone)} points could not be subscribed again after the server dropped their subscription")
        if subscription.events:
            await self._events.restore()

    def _lose(self, cause: GapCause, subscription: Subscription | None) -> None:
        handles, events = (None, True) if subscription is None else (subscription.handles, bool(subscription.events))
        meant = self._subscriptions.by_id.values() if subscription is None else (subscription,)
        since = min((one.complete for one in meant), default=None)
        self._sink.lost(Loss(cause, handles, None, events, since=since))
        if events:
            self._events.missed()

    async def _fault(self, error: BadStatus, generation: int) -> None:
        """A Publish that was answered with a fault; `generation` tells those sent before the last recreation."""
        match error.name:
            case "BadTooManyPublishRequests":
                self._depth = max(1, self._depth - 1)
                await self._slow_down()
            case "BadNoSubscription" if generation < self._generation:
                pass
            case "BadNoSubscription":
                for subscription in list(self._subscriptions.by_id.values()):
                    await self._recreate(subscription)
            case "BadTimeout":
                await self._slow_down()
            case "BadSessionIdInvalid" | "BadSessionClosed" | "BadSecureChannelIdInvalid" | "BadSessionNotActivated":
                raise LostError(f"the server ended the session ({error.name})")
            case _:
                self._faults += 1
                if self._faults > 10:
                    raise LostError(f"the server does not publish any more ({error.name})")
                await asyncio.sleep(_PAUSE)


def _drop_strangers(columns: Columns, subscription: Subscription) -> None:
    """A server's mistake with handles must not become another signal's value, least of all another machine's."""
    kept = [at for at, handle in enumerate(columns.handles) if handle in subscription.points]
    for name in ("handles", "values", "statuses", "source_times", "server_times"):
        column = getattr(columns, name)
        setattr(columns, name, [column[at] for at in kept])
