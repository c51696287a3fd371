"""The seam to the machines: what an adapter implements, and all that the runtime asks of it.

    adapter.connect(url, settings, home)   one Connection for each endpoint and identity, kept for as long as it is configured
    connection.run(sink)                   one session, from connecting to losing it; the supervisor runs it again

The supervisor owns reconnection (back-off and jitter) for every adapter; a Connection may keep what helps it to resume.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, NamedTuple, Protocol

from anyio.abc import TaskStatus
from pydantic import BaseModel, ConfigDict, Field

from dtios.mapping.facts import BrowseFacts
from dtios.mapping.observing import DeadBand
from dtios.mapping.points import Publish
from dtios.mapping.profiles.library import ProfileLibrary
from dtios.model.batch import Batch
from dtios.model.condition import Condition, ConditionVerb
from dtios.model.datatypes import ValueType
from dtios.model.errors import ConfigurationError
from dtios.model.event import Event, EventPath
from dtios.model.gap import GapCause
from dtios.model.values import DataValue, QualifiedName
from dtios.sdk.secrets import Secret

__all__ = [
    "LISTEN",
    "Adapter",
    "Call",
    "Complaint",
    "ConditionCommand",
    "Connection",
    "ConnectionSettings",
    "DeadBand",
    "Endpoint",
    "EventFields",
    "Finding",
    "Fingerprint",
    "LastCheck",
    "Loss",
    "MonitoredPoint",
    "Progress",
    "Publish",
    "Sink",
    "Write",
]

LastCheck = Callable[[], None]
"""The gate's last word on a command. An adapter calls it immediately before the bytes are handed to the socket, with
nothing awaited in between; it raises RefusedError, and then nothing may be sent."""

Progress = Callable[[str, int, int | None], None]
"""(what is being done, how much is done, of how much or None)."""


class ConnectionSettings(BaseModel):
    """What every connection can be told. An adapter may subclass it with its own (`Adapter.settings`)."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    security: str = Field("auto", description="auto, none, or POLICY[:MODE]")
    user: str | None = Field(None, description="user name; without one the session is anonymous")
    password: Secret | None = Field(None, description="where it comes from: {env: NAME}, {file: PATH} or {keyring: SERVICE/USER}")
    timeout: float = Field(4.0, gt=0, description="seconds for one request")
    keep_alive: float = Field(5.0, gt=0, description="seconds of silence after which values turn Bad")
    recheck: float = Field(300.0, gt=0, description="seconds between two looks whether the address space has changed")
    publishing_interval: float = Field(0.1, gt=0, description="seconds between notification messages")


LISTEN: Final = 10.0
"""Seconds for which `discover` listens where machines are found by what they say."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address that answered: what `discover` finds. With an `error` somebody named it, and it did not answer: why."""

    url: str
    name: str = ""
    details: dict[str, Any] = field(default_factory=dict)
    error: str = ""


class Fingerprint(NamedTuple):
    """What tells cheaply whether an address space is the one that was browsed.

    `model`: which server this is, with which namespaces; another one is another machine. `run`: the same model may have changed
    since (the server was restarted). Both equal: nothing tells of a change.
    """

    model: str
    run: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """What `examine` found, for a person: `message` says what is the case, `mend` what to do where that is wrong."""

    check: str
    level: Literal["good", "warning", "problem"]
    message: str
    where: str = ""
    mend: str = ""


@dataclass(frozen=True, slots=True)
class Complaint:
    """What came from `machine` (in the adapter's words; empty: nobody knows whose) and was not understood, how often, and the
    last few of it: (where, the beginning of the payload, int ns UTC)."""

    machine: str
    cause: str
    count: int
    last: tuple[tuple[str, bytes, int], ...] = ()


@dataclass(frozen=True, slots=True)
class MonitoredPoint:
    """A point to be subscribed. `handle` comes back in every Batch; `sampling` in seconds, None: as fast as published.

    `queue` is how many values the machine should keep between two messages, None: enough that nothing is lost.
    """

    handle: int
    address: str
    type: ValueType
    sampling: float | None = None
    queue: int | None = None
    dead_band: DeadBand | None = None


