"""The Connection of OPC UA: one session for each run, and the calls of the seam on it."""

import asyncio
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
from anyio.abc import TaskStatus

from dtios.mapping.facts import BrowseFacts
from dtios.model.condition import ConditionVerb
from dtios.model.datatypes import BuiltinType
from dtios.model.status import is_bad, status_code
from dtios.model.values import NO_TIME, DataValue
from dtios.sdk.adapter import (
    Call,
    ConditionCommand,
    Connection,
    ConnectionSettings,
    EventFields,
    Fingerprint,
    LastCheck,
    MonitoredPoint,
    Progress,
    Sink,
    Write,
)
from dtios.sdk.errors import ConfigurationError, OutcomeUnknown, RefusedError, TemporaryError
from dtios_opcua.binary.decoder import UNREADABLE
from dtios_opcua.binary.nodeid import NodeKey, encode_node_id
from dtios_opcua.binary.wire import Reader, Undecodable
from dtios_opcua.errors import BadStatus, LostError, command_error, service_error
from dtios_opcua.observing.condition_commands import ConditionNodes, refusal
from dtios_opcua.observing.events import Events
from dtios_opcua.observing.notifiers import Notifiers
from dtios_opcua.observing.publishing import Publishing
from dtios_opcua.observing.subscribing import Subscriptions
from dtios_opcua.security.settings import OpcUaSettings, opcua_settings
from dtios_opcua.session.channel import skip_diagnostics
from dtios_opcua.session.leftover import Leftover
from dtios_opcua.session.limits import Limits
from dtios_opcua.session.opening import open_session
from dtios_opcua.session.services import Attribute, Service
from dtios_opcua.session.session import Session, status_list
from dtios_opcua.session.supervising import watch_channel
from dtios_opcua.session.timing import watch_clock
from dtios_opcua.space.browsing import Browser
from dtios_opcua.space.loading import load_types
from dtios_opcua.space.watching import ModelWatch

__all__ = ["OpcUaConnection"]

_UNKNOWN_NODE = status_code("BadNodeIdUnknown")
_GOODBYE = 0.2
_MEND_LOST = "is the server running and the network up?"


