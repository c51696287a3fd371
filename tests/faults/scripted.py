"""A server in a few hundred bytes of state, which does as a test says: it can break every rule of Part 4 and Part 6.

Its counters show 1, 2, 3 ... in one step; `log` has (ns UTC, number) of each step. `tamper` gets every answer (service name,
body) before it is sent and returns what is sent instead, None for nothing.
"""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from asyncua import ua

from tests.faults.items import Subscription
from tests.faults.space import URI, Space
from tests.faults.wire import ACK, OPN, Request, acknowledge, fault, framed, opened, read_request, response

__all__ = ["Link", "ScriptedServer", "scripted"]

Tamper = Callable[[str, bytes], bytes | None]
_LEAST: Final = 1 << 16


class Link:
    """One client's connection."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self.sequence = 0
        self.publishes: list[Request] = []

    def send(self, kind: bytes, request: int, body: bytes, final: bytes = b"F") -> None:
        self.sequence += 1
        self.raw(framed(kind, self.sequence, request, body, final))

    def raw(self, data: bytes) -> None:
        if not self.writer.is_closing():
            self.writer.write(data)


class ScriptedServer:
    """See `scripted`. What a test may set at any time stands first."""

    def __init__(self, counters: int, rate: float) -> None:
        self.tamper: Tamper | None = None
        self.take: Callable[[Request, Link], bool] | None = None  # True: the request was dealt with
        self.operations = 0  # of one request, 0 for no limit
        self.clock = timedelta()  # how far the server's own clock is ahead
        self.counting = True
        self.log: list[tuple[int, int]] = [(time.time_ns(), 1)]
        self.port = 0
        self.links: list[Link] = []
        self.sessions = 0
        self.requests: dict[str, int] = {}
        self.subscriptions: dict[int, Subscription] = {}
        self.space = Space(counters, self.now)
        self.rate = rate
        self.tick = 0.01
        self._last_id = 0
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        return f"opc.tcp://127.0.0.1:{self.port}"

    def now(self) -> datetime:
        return datetime.now(UTC) + self.clock

    # --- the machine ---

    async def count(self) -> None:
        while True:
            await asyncio.sleep(1 / self.rate)
            if self.counting:
                self.step()

    def step(self) -> None:
        self.log.append((time.time_ns(), self.space.number + 1))
        self.space.number += 1
        for subscription in self.subscriptions.values():
            subscription.changed()

    # --- connections ---

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link = Link(writer)
        self.links.append(link)
        try:
            while True:
                kind, request = await read_request(reader)
                self._one(kind, request, link)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self.links.remove(link)
            for number in [n for n, one in self.subscriptions.items() if one.link is link]:
                del self.subscriptions[number]
            writer.transport.abort()

    def _one(self, kind: bytes, request: Request | bytes, link: Link) -> None:
        if kind == b"HEL":
            body = self._tampered(ACK, acknowledge())
            if body is not None:
                link.raw(b"ACKF" + (8 + len(body)).to_bytes(4, "little") + body)
        elif isinstance(request, Request):
            self.requests[request.name] = self.requests.get(request.name, 0) + 1
            if self.take is None or not self.take(request, link):
                self.answer(request, link)

    def answer(self, request: Request, link: Link) -> None:
        if request.name == OPN:
            self.reply(request, link, opened(request))
            return
        handler = getattr(self, f"_{request.name.lower()}", None)
        if handler is None:
            self.reply(request, link, fault(request, ua.StatusCodes.BadServiceUnsupported))
            return
        try:
            made = handler(request, link)
        except ua.UaStatusCodeError as error:
            self.reply(request, link, fault(request, error.code))
        else:
            if made is not None:
                self.reply(request, link, response(request, made))

    def reply(self, request: Request, link: Link, body: bytes) -> None:
        kind = b"OPN" if request.name == OPN else b"MSG"
        sent = self._tampered(request.name, body)
        if sent is not None:
            link.send(kind, request.id, sent)

    def _tampered(self, name: str, body: bytes) -> bytes | None:
        return body if self.tamper is None else self.tamper(name, body)

    def _allow(self, items: list[Any]) -> list[Any]:
        if self.operations and len(items) > self.operations:
            raise ua.UaStatusCodeError(ua.StatusCodes.BadTooManyOperations)
        return items

    # --- session ---

    def endpoint(self) -> ua.EndpointDescription:
        one = ua.EndpointDescription(EndpointUrl=self.url, SecurityMode=ua.MessageSecurityMode.None_)
        one.SecurityPolicyUri = _NONE
        one.TransportProfileUri = "http://opcfoundation.org/UA-Profile/Transport/uatcp-uasc-uabinary"
        one.Server = ua.ApplicationDescription(ApplicationUri=URI, ApplicationName=ua.LocalizedText("scripted"))
        one.UserIdentityTokens = [ua.UserTokenPolicy(PolicyId="anonymous", TokenType=ua.UserTokenType.Anonymous)]
        return one

    def _getendpoints(self, _: Request, link: Link) -> Any:
        return ua.GetEndpointsResponse(Endpoints=[self.endpoint()])

    def _findservers(self, _: Request, link: Link) -> Any:
        return ua.FindServersResponse(Servers=[self.endpoint().Server])

    def _createsession(self, request: Request, link: Link) -> Any:
        self.sessions += 1
        made = ua.CreateSessionResponse()
        made.Parameters.SessionId = ua.NodeId(self.sessions, 1)
        made.Parameters.AuthenticationToken = ua.NodeId(1000 + self.sessions, 1)
        made.Parameters.RevisedSessionTimeout = request.body.Parameters.RequestedSessionTimeout
        made.Parameters.ServerNonce = b"n" * 32
        made.Parameters.ServerEndpoints = [self.endpoint()]
        return made

    def _activatesession(self, _: Request, link: Link) -> Any:
        return ua.ActivateSessionResponse()

    def _closesession(self, _: Request, link: Link) -> Any:
        return ua.CloseSessionResponse()

    # --- address space ---

    def _read(self, request: Request, link: Link) -> Any:
        items = self._allow(request.body.Parameters.NodesToRead)
        return ua.ReadResponse(Results=[self.space.read(one.NodeId, one.AttributeId) for one in items])

    def _write(self, request: Request, link: Link) -> Any:
        return ua.WriteResponse(Results=[ua.StatusCode() for _ in self._allow(request.body.Parameters.NodesToWrite)])

    def _call(self, request: Request, link: Link) -> Any:
        done = ua.CallMethodResult(OutputArguments=[ua.Variant(7, ua.VariantType.Int32)])
        return ua.CallResponse(Results=[done for _ in self._allow(request.body.Parameters.MethodsToCall)])

    def _browse(self, request: Request, link: Link) -> Any:
        return self.browsed(request, [self.space.browse(one) for one in self._allow(request.body.Parameters.NodesToBrowse)])

    def _browsenext(self, request: Request, link: Link) -> Any:
        return self.browsed(request, [ua.BrowseResult() for _ in request.body.Parameters.ContinuationPoints])

    @staticmethod
    def browsed(request: Request, results: list[ua.BrowseResult]) -> Any:
        if request.name == "Browse":
            return ua.BrowseResponse(Results=results)
        made = ua.BrowseNextResponse()
        made.Parameters.Results = results
        return made

    # --- subscriptions ---

    def _subscription(self, number: int) -> Subscription:
        found = self.subscriptions.get(number)
        if found is None:
            raise ua.UaStatusCodeError(ua.StatusCodes.BadSubscriptionIdInvalid)
        return found

    def _createsubscription(self, request: Request, link: Link) -> Any:
        asked = request.body.Parameters
        self._last_id += 1
        one = self.subscriptions[self._last_id] = Subscription(self._last_id, link, self.space, asked, self.now)
        made = ua.CreateSubscriptionResult(SubscriptionId=one.id, RevisedPublishingInterval=asked.RequestedPublishingInterval)
        made.RevisedLifetimeCount, made.RevisedMaxKeepAliveCount = asked.RequestedLifetimeCount, asked.RequestedMaxKeepAliveCount
        return ua.CreateSubscriptionResponse(Parameters=made)

    def _createmonitoreditems(self, request: Request, link: Link) -> Any:
        one = self._subscription(request.body.Parameters.SubscriptionId)
        items = self._allow(request.body.Parameters.ItemsToCreate)
        return ua.CreateMonitoredItemsResponse(Results=[one.add(item) for item in items])

    def _deletemonitoreditems(self, request: Request, link: Link) -> Any:
        one = self._subscription(request.body.Parameters.SubscriptionId)
        for item in request.body.Parameters.MonitoredItemIds:
            one.items.pop(item, None)
        return ua.DeleteMonitoredItemsResponse(Results=[ua.StatusCode() for _ in request.body.Parameters.MonitoredItemIds])

    def _deletesubscriptions(self, request: Request, link: Link) -> Any:
        good = [self.subscriptions.pop(one, None) is not None for one in request.body.Parameters.SubscriptionIds]
        codes = [ua.StatusCodes.Good if one else ua.StatusCodes.BadSubscriptionIdInvalid for one in good]
        return ua.DeleteSubscriptionsResponse(Results=[ua.StatusCode(code) for code in codes])

    def _setpublishingmode(self, request: Request, link: Link) -> Any:
        known = [one in self.subscriptions for one in request.body.Parameters.SubscriptionIds]
        codes = [ua.StatusCodes.Good if one else ua.StatusCodes.BadSubscriptionIdInvalid for one in known]
        made = ua.SetPublishingModeResponse()
        made.Parameters.Results = [ua.StatusCode(code) for code in codes]
        return made

    def _republish(self, request: Request, link: Link) -> Any:
        one = self._subscription(request.body.Parameters.SubscriptionId)
        kept = one.sent.get(request.body.Parameters.RetransmitSequenceNumber)
        if kept is None:
            raise ua.UaStatusCodeError(ua.StatusCodes.BadMessageNotAvailable)
        return ua.RepublishResponse(NotificationMessage=kept)

    def _publish(self, request: Request, link: Link) -> Any:
        if not any(one.link is link for one in self.subscriptions.values()):
            raise ua.UaStatusCodeError(ua.StatusCodes.BadNoSubscription)
        for acknowledged in request.body.Parameters.SubscriptionAcknowledgements:
            one = self.subscriptions.get(acknowledged.SubscriptionId)
            if one is not None:
                one.sent.pop(acknowledged.SequenceNumber, None)
        link.publishes.append(request)
        return None

    async def publish(self) -> None:
        """The publishing timer of all subscriptions."""
        while True:
            await asyncio.sleep(self.tick)
            for one in list(self.subscriptions.values()):
                if one.link.publishes and one.is_due():
                    message = one.message()
                    if message is not None:
                        request = one.link.publishes.pop(0)
                        self.reply(request, one.link, response(request, message))


_NONE: Final = "http://opcfoundation.org/UA/SecurityPolicy#None"


@asynccontextmanager
async def scripted(counters: int = 3, rate: float = 50.0, port: int = 0) -> AsyncIterator[ScriptedServer]:
    """The server on 127.0.0.1 while the block runs."""
    server = ScriptedServer(counters, rate)
    tasks = [
        asyncio.create_task(server.count(), name="scripted counters"),
        asyncio.create_task(server.publish(), name="scripted publishing"),
    ]
    listener = await asyncio.start_server(server.accept, "127.0.0.1", port, limit=_LEAST)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        for task in tasks:
            task.cancel()
        for link in list(server.links):
            link.writer.transport.abort()
        await asyncio.gather(*tasks, return_exceptions=True)
        with suppress(TimeoutError):
            async with asyncio.timeout(1):
                while server.links:
                    await asyncio.sleep(0)
