"""An activated session with what belongs to it alone: namespaces, limits, types, decoder and encoder."""

import asyncio
import hashlib
import struct
from collections.abc import Sequence
from typing import Any

from dtios.model.status import BAD_DECODING_ERROR
from dtios.model.values import NO_TIME, Record
from dtios.sdk.adapter import Fingerprint
from dtios_opcua.binary.decoder import Decoder
from dtios_opcua.binary.encoder import Encoder
from dtios_opcua.binary.nodeid import Namespaces, NodeKey
from dtios_opcua.binary.standard_types import standard_types
from dtios_opcua.binary.typetable import TypeTable
from dtios_opcua.binary.wire import Reader, Undecodable
from dtios_opcua.errors import LostError
from dtios_opcua.security.handshake import Handshake
from dtios_opcua.session.channel import Answer, Channel, foreign, host_and_port
from dtios_opcua.session.leftover import Leftover, create_session
from dtios_opcua.session.limits import Limits, batched
from dtios_opcua.session.services import Attribute, Service, read_payload

__all__ = ["Reading", "Session", "status_list"]

Reading = tuple[Any, int, int, int]
"""(value, status, source time, server time)."""

_NAMESPACE_ARRAY: NodeKey = (0, 2255)
_SERVER_ARRAY: NodeKey = (0, 2254)
_START_TIME: NodeKey = (0, 2257)
_BUILD_INFO: NodeKey = (0, 2260)
_LIMITS: dict[str, NodeKey] = {
    "read": (0, 11705),
    "write": (0, 11707),
    "browse": (0, 11710),
    "monitored_items": (0, 11714),
    "items_in_subscription": (0, 24104),
    "subscriptions": (0, 24098),
}
_UNEXPECTED = 0x80010000


class Session:
    """Made by `open`; one for each run of a connection."""

    def __init__(self, channel: Channel, limits: Limits | None = None) -> None:
        """`limits`: with what the sessions before learned."""
        self.channel = channel
        self.limits = limits or Limits()
        self.fingerprint = Fingerprint("")
        self.types_loaded = False
        self.loading = asyncio.Lock()
        self.notes: list[str] = []
        self._use(Namespaces(("http://opcfoundation.org/UA/",)))

    def _use(self, namespaces: Namespaces) -> None:
        self.namespaces = namespaces
        self.types = TypeTable(namespaces, standard_types())
        self.decoder = Decoder(self.types)
        self.encoder = Encoder(self.types)

    async def open(self, handshake: Handshake, left: Leftover) -> None:
        """From the socket to the NamespaceArray. Raises what asyncua, the socket and the services raise, and CredentialsError
        where the server is not who it should be."""
        channel = self.channel
        await channel.open()
        created = await create_session(channel, handshake, left)
        channel.stage = "user"
        await foreign(handshake.activate(channel.client, created))
        channel.stage = "ready"
        channel.use_token(created.AuthenticationToken)
        await self._look_around()

    async def _look_around(self) -> None:
        keys = [_NAMESPACE_ARRAY, _SERVER_ARRAY, _START_TIME, _BUILD_INFO, *_LIMITS.values()]
        values = [value for value, *_ in await self.read([(key, Attribute.VALUE) for key in keys])]
        self._use(_namespaces(values[0]))
        self._see(*values[1:4])
        for name, value in zip(_LIMITS, values[4:], strict=True):
            self.limits.claim(name, value)

    async def look_again(self) -> None:
        """The namespaces, as they are now. Raises LostError where they are others than those that addresses were made with."""
        keys = [_NAMESPACE_ARRAY, _SERVER_ARRAY, _START_TIME, _BUILD_INFO]
        values = [value for value, *_ in await self.read([(key, Attribute.VALUE) for key in keys])]
        now, known = _namespaces(values[0]), self.namespaces.uris
        if now.uris[: len(known)] != known:
            raise LostError("the server's namespaces are others now")
        if now.uris != known:
            self._use(now)
        self._see(*values[1:])

    def _see(self, servers: Any, started: Any, build: Any) -> None:
        product = sorted((name, str(value)) for name, value in build.fields.items()) if isinstance(build, Record) else []
        model = repr((sorted(self.namespaces.uris), servers, product))  # in whatever order the namespaces come
        self.fingerprint = Fingerprint(hashlib.sha256(model.encode()).hexdigest(), str(started))

    def forget_types(self) -> None:
        """They may be others now: they are loaded when they are wanted again."""
        self.notes.clear()
        self.types_loaded = False
        self._use(self.namespaces)

    def uri_index(self, uri: str) -> int | None:
        return self.namespaces.index(uri)

    async def read(self, items: Sequence[tuple[NodeKey, int]]) -> list[Reading]:
        """Attributes, in order. A result that cannot be decoded is BadDecodingError, and the others are read again one by
        one when it hides them; one that is too large for an answer has that status. Raises LostError or BadStatus."""
        readings: list[Reading] = []
        async for some, answer in batched(self.channel, self.limits, "read", Service.READ, items, read_payload):
            if isinstance(answer, int):
                readings.append((None, answer, NO_TIME, NO_TIME))
                continue
            got = self._readings(answer, len(some))
            if got is None:
                got = [await self._single(item) for item in some]
            readings += got
        return readings

    def _readings(self, answer: Reader, expected: int) -> list[Reading] | None:
        decode = self.decoder.data_value
        try:
            count = answer.length()
            return [decode(answer) for _ in range(count)] if count == expected else None
        except Undecodable:
            return None

    async def _single(self, item: tuple[NodeKey, int]) -> Reading:
        answer = await self.channel.request(Service.READ, read_payload([item]))
        got = self._readings(answer, 1)
        return (None, BAD_DECODING_ERROR, NO_TIME, NO_TIME) if got is None else got[0]

    def goodbye(self) -> Answer:
        """CloseSession, with its subscriptions."""
        return self.channel.hand_over(Service.CLOSE_SESSION, b"\x01", 1.0)

    @property
    def where(self) -> str:
        host, port = host_and_port(self.channel.url)
        return f"{host}:{port}"


def _namespaces(value: Any) -> Namespaces:
    uris = tuple(str(uri) for uri in value) if isinstance(value, list) else ()
    return Namespaces(uris or ("http://opcfoundation.org/UA/",))


def status_list(reader: Reader, expected: int) -> list[int]:
    """The StatusCodes that answer Write and the Delete services."""
    count = reader.length(4)
    codes = list(struct.unpack(f"<{max(count, 0)}I", reader.take(4 * max(count, 0))))
    return (codes + [_UNEXPECTED] * expected)[:expected]
