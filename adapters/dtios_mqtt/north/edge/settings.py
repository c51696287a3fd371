"""What the Sparkplug publisher can be told: its broker, its name there, and whom it waits for."""

from typing import Annotated

from pydantic import Field, StringConstraints

from dtios_mqtt.north.broker import BrokerConfig, StoreConfig

__all__ = ["SparkplugConfig"]

Id = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class SparkplugConfig(BrokerConfig):
    """Group and edge node are the ids of Sparkplug B 3.0, 4.1; together they must be unique at the broker."""

    group: Id = Field(description="Sparkplug group id")
    node: Id = Field(description="Sparkplug edge node id; machines are its devices")
    host_id: Id | None = Field(None, description="primary host application: births wait until its STATE says it is online")
    signals: list[Id] = Field(["**"], min_length=1, description="paths or patterns of what is published")
    interval: float = Field(0.1, ge=0, le=60, description="seconds: what a machine says within them is one message")
    largest: int = Field(128, ge=1, le=100_000, description="KiB of a DDATA's payload; more values become several messages")
    store: StoreConfig = StoreConfig()
