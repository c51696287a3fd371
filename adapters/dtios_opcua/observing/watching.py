"""Is a subscription still served? Counted in the time that we spend waiting for the server, never in our own absence."""

import time
from collections import deque
from typing import Final

from dtios.model.status import is_bad
from dtios_opcua.binary.wire import Undecodable
from dtios_opcua.errors import BadStatus, LostError
from dtios_opcua.observing.subscribing import Subscription, Subscriptions
from dtios_opcua.session.channel import Channel

__all__ = ["Storm", "Watch"]

_PARTS: Final = 8
_MOST: Final = 5
_WINDOW: Final = 30.0
_IDLE: Final = 20
_PACE: Final = 1.0


class Watch:
    """`waited` is the clock that subscriptions are measured with: seconds spent in waiting for the server."""

    def __init__(self, channel: Channel, subscriptions: Subscriptions, patience: float) -> None:
        self._channel = channel
        self._subscriptions = subscriptions
        self._patience = patience

    @property
    def tick(self) -> float:
        """How long to wait at most before the next look, in seconds."""
        return self._patience / _PARTS

    def passed(self, since: float) -> None:
        """We waited from `since` (monotonic); an event loop that was held up does not count for more than a tick."""
        self._subscriptions.waited += min(time.monotonic() - since, 1.2 * self.tick)

    async def forgotten(self) -> list[Subscription]:
        """Those that are silent, and either unknown to the server when asked, or silent for too long. Raises LostError."""
        if time.monotonic() - self._channel.last_heard > self._patience / 3:
            return []  # nothing at all is heard: that is the connection's silence
        now = self._subscriptions.waited
        gone = []
        for one in list(self._subscriptions.by_id.values()):
            silent = now - one.heard
            if silent < self._patience or now - one.asked < self._patience:
                continue
            one.asked = now
            if silent > one.patience or not await self._is_known(one):
                gone.append(one)
        return gone

    async def _is_known(self, one: Subscription) -> bool:
        """True also when the server does not say."""
        try:
            return not is_bad(await self._subscriptions.ask(one))
        except BadStatus as error:
            return error.name != "BadSubscriptionIdInvalid"
        except Undecodable:
            return True


class Storm:
    """Ends a session in which the same thing happens again and again, and slows down answers that bring nothing."""

    def __init__(self) -> None:
        self._made: deque[float] = deque(maxlen=_MOST)
        self._idle: deque[float] = deque(maxlen=_IDLE)

    def recreated(self) -> None:
        """Raises LostError: a new session may do better, and has a back-off."""
        now = time.monotonic()
        if len(self._made) == _MOST and now - self._made[0] < _WINDOW:
            raise LostError("the server drops its subscription again and again")
        self._made.append(now)

    def idle(self) -> bool:
        """An answer without news came. True when they come so fast that the next should wait."""
        now = time.monotonic()
        self._idle.append(now)
        return len(self._idle) == _IDLE and now - self._idle[0] < _PACE
