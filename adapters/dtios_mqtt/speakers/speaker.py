"""What every way of speaking over MQTT is: from messages to nodes and values, and from writes to messages."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from dtios.mapping.facts import Node
from dtios.sdk.adapter import LastCheck, Publish, Sink, Write
from dtios.sdk.errors import ConfigurationError
from dtios_mqtt.complaints import Complaints
from dtios_mqtt.image import ProcessImage
from dtios_mqtt.session.client import MqttClient
from dtios_mqtt.session.messages import Incoming

__all__ = ["Place", "Speaker"]


class Place:
    """What a speaker works with during one session: the client it speaks through, and where what it hears goes."""

    def __init__(self, client: MqttClient, image: ProcessImage, sink: Sink, complaints: Complaints) -> None:
        self.client = client
        self.image = image
        self.sink = sink
        self.complaints = complaints


class Speaker(ABC):
    """One for each session and way of speaking. `take` is called for one message at a time, in order."""

    scheme: ClassVar[str]
    """Addresses of its points begin with `SCHEME:`."""

    def __init__(self, place: Place) -> None:
        self.place = place

    @property
    @abstractmethod
    def filters(self) -> Sequence[tuple[str, int]]:
        """(topic filter, QoS) to subscribe."""

    @abstractmethod
    async def begin(self) -> None:
        """The session stands and is subscribed."""

    @abstractmethod
    async def take(self, message: Incoming) -> bool:
        """Whether this message was its own. What cannot be understood is a complaint, never an exception."""

    @abstractmethod
    def nodes(self) -> Sequence[Node]:
        """What was heard of so far, as it hangs below the root; the same node objects as long as nothing changed."""

    @abstractmethod
    async def write(self, write: Write, last_check: LastCheck) -> int:
        """A StatusCode. Raises as `Connection.write`."""

    async def publish(self, message: Publish, last_check: LastCheck) -> None:
        """Raises as `Connection.publish`."""
        raise ConfigurationError("this point takes no messages", where=message.address, mend="describe the machine again")

    async def tick(self) -> None:  # noqa: B027  # most have nothing that time brings
        """Called a few times a second: timers of the way of speaking."""

    async def end(self) -> None:  # noqa: B027  # most say nothing
        """The session is closed in order; say goodbye."""
