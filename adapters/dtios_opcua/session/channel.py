"""One socket with its secure channel, and requests over it as bytes.

asyncua opens the channel and the session; requests are handed to its protocol object here, in one function without an
await, because the way through asyncua's client takes a semaphore, a hook and (on Python 3.11) a task of its own before a
byte is written: a command's last check could be outdated by then.
"""

import asyncio
import logging
import struct
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit

from asyncua import ua
from asyncua.client.client import Client
from asyncua.client.ua_client import UaClientState, UASocketProtocol
from asyncua.common.connection import TransportLimits
from asyncua.ua.ua_binary import nodeid_to_binary
from asyncua.ua.uaerrors import UaError, UaStatusCodeError

from dtios.model.status import is_bad
from dtios.sdk.adapter import LastCheck
from dtios.sdk.errors import DtiosError
from dtios_opcua.binary.wire import Reader, Undecodable, ticks_from_ns
from dtios_opcua.errors import BadStatus, LostError
from dtios_opcua.security.refusals import Stage
from dtios_opcua.session.address import host_and_port

__all__ = ["Answer", "Channel", "foreign", "host_and_port", "message_of", "open_answer", "skip_diagnostics"]

T = TypeVar("T")

_SERVICE_FAULT = 397
_HEADER_TAIL = struct.Struct("<qIIiI")

_OPEN_CHANNEL = 446
_ANSWERS = 3
"""A response's encoding id is its request's plus this (Part 6, A.3)."""
_MOST_CHUNK = 2**20
_MOST_MESSAGE = 64 * 2**20
_MOST_CHUNKS = _MOST_MESSAGE // 8192
"""What is taken from a server; chunks have 8192 bytes at least (Part 6, 7.1.2.3). It may announce more than that."""
_MOST_OWED = 1000
_KINDS = frozenset((b"ACK", b"ERR", b"OPN", b"MSG", b"CLO"))


class Answer(asyncio.Future[Any]):
    """The body of a response, to come. `service` is its request's encoding id."""

    service: int = 0


class _Limits(TransportLimits):
    """Of what we receive, ours; of what we send, the server's."""

    def update_client_limits(self, msg: ua.Acknowledge) -> None:
        self.max_send_buffer = max(8192, min(int(msg.ReceiveBufferSize), self.max_send_buffer))

    def is_msg_size_within_limit(self, sz: int) -> bool:
        if sz > self.max_message_size:
            raise UaError(f"a message of more than {self.max_message_size} bytes")
        return True

    def is_chunk_count_within_limit(self, sz: int) -> bool:
        if sz > self.max_chunk_count:
            raise UaError(f"a message of more than {self.max_chunk_count} chunks")
        return True


async def foreign(work: Awaitable[T]) -> T:
    """asyncua decodes a few answers itself, and over a damaged one raises whatever Python raised: that is Undecodable here."""
    try:
        return await work
    except (UaError, OSError, LostError, Undecodable, DtiosError):
        raise
    except Exception as error:  # struct.error, TypeError, AssertionError, ...: all of them mean the same
        raise Undecodable(f"{type(error).__name__}: {error}") from error


class _Protocol(UASocketProtocol):
    """Notes when the server was last heard of, and what asyncua had to complain about."""

    def __init__(self, timeout: float, policy: Any) -> None:
        super().__init__(timeout, policy, limits=_Limits(_MOST_CHUNK, 65536, _MOST_CHUNKS, _MOST_MESSAGE))
        self.complaint = ""
        self._unread = bytearray()
        # a logger of its own, registered nowhere: asyncua's complaint becomes the reason that a person reads
        self.logger = logging.Logger("dtios_opcua.protocol", logging.WARNING)
        self.logger.addHandler(_Complaints(self))
        self.is_session_closing = lambda: True
        self.last_heard = time.monotonic()
        self.closed = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        self.last_heard = time.monotonic()
        self._unread += data
        try:
            for chunk in self._chunks():
                self._process_received_data(chunk)
        except Undecodable as error:
            self.complaint = str(error)
            self._unread.clear()
            if self.transport is not None:
                self.transport.abort()

    def _chunks(self) -> Iterator[bytes]:
        """What is there in whole; asyncua's own buffer takes any size, and copies it at each byte that comes."""
        unread, at = self._unread, 0
        try:
            while len(unread) - at >= 8 and self.transport is not None and not self.transport.is_closing():
                kind, size = bytes(unread[at : at + 3]), int.from_bytes(unread[at + 4 : at + 8], "little")
                if kind not in _KINDS or not 8 <= size <= _MOST_CHUNK:
                    raise Undecodable(f"a chunk of {size} bytes" if kind in _KINDS else f"a message that begins with {kind!r}")
                if len(unread) - at < size:
                    return
                at += size
                yield bytes(unread[at - size : at])
        finally:
            del unread[:at]

    def _process_received_message(self, msg: Any) -> None:
        """asyncua takes whatever answers an OpenSecureChannel for its response; a ServiceFault there has a reason to tell."""
        if isinstance(msg, ua.Message) and isinstance(self._open_secure_channel_exchange, ua.OpenSecureChannelParameters):
            try:
                open_answer(msg.body(), _OPEN_CHANNEL)  # type: ignore[no-untyped-call]
            except BadStatus as error:
                raise UaStatusCodeError(error.status) from error  # type: ignore[no-untyped-call]
            except Undecodable:
                pass  # asyncua says what is wrong with it
        super()._process_received_message(msg)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.closed.set()


