"""A Sparkplug B edge node with the device `Conformance`, over paho: the machine of a conformance check.

It is born again whenever a host application comes online, as a node does that waits for its primary host, and when it is asked.
paho's thread takes what comes; the values are behind a lock.
"""

import json
import socket
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from dtios_mqtt_rig.wire import Metric, decode, encode, typed

__all__ = ["DEVICE", "SparkplugNode", "Variable"]

DEVICE: Final = "Conformance"
_GROUP, _NODE = "Rig", "Edge"
_REBIRTH: Final = "Node Control/Rebirth"
_READY: Final = 10.0


@dataclass(slots=True)
class Variable:
    """`quality` is Sparkplug's: 0 bad, 192 good, 500 stale; `time` in ms, None: of now."""

    type: str
    value: Any
    alias: int | None = None
    read_only: bool = False
    quality: int = 192
    time: int | None = None
    there: bool = True
    writes: int = field(default=0)


class SparkplugNode:
    """`variables` by name; the broker listens at 127.0.0.1:`port` and speaks MQTT `version`, "3.1.1" or "5"."""

    def __init__(self, port: int, version: str, variables: dict[str, Variable]) -> None:
        self.variables = variables
        self._ahead = 0.0
        self._port = port
        self._protocol = MQTTProtocolVersion.MQTTv5 if version == "5" else MQTTProtocolVersion.MQTTv311
        self._lock = threading.RLock()
        self._born = threading.Event()
        self._seq = 0
        self._bd_seq = 0
        self._latest = 0
        self._paho: paho.Client | None = None

    # --- life ---

    def connect(self) -> None:
        """Returns when it is born. Raises OSError, TimeoutError."""
        self._born.clear()
        made = paho.Client(CallbackAPIVersion.VERSION2, protocol=self._protocol, reconnect_on_failure=False)
        made.will_set(_topic("NDEATH"), self._death(), qos=1)
        made.on_connect = self._connected
        made.on_subscribe = self._subscribed
        made.on_message = self._message
        made.connect("127.0.0.1", self._port, 60)
        made.loop_start()
        self._paho = made
        if not self._born.wait(_READY):
            raise TimeoutError("the edge node was not born")

    def disconnect(self) -> None:
        """Without a word of its own: the broker says its will, if it still can."""
        made, self._paho = self._paho, None
        connected: Any = None if made is None else made.socket()
        if made is not None:
            if connected is not None:
                with suppress(OSError):
                    connected.shutdown(socket.SHUT_RDWR)  # wakes paho's thread
            made.loop_stop()
        self._bd_seq = (self._bd_seq + 1) % 256

    def _connected(self, client: paho.Client, *_: Any) -> None:
        client.subscribe([(_topic("NCMD"), 1), (_topic("DCMD", device=True), 1), ("spBv1.0/STATE/+", 1)])

    def _subscribed(self, client: paho.Client, *_: Any) -> None:
        self.birth(client)
        self._born.set()

    def _death(self) -> bytes:
        return encode([Metric("Int64", self._bd_seq, self._now(), "bdSeq")], self._now(), None)

    def _now(self) -> int:
        return round((time.time() + self._ahead) * 1_000)

    def skew(self, seconds: float) -> None:
        """Its clock is so far ahead from now on."""
        with self._lock:
            self._ahead, self._latest = seconds, 0

    # --- up ---

    def birth(self, client: paho.Client | None = None) -> None:
        with self._lock:
            self._seq = 0
            now = self._now()
            own = [Metric("Int64", self._bd_seq, now, "bdSeq"), Metric("Boolean", False, now, _REBIRTH)]
            self._send("NBIRTH", own, client)
            self.device_birth(client)

    def device_birth(self, client: paho.Client | None = None) -> None:
        with self._lock:
            known = [self._metric(name, birth=True) for name, variable in self.variables.items() if variable.there]
            self._send("DBIRTH", known, client)

    def tell(self, name: str, client: paho.Client | None = None) -> None:
        """DDATA with this variable."""
        with self._lock:
            self._send("DDATA", [self._metric(name)], client)

    def _metric(self, name: str, *, birth: bool = False) -> Metric:
        variable = self.variables[name]
        said = name if birth or variable.alias is None else ""
        properties: dict[str, bool | int] = {"Quality": variable.quality} if birth or variable.quality != 192 else {}
        if birth and variable.read_only:
            properties["readOnly"] = True
        return Metric(variable.type, variable.value, variable.time or self._now(), said, variable.alias, properties)

    def _send(self, kind: str, metrics: Sequence[Metric], client: paho.Client | None) -> None:
        client = client or self._paho
        if client is not None:
            client.publish(_topic(kind, device=kind.startswith("D")), encode(metrics, self._now(), self._seq))
            self._seq = (self._seq + 1) % 256

    def set(self, name: str, value: Any, quality: int = 192, time: int | None = None) -> int:
        """Returns its time: `time`, or the present one, later than that of any value before."""
        with self._lock:
            variable = self.variables[name]
            if time is None:
                time = self._latest = max(self._now(), self._latest + 1)
            variable.value, variable.quality, variable.time = value, quality, time
            self.tell(name)
            return time

    def show(self, name: str, *, there: bool) -> None:
        """A variable is there no longer, or again: the device is born anew."""
        with self._lock:
            self.variables[name].there = there
            self.device_birth()

    # --- down ---

    def _message(self, client: paho.Client, _: Any, message: paho.MQTTMessage) -> None:
        kind = message.topic.split("/")[1 if "/STATE/" in message.topic else 2]
        if kind == "STATE":
            if not message.retain and json.loads(message.payload)["online"]:
                self.birth(client)
        elif kind == "NCMD":
            if any(name == _REBIRTH and raw for name, _, _, raw in decode(bytes(message.payload))):
                self.birth(client)
        else:
            for name, alias, _, raw in decode(bytes(message.payload)):
                self._write(client, name, alias, raw)

    def _write(self, client: paho.Client, name: str, alias: int | None, raw: Any) -> None:
        """What it does not take comes back as it is."""
        with self._lock:
            known = (n for n, one in self.variables.items() if n == name or (alias is not None and one.alias == alias))
            found = next(known, None)
            if found is None:
                return
            variable = self.variables[found]
            variable.writes += 1
            if not variable.read_only:
                variable.value, variable.quality, variable.time = typed(variable.type, raw), 192, None
            self.tell(found, client)


def _topic(kind: str, *, device: bool = False) -> str:
    return f"spBv1.0/{_GROUP}/{kind}/{_NODE}" + (f"/{DEVICE}" if device else "")