class OpcUaConnection(Connection):
    """See `Connection`. The same object serves one session after the other."""

    def __init__(self, url: str, settings: OpcUaSettings, home: Path) -> None:
        self.url = url
        self._settings = settings
        self._home = home
        self._limits = Limits()
        self._left = Leftover()
        self._session: Session | None = None
        self._subscriptions: Subscriptions | None = None
        self._publishing: Publishing | None = None
        self._events: Events | None = None
        self._watch: ModelWatch | None = None
        self._notifiers = Notifiers()

    def reconfigure(self, settings: ConnectionSettings) -> None:
        self._settings = opcua_settings(settings)
        if self._session is not None:
            self._session.channel.timeout = settings.timeout

    async def run(self, sink: Sink, *, task_status: TaskStatus[None]) -> None:
        self._limits = self._limits.for_next_session()
        session = await open_session(self.url, self._settings, self._home, self._limits, self._left)
        lost: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()

        def lose(error: Exception) -> None:
            if not lost.done():
                lost.set_result(error)

        try:
            self._session = session
            self._subscriptions = Subscriptions(session, self._settings)
            self._events = Events(session, self._subscriptions, sink, self._notifiers)
            self._publishing = Publishing(session, self._subscriptions, sink, self._events, self._settings.keep_alive)
            self._watch = ModelWatch(session, sink, self._settings.recheck)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_until_closed, session, lose, name=f"opcua socket {session.where}")
                tasks.start_soon(
                    watch_channel, session.channel, self._settings.keep_alive, sink, lose, name=f"opcua watch {session.where}"
                )
                tasks.start_soon(_until_lost, self._publishing.serve, lose, name=f"opcua publish {session.where}")
                tasks.start_soon(_until_lost, self._events.serve, lose, name=f"opcua events {session.where}")
                tasks.start_soon(watch_clock, session.channel, sink, name=f"opcua clock {session.where}")
                tasks.start_soon(self._watch.serve, name=f"opcua model {session.where}")
                task_status.started()
                reason = await lost
                tasks.cancel_scope.cancel()
            raise TemporaryError(str(reason), where=self.url, mend=_MEND_LOST) from reason
        finally:
            self._session = self._subscriptions = self._publishing = self._events = self._watch = None
            with anyio.CancelScope(shield=True):
                await session.channel.close(_GOODBYE, session.goodbye)

    def _alive(self) -> Session:
        if self._session is None:
            raise TemporaryError("the machine is not connected", where=self.url, mend=_MEND_LOST)
        return self._session

    @asynccontextmanager
    async def _edge(self, doing: str) -> AsyncIterator[Session]:
        """Foreign exceptions of everything that is no command stop here."""
        try:
            yield self._alive()
        except LostError as error:
            raise TemporaryError(f"{doing} failed, {error}", where=self.url, mend=_MEND_LOST) from error
        except BadStatus as error:
            raise service_error(error.status, self.url, doing) from error
        except Undecodable as error:
            raise TemporaryError(f"the answer to {doing} is damaged ({error})", where=self.url, mend="try again") from error

    @property
    def limits(self) -> Limits:
        """Of the session that stands, or stood last."""
        return self._limits

    async def fingerprint(self) -> Fingerprint:
        async with self._edge("looking at the server") as session:
            if self._watch is not None and self._watch.browsed:  # the first time what the session began with is fresh enough
                await session.look_again()
            return session.fingerprint

    async def browse(self, progress: Progress | None = None) -> BrowseFacts:
        async with self._edge("browsing") as session:
            watch = self._watch
            if watch is None:
                raise LostError("the session has ended")
            async with watch.browsing():
                return await Browser(session, progress).facts(self.url)

    # --- values up ---

    async def subscribe(self, points: Sequence[MonitoredPoint]) -> list[int]:
        async with self._edge("subscribing") as session:
            if any(point.type.is_structure or point.type.builtin is BuiltinType.Variant for point in points):
                await load_types(session)
            subscriptions, publishing = self._subscriptions, self._publishing
            if subscriptions is None or publishing is None:
                raise LostError("the session has ended")
            try:
                return await subscriptions.add(points)
            finally:
                publishing.wake()

    async def unsubscribe(self, handles: Sequence[int]) -> None:
        async with self._edge("unsubscribing"):
            if self._subscriptions is not None:
                await self._subscriptions.remove(handles)

    async def read(self, addresses: Sequence[str]) -> list[DataValue]:
        async with self._edge("reading") as session:
            keys = [session.namespaces.key(address) for address in addresses]
            wanted = [(key, Attribute.VALUE) for key in keys if key is not None]
            readings = await session.read(wanted)
            if session.types.missing and not session.types_loaded:
                await load_types(session)
                readings = await session.read(wanted)
            found = iter(readings)
            return [DataValue(None, _UNKNOWN_NODE) if key is None else _data_value(*next(found)) for key in keys]

    async def watch_events(self, wanted: Sequence[EventFields]) -> None:
        async with self._edge("subscribing to events"):
            events, publishing = self._events, self._publishing
            if events is None or publishing is None:
                raise LostError("the session has ended")
            try:
                await events.watch(wanted)
            finally:
                publishing.wake()

    # --- commands down ---

    async def write(self, writes: Sequence[Write], last_check: LastCheck) -> list[int]:
        session = self._alive()
        async with self._edge("writing"):
            if any(one.type.is_structure or one.type.builtin is BuiltinType.Variant for one in writes):
                await load_types(session)
        items = [_write_item(session, one) for one in writes]
        statuses: list[int] = []
        for at in range(0, len(items), session.limits.write):
            some = items[at : at + session.limits.write]
            payload = struct.pack("<i", len(some)) + b"".join(some)
            where = writes[at].address
            answer = await self._command(session, Service.WRITE, payload, last_check, self._settings.timeout, where, "the write")
            statuses += status_list(answer, len(some))
        return statuses

    async def call(self, call: Call, last_check: LastCheck) -> list[Any]:
        session = self._alive()
        if any(type.is_structure or type.builtin is BuiltinType.Variant for _, type in call.arguments):
            async with self._edge("calling"):
                await load_types(session)
        where = call.method
        owner, method = _known(session, call.owner), _known(session, call.method)
        arguments = [session.encoder.variant(value, type, where) for value, type in call.arguments]
        payload = b"\x01\x00\x00\x00" + encode_node_id(owner) + encode_node_id(method)
        payload += struct.pack("<i", len(arguments)) + b"".join(arguments)
        answer = await self._command(session, Service.CALL, payload, last_check, call.timeout, where, "the call")
        try:
            return await self._outputs(session, answer, where)
        except (LostError, BadStatus, Undecodable) as error:
            raise OutcomeUnknown(f"the answer to the call cannot be read, {error}", where=where, mend=_LOOK) from error

    async def command_condition(self, command: ConditionCommand, last_check: LastCheck) -> None:
        session = self._alive()
        told = None if self._events is None else self._events.known(command.condition)
        async with self._edge("looking at the condition"):
            call = await ConditionNodes(session).call(command, told, self._settings.timeout)
        try:
            await self.call(call, last_check)
        except (RefusedError, ConfigurationError) as error:
            if isinstance(error.__cause__, BadStatus):
                raise refusal(error.__cause__, command) from error
            raise  # the gate's own word
        if self._events is not None and command.verb in (ConditionVerb.SHELVE, ConditionVerb.UNSHELVE):
            self._events.missed()  # not every server tells of it by an event

    @staticmethod
    async def _outputs(session: Session, answer: Reader, where: str) -> list[Any]:
        start = answer.pos
        outputs = _outputs(session, answer, where)
        if session.types.missing and not session.types_loaded:
            await load_types(session)
            answer.pos = start
            outputs = _outputs(session, answer, where)
        return outputs

    async def _command(
        self,
        session: Session,
        service: int,
        payload: bytes,
        last_check: LastCheck,
        timeout: float | None,
        where: str,
        doing: str,
    ) -> Reader:
        """Hand a command over and wait. Nothing stands between `last_check` and the socket."""
        channel = session.channel
        try:
            answer = channel.hand_over(service, payload, timeout or 0, last_check)
        except LostError as error:
            raise TemporaryError(f"{doing} was not sent, {error}", where=where, mend=_MEND_LOST) from error
        try:
            return await channel.wait(answer, timeout)
        except BadStatus as error:
            if error.name in _NO_ANSWER:
                raise OutcomeUnknown(f"the answer to {doing} was {error.name}", where=where, mend=_LOOK) from error
            raise command_error(error.status, where, doing) from error
        except TimeoutError as error:
            raise OutcomeUnknown(f"no answer to {doing} within {timeout:g} s", where=where, mend=_LOOK) from error
        except (LostError, Undecodable) as error:
            raise OutcomeUnknown(f"the answer to {doing} never came, {error}", where=where, mend=_LOOK) from error


