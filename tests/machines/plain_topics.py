"""A machine that speaks plain MQTT topics irregularly, on paho's own client. Its own log holds every message it was sent.

`python -m tests.machines.plain_topics --broker mqtt://127.0.0.1:1883 --log calls.jsonl`; the profile is beside it. It makes a
piece in 20 ms, answers everything twice, refuses more than 100 pieces, and does not answer at all for 13.
"""

import argparse
import asyncio
import json
import time
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from dtios_packml.lifecycle import CallLog, announce, ended

__all__ = ["PROFILE", "PlainTopics"]

PROFILE: Final = Path(__file__).with_suffix(".yaml")
STEP: Final = 0.02
MOST: Final = 100
MUTE: Final = 13
"""As many pieces are asked for, it does nothing and says nothing."""


class PlainTopics:
    """`jobs`: id -> (state, pieces made)."""

    def __init__(self, broker: str, log: CallLog, name: str = "press1", version: str = "5") -> None:
        self.top = f"plant/north/{name}"
        self.jobs: dict[str, tuple[str, int]] = {}
        self.speed = 10.0
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._ready = asyncio.Event()
        parts = urlsplit(broker)
        spoken = MQTTProtocolVersion.MQTTv5 if version == "5" else MQTTProtocolVersion.MQTTv311
        self._mqtt = Client(CallbackAPIVersion.VERSION2, f"machine-{name}", protocol=spoken)
        quality: Any = SubscribeOptions(qos=1) if version == "5" else 1
        told: list[Any] = [(f"{self.top}/{one}", quality) for one in ("cmd", "set", "rpc")]
        self._mqtt.on_connect = lambda *_: self._mqtt.subscribe(told)
        self._mqtt.on_subscribe = lambda *_: self._loop.call_soon_threadsafe(self._ready.set)
        self._mqtt.on_message = lambda _client, _data, message: self._loop.call_soon_threadsafe(self._take, message)
        self._mqtt.reconnect_delay_set(0.1, 0.5)
        self._mqtt.connect(parts.hostname or "", parts.port or 1883, keepalive=10)

    async def run(self, with_parent: bool) -> None:
        self._mqtt.loop_start()
        try:
            await asyncio.wait_for(self._ready.wait(), 10)
            self._log.add("ready", [])
            announce(endpoint=f"mqtt://127.0.0.1:{self._mqtt.port}")
            telling = asyncio.create_task(self._tell(), name="state")
            await ended(with_parent)
            telling.cancel()
        finally:
            self._mqtt.loop_stop()

    async def _tell(self) -> None:
        """Its state in changing forms, with a level that is there every other time."""
        number = 0
        while True:
            number += 1
            top = self.top.replace("/north/", "/north/cell7/") if number % 2 else self.top
            self.say(f"{top}/state", self._state(number))
            self.send(
                "metrics", {"metrics": [{"n": "cnt", "v": number}, {"n": "mood", "v": "good", "t": "2026-01-01T00:00:00Z"}]}
            )
            self.say(f"{self.top}/table", f"2026-07-01T12:00:00;1,5;{number},25\n".encode())
            self.say(f"{self.top}/level", f" {number}.5 ".encode())
            await asyncio.sleep(0.1)

    def _state(self, number: int) -> bytes:
        action = {"actionState": 1} if number % 2 else {"actionStates": ["2"]}
        state = {
            "seq": number, "ts": time.time_ns() // 1_000_000, "temperature": f"{20 + number % 5},5" if number % 7 else "n/a",
            "motor": {"on": "on" if number % 2 else 0, "rpm": "1500"}, "nested": json.dumps({"pressure": 2.5}),
            "speed": self.speed, "serial": "P-4711", "surprise": True, **action,
        }  # fmt: skip
        return json.dumps(state).encode()

    def say(self, topic: str, payload: bytes, properties: Properties | None = None) -> None:
        self._mqtt.publish(topic, payload, 1, properties=properties)

    def send(self, topic: str, message: dict[str, Any]) -> None:
        self.say(f"{self.top}/{topic}", json.dumps(message).encode())

    # --- what it is told ---

    def _take(self, message: MQTTMessage) -> None:
        asked = json.loads(message.payload)
        kind = message.topic.rpartition("/")[2]
        self._log.add(f"{kind} {asked.get('cmd', '')}".strip(), [asked], retain=message.retain, qos=message.qos)
        match kind:
            case "set":
                self.speed = float(asked["speed"]) if float(asked["speed"]) < MOST else self.speed
            case "rpc":
                self._reply(message, asked)
            case "cmd":
                self._command(asked["cmd"], asked)

    def _reply(self, message: MQTTMessage, asked: dict[str, Any]) -> None:
        given: Any = message.properties
        if asked["what"] == "silence":
            return
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho has no types there
        properties.CorrelationData = given.CorrelationData
        answer = {"error": "I will not"} if asked["what"] == "trouble" else {"echo": asked["what"]}
        self.say(given.ResponseTopic, json.dumps(answer).encode(), properties)

    def _command(self, verb: str, asked: dict[str, Any]) -> None:
        job = asked["id"]
        match verb:
            case "make" if asked["count"] == MUTE or job in self.jobs:
                return
            case "make" if asked["count"] > MOST:
                self._answer(job, "refused", why=f"not more than {MOST}")
            case "make":
                self.jobs[job] = ("accepted", 0)
                task = self._loop.create_task(self._make(job, asked["count"]), name=f"make {job}")
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            case "stop" if job in self.jobs:
                self.jobs[job] = ("stopped", self.jobs[job][1])
            case "ask":
                state, made = self.jobs.get(job, ("unknown", 0))
                self._answer(job, state, made=made)

    async def _make(self, job: str, count: int) -> None:
        self._answer(job, "accepted")
        for made in range(count):
            if self.jobs[job][0] == "stopped":
                self._answer(job, "stopped", made=made)
                return
            self.jobs[job] = ("running", made + 1)
            self._answer(job, "running", made=made + 1)
            await asyncio.sleep(STEP)
        self.jobs[job] = ("done", count)
        self._log.add("done", [job, count])
        self._answer(job, "done", made=count)

    def _answer(self, job: str, status: str, **more: Any) -> None:
        for _ in range(2):
            self.send("answer", {"id": job, "status": status, **more})


async def _run(options: argparse.Namespace) -> None:
    with CallLog(options.log) as log:
        await PlainTopics(options.broker, log, options.name, options.version).run(options.with_parent)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.machines.plain_topics")
    parser.add_argument("--broker", required=True)
    parser.add_argument("--name", default="press1")
    parser.add_argument("--version", default="5", choices=["3.1.1", "5"])
    parser.add_argument("--log", type=Path)
    parser.add_argument("--with-parent", action="store_true")
    asyncio.run(_run(parser.parse_args()))
