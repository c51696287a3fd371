"""The event types of one server: their names, and which is a subtype of which."""

from collections.abc import AsyncIterator, Iterator
from typing import Final

from dtios.model.values import QualifiedName
from dtios_opcua.binary.nodeid import NodeKey
from dtios_opcua.session.services import Attribute, Reference, View, browse
from dtios_opcua.session.session import Session

__all__ = ["EventTypes"]

_BASE_EVENT: Final[NodeKey] = (0, 2041)
_SUBTYPES: Final = View(0, (0, 45))
_SUPERTYPE: Final = View(1, (0, 45))
_MOST: Final = 10_000
"""Types that are kept; a server with more has made a mistake."""


class EventTypes:
    """Filled by `load`; a type that comes later is learned with the first event of it."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._name: dict[NodeKey, QualifiedName] = {}
        self._parent: dict[NodeKey, NodeKey] = {}
        self._unknown: set[NodeKey] = set()
        self._loaded = False

    async def load(self) -> None:
        """All below BaseEventType, once for a session."""
        if self._loaded:
            return
        self._name[_BASE_EVENT] = QualifiedName(self._session.namespaces.uri(0), "BaseEventType")
        level = [_BASE_EVENT]
        while level and len(self._name) < _MOST:
            below: list[NodeKey] = []
            async for key, found in self._browse(level, _SUBTYPES):
                for reference in found if not isinstance(found, int) else ():
                    if reference.target not in self._name:
                        self._add(reference.target, reference.name)
                        self._parent[reference.target] = key
                        below.append(reference.target)
            level = below
        self._loaded = True

    def _browse(self, keys: list[NodeKey], view: View) -> AsyncIterator[tuple[NodeKey, list[Reference] | int]]:
        session = self._session
        return browse(session.channel, session.limits, keys, view, session.uri_index)

    def _add(self, key: NodeKey, name: tuple[int, str]) -> None:
        self._name[key] = QualifiedName(self._session.namespaces.uri(name[0]), name[1])

    async def learn(self, key: NodeKey) -> None:
        """Where a type belongs that was not there before. Never asked twice for one that nobody knows."""
        at = key
        while at not in self._name and at not in self._unknown and len(self._unknown) < _MOST:
            self._unknown.add(at)
            async for _, found in self._browse([at], _SUPERTYPE):
                for reference in found if not isinstance(found, int) else ():
                    self._parent[at] = reference.target
            ((name, *_),) = await self._session.read([(at, Attribute.BROWSE_NAME)])
            if isinstance(name, QualifiedName):
                self._name[at] = name
            if at not in self._parent:
                return
            at = self._parent[at]

    def is_known(self, key: NodeKey) -> bool:
        return key in self._name or key in self._unknown

    def find(self, name: QualifiedName) -> NodeKey | None:
        return next((key for key, known in self._name.items() if known == name), None)

    def chain(self, key: NodeKey) -> Iterator[NodeKey]:
        """The type and all above it."""
        seen: set[NodeKey] = set()
        at: NodeKey | None = key
        while at is not None and at not in seen:
            seen.add(at)
            yield at
            at = self._parent.get(at)

    def is_a(self, key: NodeKey, base: NodeKey) -> bool:
        return base in self.chain(key)

    def names(self, key: NodeKey) -> tuple[QualifiedName, ...]:
        """Most derived first."""
        return tuple(self._name[at] for at in self.chain(key) if at in self._name)