class _Complaints(logging.Handler):
    def __init__(self, protocol: _Protocol) -> None:
        super().__init__()
        self._protocol = protocol

    def emit(self, record: logging.LogRecord) -> None:
        cause = record.exc_info[1] if record.exc_info else None
        self._protocol.complaint = str(cause) or type(cause).__name__ if cause is not None else record.getMessage()


class Channel:
    """From the TCP connection to the activated session. `lost` is set when the socket is gone."""

    def __init__(self, url: str, timeout: float, policy: Any = None) -> None:
        """`policy`: asyncua's object of a security policy, None for a channel without security."""
        self.url = url
        self.timeout = timeout
        self.stage: Stage = "socket"
        host, port = host_and_port(url)
        spelled = f"[{host}]" if ":" in host else host
        path = urlsplit(url).path
        self.client = Client(f"opc.tcp://{spelled}:{port}{path}", timeout=timeout)
        self.client.uaclient.pre_request_hook = None
        self.client.max_messagesize, self.client.max_chunkcount = _MOST_MESSAGE, _MOST_CHUNKS
        if policy is not None:
            self.client.security_policy = policy
            self.client.uaclient.set_security(policy)
        self.protocol = _Protocol(timeout, self.client.security_policy)
        self.client.uaclient.protocol = self.protocol
        self._token = b"\x00\x00"
        self._handle = 0

    @property
    def lost(self) -> asyncio.Event:
        return self.protocol.closed

    @property
    def complaint(self) -> str:
        """Why the channel was closed from our side, as far as anybody said."""
        return self.protocol.complaint

    @property
    def last_heard(self) -> float:
        """Monotonic seconds."""
        return self.protocol.last_heard

    async def open(self) -> None:
        """Connect, Hello, OpenSecureChannel. The address asked is the address used, whatever the server calls itself."""
        host, port = host_and_port(self.url)
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: self.protocol, host, port)
        self.client.uaclient._set_state(UaClientState.SOCKET_OPEN)
        await foreign(self.client.send_hello())
        self.stage = "channel"
        await foreign(self.client.open_secure_channel())
        self._by_our_clock()
        self.stage = "session"

    def _by_our_clock(self) -> None:
        """asyncua counts a token's life from the server's CreatedAt, and a server's clock may be hours off."""
        self.protocol._connection.security_token.CreatedAt = datetime.now(UTC)

    def use_token(self, token: ua.NodeId) -> None:
        self._token = bytes(nodeid_to_binary(token))

    def hand_over(self, service: int, payload: bytes, timeout: float, last_check: LastCheck | None = None) -> Answer:
        """Write one request to the socket, now. `last_check` is the last thing before it; nothing is awaited in here.

        Raises LostError when there is no socket any more (nothing was sent), and what `last_check` raises.
        """
        protocol = self.protocol
        transport = protocol.transport
        if transport is None or transport.is_closing():
            raise LostError("the connection is closed")
        if len(protocol._callbackmap) >= _MOST_OWED:
            raise LostError(f"the server owes {_MOST_OWED} answers")
        self._handle = self._handle % 0xFFFFFFFF + 1
        now = ticks_from_ns(time.time_ns())
        head = self._token + _HEADER_TAIL.pack(now, self._handle, 0, -1, int(timeout * 1000)) + b"\x00\x00\x00"
        body = struct.pack("<BBH", 1, 0, service) + head + payload
        future = Answer()
        future.service = service
        if last_check is not None:
            last_check()
        protocol.revolve_security_token()
        request = protocol._request_id + 1
        message = protocol._connection.message_to_binary(body, request_id=request)
        protocol._request_id = request
        protocol._callbackmap[request] = future
        future.add_done_callback(_seen)
        transport.write(message)
        return future

    async def wait(self, answer: Answer, timeout: float | None) -> Reader:
        """The answer behind its header. Raises LostError, TimeoutError, BadStatus or Undecodable."""
        return open_answer(await self._arrived(answer, timeout), answer.service)

    async def raw(self, answer: Answer, timeout: float) -> Any:
        """The whole answer, for `message_of`. Raises LostError."""
        try:
            return await self._arrived(answer, timeout)
        except TimeoutError:
            raise LostError(f"no answer within {timeout:g} s") from None

    async def _arrived(self, answer: Answer, timeout: float | None) -> Any:
        try:
            async with asyncio.timeout(timeout):
                body = await answer
        except ConnectionError as error:
            raise LostError("the connection was lost") from error
        except UaError as error:
            raise LostError(str(error)) from error
        except OSError as error:
            if isinstance(error, TimeoutError) and not self.lost.is_set():
                raise
            raise LostError(str(error)) from error
        return body

    async def request(self, service: int, payload: bytes, timeout: float | None = None) -> Reader:
        """One request that changes nothing: all that goes wrong is LostError, BadStatus or Undecodable."""
        limit = self.timeout if timeout is None else timeout
        try:
            return await self.wait(self.hand_over(service, payload, limit), limit)
        except TimeoutError:
            raise LostError(f"no answer within {limit:g} s") from None

    async def renew(self) -> None:
        await foreign(self.client.open_secure_channel(renew=True))
        self.client.uaclient.revolve_security_token()
        self._by_our_clock()

    @property
    def renewal(self) -> float:
        """Seconds after which the channel must be renewed (Part 4, 5.5.2.1: at 75 % of its lifetime)."""
        return self.client.secure_channel_timeout * 0.75 / 1000

    async def close(self, patience: float, close_session: Callable[[], Answer] | None) -> None:
        """Say goodbye as long as `patience` (seconds) lasts, then drop the socket, come what may."""
        protocol = self.protocol
        try:
            if close_session is not None and not self.lost.is_set():
                async with asyncio.timeout(patience):
                    await close_session()
        except (TimeoutError, OSError, UaError, LostError):
            pass  # a server that does not listen gets no goodbye
        finally:
            self._abort()
        try:
            async with asyncio.timeout(patience):
                if protocol.transport is not None:
                    await self.lost.wait()
        except TimeoutError:
            pass

    def _abort(self) -> None:
        for future in self.protocol._callbackmap.values():
            if not future.done():  # cancelling it would cancel the task that waits for it
                future.set_exception(ConnectionError("the connection is closed"))
        self.protocol._callbackmap.clear()
        if self.protocol.transport is not None:
            self.protocol.transport.abort()


