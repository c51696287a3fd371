"""Where a server tells its events: at the Server object, and at objects whose events do not go up to it."""

from collections.abc import Iterable
from typing import Final

import structlog

from dtios.sdk.adapter import Fingerprint
from dtios_opcua.binary.nodeid import NodeKey
from dtios_opcua.session.services import Attribute, View, browse
from dtios_opcua.session.session import Session

__all__ = ["Notifiers", "find_notifiers"]

log = structlog.get_logger("dtios.opcua")

_SERVER: Final[NodeKey] = (0, 2253)
_OBJECTS: Final[NodeKey] = (0, 85)
_HAS_EVENT_SOURCE: Final = View(0, (0, 36))  # HasNotifier is one
_OBJECTS_BELOW: Final = View(0, (0, 33), 1)
_SUBSCRIBE_TO_EVENTS: Final = 1
_MOST_OBJECTS: Final = 10_000
_MOST: Final = 50


class Notifiers:
    """Kept across the sessions of a connection: looked for again when the address space may be another."""

    def __init__(self) -> None:
        self._fingerprint: Fingerprint | None = None
        self._found: list[NodeKey] = []

    async def of(self, session: Session) -> list[NodeKey]:
        if session.fingerprint != self._fingerprint:
            self._found = await find_notifiers(session)
            self._fingerprint = session.fingerprint
        return self._found


async def find_notifiers(session: Session) -> list[NodeKey]:
    """The objects to subscribe to, so that every event comes, and comes once. Raises LostError or BadStatus."""
    objects = await _walk(session, [_OBJECTS], _OBJECTS_BELOW, _MOST_OBJECTS)
    objects.discard(_SERVER)
    items = [_SERVER, *sorted(objects, key=repr)]
    readings = await session.read([(key, Attribute.EVENT_NOTIFIER) for key in items])
    telling = [key for key, (value, *_) in zip(items, readings, strict=True) if _tells(value)]
    chosen: list[NodeKey] = []
    covered: set[NodeKey] = set()
    for key in telling:
        if key not in covered:
            covered |= await _walk(session, [key], _HAS_EVENT_SOURCE, _MOST_OBJECTS)
            chosen = [other for other in chosen if other not in covered]
            chosen.append(key)
    if len(chosen) > _MOST:
        log.warning("more objects tell events than are listened to", endpoint=session.where, found=len(chosen), taken=_MOST)
    return chosen[:_MOST]


def _tells(value: object) -> bool:
    return isinstance(value, int) and bool(value & _SUBSCRIBE_TO_EVENTS)


async def _walk(session: Session, start: Iterable[NodeKey], view: View, most: int) -> set[NodeKey]:
    """All that is reached from `start`, which is not in it itself."""
    found: set[NodeKey] = set()
    level = list(start)
    seen = set(level)
    while level and len(found) < most:
        below: list[NodeKey] = []
        async for _, references in browse(session.channel, session.limits, level, view, session.uri_index):
            for reference in references if not isinstance(references, int) else ():
                if reference.target not in seen:
                    seen.add(reference.target)
                    below.append(reference.target)
        found.update(below)
        level = below
    return found
