"""What a conformance check needs of an adapter's surroundings: a machine that can be set, asked and harmed."""

import tempfile
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from dtios.mapping.facts import BrowseFacts, Node
from dtios.model.datatypes import BuiltinType
from dtios.model.event import EventPath
from dtios.model.status import status_code
from dtios.model.values import QualifiedName
from dtios.sdk.adapter import Adapter, Connection
from dtios.testing.conformance.rule import Need, NotApplicable
from dtios.testing.proxy import Direction, FaultProxy

__all__ = ["SAMPLES", "Bench", "Line", "Rig", "node_below", "proxied"]

B = BuiltinType
SAMPLES: Final[dict[str, tuple[BuiltinType, int, tuple[Any, ...]]]] = {
    "Boolean": (B.Boolean, -1, (True, False)),
    "SByte": (B.SByte, -1, (-128, 127)),
    "Byte": (B.Byte, -1, (0, 255)),
    "Int16": (B.Int16, -1, (-(2**15), 2**15 - 1)),
    "UInt16": (B.UInt16, -1, (0, 2**16 - 1)),
    "Int32": (B.Int32, -1, (-(2**31), 2**31 - 1)),
    "UInt32": (B.UInt32, -1, (0, 2**32 - 1)),
    "Int64": (B.Int64, -1, (-(2**63), 2**63 - 1)),
    "UInt64": (B.UInt64, -1, (0, 2**64 - 1)),
    "Float": (B.Float, -1, (0.5, -1.25e9)),
    "Double": (B.Double, -1, (0.1, -1.7e308)),
    "String": (B.String, -1, ("", "Größe ⌀ 12", "a" * 10_000)),
    "ByteString": (B.ByteString, -1, (b"", b"\x00\xff" * 100)),
    "Int32Array": (B.Int32, 1, ([], [1, -2, 3])),
    "StringArray": (B.String, 1, (["a", ""],)),
    "DoubleArray": (B.Double, 1, ([0.5] * 1000,)),
}
"""Variables that stand below the object `Conformance`, by BrowseName: type, value rank, and values to try. All may be written.

Beside them: `Counter` (Int64, writable), `Fixed` (Double, may not be written), and, where the rig has `Need.METHODS`, the methods
`Add(a Double, b Double) -> sum`, `Refuse()`, which answers Bad, and `Slow(seconds Double)`, which takes so long.
"""


class Line(Protocol):
    """The network between the adapter and its machine. `FaultProxy` is one."""

    def cut(self, *, reset: bool) -> None: ...

    def half_open(self, ways: tuple[Direction, ...]) -> None: ...

    def black_hole(self) -> None: ...

    def silent(self) -> None: ...

    def slow(self, ways: tuple[Direction, ...], *, delay: float = 0.0, piece: int = ..., rate: float = 0.0) -> None: ...

    async def heal(self) -> None: ...


