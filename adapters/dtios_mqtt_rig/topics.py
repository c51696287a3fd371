"""A machine of plain topics behind a broker: JSON with the value and its time, one retained message for each variable."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import paho.mqtt.client as paho

from dtios.mapping.profiles.file import read_profile
from dtios.mapping.profiles.library import ProfileLibrary
from dtios.model.status import is_bad
from dtios.sdk.adapter import Connection
from dtios.testing.conformance import SAMPLES, Need
from dtios_mqtt_rig.broker import Broker, Door
from dtios_mqtt_rig.client import BrokerClient
from dtios_mqtt_rig.rig import LACKS, MqttBench, MqttRig

__all__ = ["TopicBench"]

_TOP: Final = "rig/Conformance"
_NO_ARRAY: Final = "a profile of plain topics has no arrays"


class TopicMachine(BrokerClient):
    def __init__(self, port: int, version: str, values: dict[str, Any]) -> None:
        super().__init__(port, version)
        self._values = values
        self._writes = dict.fromkeys(values, 0)

    @property
    def filters(self) -> list[str]:
        return [f"{_TOP}/set"]

    def begin(self) -> None:
        for name, value in self._values.items():
            self.set(name, value, 0, None)

    def set(self, name: str, value: Any, status: int, time: int | None) -> int:
        with self.lock:
            self._values[name] = value
            told = self.now(1) if time is None else time
            payload = {"value": None if is_bad(status) else value, "time": told}
            self.publish(f"{_TOP}/{name}", json.dumps(payload).encode(), qos=1, retain=True)
            return told

    def value(self, name: str) -> Any:
        return self._values[name]

    def writes(self, name: str) -> int:
        return self._writes[name]

    def take(self, message: paho.MQTTMessage) -> None:
        asked = json.loads(message.payload)
        with self.lock:
            self._writes[asked["name"]] += 1
            if asked["name"] != "Fixed":
                self.set(asked["name"], asked["value"], 0, None)


class TopicRig(MqttRig):
    resolution = 1
    lacks: Mapping[Need, str] = LACKS | {
        Need.UNCERTAIN: "a profile of plain topics says nothing of qualities",
        Need.REMOVAL: "a profile of plain topics says which values there are",
    }
    absent: Mapping[str, str] = {
        "ByteString": "JSON has no bytes",
        "Int32Array": _NO_ARRAY,
        "StringArray": _NO_ARRAY,
        "DoubleArray": _NO_ARRAY,
    }
    profiles = (Path(__file__).parent / "topics.yaml",)
    skill = ("Set", {"value": 7}, "Int32")
    above = "topic:dtios-conformance-topics/Conformance#"

    def connect(self, url: str | None = None, **settings: Any) -> Connection:
        made = super().connect(url, **settings)
        made.learn(ProfileLibrary([read_profile(path) for path in self.profiles]))
        return made


class TopicBench(MqttBench):
    def made(self, broker: Broker) -> TopicMachine:
        values = {name: samples[0] for name, (_, _, samples) in SAMPLES.items() if name not in TopicRig.absent}
        return TopicMachine(broker.port, broker.version, values | {"Counter": 0, "Fixed": 0.5})

    def around(self, broker: Broker, door: Door, machine: TopicMachine) -> TopicRig:
        return TopicRig(broker, door, machine)
