"""Type definitions with their supertypes, and which reference type is which."""

from collections.abc import Iterable

from dtios.mapping.facts import ReferenceKind
from dtios.model.values import QualifiedName
from dtios_opcua.binary.nodeid import NodeKey
from dtios_opcua.session.services import MOST_LEVELS, Attribute, View, browse
from dtios_opcua.session.session import Session

__all__ = ["TypeDefinitions"]

_HIERARCHICAL: NodeKey = (0, 33)
_COMPONENT: NodeKey = (0, 47)
_PROPERTY: NodeKey = (0, 46)
_ORGANIZES: NodeKey = (0, 35)
_HAS_INTERFACE: NodeKey = (0, 17603)
_MOST_TYPES = 20_000
"""A server may make up types for ever."""
_SUBTYPES = View(0, (0, 45))
_SUPERTYPE = View(1, (0, 45))
_INTERFACES = View(0, _HAS_INTERFACE)

_KNOWN_PARENTS: dict[NodeKey, NodeKey] = {
    (0, 34): (0, 33),
    (0, 35): (0, 33),
    (0, 36): (0, 33),
    (0, 44): (0, 34),
    (0, 45): (0, 34),
    (0, 46): (0, 44),
    (0, 47): (0, 44),
    (0, 48): (0, 36),
    (0, 49): (0, 47),
    (0, 14476): (0, 47),
    (0, 17604): (0, 47),
    (0, 17603): (0, 32),
}


class TypeDefinitions:
    """Filled level by level, in batches; a type is browsed once."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._reference_parent = dict(_KNOWN_PARENTS)
        self._kinds: dict[NodeKey, ReferenceKind] = {}
        self._parent: dict[NodeKey, NodeKey] = {}
        self._interfaces: dict[NodeKey, list[NodeKey]] = {}
        self._names: dict[NodeKey, QualifiedName] = {}

    # --- reference types ---

    async def load_reference_types(self) -> None:
        level: list[NodeKey] = [_HIERARCHICAL, _HAS_INTERFACE]
        seen = set(level)
        while level and len(seen) < _MOST_TYPES:
            below: list[NodeKey] = []
            async for key, found in browse(
                self._session.channel, self._session.limits, level, _SUBTYPES, self._session.uri_index
            ):
                if isinstance(found, int):
                    continue  # an old server without HasInterface; the known ones are in the table above
                for reference in found:
                    if reference.target not in seen:
                        seen.add(reference.target)
                        self._reference_parent[reference.target] = key
                        below.append(reference.target)
            level = below

    def is_a(self, reference_type: NodeKey, base: NodeKey) -> bool:
        at: NodeKey | None = reference_type
        for _ in range(MOST_LEVELS):  # a server may say that a type is above itself
            if at is None or at == base:
                break
            at = self._reference_parent.get(at)
        return at == base

    def is_hierarchical(self, reference_type: NodeKey) -> bool:
        return self.is_a(reference_type, _HIERARCHICAL)

    def kind(self, reference_type: NodeKey) -> ReferenceKind:
        known = self._kinds.get(reference_type)
        if known is None:
            known = self._kinds[reference_type] = self._kind(reference_type)
        return known

    def _kind(self, reference_type: NodeKey) -> ReferenceKind:
        for base, kind in (
            (_COMPONENT, ReferenceKind.COMPONENT),
            (_PROPERTY, ReferenceKind.PROPERTY),
            (_ORGANIZES, ReferenceKind.ORGANIZES),
        ):
            if self.is_a(reference_type, base):
                return kind
        return ReferenceKind.OTHER

    # --- object and variable types ---

    async def load(self, keys: Iterable[NodeKey]) -> None:
        """These types with all above them and the interfaces they have."""
        session = self._session
        level = list(keys)
        seen = set(level)
        while level and len(seen) < _MOST_TYPES:
            above: list[NodeKey] = []
            async for key, found in browse(session.channel, session.limits, level, _SUPERTYPE, session.uri_index):
                for reference in found if not isinstance(found, int) else ():
                    self._parent[key] = reference.target
                    above.append(reference.target)
            async for key, found in browse(session.channel, session.limits, level, _INTERFACES, session.uri_index):
                for reference in found if not isinstance(found, int) else ():
                    self._interfaces.setdefault(key, []).append(reference.target)
                    above.append(reference.target)
            level = [key for key in dict.fromkeys(above) if key not in seen]
            seen.update(level)
        ordered = list(seen)
        readings = await session.read([(key, Attribute.BROWSE_NAME) for key in ordered])
        for key, (value, *_) in zip(ordered, readings, strict=True):
            if isinstance(value, QualifiedName):
                self._names[key] = value

    def names(self, definition: NodeKey | None, extra: tuple[NodeKey, ...]) -> tuple[QualifiedName, ...]:
        """The definition and its supertypes, most derived first, then interfaces and add-ins with theirs; each once."""
        own = list(self._chain(definition)) if definition is not None else []
        more = [key for at in own for key in self._interfaces.get(at, ())] + list(extra)
        keys = own + [key for one in more for key in self._chain(one)]
        return tuple(self._names[key] for key in dict.fromkeys(keys) if key in self._names)

    def _chain(self, key: NodeKey) -> Iterable[NodeKey]:
        seen: set[NodeKey] = set()
        at: NodeKey | None = key
        while at is not None and at not in seen:
            seen.add(at)
            yield at
            at = self._parent.get(at)
