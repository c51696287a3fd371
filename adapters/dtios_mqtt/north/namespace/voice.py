"""What a publisher says in one session, with QoS 1: who is told when the broker has it, and what becomes of what it refuses."""

from collections.abc import Callable, Iterable

import anyio

from dtios_mqtt.errors import LostError
from dtios_mqtt.session.client import Delivery, MqttClient
from dtios_mqtt.session.messages import Outgoing

__all__ = ["Voice"]


class Voice:
    """Of one session. Everything raises LostError when that is over."""

    def __init__(self, client: MqttClient) -> None:
        self._client = client
        self._kept: dict[str, bytes] = {}
        self._refusal: LostError | None = None
        self._refused = anyio.Event()

    def keep(self, topic: str, payload: bytes) -> None:
        """Retained, unless this session has said so already."""
        if self._kept.get(topic) != payload:
            self._kept[topic] = payload
            self._client.hand_over(Outgoing(topic, payload, qos=1, retain=True)).add_done_callback(self._look)

    def say_all(self, topic: str, payloads: Iterable[bytes], done: Callable[[], None]) -> None:
        """Some messages in order; `done` is called when the broker has acknowledged each of them, and no earlier."""
        missing = 0

        def acknowledged(delivery: Delivery) -> None:
            nonlocal missing
            if self._look(delivery):
                missing -= 1
                if not missing:
                    done()

        handed = [self._client.hand_over(Outgoing(topic, payload, qos=1)) for payload in payloads]
        missing = len(handed)
        for delivery in handed:
            delivery.add_done_callback(acknowledged)

    def _look(self, delivery: Delivery) -> bool:
        """True: the broker has it. Otherwise the session is over, or will be."""
        error = delivery.exception()
        if isinstance(error, LostError) and error.refused is not None:
            self._refusal = self._refusal or error
            self._refused.set()
        return error is None

    async def raise_when_refused(self) -> None:
        """A broker that refuses one message (it may with MQTT 5) ends the session: what was refused is not lost by that."""
        await self._refused.wait()
        raise LostError(
            f"{self._refusal}; look at its access list and its limits",
            refused=None if self._refusal is None else self._refusal.refused,
        )
