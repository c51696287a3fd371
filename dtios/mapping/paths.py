"""Paths of BrowseNames: as `describe` shows them, and as profiles write them.

Names are joined by `/`; in a name `/` is `~1` and `~` is `~0` (RFC 6901). A profile may put a namespace prefix before a name
(`pml:Status/pml:MachSpeed`); a name without prefix stands for any namespace, and `*:` says so where a name holds a colon.
"""

from collections.abc import Mapping, Sequence

from dtios.mapping.facts import Node
from dtios.model.errors import ConfigurationError
from dtios.model.values import QualifiedName

__all__ = ["ANY_NAMESPACE", "escape", "join", "parse_path", "resolve", "resolve_all", "unescape"]

ANY_NAMESPACE = "*"


def escape(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


def unescape(name: str) -> str:
    return name.replace("~1", "/").replace("~0", "~")


def join(parent: str, segment: str) -> str:
    return f"{parent}/{segment}" if parent else segment


def parse_name(text: str, namespaces: Mapping[str, str]) -> QualifiedName:
    """`prefix:Name` with the namespace URI that the profile gives the prefix. Raises ConfigurationError for a prefix it lacks."""
    prefix, colon, rest = text.partition(":")
    if not colon:
        return QualifiedName(ANY_NAMESPACE, unescape(text))
    if prefix == ANY_NAMESPACE:
        return QualifiedName(ANY_NAMESPACE, unescape(rest))
    if prefix not in namespaces:
        raise ConfigurationError(
            f"the prefix {prefix!r} of {text!r} is not declared",
            mend=f"declare it under `namespaces`, or write *:{text} if the colon belongs to the name",
        )
    return QualifiedName(namespaces[prefix], unescape(rest))


def parse_path(text: str, namespaces: Mapping[str, str]) -> tuple[QualifiedName, ...]:
    """The names of a path; an empty path is the node itself."""
    return tuple(parse_name(segment, namespaces) for segment in text.split("/")) if text else ()


def resolve(node: Node, path: Sequence[QualifiedName]) -> Node | None:
    """The node at `path` below `node`, None if there is none."""
    at: Node | None = node
    for name in path:
        at = _child(at, name) if at is not None else None
    return at


def resolve_all(node: Node, path: Sequence[QualifiedName]) -> list[Node]:
    """Every node at `path`, where a name `*` stands for each child."""
    at = [node]
    for name in path:
        if name == _EACH:
            below = [child for parent in at for _, child in parent.children]
        else:
            below = [child for child in (_child(parent, name) for parent in at) if child is not None]
        at = list({id(child): child for child in below}.values())
    return at


_EACH = QualifiedName(ANY_NAMESPACE, "*")


def _child(node: Node, name: QualifiedName) -> Node | None:
    """The child of that name; `Name#2` is the second of its siblings called `Name`, unless one really is called so."""
    found = node.child(name)
    base, hash_, number = name.name.rpartition("#")
    if found is not None or not hash_ or not number.isdigit():
        return found
    same: list[Node] = []
    for _, below in node.children:
        matches = below.name.name == base and name.namespace in (ANY_NAMESPACE, below.name.namespace)
        if matches and not any(below is s for s in same):
            same.append(below)
    index = int(number) - 1
    return same[index] if 0 < index < len(same) else None
