"""One MQTT session on the event loop: paho speaks the protocol, this watches its socket.

A client object serves one session and is thrown away with it, so that nothing handed over is ever sent again by itself: paho
keeps QoS 1 messages for its next connection, and a command must not come late. Reading stops while the queue of received
messages is full: that is the back-pressure to the broker.
"""

import asyncio
import socket
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

import anyio.to_thread
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from dtios.sdk.adapter import LastCheck
from dtios.sdk.errors import CredentialsError
from dtios_mqtt.errors import LostError, connect_error
from dtios_mqtt.session.messages import Incoming, Outgoing, Will
from dtios_mqtt.session.packets import PacketSocket
from dtios_mqtt.settings import Address

__all__ = ["Delivery", "MqttClient"]

_HIGH: Final = 2_000
"""Received messages that may wait; then nothing more is read from the socket until half of them are taken."""
_TURN: Final = 1_000
"""Packets handled in one turn of the event loop."""

Delivery = asyncio.Future[None]
"""Done when the broker has acknowledged (QoS 1), at once for QoS 0. LostError when the session ended first."""


class _Paho(paho.Client):
    """paho with a socket that was connected by the event loop, and is read ahead."""

    prepared: socket.socket | None = None
    packets: PacketSocket | None = None
    pings: int = 0
    """PINGREQs sent so far: each is answered by one PINGRESP, in their order."""
    on_pong: Callable[[], None] = staticmethod(lambda: None)

    def _send_pingreq(self) -> Any:
        code = super()._send_pingreq()
        self.pings += code == MQTTErrorCode.MQTT_ERR_SUCCESS
        return code

    def _handle_pingresp(self) -> Any:
        code = super()._handle_pingresp()
        if code == MQTTErrorCode.MQTT_ERR_SUCCESS:
            self.on_pong()
        return code

    def _create_socket_connection(self) -> Any:
        prepared, self.prepared = self.prepared, None
        assert prepared is not None
        return prepared

    def _ssl_wrap_socket(self, tcp_sock: socket.socket) -> Any:
        """As paho does it, but nothing stays open when the handshake fails. The context checks the host name."""
        assert self._ssl_context is not None
        wrapped = self._ssl_context.wrap_socket(tcp_sock, server_hostname=self._host, do_handshake_on_connect=False)
        try:
            wrapped.settimeout(self._connect_timeout)
            wrapped.do_handshake()
        except BaseException:
            wrapped.close()
            raise
        return wrapped

    def _create_socket(self) -> Any:
        self.packets = PacketSocket(super()._create_socket(), five=self._protocol == MQTTProtocolVersion.MQTTv5)
        return self.packets


