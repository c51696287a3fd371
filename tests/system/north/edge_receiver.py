"""A primary host application for tests: bare paho in a thread, and the reckoning of what an edge node published."""

import json
import threading
import time
from dataclasses import dataclass, field
from typing import Any, Self

import anyio
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from dtios.model.gap import Gap, GapCause
from dtios.model.wire_time import time_from_json
from dtios_mqtt.north.edge.node import EPOCH, GAPS, ORDER, SEQUENCE
from dtios_mqtt.sparkplug.decoding import decode
from dtios_mqtt.sparkplug.encoding import encode
from dtios_mqtt.sparkplug.metric import Metric, Payload
from tests.brokers import Mosquitto
from tests.faults.truth import Truth

__all__ = ["EdgeReceiver", "Value"]


@dataclass(frozen=True)
class Value:
    """One of a DDATA: (epoch, sequence), path, value (None where it is null), ms, and whether it came later."""

    number: tuple[int, int]
    path: str
    value: Any
    time: int
    historical: bool


@dataclass
class EdgeReceiver:
    """`messages` are (kind, device, payload) in the order in which they came; `values` those of all DDATA."""

    broker: Mosquitto
    group: str = "Plant"
    messages: list[tuple[str, str, Payload]] = field(default_factory=list)
    values: list[Value] = field(default_factory=list)
    gaps: list[tuple[tuple[int, int], str, Gap]] = field(default_factory=list)
    _names: dict[str, dict[int, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._subscribed = threading.Event()
        self._client = client = paho.Client(CallbackAPIVersion.VERSION2, "host")
        client.reconnect_delay_set(1, 1)
        client.will_set(self.state, b'{"online":false,"timestamp":1}', 1, True)
        client.on_connect = lambda c, *_: c.subscribe(f"spBv1.0/{self.group}/#", 1)
        client.on_subscribe = self._ready
        client.on_message = self._take
        client.connect("127.0.0.1", self.broker.port, keepalive=30)

    async def __aenter__(self) -> Self:
        self._client.loop_start()
        await anyio.to_thread.run_sync(self._subscribed.wait, 10)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._client.disconnect()
        await anyio.to_thread.run_sync(self._client.loop_stop)

    @property
    def state(self) -> str:
        return "spBv1.0/STATE/judge"

    def _ready(self, client: paho.Client, *_: Any) -> None:
        client.publish(self.state, json.dumps({"online": True, "timestamp": time.time_ns() // 1_000_000}), 1, True)
        self._subscribed.set()

    def command(self, kind: str, *metrics: Metric, node: str = "Edge", device: str = "") -> None:
        topic = f"spBv1.0/{self.group}/{kind}/{node}" + (f"/{device}" if device else "")
        self._client.publish(topic, encode(Payload(1, None, list(metrics))))

    def kinds(self) -> list[str]:
        return [kind for kind, _, _ in tuple(self.messages)]

    def _take(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        _, _, kind, _, *device = message.topic.split("/")
        payload = decode(message.payload)
        name = device[0] if device else ""
        self.messages.append((kind, name, payload))
        if kind == "DBIRTH":
            self._names[name] = {metric.alias: metric.name for metric in payload.metrics if metric.alias is not None}
        elif kind == "DDATA" and name in self._names:
            self._data(payload, self._names[name])

    def _data(self, payload: Payload, names: dict[int, str]) -> None:
        told = {names[metric.alias or 0]: metric for metric in payload.metrics if names[metric.alias or 0].startswith("DTI-OS/")}
        rest = [metric for metric in payload.metrics if not names[metric.alias or 0].startswith("DTI-OS/")]
        epoch, first = told[EPOCH].value, told[SEQUENCE].value
        order = told[ORDER].value if ORDER in told else range(len(rest))
        for gap in json.loads(told[GAPS].value) if GAPS in told else []:
            since, until = (None if gap[end] is None else time_from_json(gap[end]) for end in ("from", "to"))
            self.gaps.append(((epoch, first), gap["signal"], Gap(GapCause(gap["cause"]), None, None, since, until, gap["count"])))
        for metric, add in zip(rest, order, strict=True):
            path = names[metric.alias or 0]
            value = None if metric.is_null else metric.value
            self.values.append(Value((epoch, first + add), path, value, metric.timestamp or 0, metric.is_historical))

    async def until(self, condition: Any, seconds: float = 20.0) -> None:
        with anyio.fail_after(seconds):
            while not condition():
                await anyio.sleep(0.05)

    async def flows(self, more: int = 20) -> None:
        """So many live values more."""
        since = len(self.values)
        await self.until(lambda: sum(not one.historical for one in tuple(self.values)[since:]) >= more)

    def truth(self) -> Truth:
        """Doubles dropped by their number, in the order of these."""
        truth, seen = Truth(), set()
        stream: list[tuple[tuple[int, int], int, Any]] = [(number, 0, (path, gap)) for number, path, gap in tuple(self.gaps)]
        stream += [(one.number, 1, one) for one in tuple(self.values)]
        for number, kind, one in sorted(stream, key=lambda item: item[:2]):
            if kind == 0:
                if (number, *one) not in seen:
                    truth.gap(*one)
                seen.add((number, *one))
            elif number not in seen:
                truth.value(one.path, one.value, 0 if one.value is not None else 0x80000000, one.time * 1_000_000)
                seen.add(number)
        return truth
