"""What machines on a broker share: paho's client in a thread of its own, and a clock."""

import socket
import threading
import time
from abc import ABC, abstractmethod
from contextlib import suppress
from typing import Any, Final

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

__all__ = ["BrokerClient"]

_READY: Final = 10.0


class BrokerClient(ABC):
    """The broker listens at 127.0.0.1:`port` and speaks MQTT `version`, "3.1.1" or "5". `lock` is held while values change."""

    def __init__(self, port: int, version: str) -> None:
        self.lock = threading.RLock()
        self._port = port
        self._protocol = MQTTProtocolVersion.MQTTv5 if version == "5" else MQTTProtocolVersion.MQTTv311
        self._ready = threading.Event()
        self._ahead = 0.0
        self._latest = 0
        self._paho: paho.Client | None = None

    # --- life ---

    @property
    @abstractmethod
    def filters(self) -> list[str]: ...

    @abstractmethod
    def begin(self) -> None:
        """The subscriptions stand: tell all that there is. In paho's thread."""

    @abstractmethod
    def take(self, message: paho.MQTTMessage) -> None:
        """In paho's thread."""

    def will(self) -> tuple[str, bytes] | None:
        return None

    def connect(self) -> None:
        """Returns when it has begun. Raises OSError, TimeoutError."""
        self._ready.clear()
        made = paho.Client(CallbackAPIVersion.VERSION2, protocol=self._protocol, reconnect_on_failure=False)
        if will := self.will():
            made.will_set(*will, qos=1)
        made.on_connect = self._connected
        made.on_subscribe = self._subscribed
        made.on_message = lambda _client, _data, message: self.take(message)
        made.max_inflight_messages_set(1_000)
        made.connect("127.0.0.1", self._port, 60)
        self._paho = made
        made.loop_start()
        if not self._ready.wait(_READY):
            raise TimeoutError("the machine did not reach the broker")

    def disconnect(self) -> None:
        """Without a word of its own: the broker says its will, if it still can."""
        made, self._paho = self._paho, None
        connected: Any = None if made is None else made.socket()
        if made is not None:
            if connected is not None:
                with suppress(OSError):
                    connected.shutdown(socket.SHUT_RDWR)  # wakes paho's thread
            made.loop_stop()

    def _connected(self, client: paho.Client, *_: Any) -> None:
        client.subscribe([(one, 1) for one in self.filters])

    def _subscribed(self, *_: Any) -> None:
        self.begin()
        self._ready.set()

    def publish(self, topic: str, payload: bytes, *, qos: int = 0, retain: bool = False) -> None:
        if self._paho is not None:
            self._paho.publish(topic, payload, qos, retain)

    # --- its clock ---

    def skew(self, seconds: float) -> None:
        """Its clock is so far ahead from now on."""
        with self.lock:
            self._ahead, self._latest = seconds, 0

    def now(self, step: int) -> int:
        """ns in whole `step`s, later than any before."""
        with self.lock:
            present = round((time.time() + self._ahead) * 1e9) // step * step
            self._latest = max(present, self._latest + step)
            return self._latest
