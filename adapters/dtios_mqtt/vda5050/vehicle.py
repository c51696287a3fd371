"""One vehicle: what is known of it, which outlives sessions, and what it is sent."""

import datetime
import json
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from dtios.model.condition import Condition
from dtios_mqtt.vda5050.messages import MisreadError, decode
from dtios_mqtt.vda5050.topics import VehicleId

__all__ = ["Vehicle"]

_SILENT: Final = 30.0
"""Seconds between two states at most (6.10)."""


class Vehicle:
    """`factsheet` is the last message as it came, `actions` those that it lists, by type."""

    def __init__(self, id: VehicleId) -> None:
        self.id = id
        self.version = f"{id.major}.0.0"
        self.factsheet: Mapping[str, Any] = {}
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

    @property
    def silence(self) -> float:
        """Seconds until its state is missing."""
        limits = self.factsheet.get("protocolLimits")
        timing = limits.get("timing") if isinstance(limits, dict) else None
        said = timing.get("defaultStateInterval") if isinstance(timing, dict) else None
        number = isinstance(said, int | float) and not isinstance(said, bool) and 0 < said < 3600
        return 1.5 * (float(said) if number and said is not None else _SILENT)

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
