"""What the JSON publisher can be told: its broker, the levels of its topics, and how much goes into a message."""

from typing import Annotated

from pydantic import Field, StringConstraints

from dtios.sdk import AppConfig
from dtios_mqtt.north.broker import BrokerConfig, StoreConfig

__all__ = ["JsonConfig", "Levels"]

Level = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class Levels(AppConfig):
    """Of one machine, where they differ from the publisher's. `machine` is its name in the topic."""

    enterprise: Level | None = None
    site: Level | None = None
    area: Level | None = None
    line: Level | None = None
    machine: Level | None = None


class JsonConfig(BrokerConfig):
    """Levels are the equipment hierarchy of IEC 62264-1 (ISA-95), 5.3; one that is not given is left out of the topic."""

    enterprise: Level | None = None
    site: Level | None = None
    area: Level | None = None
    line: Level | None = None
    machines: dict[str, Levels] = Field({}, description="machine's name here -> levels that differ")
    signals: list[Level] = Field(["**"], min_length=1, description="paths or patterns of what is published")
    interval: float = Field(0.1, ge=0, le=60, description="seconds: what a machine says within them is one message")
    largest: int = Field(128, ge=1, le=100_000, description="KiB of a message's payload; more values become several messages")
    store: StoreConfig = StoreConfig()