def _seen(answer: Answer) -> None:
    """Who waited may be gone when the connection dies: that is no fault to be reported by the event loop."""
    if not answer.cancelled():
        answer.exception()


def message_of(body: Any) -> bytes:
    """An answer's bytes; asyncua hands out its own Buffer over the whole message. Raises Undecodable."""
    data = body.copy().read(len(body)) if hasattr(body, "copy") else body
    if not isinstance(data, bytes):
        raise Undecodable("no message")
    return data


def open_answer(body: Any, request: int) -> Reader:
    """A reader behind the ResponseHeader (Part 4, 7.33) of the answer to a request of this encoding id.

    Raises BadStatus for a Bad ServiceResult, and Undecodable.
    """
    reader = Reader(message_of(body))
    service = reader.node_id()
    reader.i64()
    reader.u32()
    status = reader.u32()
    skip_diagnostics(reader)
    for _ in range(reader.length()):
        reader.string()
    reader.node_id()
    if reader.u8():
        reader.byte_string()
    if is_bad(status):
        raise BadStatus(status)
    if service == (0, _SERVICE_FAULT):
        raise BadStatus(0x80010000)
    if service != (0, request + _ANSWERS):
        raise Undecodable(f"an answer of another kind ({service[1]!r})")
    return reader


def skip_diagnostics(reader: Reader) -> None:
    mask = reader.u8()
    for bit in (1, 2, 4, 8):
        if mask & bit:
            reader.i32()
    if mask & 0x10:
        reader.string()
    if mask & 0x20:
        reader.u32()
    if mask & 0x40:
        skip_diagnostics(reader.nested())
        reader.depth -= 1