class Rig(ABC):
    """One machine with the variables of `SAMPLES`, and its adapter. One instance serves one check.

    What a protocol or a rig has not it says in `lacks`, with the reason: the rules that need it are then shown as not applicable.
    Methods that only such rules call need not be written then.
    """

    adapter: Adapter
    url: str
    wrong_url: str
    """One that the adapter refuses without any I/O."""
    settings: dict[str, Any] = {}  # noqa: RUF012  # a default, replaced whole by a subclass
    """Beyond those that a check sets itself."""
    home: Path = Path(tempfile.gettempdir()) / "dtios-conformance"
    """The state directory that the adapter is given."""
    resolution: int = 100
    """Of the machine's times, in nanoseconds."""
    uncertain: int = status_code("UncertainInitialValue")
    """The Uncertain status that the machine can have (Need.UNCERTAIN)."""
    lacks: Mapping[Need, str] = {}
    """What this machine or protocol has not, and why: a sentence."""
    absent: Mapping[str, str] = {}
    """Variables of SAMPLES that the protocol cannot have, by name, and why."""
    patience: float = 5.0
    """Seconds within which what happened at the machine must have been delivered."""
    found_within: float = 0.0
    """Seconds within which the adapter may still learn of its machine after the session stands; 0: it can be browsed at once."""

    event_type: QualifiedName = QualifiedName("", "")
    """Of the events that `tell` tells (Need.EVENTS)."""
    event_field: EventPath = ()
    """Its field, which holds the number."""
    secured: dict[str, Any] = {}  # noqa: RUF012
    """Settings that a session with a password needs besides, as those of encryption (Need.CREDENTIALS)."""
    profiles: tuple[Path, ...] = ()
    """Files of profiles that its skill needs (Need.SKILL)."""
    skill: tuple[str, dict[str, Any], str] = ("", {}, "")
    """A skill, parameters to start it with, and the name by which `writes` counts its starts (Need.SKILL)."""

    @abstractmethod
    async def set(self, name: str, value: Any, *, status: int = 0, source_time: int | None = None) -> None:
        """The machine has a new value, after which the machine has it."""

    @abstractmethod
    async def get(self, name: str) -> Any:
        """What the machine holds, asked of the machine itself."""

    @abstractmethod
    async def count(self, first: int, last: int) -> None:
        """Set `Counter` to each of these numbers, as fast as the machine can."""

    @abstractmethod
    async def writes(self, name: str) -> int:
        """How often a client has written this variable or called this method."""

    @abstractmethod
    async def sessions(self) -> int:
        """How many sessions the machine has."""

    @abstractmethod
    async def cut(self) -> None:
        """Close every client's connection; new ones are welcome."""

    @abstractmethod
    async def freeze(self) -> None:
        """Stay silent, with sockets open."""

    @abstractmethod
    async def thaw(self) -> None: ...

    @abstractmethod
    async def stop(self) -> None:
        """Switch it off."""

    @abstractmethod
    async def start(self) -> None:
        """Switch it on again, at the same address."""

    # --- for rules with needs: write those that `lacks` does not name -----------------------------------------------------------

    async def tell(self, number: int) -> None:
        """EVENTS. The object `Conformance` tells an event of `event_type` with this number, and before it one of another type."""
        raise NotImplementedError

    async def alarm(self, name: str, *, active: bool) -> None:
        """EVENTS. A condition of this name comes up at `Conformance`, not acknowledged; or it is over, acknowledged or not."""
        raise NotImplementedError

    async def handled(self) -> list[tuple[str, str, str]]:
        """EVENTS. What clients did about conditions, as the machine has it: (name, verb, comment)."""
        raise NotImplementedError

    async def skew(self, seconds: float) -> None:
        """CLOCK. The machine's own clock is so far ahead (negative: behind); its values are stamped by it. Undone after."""
        raise NotImplementedError

    async def require(self, user: str, password: str) -> None:
        """CREDENTIALS. From now on only this user with this password is let in. Undone after the check."""
        raise NotImplementedError

    async def remove(self, name: str) -> None:
        """REMOVAL. The machine has this variable no longer."""
        raise NotImplementedError

    async def add(self, name: str) -> None:
        """REMOVAL. It has it again, at the same address."""
        raise NotImplementedError

    def line(self) -> AbstractAsyncContextManager[tuple[str, Line]]:
        """NETWORK. (URL, a network that can be broken) for connections through it. Written for a machine on a TCP port of
        127.0.0.1 that is the port of `url`."""
        return proxied(self.url)

    # --- what suits most protocols ---------------------------------------------------------------------------------------------

    def connect(self, url: str | None = None, **settings: Any) -> Connection:
        made = self.adapter.settings
        given = {"publishing_interval": 0.02, **self.settings, **settings}
        return self.adapter.connect(url or self.url, made(**given), self.home)

    def find(self, facts: BrowseFacts, name: str) -> Node | None:
        """The node of this name below `Conformance`; with an empty name `Conformance` itself, which methods are called on."""
        return node_below(facts, name)


def node_below(facts: BrowseFacts, name: str) -> Node | None:
    for node in facts.root.walk():
        if node.name.name == "Conformance":
            return node if not name else next((n for _, n in node.children if n.name.name == name), None)
    return None


@asynccontextmanager
async def proxied(url: str) -> AsyncIterator[tuple[str, Line]]:
    """(URL of a proxy before this one, the proxy)."""
    parts = urlsplit(url)
    if parts.port is None or parts.hostname is None:
        raise NotApplicable(f"{url} names no port that a proxy could stand before")
    async with FaultProxy(parts.port, host=parts.hostname) as proxy:
        try:
            yield parts._replace(netloc=f"127.0.0.1:{proxy.port}").geturl(), proxy
        finally:
            proxy.bury()


class Bench(ABC):
    """What gives a rig for each check: the object of an entry point in the group `dtios.rigs`, under the adapter's name.

    Entered once before all checks, for what may serve them all, such as a server.
    """

    async def __aenter__(self) -> "Bench":
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    @abstractmethod
    def rig(self) -> AbstractAsyncContextManager[Rig]:
        """A rig for one check; after it the machine is again as it was."""
