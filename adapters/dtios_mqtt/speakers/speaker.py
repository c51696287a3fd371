"""What every way of speaking over MQTT is: from messages to nodes and values, and from writes to messages."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from dtios.mapping.facts import Node
from dtios.mapping.profiles.library import ProfileLibrary
from dtios.sdk.adapter import LastCheck, Publish, Sink, Write
from dtios.sdk.errors import ConfigurationError, TemporaryError
from dtios_mqtt.complaints import Complaints
from dtios_mqtt.image import ProcessImage
from dtios_mqtt.session.client import MqttClient
from dtios_mqtt.session.messages import Incoming, Will

__all__ = ["Place", "Speaker"]


@dataclass(frozen=True, slots=True)
class Place:
    """What a speaker works with during one session: the client it speaks through, and where what it hears goes."""

    client: MqttClient
    image: ProcessImage
    sink: Sink
    complaints: Complaints
    instance: str = ""
    """The id of this runtime, as it marks what it publishes itself."""
    news: Callable[[], None] = lambda: None

    def learned(self) -> None:
        """A machine made itself known, or is another than it was."""
        self.news()
        self.sink.changed()


class Speaker(ABC):
    """One for each way of speaking of a connection. What it learned of machines outlives sessions; their values do not.

    `take` is called for one message at a time, in order, between `begin` and `lost`.
    """

    scheme: ClassVar[str]
    """Addresses of its points begin with `SCHEME:`."""
    namespace: ClassVar[str] = ""
    """The URI of the names it gives."""
    own_session: ClassVar[bool] = False
    """It wants an MQTT session of its own, with its own will."""

    def __init__(self) -> None:
        self._place: Place | None = None

    @property
    def place(self) -> Place:
        """Raises TemporaryError between sessions."""
        if self._place is None:
            raise TemporaryError("the broker is not connected", mend="wait until it is back")
        return self._place

    def will(self) -> Will | None:
        """For a session of its own, asked before each one is opened."""
        return None

    def learn(self, profiles: ProfileLibrary) -> None:  # noqa: B027  # only some speak by profile
        """The profiles that hold here, before the first session and whenever they change."""

    @property
    @abstractmethod
    def filters(self) -> Sequence[tuple[str, int]]:
        """(topic filter, QoS) to subscribe."""

    async def begin(self, place: Place) -> None:
        """The session stands and is subscribed."""
        self._place = place

    async def end(self) -> None:  # noqa: B027  # most say nothing
        """The session is about to be closed in order: say goodbye. Raises LostError."""

    def lost(self) -> None:
        """The session is over."""
        self._place = None

    @abstractmethod
    async def take(self, message: Incoming) -> bool:
        """Whether this message was its own. What cannot be understood is a complaint, never an exception."""

    @abstractmethod
    def nodes(self) -> Sequence[Node]:
        """What was heard of so far, as it hangs below the root."""

    @abstractmethod
    async def write(self, write: Write, last_check: LastCheck) -> int:
        """A StatusCode. Raises as `Connection.write`."""

    async def publish(self, message: Publish, last_check: LastCheck) -> None:
        """Raises as `Connection.publish`."""
        raise ConfigurationError("this point takes no messages", where=message.address, mend="describe the machine again")

    async def tick(self) -> None:  # noqa: B027  # most have nothing that time brings
        """Called a few times a second: timers of the way of speaking."""
