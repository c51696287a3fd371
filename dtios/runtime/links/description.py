"""What is known of the address space behind one link: from memory or disk at once, browsed where nothing is, and kept true.

A session comes up with what is known where that belongs to the same model. If the server was restarted meanwhile it is checked
while values flow already; until then `verified` is False, and no command passes. While a session stands, whatever casts a
`doubt` (the adapter, a value of a node that is gone, the periodic check) has the address space browsed again: one browse at a
time, never more than a tenth of the time.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final

import anyio
import structlog

from dtios.mapping.facts import BrowseFacts
from dtios.model.errors import ConfigurationError, DtiosError
from dtios.runtime.links.cache import FactsCache, Known
from dtios.sdk.adapter import Connection, Fingerprint, Progress
from dtios.sdk.clock import Clock

__all__ = ["Description", "Place"]

log = structlog.get_logger("dtios.link")

Place = Callable[[BrowseFacts | None, bool], Awaitable[None]]
"""Take these facts (None: those taken last hold good), of which the second says whether they are verified."""

TOGETHER: Final = 0.2
"""Seconds in which changes that follow one another are taken together."""
REST: Final = 9.0
"""So many times as long as a browse took there is none after it."""
AGAIN: Final = 1.0
AGAIN_AT_MOST: Final = 60.0
"""Seconds until a check that failed is tried again: doubled each time."""


class Description:
    def __init__(
        self, url: str, user: str | None, connection: Connection, cache: FactsCache, place: Place, clock: Clock, told: Progress
    ) -> None:
        """`told` hears how a first browse goes on."""
        self._url = url
        self._user = user
        self._connection = connection
        self._cache = cache
        self._place = place
        self._clock = clock
        self._told = told
        self._placed: Known | None = None
        """Without its facts: once they are taken they need no room."""
        self._doubted = anyio.Event()
        self.verified = False

    async def arrive(self) -> None:
        """While a session comes up. Raises what browsing raises, and ConfigurationError where a machine cannot be told."""
        self.verified = False
        fingerprint = await self._connection.fingerprint()
        known = self._placed or await self._cache.load(self._url, self._user)
        if known is None or known.fingerprint.model != fingerprint.model or not await self._use(known, fingerprint):
            await self._browse(self._told)

    async def _use(self, known: Known, fingerprint: Fingerprint) -> bool:
        """Come up with what is known; False where that does not do."""
        verified = known.fingerprint == fingerprint
        try:
            await self._place(known.facts, verified)
        except ConfigurationError:  # it may be outdated: what is there now decides
            self._placed = None
            return False
        self._placed, self.verified = known._replace(facts=None), verified
        return True

    def doubt(self) -> None:
        """Something may have changed."""
        self._doubted.set()

    def use(self, connection: Connection, user: str | None) -> None:
        """Over another connection from now on: nothing is known of what it will see."""
        self._connection, self._user = connection, user
        self._placed = None
        self.verified = False

    async def keep(self, checked: Callable[[], None]) -> None:
        """For as long as the session stands; `checked` is called after each check. Raises ConfigurationError where a machine
        cannot be told any more."""
        failures = 0
        if not self.verified:
            self._doubted.set()
        while True:
            await self._doubted.wait()
            if self.verified:
                await self._clock.sleep(TOGETHER)
            self._doubted = anyio.Event()
            begun = self._clock.monotonic()
            try:
                await self._browse(None)
                checked()
                failures = 0
            except ConfigurationError:
                self._placed = None
                raise
            except DtiosError as error:
                failures += 1
                log.warning("its description could not be checked", endpoint=self._url, reason=str(error), tries=failures)
                self._doubted.set()
                await self._clock.sleep(min(AGAIN * 2 ** min(failures - 1, 10), AGAIN_AT_MOST))
            else:
                await self._clock.sleep(REST * (self._clock.monotonic() - begun))

    async def _browse(self, told: Progress | None) -> None:
        """The fingerprint is taken before: what changes meanwhile casts a doubt."""
        fingerprint = await self._connection.fingerprint()
        # by the name it has here: what `mqtt:embedded` stands for is another address at each start
        facts = replace(await self._connection.browse(told), endpoint=self._url)
        known = await self._cache.save(self._url, self._user, fingerprint, facts)
        same = self._placed is not None and self._placed.digest == known.digest
        if self._placed is not None and not same:
            log.info("its description has changed", endpoint=self._url)
        await self._place(None if same else known.facts, True)
        self._placed, self.verified = known._replace(facts=None), True
