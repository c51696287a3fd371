"""ConditionRefresh (Part 9, 5.5.7): when it is asked for, and what was told while it ran."""

import asyncio
import struct
from collections.abc import Callable
from typing import Final

import structlog

from dtios.model.status import is_bad, status_name
from dtios_opcua.binary.nodeid import NodeKey, encode_node_id
from dtios_opcua.binary.wire import Undecodable
from dtios_opcua.errors import BadStatus
from dtios_opcua.session.services import Service
from dtios_opcua.session.session import Session

__all__ = ["Refreshing"]

log = structlog.get_logger("dtios.opcua")

_CONDITION_TYPE: Final[NodeKey] = (0, 2782)
_CONDITION_REFRESH: Final[NodeKey] = (0, 3875)
_SOON: Final = 0.5
"""Seconds between two refreshes."""
_TRIES: Final = 20
_OTHERS: Final = 0.5
"""Seconds after the first end for the others to come: a server may bracket the refresh of each monitored item, or all at once."""
_LONGEST: Final = 60.0
_NO_CONDITIONS: Final = {"BadMethodInvalid", "BadNodeIdUnknown", "BadNodeIdInvalid"}


class Refreshing:
    """`ask` may be called at any time; `serve` gives the calls, one after the other, and calls `done` after each that was told
    to its end, or where the server knows no conditions at all."""

    def __init__(self, session: Session, items: Callable[[], tuple[int | None, set[int]]], done: Callable[[], None]) -> None:
        """`items` gives the subscription that events come over, and the ClientHandles of those that tell conditions."""
        self._session = session
        self._items = items
        self._done = done
        self._asked = asyncio.Event()
        self._moved = asyncio.Event()
        self._running = False
        self._ended: set[int] = set()
        self._told: set[str] = set()

    def ask(self) -> None:
        """Also while one runs: it begins anew."""
        self._asked.set()
        self._moved.set()

    async def serve(self) -> None:
        """Until cancelled. Raises LostError."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            self._running = False
            self._ended.clear()
            subscription, handles = self._items()
            if subscription is not None and handles and await self._called(subscription):
                await self._finish(handles)
            await asyncio.sleep(_SOON)

    async def _called(self, subscription: int) -> bool:
        status = 0
        for _ in range(_TRIES):
            try:
                status = await self._call(subscription)
            except BadStatus as error:
                status = error.status
            if not is_bad(status):
                return True
            if status_name(status) != "BadRefreshInProgress":
                break
            await asyncio.sleep(_SOON)
        if status_name(status) in _NO_CONDITIONS:
            self._done()
        else:
            log.info("conditions cannot be refreshed", endpoint=self._session.channel.url, reason=status_name(status))
        return False

    async def _call(self, subscription: int) -> int:
        argument = b"\x07" + struct.pack("<I", subscription)
        payload = b"\x01\x00\x00\x00" + encode_node_id(_CONDITION_TYPE) + encode_node_id(_CONDITION_REFRESH)
        answer = await self._session.channel.request(Service.CALL, payload + b"\x01\x00\x00\x00" + argument)
        try:
            return answer.u32() if answer.length() == 1 else 0x80010000
        except Undecodable:
            return 0x80010000

    async def _finish(self, handles: set[int]) -> None:
        try:
            async with asyncio.timeout(_LONGEST) as limit:
                while not self._ended >= handles:
                    if self._asked.is_set():
                        return
                    self._moved.clear()
                    await self._moved.wait()
                    if self._ended:
                        soon = asyncio.get_running_loop().time() + _OTHERS
                        limit.reschedule(min(soon, limit.when() or soon))
        except TimeoutError:
            if not self._ended:
                log.warning("the server did not end its refresh of conditions", endpoint=self._session.where)
                return
        self._done()

    # --- what its events say ---

    def started(self, handle: int) -> None:
        """A second bracket belongs to the same refresh."""
        if not self._running:
            self._running = True
            self._told.clear()

    def told(self, condition: str) -> None:
        if self._running:
            self._told.add(condition)

    def was_told(self, condition: str) -> bool:
        return condition in self._told

    def ended(self, handle: int) -> None:
        """An end without its beginning belongs to one before."""
        if self._running:
            self._ended.add(handle)
            self._moved.set()