_LOOK = "look at the machine before you repeat it"
_NO_ANSWER = {"BadTimeout", "BadRequestTimeout", "BadCommunicationError", "BadConnectionClosed", "BadSecureChannelClosed"}


def _data_value(value: Any, status: int, source: int, server: int) -> DataValue:
    return DataValue(value, status, None if source == NO_TIME else source, None if server == NO_TIME else server)


def _known(session: Session, address: str) -> NodeKey:
    key = session.namespaces.key(address)
    if key is None:
        raise ConfigurationError("the server does not have this namespace", where=address, mend="describe the machine again")
    return key


def _write_item(session: Session, one: Write) -> bytes:
    """WriteValue (Part 4, 5.11.4): the Value attribute, without status and times."""
    value = session.encoder.variant(one.value, one.type, one.address)
    return encode_node_id(_known(session, one.address)) + b"\x0d\x00\x00\x00\xff\xff\xff\xff\x01" + value


def _outputs(session: Session, answer: Reader, where: str) -> list[Any]:
    if answer.length() != 1:
        raise Undecodable("no result")
    status = answer.u32()
    arguments = [answer.u32() for _ in range(answer.length(4))]
    for _ in range(answer.length()):
        skip_diagnostics(answer)
    if is_bad(status):
        wrong = next((number for number, code in enumerate(arguments, start=1) if is_bad(code)), None)
        raise command_error(status, where, "the call" if wrong is None else f"the call's argument {wrong}") from BadStatus(status)
    values = [session.decoder.variant(answer) for _ in range(answer.length())]
    return [None if value is UNREADABLE else value for value in values]


async def _until_closed(session: Session, lose: Any) -> None:
    await session.channel.lost.wait()
    complaint = session.channel.complaint
    lose(LostError(f"the connection was closed ({complaint})" if complaint else "the server closed the connection"))


async def _until_lost(serve: Callable[[], Awaitable[None]], lose: Any) -> None:
    try:
        await serve()
    except (LostError, BadStatus) as error:
        lose(error)
    except Undecodable as error:
        lose(LostError(f"an answer of the server is damaged ({error})"))
