"""Machines on a broker cannot be listed: whoever wants to know who is there listens for a moment."""

from typing import Final

import anyio

__all__ = ["Hearing"]

_QUIET: Final = 0.75
"""Seconds without news after which nobody else is expected to speak up."""


class Hearing:
    """`moment` seconds are listened for at the beginning of each session; less where nothing new comes after something came."""

    def __init__(self, moment: float) -> None:
        self._moment = moment
        self._until = 0.0
        self._heard = False
        self._news = anyio.Event()

    def begin(self) -> None:
        """A session stands."""
        self._until = anyio.current_time() + self._moment

    def news(self) -> None:
        self._heard = True
        self._news.set()
        self._news = anyio.Event()

    async def over(self) -> None:
        """Until the moment is over; at once later on."""
        with anyio.CancelScope(deadline=self._until):
            while True:
                with anyio.move_on_after(_QUIET if self._heard else self._moment) as patience:
                    await self._news.wait()
                if patience.cancelled_caught:
                    return
