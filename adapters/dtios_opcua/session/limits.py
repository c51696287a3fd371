"""How much goes into one request: what the server says, and less where that turns out to be too much for it.

A server may claim more than it can (it answers BadTooManyOperations or BadResponseTooLarge all the same), claim nothing (0),
or say nothing and close the connection, or fall silent, over a request that is too big. All of them are met with smaller
requests; what was learned is kept for the connection's next sessions.
"""

import math
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, TypeVar

from dtios.model.status import status_name
from dtios_opcua.binary.wire import Reader
from dtios_opcua.errors import BadStatus, LostError
from dtios_opcua.session.channel import Channel

__all__ = ["LimitName", "Limits", "batched", "is_too_large"]

T = TypeVar("T")
LimitName = Literal["read", "write", "browse", "monitored_items"]

_TOO_MANY = {"BadTooManyOperations", "BadRequestTooLarge"}
_TOO_LARGE = {"BadEncodingLimitsExceeded", "BadResponseTooLarge", "BadTcpMessageTooLarge"}
"""It depends on what was asked for, so nothing is learned from it for other requests."""
_ONE_IS_BAD = {
    "BadUserAccessDenied",
    "BadInternalError",
    "BadUnexpectedError",
    "BadNodeIdUnknown",
    "BadNodeIdInvalid",
    "BadAttributeIdInvalid",
    "BadEncodingError",
    "BadNotImplemented",
    "BadNotSupported",
}
"""A server that answers a whole request so, because of a single item of it, is asked for the others without that one."""
_MOST_FAULTS: Final = 64
_STEADY: Final = 4
"""So many requests in a row must go well before they grow again."""
_SMALL: Final = 8
"""A request of so few items is not blamed for the loss of the connection."""
_REMEMBERED: Final = 3600.0
"""Seconds: a loss right after a big request may have been an accident."""


@dataclass(slots=True)
class Limits:
    """Of one session: items in a request. `references`: for each node in one answer, 0 for as many as there are.

    `items_in_subscription` and `subscriptions` are what the server claims (Part 5, 6.3.2), 0 where it claims nothing.
    `learned` is shared by the sessions of one connection: name -> (size, monotonic time until which it is believed).
    """

    read: int = 2000
    write: int = 500
    browse: int = 500
    monitored_items: int = 1000
    references: int = 0
    items_in_subscription: int = 0
    subscriptions: int = 0
    learned: dict[str, tuple[int, float]] = field(default_factory=dict)

    def for_next_session(self) -> "Limits":
        """As at the beginning, with what was learned."""
        fresh = Limits(learned=self.learned)
        for name, (size, until) in tuple(self.learned.items()):
            if until > time.monotonic():
                setattr(fresh, name, size)
            else:
                del self.learned[name]
        return fresh

    def claim(self, name: str, claimed: object) -> None:
        """What the server says of itself; 0 says nothing."""
        if isinstance(claimed, int) and not isinstance(claimed, bool) and claimed > 0:
            known = getattr(self, name)
            setattr(self, name, min(claimed, known) if known else claimed)

    def shrink(self, name: str, tried: int) -> None:
        """The server said that it was too much."""
        self._learn(name, max(1, tried // 2), math.inf)

    def lost(self, name: str, tried: int) -> bool:
        """No answer came. True when it may have been too much, and smaller ones may do."""
        if tried <= _SMALL:
            return False
        self._learn(name, max(1, tried // 4), time.monotonic() + _REMEMBERED)
        return True

    def fewer_references(self) -> bool:
        """The answer for a single node was too much."""
        if self.references == 1:
            return False
        self._learn("references", self.references // 10 or 1 if self.references else 1000, math.inf)
        return True

    def _learn(self, name: str, size: int, until: float) -> None:
        setattr(self, name, size)
        self.learned[name] = (size, max(until, self.learned.get(name, (0, 0.0))[1]))


def is_too_large(status: int) -> bool:
    """The answer would have been too large."""
    return status_name(status) in _TOO_LARGE


async def batched(
    channel: Channel,
    limits: Limits,
    limit: LimitName,
    service: int,
    items: Sequence[T],
    payload: Callable[[Sequence[T]], bytes],
    *,
    repeatable: bool = True,
) -> AsyncIterator[tuple[Sequence[T], Reader | int]]:
    """(the items of one batch, their answer), over all items. An int is the Bad status of a request for a single item.

    Raises BadStatus for what concerns the session or service as a whole, LostError when it is lost, or when no answer came to
    a request that must not be sent twice.
    """
    at = faults = steady = 0
    narrow = len(items)
    while at < len(items):
        some = items[at : at + max(1, min(getattr(limits, limit), narrow))]
        answer: Reader | int
        try:
            answer = await channel.request(service, payload(some))
        except BadStatus as error:
            if not _may_be_an_items(error) or faults > _MOST_FAULTS:
                raise
            steady = 0
            if len(some) > 1:
                narrow = len(some) // 2
                if error.name in _TOO_MANY:
                    limits.shrink(limit, len(some))
                continue
            faults += error.name not in _TOO_LARGE
            answer = error.status
        except LostError:
            if not limits.lost(limit, len(some)) or channel.lost.is_set() or not repeatable:
                raise
            continue
        yield some, answer
        at += len(some)
        steady += 1
        if steady >= _STEADY:
            narrow, steady = 2 * narrow, 0


def _may_be_an_items(error: BadStatus) -> bool:
    return error.name in _TOO_MANY or error.name in _TOO_LARGE or error.name in _ONE_IS_BAD
