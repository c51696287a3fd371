"""What goes over one MQTT session, in our own words."""

from dataclasses import dataclass, field
from typing import NamedTuple

__all__ = ["Incoming", "Outgoing", "Will"]


class Incoming(NamedTuple):
    """A message as it came. `received` is int nanoseconds UTC."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    received: int
    correlation: bytes | None = None


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to be sent. `expiry` (seconds), `response_topic` and `correlation` reach the other end with MQTT 5 only.

    A command is never retained (the gate's rule: who was away must not find it later).
    """

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    expiry: float | None = None
    response_topic: str | None = None
    correlation: bytes | None = None


@dataclass(frozen=True, slots=True)
class Will:
    """What the broker says for us when we are gone (MQTT 5, 3.1.2.5). `always`: with MQTT 5 also when we leave in order."""

    topic: str
    payload: bytes = field(repr=False)
    qos: int = 1
    retain: bool = False
    always: bool = False
