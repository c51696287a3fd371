"""OPC UA messages as a server writes and reads them (Part 6, 6.7 and 7.1), unencrypted and in single chunks."""

import asyncio
import struct
from dataclasses import dataclass
from typing import Any

from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import struct_from_binary, struct_to_binary

__all__ = ["ACK", "OPN", "SERVICES", "Request", "acknowledge", "fault", "framed", "opened", "read_request", "response"]

_POLICY = b"http://opcfoundation.org/UA/SecurityPolicy#None"
CHANNEL = 7
ACK, OPN = "Acknowledge", "OpenSecureChannel"

_NAMES = """
    FindServers GetEndpoints CreateSession ActivateSession CloseSession Read Write Call Browse BrowseNext CreateSubscription
    ModifySubscription SetPublishingMode CreateMonitoredItems DeleteMonitoredItems DeleteSubscriptions TransferSubscriptions
    Publish Republish TranslateBrowsePathsToNodeIds RegisterNodes UnregisterNodes
""".split()  # noqa: SIM905
SERVICES: dict[int, str] = {getattr(ua.ObjectIds, f"{name}Request_Encoding_DefaultBinary"): name for name in _NAMES}


@dataclass(slots=True)
class Request:
    """`name` is the service's, "" for one that nobody here knows; `body` is asyncua's request class."""

    name: str
    id: int
    handle: int
    body: Any


async def read_request(reader: asyncio.StreamReader) -> tuple[bytes, Request | bytes]:
    """(message type, the request or the raw rest). Raises asyncio.IncompleteReadError at the end."""
    kind, size = struct.unpack("<4sI", await reader.readexactly(8))
    rest = await reader.readexactly(size - 8)
    if kind[:3] == b"OPN":
        at = 4
        for _ in range(3):
            (length,) = struct.unpack_from("<i", rest, at)
            at += 4 + max(length, 0)
        request = struct_from_binary(ua.OpenSecureChannelRequest, Buffer(rest[at + 8 :]))
        return kind[:3], Request(OPN, struct.unpack_from("<I", rest, at + 4)[0], request.RequestHeader.RequestHandle, request)
    if kind[:3] != b"MSG":
        return kind[:3], rest
    (number,) = struct.unpack_from("<I", rest, 12)
    body = rest[16:]
    name = SERVICES.get(struct.unpack_from("<H", body, 2)[0], "")
    if not name:
        header = struct_from_binary(ua.RequestHeader, Buffer(body[4:]))
        return b"MSG", Request("", number, header.RequestHandle, None)
    decoded = struct_from_binary(getattr(ua, f"{name}Request"), Buffer(body))
    return b"MSG", Request(name, number, decoded.RequestHeader.RequestHandle, decoded)


def framed(kind: bytes, sequence: int, request: int, body: bytes, final: bytes = b"F", token: int = 1) -> bytes:
    """A chunk of an open channel."""
    security = struct.pack("<I", token)
    if kind == b"OPN":
        security = struct.pack("<i", len(_POLICY)) + _POLICY + struct.pack("<ii", -1, -1)
    rest = struct.pack("<I", CHANNEL) + security + struct.pack("<II", sequence, request) + body
    return kind + final + struct.pack("<I", 8 + len(rest)) + rest


def acknowledge() -> bytes:
    """The body of an Acknowledge: version, both buffers, no limit of messages and chunks."""
    return struct.pack("<5I", 0, 65536, 65536, 0, 0)


def opened(request: Request) -> bytes:
    made = ua.OpenSecureChannelResponse()
    made.ResponseHeader.RequestHandle = request.handle
    made.Parameters.SecurityToken = ua.ChannelSecurityToken(ChannelId=CHANNEL, TokenId=1, RevisedLifetime=3_600_000)
    made.Parameters.ServerNonce = b""
    return struct_to_binary(made)


def response(request: Request, made: Any) -> bytes:
    made.ResponseHeader.RequestHandle = request.handle
    return struct_to_binary(made)


def fault(request: Request, code: int) -> bytes:
    made = ua.ServiceFault()
    made.ResponseHeader.ServiceResult = ua.StatusCode(code)
    return response(request, made)