@dataclass(frozen=True, slots=True)
class EventFields:
    """Events of this type (and its subtypes) are wanted, with these fields of it where they are there."""

    type: QualifiedName
    fields: tuple[EventPath, ...] = ()


@dataclass(frozen=True, slots=True)
class ConditionCommand:
    """What is to be done about a condition. `duration` in seconds: how long it is shelved, None until it is unshelved."""

    condition: str
    verb: ConditionVerb
    comment: str = ""
    duration: float | None = None


@dataclass(frozen=True, slots=True)
class Write:
    """One value with its exact type. No times go with it."""

    address: str
    value: Any
    type: ValueType


@dataclass(frozen=True, slots=True)
class Call:
    """A method call. `timeout` seconds, None: as long as the connection lives."""

    owner: str
    method: str
    arguments: Sequence[tuple[Any, ValueType]] = ()
    timeout: float | None = None


@dataclass(frozen=True, slots=True)
class Loss:
    """Values lost before receipt. `handles` None: all of this connection.

    `events`: events may be missing too (`handles` is empty where nothing but events is). Conditions are asked for anew by the
    adapter itself. `since`: until when (ns UTC) nothing is missing, None: until the machine was last heard of. With the cause
    CONNECTION_LOST this is said when the session ends, and only where `since` is known better than that.
    """

    cause: GapCause
    handles: tuple[int, ...] | None = None
    count: int | None = None
    events: bool = False
    since: int | None = field(default=None, kw_only=True)


class Sink(Protocol):
    """Where a connection puts what it receives. Implemented by the runtime."""

    async def deliver(self, batch: Batch) -> None:
        """One notification message. Returns when it is accepted: waiting here is the back-pressure to the machine."""
        ...

    def lost(self, loss: Loss) -> None:
        """Something is known to be missing at this place in the stream: before the batches delivered after this call."""
        ...

    def alive(self) -> None:
        """The machine was heard of (any message, a keep-alive): staleness counts from here."""
        ...

    def condition(self, source: str, condition: Condition) -> None:
        """A condition came up or changed; `source` is an address of the machine it belongs to, whose name the runtime puts in."""
        ...

    def conditions_refreshed(self) -> None:
        """What was told by `condition` since the session began is all there is: others are over."""
        ...

    async def event(self, event: Event) -> None:
        """One of the events that were asked for. Returns when it is accepted, as `deliver`."""
        ...

    def clock(self, offset: int, error: int) -> None:
        """The other end's clock is `offset` ns ahead of ours, give or take `error` ns."""
        ...

    def changed(self) -> None:
        """The address space is (or may be) no longer as it was browsed."""
        ...

    def presence(self, addresses: Sequence[str], detail: str) -> None:
        """The machines whose own nodes these are cannot be reached though the session stands, and why; `detail` empty: they can
        (again). What was said holds until something else is said, through sessions too. Values are not touched by it."""
        ...


