"""One vehicle: what is known of it, which outlives sessions, and what it is sent."""

import datetime
import json
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from dtios.model.condition import Condition
from dtios_mqtt.vda5050.messages import MisreadError, decode
from dtios_mqtt.vda5050.signals import FACTSHEET
from dtios_mqtt.vda5050.topics import VehicleId

__all__ = ["Vehicle"]

_INTERVAL: Final = 30.0
"""Seconds between two states at most (6.10)."""
_LONGEST: Final = 1_000


class Vehicle:
    """`factsheet` is what is shown of the last one, `actions` those that it lists, by type."""

    def __init__(self, id: VehicleId) -> None:
        self.id = id
        self.version = f"{id.major}.0.0"
        self.factsheet: Mapping[str, Mapping[str, Any]] = {}
        self.interval = _INTERVAL
        self.actions: Mapping[str, Mapping[str, Any]] = {}
        self.conditions: dict[str, Condition] = {}
        self._sent: Counter[str] = Counter()
        self.begin()

    def begin(self) -> None:
        """A new session: nothing was heard in it."""
        self.connection = ""
        self.heard: float | None = None
        self.received = 0
        self.asked = False
        self.silent = False
        self.renew()

    def renew(self) -> None:
        """It came: perhaps with another factsheet."""
        self.has_factsheet = False
        self.questions = 0
        self.next_question = 0.0

    @property
    def wants(self) -> tuple[str, ...]:
        """The questions whose answers are still missing."""
        state = () if self.heard is not None else ("stateRequest",)
        return state if self.has_factsheet or self.id.major == "1" else (*state, "factsheetRequest")

    @property
    def name(self) -> str:
        return f"{self.id.manufacturer}/{self.id.serial}"

    @property
    def is_online(self) -> bool:
        """One that never says how it is connected is there while it talks."""
        if self.silent:
            return False
        return self.connection == "ONLINE" or (not self.connection and self.heard is not None)

    def take_factsheet(self, said: Mapping[str, Any], actions: Mapping[str, Mapping[str, Any]]) -> None:
        """What is shown of it and lived by is kept, and no more: it may be large."""
        kept: dict[str, dict[str, Any]] = {}
        for point in FACTSHEET:
            group, _, name = point.path.partition("/")
            told = said.get(group)
            value = told.get(name) if isinstance(told, dict) else None
            if isinstance(value, int | float) or (isinstance(value, str) and len(value) <= _LONGEST):
                kept.setdefault(group, {})[name] = value
        self.factsheet, self.actions, self.has_factsheet = kept, actions, True
        limits = said.get("protocolLimits")
        timing = limits.get("timing") if isinstance(limits, dict) else None
        interval = timing.get("defaultStateInterval") if isinstance(timing, dict) else None
        number = isinstance(interval, int | float) and not isinstance(interval, bool)
        self.interval = float(interval) if number and interval is not None and 0 < interval < 3600 else _INTERVAL

    @property
    def silence(self) -> float:
        """Seconds until its state is missing."""
        return 1.5 * self.interval

    def message(self, kind: str, body: Mapping[str, Any]) -> bytes:
        """With the header (6.4): each topic counts what is sent on it. The text of version 2.0 calls the list of instant actions
        `actions` and its schema `instantActions`: a vehicle of that version finds both."""
        number = self._sent[kind]
        self._sent[kind] = (number + 1) % 2**32
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        header = {
            "headerId": number,
            "timestamp": now,
            "version": self.version,
            "manufacturer": self.id.manufacturer,
            "serialNumber": self.id.serial,
        }
        if kind == "instantActions" and self.version.startswith(("1.", "2.0")):
            body = {**body, "instantActions": body.get("actions", [])}
        return json.dumps({**header, **body}).encode()

    def completed(self, kind: str, body: bytes) -> bytes:
        """A body with its header. Raises MisreadError for what is no JSON object."""
        said = decode(body)
        if not said:
            raise MisreadError("empty")
        return self.message(kind, said)
