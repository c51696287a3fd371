"""What a conformance check needs of an adapter's surroundings: a server that can be set, asked and harmed."""

import tempfile
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import anyio
from anyio.abc import TaskStatus

from dtios.mapping.facts import BrowseFacts, Node
from dtios.model.batch import Batch
from dtios.model.condition import Condition
from dtios.model.datatypes import BuiltinType
from dtios.model.errors import DtiosError
from dtios.model.event import Event, EventPath
from dtios.model.values import DataValue, QualifiedName
from dtios.sdk.adapter import Adapter, Connection, Loss, MonitoredPoint

__all__ = ["SAMPLES", "Probe", "Recorder", "Rig", "connected"]

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

Beside them: `Counter` (Int64, writable), `Fixed` (Double, may not be written), and the methods `Add(a Double, b Double) -> sum`,
`Refuse()`, which answers Bad, and `Slow(seconds Double)`, which takes so long.
"""


class Rig(ABC):
    """One server with the variables of `SAMPLES`, and its adapter. One instance serves one check."""

    adapter: Adapter
    url: str
    wrong_url: str
    """One that the adapter refuses without any I/O."""
    settings: dict[str, Any] = {}  # noqa: RUF012  # a default, replaced whole by a subclass
    """Beyond those that a check sets itself."""
    home: Path = Path(tempfile.gettempdir()) / "dtios-conformance"
    """The state directory that the adapter is given."""
    resolution: int = 100
    """Of the server's times, in nanoseconds."""
    tells_overflow: bool = True
    """Whether the server marks what a full queue lost (OPC UA Part 4, 7.39.1)."""

    tells_events: bool = False
    """Whether the server tells events and conditions; then `tell`, `alarm` and `handled` are there."""
    event_type: QualifiedName = QualifiedName("", "")
    """Of the events that `tell` tells."""
    event_field: EventPath = ()
    """Its field, which holds the number."""

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

    async def tell(self, number: int) -> None:
        """The object `Conformance` tells an event of `event_type` with this number, and before it one of another type."""
        raise NotImplementedError

    async def alarm(self, name: str, *, active: bool) -> None:
        """A condition of this name comes up at the object `Conformance`, not acknowledged; or it is over, acknowledged or not."""
        raise NotImplementedError

    async def handled(self) -> list[tuple[str, str, str]]:
        """What clients did about conditions, as the machine has it: (name, verb, comment)."""
        raise NotImplementedError

    def connect(self, **settings: Any) -> Connection:
        made = self.adapter.settings
        return self.adapter.connect(self.url, made(**{"publishing_interval": 0.02, **self.settings, **settings}), self.home)


class Recorder:
    """A sink that keeps everything. While `open` is cleared it takes nothing."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, DataValue]] = []
        self.losses: list[Loss] = []
        self.events: list[Event] = []
        self.conditions: list[tuple[str, Condition]] = []
        self.clocks: list[tuple[int, int]] = []
        self.refreshed = 0
        self.changes = 0
        self.absent: set[str] = set()
        self.open = anyio.Event()
        self.open.set()
        self.inside = 0
        self.most_inside = 0
        self._changed = anyio.Event()

    async def deliver(self, batch: Batch) -> None:
        self.inside += 1
        self.most_inside = max(self.inside, self.most_inside)
        try:
            await self.open.wait()
            self.rows += batch.rows()
        finally:
            self.inside -= 1
        self._changed.set()

    def lost(self, loss: Loss) -> None:
        self.losses.append(loss)

    def conditions_refreshed(self) -> None:
        self.refreshed += 1
        self._changed.set()

    async def event(self, event: Event) -> None:
        self.events.append(event)
        self._changed.set()

    def clock(self, offset: int, error: int) -> None:
        self.clocks.append((offset, error))

    def changed(self) -> None:
        self.changes += 1
        self._changed.set()

    def presence(self, addresses: Sequence[str], detail: str) -> None:
        self.absent.difference_update(addresses)
        self.absent.update(addresses if detail else ())
        self._changed.set()

    def alive(self) -> None:
        """Nothing to keep: whether silence is noticed is seen by the error."""

    def condition(self, source: str, condition: Condition) -> None:
        self.conditions.append((source, condition))
        self._changed.set()

    async def change(self) -> None:
        """Until something more has come."""
        self._changed = anyio.Event()
        await self._changed.wait()

    def close(self) -> None:
        self.open = anyio.Event()

    def of(self, handle: int) -> list[DataValue]:
        return [reading for known, reading in self.rows if known == handle]

    async def until(self, handle: int, value: Any, within: float = 5.0) -> bool:
        """Whether this value comes in time."""
        with anyio.move_on_after(within):
            while not any(reading.value == value for reading in self.of(handle)):
                self._changed = anyio.Event()
                await self._changed.wait()
            return True
        return False


class _Standing(TaskStatus[None]):
    """Notes whether the session stood."""

    def __init__(self, status: TaskStatus[None]) -> None:
        self._status = status
        self.said = False

    def started(self, value: None = None) -> None:
        self.said = True
        self._status.started()


class Probe:
    """A connection under test, with its sink and, once it is lost, its error and the time that took."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.sink = Recorder()
        self.error: DtiosError | None = None
        self.ended = anyio.Event()
        self._facts: BrowseFacts | None = None

    async def run(self, *, task_status: TaskStatus[None]) -> None:
        standing = _Standing(task_status)
        try:
            await self.connection.run(self.sink, task_status=standing)
        except DtiosError as error:
            self.error = error
        finally:
            self.ended.set()
            if not standing.said:
                task_status.started()

    async def node(self, name: str) -> Node:
        """A node below `Conformance`. Raises AssertionError if browsing did not find it."""
        if self._facts is None:
            self._facts = await self.connection.browse()
        for node in self._facts.root.walk():
            if node.name.name == "Conformance":
                for _, below in node.children:
                    if below.name.name == name:
                        return below
        raise AssertionError(f"browsing did not find Conformance/{name}")

    async def point(self, handle: int, name: str, queue: int | None = None) -> MonitoredPoint:
        node = await self.node(name)
        assert node.type is not None, f"{name} has no type"
        return MonitoredPoint(handle, node.address, node.type, queue=queue)


@asynccontextmanager
async def connected(rig: Rig, **settings: Any) -> AsyncIterator[Probe]:
    """A standing session. Raises the error that connecting ended with."""
    probe = Probe(rig.connect(**settings))
    async with anyio.create_task_group() as tasks:
        await tasks.start(probe.run, name="conformance connection")
        refused = probe.error
        if refused is None:
            yield probe
            tasks.cancel_scope.cancel()
    if refused is not None:
        raise refused
