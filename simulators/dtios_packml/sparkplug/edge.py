"""An edge node with one device on an MQTT broker: births, data by exception, deaths, and commands that are handed on.

paho's thread carries the bytes; all else happens in the event loop.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from dtios_packml.sparkplug.payload import Malformed, Metric, decode, encode

__all__ = ["EdgeNode"]

_REBIRTH: Final = "Node Control/Rebirth"
_KEEP_ALIVE: Final = 5


class EdgeNode:
    """`picture` gives all metrics of the device; `commanded` takes what a DCMD says, metric by metric, in the event loop."""

    def __init__(
        self, url: str, group: str, node: str, device: str, picture: Callable[[], Sequence[Metric]],
        commanded: Callable[[str, Any], None],
    ) -> None:  # fmt: skip
        parts = urlsplit(url)
        self._broker = (parts.hostname or "127.0.0.1", parts.port or 1883)
        self._topic = f"spBv1.0/{group}/{{}}/{node}"
        self._device = device
        self._picture = picture
        self._commanded = commanded
        self._shown: dict[str, Any] = {}
        self._alive = False
        """Born in this session."""
        self._seq = 0
        self._bd_seq = 0
        self._loop = asyncio.get_running_loop()
        self.born = asyncio.Event()
        """Set with the first birth."""
        self._paho = self._client()

    def _client(self) -> paho.Client:
        made = paho.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv311, clean_session=True)
        made.reconnect_delay_set(0.2, 2)  # type: ignore[arg-type]  # it sleeps for what is given
        made.on_connect = self._connected
        made.on_disconnect = self._next_life
        made.on_message = self._message
        return made

    # --- life ---

    def start(self) -> None:
        """Connect as soon as there is a broker, and again whenever it was away."""
        self._will()
        self._paho.connect_async(*self._broker, _KEEP_ALIVE)
        self._paho.loop_start()

    def stop(self) -> None:
        """An orderly end: the death first, then the session (tck-id-operational-behavior-edge-node-intentional-disconnect)."""
        if self._paho.is_connected():
            self._paho.publish(self._topic.format("NDEATH"), self._death(), qos=1).wait_for_publish(1)
        self._paho.disconnect()
        self._paho.loop_stop()

    def _connected(self, *_: Any) -> None:
        self._loop.call_soon_threadsafe(self._birth)

    def _message(self, _: paho.Client, __: Any, message: paho.MQTTMessage) -> None:
        self._loop.call_soon_threadsafe(self._take, message.topic, bytes(message.payload))

    def _next_life(self, *_: Any) -> None:
        self._alive = False
        self._bd_seq = (self._bd_seq + 1) % 256
        self._will()

    def _will(self) -> None:
        self._paho.will_set(self._topic.format("NDEATH"), self._death(), qos=1, retain=False)

    def _death(self) -> bytes:
        return encode([self._bd()], _now(), None)

    def _bd(self) -> Metric:
        return Metric("bdSeq", "Int64", self._bd_seq)

    # --- up ---

    def _birth(self) -> None:
        self._paho.subscribe([(self._topic.format("NCMD"), 1), (self._topic.format("DCMD") + f"/{self._device}", 1)])
        self._seq = 0
        self._send("NBIRTH", [self._bd(), Metric(_REBIRTH, "Boolean", False)])
        metrics = self._picture()
        self._shown = {metric.name: metric.value for metric in metrics}
        self._send("DBIRTH", metrics)
        self._alive = True
        self.born.set()

    def tell(self, also: Sequence[str] = ()) -> None:
        """DDATA with what has changed since it was told last, and the metrics of `also`."""
        if not self._alive or not self._paho.is_connected():
            return
        now = self._picture()
        changed = [m for m in now if m.name in also or self._shown.get(m.name) != m.value]
        if changed:
            self._shown.update({metric.name: metric.value for metric in changed})
            self._send("DDATA", [Metric(m.name, m.type, m.value) for m in changed])

    def _send(self, kind: str, metrics: Sequence[Metric]) -> None:
        topic = self._topic.format(kind) + (f"/{self._device}" if kind.startswith("D") else "")
        self._paho.publish(topic, encode(metrics, _now(), self._seq))
        self._seq = (self._seq + 1) % 256

    # --- down ---

    def _take(self, topic: str, payload: bytes) -> None:
        try:
            metrics = decode(payload)
        except Malformed:
            return
        for name, value in metrics:
            if topic.endswith(f"/{self._device}"):
                self._commanded(name, value)
            elif name == _REBIRTH and value is True:
                self._birth()


def _now() -> int:
    return time.time_ns() // 1_000_000
