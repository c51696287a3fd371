"""Has the address space changed? Looked at from time to time, cheaply, for servers that do not tell.

A look is the NamespaceArray, the versions in the namespaces' metadata (Part 5, 6.3.13) and the first nodes below the Objects
folder. From time to time all of it is to be browsed, the more rarely the longer that takes: never more than a hundredth of
the time.
"""

import hashlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import anyio
import structlog

from dtios.sdk.adapter import Sink
from dtios_opcua.binary.nodeid import NodeKey
from dtios_opcua.binary.wire import Undecodable
from dtios_opcua.errors import BadStatus, LostError
from dtios_opcua.session.services import Attribute, View, browse
from dtios_opcua.session.session import Session

__all__ = ["ModelWatch"]

log = structlog.get_logger("dtios.opcua")

_NAMESPACE_ARRAY: NodeKey = (0, 2255)
_NAMESPACES: NodeKey = (0, 11715)
_OBJECTS: NodeKey = (0, 85)
_SERVER: NodeKey = (0, 2253)
_HIERARCHICAL: NodeKey = (0, 33)
_BELOW = View(0, _HIERARCHICAL)
_VERSIONS: Final = frozenset({"NamespaceVersion", "NamespacePublicationDate"})
_MOST: Final = 500
"""Nodes looked at below the Objects folder."""
_SHARE: Final = 100


class ModelWatch:
    """Of one session. `browsing` is entered around every browse of all of it."""

    def __init__(self, session: Session, sink: Sink, interval: float) -> None:
        self._session = session
        self._sink = sink
        self._interval = interval
        self._mark: str | None = None
        self._last = time.monotonic()
        self._took = 0.0
        self.browsed = False

    @asynccontextmanager
    async def browsing(self) -> AsyncIterator[None]:
        """After the first one the types are loaded anew, for they may have changed too. What changes from here on is noticed."""
        begun = time.monotonic()
        if self.browsed:
            self._session.forget_types()
        self.browsed = True
        self._mark = await self._look()
        yield
        self._last = time.monotonic()
        self._took = self._last - begun

    async def serve(self) -> None:
        """Until cancelled. A look that fails is the next one's; whether the session stands is judged elsewhere."""
        while True:
            await anyio.sleep(self._interval)
            if time.monotonic() - self._last >= max(self._interval, _SHARE * self._took):
                self._sink.changed()
                continue
            try:
                mark = await self._look()
            except (LostError, BadStatus, Undecodable) as error:
                log.debug("could not look at the address space", where=self._session.where, reason=str(error))
                continue
            if self._mark is not None and mark != self._mark:
                self._sink.changed()
            self._mark = mark

    async def _look(self) -> str:
        mark = hashlib.sha256()
        metadata = [key for key, _, _ in await self._below([_NAMESPACES])]
        versions = [key for key, name, _ in await self._below(metadata) if name in _VERSIONS]
        for value, *_ in await self._session.read([(key, Attribute.VALUE) for key in (_NAMESPACE_ARRAY, *versions)]):
            mark.update(repr(value).encode())
        level, seen = [_OBJECTS], {_OBJECTS, _SERVER}
        while level and len(seen) < _MOST:
            found = await self._below(level)
            for one in sorted(map(repr, found)):
                mark.update(one.encode())
            level = [key for key in dict.fromkeys(key for key, _, _ in found) if key not in seen]
            seen.update(level)
        return mark.hexdigest()

    async def _below(self, keys: list[NodeKey]) -> list[tuple[NodeKey, str, NodeKey]]:
        """(node, BrowseName, type definition) of all that hangs below, of no more nodes than _MOST."""
        session = self._session
        found: list[tuple[NodeKey, str, NodeKey]] = []
        async for _, references in browse(session.channel, session.limits, keys[:_MOST], _BELOW, session.uri_index):
            if not isinstance(references, int):
                found += [(one.target, one.name[1], one.type_definition) for one in references]
        return found
