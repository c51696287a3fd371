"""What is said at a broker, kept in bounds."""

from dataclasses import dataclass, field
from typing import Final

import anyio

from dtios_mqtt.errors import LostError
from dtios_mqtt.session.client import MqttClient
from dtios_mqtt.session.messages import Incoming

__all__ = ["MOST_TOPICS", "SAMPLES", "Heard", "Topic", "listen"]

MOST_TOPICS: Final = 2_000
"""Topics that are looked at; what comes on others is only counted."""
SAMPLES: Final = 20
"""Payloads of a topic that are kept: the first ones, and no two alike of texts."""
LARGEST: Final = 64 * 1024
"""Bytes of a payload that is looked at; of a larger one only its size is told."""


@dataclass(slots=True)
class Topic:
    """`count` messages, of which the `retained` ones may be old; `samples` of their payloads."""

    count: int = 0
    retained: int = 0
    large: int = 0
    samples: list[bytes] = field(default_factory=list)


@dataclass(slots=True)
class Heard:
    """By topic. `beyond`: messages on topics that there was no room for."""

    seconds: float
    topics: dict[str, Topic] = field(default_factory=dict)
    beyond: int = 0

    def take(self, message: Incoming) -> None:
        topic = self.topics.get(message.topic)
        if topic is None:
            if len(self.topics) >= MOST_TOPICS:
                self.beyond += 1
                return
            topic = self.topics[message.topic] = Topic()
        topic.count += 1
        topic.retained += message.retain
        if len(message.payload) > LARGEST:
            topic.large += 1
        elif len(topic.samples) < SAMPLES:
            topic.samples.append(message.payload)


async def listen(client: MqttClient, seconds: float) -> Heard:
    """All that comes within so many seconds. Raises LostError where the session ends, or the broker lets us hear nothing."""
    heard = Heard(seconds)
    granted = await client.subscribe([("#", 0)])
    if granted[0] >= 128:
        granted = await client.subscribe([("spBv1.0/#", 0), ("+/+/+/+/connection", 0)])
        if all(code >= 128 for code in granted):
            raise LostError("the broker lets this user listen to nothing; its access list must allow # for that")
    with anyio.move_on_after(seconds):
        while True:
            heard.take(await client.next())
    return heard