class MqttClient:
    """`open` connects; then `subscribe`, `hand_over`, `next`; `lost` tells why it ended; `close` always."""

    def __init__(
        self,
        address: Address,
        *,
        version: int,
        client_id: str,
        clean: bool = True,
        expiry: int = 0,
        user: str | None = None,
        password: str | None = None,
        tls: Any = None,
        will: Will | Callable[[], Will | None] | None = None,
        keep_alive: float = 5.0,
        timeout: float = 4.0,
        largest: int = 16 * 2**20,
    ) -> None:
        """`version` 4 or 5; `expiry` seconds the broker keeps the session (5 only); `tls` an SSLContext; `largest` message in
        bytes (5 only: the broker is told). A `will` that is a function is asked once for each CONNECT, when something takes the
        connection and it is about to be sent."""
        self._address = address
        self._version = version
        self._clean = clean
        self._expiry = expiry
        self._timeout = timeout
        self._keep_alive = keep_alive
        self._largest = largest
        self._loop = asyncio.get_running_loop()
        self.lost: asyncio.Future[Exception] = self._loop.create_future()
        self._connected: asyncio.Future[None] = self._loop.create_future()
        self.session_present = False
        self._queue: deque[Incoming] = deque()
        self._filled = asyncio.Event()
        self._reading = False
        self._writing = False
        self._number = -1
        self._granted: dict[int, asyncio.Future[list[int]]] = {}
        self._deliveries: dict[int, Delivery] = {}
        self._pongs = 0
        self._pinged: dict[int, Delivery] = {}
        self._will = will
        self._leaving: ReasonCode | None = None
        self._paho = self._make(client_id, user, password, tls)

    def _make(self, client_id: str, user: str | None, password: str | None, tls: Any) -> _Paho:
        transport: Any = "websockets" if self._address.websocket else "tcp"
        five = self._version == MQTTProtocolVersion.MQTTv5
        made = _Paho(
            CallbackAPIVersion.VERSION2,
            client_id,
            clean_session=None if five else self._clean,
            protocol=MQTTProtocolVersion(self._version),
            transport=transport,
            reconnect_on_failure=False,
        )
        made.connect_timeout = self._timeout
        made.max_inflight_messages_set(1_000)
        if self._address.websocket:
            made.ws_set_options(self._address.path)
        if tls is not None:
            made.tls_set_context(tls)
        if user is not None:
            made.username_pw_set(user, password)
        made.on_connect = self._on_connect
        made.on_disconnect = self._on_disconnect
        made.on_message = self._on_message
        made.on_subscribe = self._on_subscribe
        made.on_unsubscribe = self._on_subscribe  # of the same form
        made.on_publish = self._on_publish
        made.on_pong = self._on_pong
        return made

    # --- life ---

    async def open(self) -> None:
        """Returns when the broker has accepted the session. Raises the DtiosError tree; leaves nothing open then."""
        try:
            async with asyncio.timeout(2 * self._timeout):
                await self._connect()
                self._number = self._descriptor()
                self._read(True)
                self._flush()
                await self._connected
        except BaseException as error:
            await self.close()
            known = connect_error(error, self._address)
            if known is None:
                raise
            raise known from error

    def _descriptor(self) -> int:
        connected = self._paho.socket()
        if connected is None:
            raise LostError("the broker hung up at once; does it want a certificate of ours?")
        number: int = connected.fileno()
        return number

    async def _connect(self) -> None:
        found = await self._loop.getaddrinfo(self._address.host, self._address.port, type=socket.SOCK_STREAM)
        family, kind, protocol, _, place = found[0]
        prepared = socket.socket(family, kind, protocol)
        try:
            prepared.setblocking(False)
            await self._loop.sock_connect(prepared, place)
        except BaseException:
            prepared.close()
            raise
        self._paho.prepared = prepared
        self._leave_a_will()
        if self._address.tls or self._address.websocket:  # paho's handshakes block
            prepared.settimeout(self._timeout)
            await anyio.to_thread.run_sync(self._greet)
        else:
            self._greet()

    def _leave_a_will(self) -> None:
        will = self._will() if callable(self._will) else self._will
        if will is not None:
            self._paho.will_set(will.topic, will.payload, will.qos, will.retain)
            if will.always and self._version == MQTTProtocolVersion.MQTTv5:
                self._leaving = ReasonCode(PacketTypes.DISCONNECT, identifier=4)

    def _greet(self) -> None:
        five = self._version == MQTTProtocolVersion.MQTTv5
        properties = None
        if five:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho has no types there
            properties.SessionExpiryInterval = self._expiry
            properties.MaximumPacketSize = self._largest
        self._paho.connect(
            self._address.host,
            self._address.port,
            max(1, round(self._keep_alive)),
            clean_start=self._clean if five else paho.MQTT_CLEAN_START_FIRST_ONLY,
            properties=properties,
        )

    async def serve(self) -> None:
        """Keep-alives, until the session is lost: then raises LostError. Run it in a task of the connection's.

        The broker is asked twice in the keep-alive time. paho would ask once and wait as long again; and it would take its own
        silence for the broker's while nothing is read because nobody takes what came.
        """
        silent = since_ping = 0.0
        turn, read, last = self._keep_alive / 8, -1, self._loop.time()
        while not self.lost.done():
            await asyncio.wait([self.lost], timeout=turn)
            now = self._loop.time()
            passed = min(now - last, 2 * turn)  # a loop that was busy has not listened either
            silent, since_ping, last = silent + passed, since_ping + passed, now
            if self.last_read != read or not self._reading:
                silent, read = 0.0, self.last_read
            if silent >= self._keep_alive:
                self._end(LostError(f"nothing was heard of the broker for {self._keep_alive:g} s"))
            elif since_ping >= self._keep_alive / 2:
                since_ping = 0.0
                self._ping()
        raise self.lost.result()

    def _ping(self) -> None:
        if not self.lost.done() and self._paho.is_connected():
            self._after(self._paho._send_pingreq())
            self._flush()

    async def close(self, patience: float = 0.2) -> None:
        """Say goodbye (the broker then keeps the will to itself), and leave nothing."""
        try:
            if self._number >= 0 and not self.lost.done():
                self._paho.disconnect(self._leaving)
                self._flush()
                async with asyncio.timeout(patience):
                    while self._paho.want_write():  # noqa: ASYNC110  # paho tells nobody
                        await asyncio.sleep(0.01)
        except TimeoutError:
            pass
        finally:
            self._end(LostError("the session was closed"))
            if self._paho.prepared is not None:
                self._paho.prepared.close()
            if self._paho.packets is not None:
                self._paho.packets.close()

    def abort(self) -> None:
        """Drop the socket without a word: the broker says the will."""
        self._end(LostError("the session was dropped"))
        if self._paho.packets is not None:
            self._paho.packets.close()

    def _end(self, error: Exception) -> None:
        self._read(False)
        self._watch_writes(False)
        self._number = -1
        if not self.lost.done():
            self.lost.set_result(error)
        unanswered: list[asyncio.Future[Any]] = [*self._deliveries.values(), *self._granted.values(), *self._pinged.values()]
        for waiting in unanswered:
            if not waiting.done():
                waiting.set_exception(LostError("the session ended before the broker answered"))
                waiting.exception()
        if not self._connected.done():
            self._connected.set_exception(error)
            self._connected.exception()
        self._filled.set()

    # --- the socket ---

    def _read(self, wanted: bool) -> None:
        if wanted != self._reading and self._number >= 0:
            self._reading = wanted
            if wanted:
                self._loop.add_reader(self._number, self._readable)
                self._loop.call_soon(self._readable)  # what was read ahead is no event of the socket
            else:
                self._loop.remove_reader(self._number)

    def _readable(self) -> None:
        packets, left = self._paho.packets, _TURN
        while packets is not None and self._reading and left > 0:
            messages = packets.messages(min(left, _HIGH - len(self._queue)))
            if messages:
                self._queue.extend(messages)
                self._filled.set()
            elif packets.for_paho:
                code = self._paho.loop_read()
                if code != MQTTErrorCode.MQTT_ERR_SUCCESS:
                    self._after(code)
                    return
            elif not packets.fill():
                break
            left -= max(1, len(messages))
            if len(self._queue) >= _HIGH:
                self._read(False)
        if left <= 0:
            self._loop.call_soon(self._readable)
        self._flush()

    def _flush(self) -> None:
        if self._paho.want_write():
            self._after(self._paho.loop_write())
        self._watch_writes(self._paho.want_write())

    def _watch_writes(self, wanted: bool) -> None:
        if wanted != self._writing and self._number >= 0:
            self._writing = wanted
            if wanted:
                self._loop.add_writer(self._number, self._flush)
            else:
                self._loop.remove_writer(self._number)

    def _after(self, code: MQTTErrorCode) -> None:
        if code != MQTTErrorCode.MQTT_ERR_SUCCESS and not self.lost.done():
            self._end(LostError(f"the connection was lost ({paho.error_string(code).rstrip('.').lower()})"))

    # --- paho's callbacks ---

    def _on_connect(self, _client: Any, _data: Any, flags: Any, reason: Any, _properties: Any) -> None:
        if self._connected.done():
            return
        if reason.is_failure:
            self._connected.set_exception(LostError(str(reason), refused=reason))
        else:
            self.session_present = bool(flags.session_present)
            self._connected.set_result(None)

    def _on_disconnect(self, _client: Any, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        # paho has closed its socket here: the number must leave the event loop before somebody else has it
        self._end(LostError(f"the broker ended the session ({reason})", refused=reason if reason.is_failure else None))

    def _on_message(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        properties = getattr(message, "properties", None)
        correlation = getattr(properties, "CorrelationData", None)
        topic = message._topic.decode("utf-8", "replace")  # the property raises for what is not UTF-8
        received = time.time_ns() if self._paho.packets is None else self._paho.packets.received
        self._queue.append(Incoming(topic, bytes(message.payload), message.qos, message.retain, received, correlation))
        self._filled.set()

    def _on_subscribe(self, _client: Any, _data: Any, mid: int, reasons: Any, _properties: Any) -> None:
        waiting = self._granted.pop(mid, None)
        if waiting is not None and not waiting.done():
            waiting.set_result([reason.value for reason in reasons])

    def _on_publish(self, _client: Any, _data: Any, mid: int, reason: Any, _properties: Any) -> None:
        delivery = self._deliveries.pop(mid, None)
        if delivery is not None and not delivery.done():
            if reason.is_failure:
                delivery.set_exception(LostError(f"the broker refused the message ({reason})", refused=reason))
            else:
                delivery.set_result(None)

    # --- messages ---

    async def next(self) -> Incoming:
        """The next message, in order. Raises LostError when the session is over and all were taken."""
        while not self._queue:
            if self.lost.done():
                raise self.lost.result()
            self._filled.clear()
            await self._filled.wait()
        message = self._queue.popleft()
        if not self._reading and len(self._queue) <= _HIGH // 2 and not self.lost.done():
            self._read(True)
        return message

    @property
    def more(self) -> bool:
        """Further messages wait to be taken."""
        return bool(self._queue)

    @property
    def last_read(self) -> int:
        """Bytes received so far: it grows while the broker is heard of."""
        return self._paho.packets.read if self._paho.packets is not None else 0

    async def subscribe(self, filters: Sequence[tuple[str, int]], *, no_local: bool = False) -> list[int]:
        """The granted QoS (0..2) of each filter, 128 and more where the broker refuses it. Raises LostError."""
        if not filters:
            return []
        wanted: Any = list(filters)
        if self._version == MQTTProtocolVersion.MQTTv5:
            wanted = [(one, SubscribeOptions(qos=qos, noLocal=no_local)) for one, qos in filters]
        return await self._answer("a subscription", *self._paho.subscribe(wanted))

    async def follow(self, filters: Sequence[tuple[str, int]]) -> None:
        """Subscribe to all of these. Raises LostError, and CredentialsError where the broker refuses one."""
        granted = await self.subscribe(filters)
        if len(granted) != len(filters):
            raise LostError("the broker answered a subscription wrongly")
        refused = [one for (one, _), qos in zip(filters, granted, strict=True) if qos > 2]
        if refused:
            raise CredentialsError(
                f"the broker does not let us read {', '.join(refused)}", where=self._address.url,
                mend="allow it in the broker's access rules, or connect as another user",
            )  # fmt: skip

    async def unsubscribe(self, filters: Sequence[str]) -> None:
        """Returns when the broker has answered; whether it knew them does not matter. Raises LostError."""
        if filters:
            await self._answer("the end of a subscription", *self._paho.unsubscribe(list(filters)))

    async def _answer(self, what: str, code: MQTTErrorCode, mid: int | None) -> list[int]:
        if code != MQTTErrorCode.MQTT_ERR_SUCCESS or mid is None:
            raise LostError("the connection is lost")
        answer: asyncio.Future[list[int]] = self._loop.create_future()
        self._granted[mid] = answer
        self._flush()
        try:
            async with asyncio.timeout(self._timeout):
                return await answer
        except TimeoutError:
            raise LostError(f"the broker did not answer {what} within {self._timeout:g} s") from None
        finally:
            self._granted.pop(mid, None)

    def hand_over(self, message: Outgoing, last_check: LastCheck | None = None) -> Delivery:
        """Give one message to the socket, now; `last_check` is the last thing before it, nothing is awaited in here.

        Raises LostError while there is no session (nothing was sent or kept), and what `last_check` raises.
        """
        if self.lost.done() or not self._connected.done() or not self._paho.is_connected():
            raise LostError("the connection is lost")
        properties = self._properties(message)
        if last_check is not None:
            last_check()
        info = self._paho.publish(message.topic, message.payload, message.qos, message.retain, properties)
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise LostError("the connection is lost")
        delivery: Delivery = self._loop.create_future()
        if message.qos:
            self._deliveries[info.mid] = delivery
        else:
            delivery.set_result(None)
        self._watch_writes(self._paho.want_write())
        return delivery

    def ping(self) -> Delivery:
        """Ask the broker for a sign of life, now (MQTT 5, 3.12). Done when it is there: then the broker has all that was handed
        over before, whatever its QoS. Raises LostError while there is no session."""
        if self.lost.done() or not self._paho.is_connected():
            raise LostError("the connection is lost")
        if self._paho._send_pingreq() != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise LostError("the connection is lost")
        answered: Delivery = self._loop.create_future()
        self._pinged[self._paho.pings] = answered
        self._watch_writes(self._paho.want_write())
        return answered

    def _on_pong(self) -> None:
        self._pongs += 1
        answered = self._pinged.pop(self._pongs, None)
        if answered is not None and not answered.done():
            answered.set_result(None)

    def _properties(self, message: Outgoing) -> Properties | None:
        if self._version != MQTTProtocolVersion.MQTTv5:
            return None
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho has no types there
        if message.expiry is not None:
            properties.MessageExpiryInterval = max(1, round(message.expiry))
        if message.response_topic is not None:
            properties.ResponseTopic = message.response_topic
        if message.correlation is not None:
            properties.CorrelationData = message.correlation
        return properties