class Connection(ABC):
    """One session at a time with one endpoint under one identity, shared by all machines behind it.

    Errors, everywhere: TemporaryError, CredentialsError, ConfigurationError, RefusedError, and OutcomeUnknown for a command
    whose answer never came. Foreign exceptions stop here. Methods other than `run` are called only while a session stands;
    when it breaks meanwhile they raise TemporaryError (or OutcomeUnknown for a command that was sent).
    """

    @abstractmethod
    async def run(self, sink: Sink, *, task_status: TaskStatus[None]) -> None:
        """Open a session, call `task_status.started()`, and serve it until it is lost: then raise the reason, within 1 s
        of a closed socket and within `keep_alive` of a silent one. On cancellation close the session and leave nothing."""

    @abstractmethod
    async def fingerprint(self) -> Fingerprint:
        """Cheap to get: no browsing."""

    @abstractmethod
    async def browse(self, progress: Progress | None = None) -> BrowseFacts:
        """All that stands behind the endpoint. One bad node is a note, never a failure."""

    @abstractmethod
    async def subscribe(self, points: Sequence[MonitoredPoint]) -> list[int]:
        """Begin to deliver these points (their present value first) for this session. A StatusCode each; Bad: not
        subscribed. Subscriptions end with the session; the runtime subscribes anew after a reconnect."""

    @abstractmethod
    async def unsubscribe(self, handles: Sequence[int]) -> None: ...

    @abstractmethod
    async def read(self, addresses: Sequence[str]) -> list[DataValue]:
        """In the order asked. A point that cannot be read is Bad."""

    @abstractmethod
    async def write(self, writes: Sequence[Write], last_check: LastCheck) -> list[int]:
        """A StatusCode each."""

    @abstractmethod
    async def call(self, call: Call, last_check: LastCheck) -> list[Any]:
        """The output arguments. RefusedError with the machine's reason when it answers Bad."""

    def reconfigure(self, settings: ConnectionSettings) -> None:
        """Take other settings at once, without any I/O, also while a session stands. They differ only in those that
        `Adapter.live` names; for others this connection is ended and another made."""
        raise NotImplementedError

    async def publish(self, message: Publish, last_check: LastCheck) -> None:
        """Returns when the message is handed over and, where the protocol tells, received by the other end's broker."""
        raise ConfigurationError("this kind of connection takes no messages", where=message.address)

    def learn(self, profiles: ProfileLibrary) -> None:
        """The profiles that hold here: before the first `run`, and again when they change. For protocols that cannot be
        browsed a profile says what to listen for."""
        return None

    def misunderstood(self) -> list[Complaint]:
        """What could not be understood since this object was made, the most frequent first. No I/O, also between sessions."""
        return []

    async def watch_events(self, wanted: Sequence[EventFields]) -> None:
        """Begin to tell conditions (those that are there first, then `conditions_refreshed`) and the wanted events, for this
        session. Where the machine tells none this does nothing. May be called again with another choice."""
        return None

    async def command_condition(self, command: ConditionCommand, last_check: LastCheck) -> None:
        """Acknowledge, confirm, shelve or unshelve. RefusedError with the machine's reason when it answers Bad."""
        raise ConfigurationError("this kind of connection has no conditions", where=command.condition)


class Adapter(ABC):
    """A plug-in of the group `dtios.adapters`."""

    name: ClassVar[str]
    schemes: ClassVar[tuple[str, ...]]
    """URL schemes it answers to, as `opc.tcp`."""
    settings: ClassVar[type[ConnectionSettings]] = ConnectionSettings
    live: ClassVar[frozenset[str]] = frozenset()
    """Names of settings that a standing connection takes by `reconfigure`: never those of credentials or security."""
    summary: ClassVar[str] = ""

    @abstractmethod
    def connect(self, url: str, settings: ConnectionSettings, home: Path) -> Connection:
        """Make a connection object; no I/O yet. `home` is the state directory: what must outlive the process, as certificates
        and trust (`home/pki`), lies there. Raises ConfigurationError for a URL or settings that cannot be."""

    @abstractmethod
    async def discover(self, hint: str, listen: float = LISTEN, settings: ConnectionSettings | None = None) -> list[Endpoint]:
        """Endpoints at or around an address: a URL, `HOST` or `HOST:PORT`, and others that these know of. Empty: whatever makes
        itself known in the network, and `@ADDRESS` of one of our interfaces: whatever does so there; only then may anything be
        sent to everybody. Where machines are found by what they say, it listens for `listen` seconds. Ends within a minute
        after that. `settings`: how a URL is to be connected to, where anything is known of that. Raises what the address that
        was asked failed with."""

    async def examine(
        self, url: str, settings: ConnectionSettings, home: Path, known: BrowseFacts | None = None
    ) -> list[Finding]:
        """Try everything that a connection needs, step by step, with a session of its own that ends with it. What is wrong is
        a Finding, not an exception. `known` is how the endpoint looked when it was described last. Used by `dtios doctor`."""
        return []
