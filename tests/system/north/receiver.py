"""Who listens to a publisher: bare paho in a thread, with a session that the broker keeps, and a reckoning of what came."""

import getpass
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import anyio
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from dtios.model.gap import Gap, GapCause
from dtios.model.status_codes import STATUS_CODES
from dtios.model.wire_time import time_from_json
from tests.brokers import BrokerProcess, Mosquitto
from tests.faults.truth import Truth

__all__ = ["Receiver", "lasting_broker"]


def lasting_broker(folder: Path) -> Mosquitto:
    """Knows its sessions again after it was stopped and started."""
    user = getpass.getuser()  # root would become `mosquitto`, who may not write here
    return Mosquitto(folder, f"user {user}\npersistence true\npersistence_location {folder}/\nmax_inflight_messages 0")


class Receiver:
    """`messages` are (topic, payload, retained) in the order in which they came."""

    def __init__(self, broker: BrokerProcess, topic: str = "#", name: str = "receiver") -> None:
        self.messages: list[tuple[str, Any, bool]] = []
        self._subscribed = threading.Event()
        self._client = client = paho.Client(CallbackAPIVersion.VERSION2, name, clean_session=False)
        client.reconnect_delay_set(1, 1)
        client.on_connect = lambda c, *_: c.subscribe(topic, 1)
        client.on_subscribe = lambda *_: self._subscribed.set()
        client.on_message = self._take
        client.connect("127.0.0.1", broker.port, keepalive=30)

    def _take(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        payload = json.loads(message.payload) if message.payload else None
        self.messages.append((message.topic, payload, message.retain))

    async def __aenter__(self) -> Self:
        self._client.loop_start()
        await anyio.to_thread.run_sync(self._subscribed.wait, 10)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._client.disconnect()
        await anyio.to_thread.run_sync(self._client.loop_stop)

    async def until(self, condition: Callable[[], object], seconds: float = 20.0) -> None:
        with anyio.fail_after(seconds):
            while not condition():
                await anyio.sleep(0.05)

    def of(self, end: str) -> list[Any]:
        """The payloads of topics that end so."""
        return [payload for topic, payload, _ in tuple(self.messages) if topic.endswith(end)]

    @property
    def values(self) -> list[Any]:
        """The messages of values."""
        return self.of("/values")

    def rows(self, *, historical: bool | None = None) -> list[dict[str, Any]]:
        return [row for one in self.values if historical in (None, one["historical"]) for row in one["values"]]

    async def flows(self, more: int = 20) -> None:
        """Until so many values came live that were not there yet when this was called."""
        since = time.time_ns()
        await self.until(lambda: self._live_since(since) >= more)

    def _live_since(self, since: int) -> int:
        found = 0
        for one in reversed(self.values):
            rows = [row for row in one["values"] if time_from_json(row["receive_time"]) > since]
            if not rows:
                break
            found += 0 if one["historical"] else len(rows)
        return found

    def truth(self) -> Truth:
        """What came, doubles dropped by (epoch, sequence), in the order of these numbers."""
        truth, seen = Truth(), set()
        for one in sorted(self.values, key=lambda one: (one["epoch"], one["sequence"])):
            key = (one["epoch"], one["sequence"], len(one["values"]), json.dumps(one["gaps"]))
            if key not in seen:  # a message that came again
                for gap in one["gaps"]:
                    since, until = (None if gap[end] is None else time_from_json(gap[end]) for end in ("from", "to"))
                    truth.gap(gap["signal"], Gap(GapCause(gap["cause"]), None, None, since, until, gap["count"]))
            seen.add(key)
            for row in one["values"]:
                number = (one["epoch"], row["sequence"])
                if number not in seen:
                    received = time_from_json(row["receive_time"])
                    value = None if row["value"] is None else int(row["value"])
                    truth.value(row["signal"], value, STATUS_CODES[row["status"]], received)
                seen.add(number)
        return truth
