"""NodeIds: the key they have in one session, the lasting address they have everywhere else, and their wire form.

A `NodeKey` is (namespace index, identifier) and never leaves the session it was read in. An address is `i=2253` in the OPC UA
namespace, else `nsu=URI;s=...` (Part 6, 5.1.12; `%` and `;` in the URI are escaped).
"""

import struct
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from uuid import UUID

from dtios.model.values import NodeId
from dtios.sdk.errors import ConfigurationError

__all__ = ["Namespaces", "NodeKey", "encode_node_id", "sort_key"]

Identifier = int | str | UUID | bytes
NodeKey = tuple[int, Identifier]

_MEND = "an address looks like i=2253 or nsu=http://maker.com/;s=Temperature"


class Namespaces:
    """The NamespaceArray of one session (Part 5, 6.3.1): turns keys into addresses and back."""

    def __init__(self, uris: tuple[str, ...]) -> None:
        self.uris = uris
        self._index: dict[str, int] = {}
        for index, uri in enumerate(uris):
            self._index.setdefault(uri, index)
        self._prefix = [f"nsu={_escape(uri)};" if i else "" for i, uri in enumerate(uris)]
        self._addresses: dict[NodeKey, NodeId] = {}

    def uri(self, index: int) -> str:
        """The URI of an index; an index the server never declared is written as one."""
        return self.uris[index] if index < len(self.uris) else f"urn:undeclared-namespace:{index}"

    def index(self, uri: str) -> int | None:
        return self._index.get(uri)

    def address(self, key: NodeKey) -> NodeId:
        known = self._addresses.get(key)
        if known is None:
            known = self._addresses[key] = NodeId(self._spell(key))
        return known

    def _spell(self, key: NodeKey) -> str:
        index, identifier = key
        prefix = self._prefix[index] if index < len(self._prefix) else f"nsu={self.uri(index)};"
        match identifier:
            case int():
                return f"{prefix}i={identifier}"
            case str():
                return f"{prefix}s={identifier}"
            case UUID():
                return f"{prefix}g={identifier}"
            case _:
                return f"{prefix}b={b64encode(identifier).decode('ascii')}"

    def key(self, address: str) -> NodeKey | None:
        """The key of an address in this session; None when the server does not have its namespace (any more).

        Raises ConfigurationError for what is no address.
        """
        rest, index = address, 0
        if rest.startswith("nsu="):
            uri, separator, rest = rest[4:].partition(";")
            if not separator:
                raise ConfigurationError("the address has no identifier", where=address, mend=_MEND)
            found = self._index.get(_unescape(uri))
            if found is None:
                return None
            index = found
        return index, _identifier(rest, address)

    def told(self, value: object) -> NodeKey | None:
        """The key of what the server gave as a NodeId; None for what is none, or is another server's."""
        try:
            return self.key(value) if isinstance(value, NodeId) else None
        except ConfigurationError:
            return None


def _escape(uri: str) -> str:
    return uri.replace("%", "%25").replace(";", "%3B")


def _unescape(uri: str) -> str:
    return uri.replace("%3B", ";").replace("%3b", ";").replace("%25", "%")


def _identifier(text: str, address: str) -> Identifier:
    kind, value = text[:2], text[2:]
    try:
        if kind == "i=":
            number = int(value)
            if 0 <= number < 2**32:
                return number
        elif kind == "s=":
            return value
        elif kind == "g=":
            return UUID(value)
        elif kind == "b=":
            return b64decode(value, validate=True)
    except (ValueError, Base64Error):
        pass
    raise ConfigurationError("this is not the address of an OPC UA node", where=address, mend=_MEND)


_NUMERIC = struct.Struct("<BHI")
_NAMED = struct.Struct("<BHi")
_HEAD = struct.Struct("<BH")


def encode_node_id(key: NodeKey) -> bytes:
    """Part 6, 5.2.2.9, in its general forms."""
    index, identifier = key
    match identifier:
        case int():
            if index == 0 and identifier < 256:
                return bytes((0, identifier))
            return _NUMERIC.pack(2, index, identifier)
        case str():
            text = identifier.encode()
            return _NAMED.pack(3, index, len(text)) + text
        case UUID():
            return _HEAD.pack(4, index) + identifier.bytes_le
        case _:
            return _NAMED.pack(5, index, len(identifier)) + identifier


def sort_key(namespaces: Namespaces, key: NodeKey) -> tuple[str, int, int, str]:
    """NodeId order that lasts when the server's namespaces come in another order."""
    index, identifier = key
    uri = namespaces.uri(index)
    match identifier:
        case int():
            return uri, 0, identifier, ""
        case str():
            return uri, 1, 0, identifier
        case UUID():
            return uri, 2, 0, str(identifier)
        case _:
            return uri, 3, 0, identifier.hex()
