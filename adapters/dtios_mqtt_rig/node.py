"""A Sparkplug B edge node with the device `Conformance`: the machine of a conformance check.

It is born again whenever a host application comes online, as a node does that waits for its primary host, and when it is asked.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import paho.mqtt.client as paho

from dtios.model.status import is_bad, is_good
from dtios_mqtt_rig.client import BrokerClient
from dtios_mqtt_rig.wire import Metric, decode, encode, typed

__all__ = ["SparkplugNode", "Variable"]

_GROUP, _NODE, _DEVICE = "Rig", "Edge", "Conformance"
_REBIRTH: Final = "Node Control/Rebirth"
_MS: Final = 1_000_000
_BAD, _GOOD, _STALE = 0, 192, 500


@dataclass(slots=True)
class Variable:
    """`quality` is Sparkplug's: 0 bad, 192 good, 500 stale; `time` in ms, None: of now."""

    type: str
    value: Any
    alias: int | None = None
    read_only: bool = False
    quality: int = _GOOD
    time: int | None = None
    there: bool = True
    writes: int = 0


class SparkplugNode(BrokerClient):
    """`variables` by name. See `BrokerClient`."""

    def __init__(self, port: int, version: str, variables: dict[str, Variable]) -> None:
        super().__init__(port, version)
        self.variables = variables
        self._seq = 0
        self._bd_seq = 0

    # --- life ---

    @property
    def filters(self) -> list[str]:
        return [_topic("NCMD"), _topic("DCMD", device=True), "spBv1.0/STATE/+"]

    def will(self) -> tuple[str, bytes]:
        self._bd_seq = (self._bd_seq + 1) % 256
        return _topic("NDEATH"), encode([self._bd(self._now())], self._now(), None)

    def begin(self) -> None:
        """NBIRTH and DBIRTH."""
        with self.lock:
            self._seq = 0
            now = self._now()
            self._send("NBIRTH", [self._bd(now), Metric("Boolean", False, now, _REBIRTH)])
            self._device_birth()

    def _bd(self, now: int) -> Metric:
        return Metric("Int64", self._bd_seq, now, "bdSeq")

    def _now(self) -> int:
        return self.now(_MS) // _MS

    # --- up ---

    def _device_birth(self) -> None:
        self._send("DBIRTH", [self._metric(name, birth=True) for name, one in self.variables.items() if one.there])

    def show(self, name: str, *, there: bool) -> None:
        """A variable is there no longer, or again: the device is born anew."""
        with self.lock:
            self.variables[name].there = there
            self._device_birth()

    def set(self, name: str, value: Any, status: int, time: int | None) -> int:
        with self.lock:
            variable = self.variables[name]
            variable.time = self._now() if time is None else time // _MS
            variable.value = value
            variable.quality = _BAD if is_bad(status) else _GOOD if is_good(status) else _STALE
            self._tell(name)
            return variable.time * _MS

    def value(self, name: str) -> Any:
        with self.lock:
            return self.variables[name].value

    def writes(self, name: str) -> int:
        return self.variables[name].writes

    def _tell(self, name: str) -> None:
        """DDATA with this variable."""
        self._send("DDATA", [self._metric(name)])

    def _metric(self, name: str, *, birth: bool = False) -> Metric:
        variable = self.variables[name]
        said = name if birth or variable.alias is None else ""
        properties: dict[str, bool | int] = {"Quality": variable.quality} if birth or variable.quality != _GOOD else {}
        if birth and variable.read_only:
            properties["readOnly"] = True
        return Metric(variable.type, variable.value, variable.time or self._now(), said, variable.alias, properties)

    def _send(self, kind: str, metrics: Sequence[Metric]) -> None:
        self.publish(_topic(kind, device=kind.startswith("D")), encode(metrics, self._now(), self._seq))
        self._seq = (self._seq + 1) % 256

    # --- down ---

    def take(self, message: paho.MQTTMessage) -> None:
        payload = bytes(message.payload)
        if "/STATE/" in message.topic:
            if not message.retain and json.loads(payload)["online"]:
                self.begin()
        elif "/NCMD/" in message.topic:
            if any(name == _REBIRTH and raw for name, _, _, raw in decode(payload)):
                self.begin()
        else:
            for name, alias, _, raw in decode(payload):
                self._write(name, alias, raw)

    def _write(self, name: str, alias: int | None, raw: Any) -> None:
        """What it does not take comes back as it is."""
        with self.lock:
            known = (n for n, one in self.variables.items() if n == name or (alias is not None and one.alias == alias))
            found = next(known, None)
            if found is None:
                return
            variable = self.variables[found]
            variable.writes += 1
            if not variable.read_only:
                variable.value, variable.quality, variable.time = typed(variable.type, raw), _GOOD, self._now()
            self._tell(found)


def _topic(kind: str, *, device: bool = False) -> str:
    return f"spBv1.0/{_GROUP}/{kind}/{_NODE}" + (f"/{_DEVICE}" if device else "")
