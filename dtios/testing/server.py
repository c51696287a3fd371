"""The machine's side of the in-memory adapter: an address space, its values, what it was told, and the faults it can have."""

import copy
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import anyio
from anyio.abc import TaskGroup

from dtios.mapping.facts import Argument, BrowseFacts, Node, NodeKind, ReferenceKind
from dtios.model.condition import Condition
from dtios.model.datatypes import BuiltinType, ValueType
from dtios.model.errors import CredentialsError, RefusedError, TemporaryError
from dtios.model.event import Event, EventPath
from dtios.model.gap import GapCause
from dtios.model.machine import Access, Range, Unit
from dtios.model.status import is_bad, status_code, status_name
from dtios.model.values import DataValue, QualifiedName
from dtios.sdk.adapter import ConditionCommand, ConnectionSettings, Fingerprint
from dtios.sdk.clock import Clock, SystemClock
from dtios.testing.alarms import Alarms
from dtios.testing.session import Answer, Session

__all__ = ["NAMESPACE", "UA", "MemoryServer", "Method", "Received", "value_type"]

UA: Final = "http://opcfoundation.org/UA/"
NAMESPACE: Final = "urn:dtios:testing"

Method = Callable[..., Coroutine[Any, Any, Any]]
"""Gets the input arguments; returns None, one value or a list of output arguments; raises RefusedError to answer Bad."""
Place = Node | str
"""A node of this server or its address."""


@dataclass(frozen=True, slots=True)
class Received:
    """A command as the machine received it: the truth to hold a journal against. `value` is what was written, the list of input
    arguments, or for a condition [verb, comment, duration]; `time` int nanoseconds of the server's clock."""

    kind: str
    address: str
    value: Any
    time: int


def value_type(builtin: BuiltinType, rank: int = -1) -> ValueType:
    """A built-in type as a ValueType: Double, or with rank 1 Double[]."""
    return ValueType(builtin, builtin.name, UA, rank)


class MemoryServer:
    """One endpoint `memory:NAME`. It answers while its context is entered:

    async with MemoryServer("press") as server:
        press = server.object("Press")
        speed = server.variable("Speed", 0.0, parent=press)
        server.set(speed, 12.5)

    At most `sessions` sessions stand at a time. Time-outs and keep-alives of its sessions run on `clock`.
    """

    def __init__(self, name: str = "machine", *, clock: Clock | None = None, sessions: int = 10) -> None:
        self.name = name
        self.url = f"memory:{name}"
        self.clock: Clock = SystemClock() if clock is None else clock
        self.commands: list[Received] = []
        self.browses = 0
        """How often a client has browsed all of it."""
        self.tells_changes = True
        """Whether sessions are told that the address space has changed (Part 3, 9.32.7: a GeneralModelChangeEvent)."""
        self.users: dict[str, str] = {}
        """Who is let in, with which password; empty: everybody."""
        self.skew = 0
        """Nanoseconds that the machine's own clock is ahead of `clock`: its times are by it."""
        self.tells_clock = False
        """Whether sessions are told how far that is."""
        self.latency = 0.0
        """Seconds that each message of it takes, in either direction together."""
        self.opened = 0
        """How many sessions there ever were."""
        self.monitored: Counter[str] = Counter()
        """How often each address was subscribed."""
        self.root = Node("i=85", QualifiedName(UA, "Objects"), NodeKind.OBJECT, (QualifiedName(UA, "FolderType"),))
        self._most_sessions = sessions
        self._on = True
        self._nodes: dict[str, Node] = {self.root.address: self.root}
        self._properties: set[str] = set()
        self._removed: dict[str, tuple[list[tuple[Node, ReferenceKind]], dict[str, Node]]] = {}
        self._readings: dict[str, DataValue] = {}
        self._methods: dict[str, Method] = {}
        self._written: dict[str, Method] = {}
        self._refused: dict[str | None, str] = {}
        self._swallowed: set[str | None] = set()
        self._sessions: set[Session] = set()
        self._events = 0
        self.alarms = Alarms(self)
        self._generation = 0
        self._tasks: TaskGroup | None = None
        self._background: list[Callable[[], Coroutine[Any, Any, None]]] = []
        self._answering = anyio.Event()
        self._answering.set()

    # --- life ---------------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> "MemoryServer":
        self._tasks = anyio.create_task_group()
        await self._tasks.__aenter__()
        for work in self._background:
            self._tasks.start_soon(work, name=f"{self.url} background")
        return self

    async def __aexit__(self, *exc_info: Any) -> bool | None:
        assert self._tasks is not None
        tasks, self._tasks = self._tasks, None
        self.drop("the machine was switched off")
        tasks.cancel_scope.cancel()
        return await tasks.__aexit__(*exc_info)

    def background(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """What the machine does by itself for as long as it runs."""
        self._background.append(work)
        if self._tasks is not None:
            self._tasks.start_soon(work, name=f"{self.url} background")

    def spawn(self, work: Callable[..., Coroutine[Any, Any, Any]], *args: Any) -> None:
        """Something the machine begins now and that ends with it."""
        if self._tasks is None:
            raise RuntimeError(f"{self.url} does not run: enter it with `async with` first")
        self._tasks.start_soon(work, *args, name=f"{self.url} {getattr(work, '__name__', 'work')}")

    # --- address space ------------------------------------------------------------------------------------------------

    def object(
        self,
        name: str,
        *,
        parent: Place | None = None,
        types: QualifiedName | Sequence[QualifiedName] = (),
        namespace: str = NAMESPACE,
        reference: ReferenceKind | None = None,
        description: str = "",
    ) -> Node:
        """An object, below the root if no parent is given. `types`: its type definition, then supertypes and interfaces."""
        node = self._add(name, NodeKind.OBJECT, parent, namespace, reference)
        node.types = _types(types, "BaseObjectType")
        node.description = description
        return node

    def variable(
        self,
        name: str,
        value: Any = None,
        type: ValueType | BuiltinType | None = None,
        *,
        parent: Place | None = None,
        access: Access = Access.READ_WRITE,
        unit: Unit | None = None,
        range: Range | None = None,
        types: QualifiedName | Sequence[QualifiedName] = (),
        namespace: str = NAMESPACE,
        property: bool = False,
        on_write: Method | None = None,
        description: str = "",
    ) -> Node:
        """A variable (a property, with `property`). Without a `type` that of the value is taken: Boolean, Int64, Double,
        String or an array of them. `on_write` is awaited with each value that a client wrote."""
        reference = ReferenceKind.PROPERTY if property else ReferenceKind.COMPONENT
        node = self._add(name, NodeKind.VARIABLE, parent, namespace, reference)
        node.type = value_type(type) if isinstance(type, BuiltinType) else type or _type_of(value)
        node.types = _types(types, "PropertyType" if property else "BaseDataVariableType")
        node.access, node.unit, node.range, node.description = access, unit, range, description
        if property:
            self._properties.add(node.address)
        if on_write is not None:
            self._written[node.address] = on_write
        self._readings[node.address] = DataValue(value, 0, self.clock.now(), self.clock.now())
        return node

    def method(
        self,
        name: str,
        call: Method,
        *,
        parent: Place | None = None,
        inputs: Sequence[tuple[str, ValueType | BuiltinType]] = (),
        outputs: Sequence[tuple[str, ValueType | BuiltinType]] = (),
        namespace: str = NAMESPACE,
        executable: bool = True,
        description: str = "",
    ) -> Node:
        node = self._add(name, NodeKind.METHOD, parent, namespace, ReferenceKind.COMPONENT)
        node.inputs, node.outputs = _arguments(inputs), _arguments(outputs)
        node.executable, node.description = executable, description
        self._methods[node.address] = call
        return node

    def node(self, address: str) -> Node | None:
        return self._nodes.get(address)

    def find(self, path: str) -> Node:
        """The node at BrowseNames joined by `/` below the root. Raises KeyError."""
        node = self.root
        for name in path.split("/"):
            below = node.child(QualifiedName("*", name))
            if below is None:
                raise KeyError(f"{self.url} has no {path}: {name} is missing")
            node = below
        return node

    def remove(self, place: Place) -> Node:
        """Take a node, and what hangs nowhere but below it, out of the address space: from now on it is unknown. It can be put
        back with `restore`."""
        gone = self._nodes[_address(place)]
        places = [(above, how) for above in self._nodes.values() for how, below in above.children if below is gone]
        for above, _ in places:
            above.children = [(how, below) for how, below in above.children if below is not gone]
        there = {node.address for node in self.root.walk()}
        lost = [node.address for node in gone.walk() if node.address not in there]
        self._removed[gone.address] = (places, {address: self._nodes.pop(address) for address in lost})
        self._space_changed()
        for session in self._sessions:
            session.vanished(lost)
        return gone

    def restore(self, place: Place, type: ValueType | BuiltinType | None = None) -> None:
        """A node that was removed is there again, with all below it; `type`: as one of another type. Who watched it before must
        subscribe it anew, as with many servers."""
        places, nodes = self._removed.pop(_address(place))
        node = nodes[_address(place)]
        if type is not None:
            node.type = value_type(type) if isinstance(type, BuiltinType) else type
        self._nodes.update(nodes)
        for above, how in places:
            above.children.append((how, node))
        self._space_changed()

    def change_type(self, place: Place, type: ValueType | BuiltinType, value: Any) -> None:
        """A variable is of another type from now on."""
        self._nodes[_address(place)].type = value_type(type) if isinstance(type, BuiltinType) else type
        self.set(place, value)
        self._space_changed()

    def _space_changed(self) -> None:
        self._generation += 1
        for session in self._sessions if self.tells_changes else ():
            session.space_changed()

    def _add(self, name: str, kind: NodeKind, parent: Place | None, namespace: str, reference: ReferenceKind | None) -> Node:
        above = self.root if parent is None else self._nodes[_address(parent)]
        path = name if above is self.root else f"{above.address.partition(';s=')[2]}/{name}"
        address = f"nsu={namespace};s={path}"
        if address in self._nodes:
            raise ValueError(f"{self.url} has a node {address} already")
        node = Node(address, QualifiedName(namespace, name), kind)
        how = ReferenceKind.ORGANIZES if above is self.root else ReferenceKind.COMPONENT
        above.children.append((reference or how, node))
        self._nodes[address] = node
        self._space_changed()
        return node

    # --- values -------------------------------------------------------------------------------------------------------

    def set(
        self, place: Place, value: Any, *, status: int | str = 0, source_time: int | None = None, no_time: bool = False
    ) -> None:
        """The machine has a new value. A Bad status has no value. `no_time`: the machine gives no source time."""
        address = _address(place)
        if address not in self._readings:
            raise KeyError(f"{self.url} has no variable {address}")
        code = status_code(status) if isinstance(status, str) else status
        now = self.clock.now() + self.skew
        source = None if no_time else now if source_time is None else source_time
        reading = DataValue(None if is_bad(code) else value, code, source, now)
        self._readings[address] = reading
        for session in self._sessions:
            session.changed(address, reading)

    def get(self, place: Place) -> Any:
        """What the machine holds now."""
        return self._readings[_address(place)].value

    def reading(self, address: str) -> DataValue:
        """As a client reads it."""
        node = self._nodes.get(address)
        if node is None:
            return DataValue(None, status_code("BadNodeIdUnknown"))
        if node.kind is not NodeKind.VARIABLE:
            return DataValue(None, status_code("BadAttributeIdInvalid"))
        if not node.access.readable:
            return DataValue(None, status_code("BadNotReadable"))
        return self._readings[address]

    # --- faults -------------------------------------------------------------------------------------------------------

    def drop(self, reason: str = "the machine closed the connection") -> None:
        """Every session is lost at once."""
        for session in list(self._sessions):
            session.end(reason)
        self._sessions.clear()

    def switch_off(self) -> None:
        """Nobody is let in until `switch_on`."""
        self._on = False
        self.drop("the machine was switched off")

    def switch_on(self) -> None:
        self._on = True

    def freeze(self) -> None:
        """The machine is silent: nothing is answered, nothing published. Commands that reach it are carried out on `thaw`."""
        if self._answering.is_set():
            self._answering = anyio.Event()

    def thaw(self) -> None:
        self._answering.set()
        for session in self._sessions:
            session.wake()

    @property
    def frozen(self) -> bool:
        return not self._answering.is_set()

    def refuse(self, place: Place | None = None, status: str = "BadUserAccessDenied") -> None:
        """Answer commands to this point (None: all) with a Bad status from now on, until `accept`."""
        self._refused[_address(place)] = status

    def accept(self, place: Place | None = None) -> None:
        self._refused.pop(_address(place), None)

    def swallow(self, place: Place | None = None) -> None:
        """The next command to this point (None: the next at all) is carried out and its answer gets lost."""
        self._swallowed.add(_address(place))

    def lose(
        self,
        places: Sequence[Place] | None = None,
        cause: GapCause = GapCause.MESSAGE_MISSED,
        count: int | None = None,
    ) -> None:
        """At this place in the stream of every session values of these points (None: of all) are missing."""
        addresses = None if places is None else [_address(place) for place in places]
        for session in self._sessions:
            session.lose(addresses, cause, count)

    def condition(self, place: Place, condition: Condition) -> None:
        """The machine complains, or stops to: every session that watches hears of it, and so do those that come later for as long
        as it is retained."""
        self.alarms.tell(_address(place), condition, self._sessions)

    def event(
        self,
        place: Place,
        types: QualifiedName | Sequence[QualifiedName],
        fields: Mapping[EventPath | str, Any] | None = None,
        *,
        message: str = "",
        severity: int = 1,
        time: int | None = None,
    ) -> Event:
        """The machine tells an event at `place`. `types`: its type, then its supertypes; a field's path may be its BrowseName in
        the namespace of the type, or several joined by `/`. Sessions get what they asked for; nobody gets it later."""
        given = _types(types, "BaseEventType")
        paths = {_event_path(path, given[0].namespace): value for path, value in (fields or {}).items()}
        self._events += 1
        now = self.clock.now() if time is None else time
        event = Event(_address(place), given, message, severity, now, f"{self._events:x}", paths)
        for session in self._sessions:
            session.event(event)
        return event

    async def restart(self) -> None:
        """Off and on again: sessions are lost, values stay, a client cannot know what else has changed."""
        self.drop("the machine was restarted")
        self._generation += 1

    # --- what sessions ask ----------------------------------------------------------------------------------------------

    @property
    def sessions(self) -> int:
        return len(self._sessions)

    @property
    def fingerprint(self) -> Fingerprint:
        return Fingerprint(self.name, str(self._generation))

    @property
    def answering(self) -> anyio.Event:
        return self._answering

    def open(self, settings: ConnectionSettings, password: str | None = None) -> Session:
        """Raises TemporaryError when it is off or has no session left, CredentialsError for who is not let in."""
        if self._tasks is None or not self._on:
            raise TemporaryError("nothing answers here", where=self.url, mend="switch the machine on")
        if self.users and (settings.user is None or self.users.get(settings.user) != password):
            who = settings.user or "anonymous"
            raise CredentialsError(f"{who} is not let in", where=self.url, mend="give another user or password")
        if len(self._sessions) >= self._most_sessions:
            raise TemporaryError(
                f"all {self._most_sessions} sessions are taken (BadTooManySessions)", where=self.url, mend="close another client"
            )
        session = Session(self, settings)
        self._sessions.add(session)
        self.opened += 1
        return session

    def close(self, session: Session) -> None:
        self._sessions.discard(session)

    def facts(self) -> BrowseFacts:
        """A copy, so that a client holds nothing of the machine's own; properties carry their values."""
        self.browses += 1
        root = copy.deepcopy(self.root)
        for node in root.walk():
            if node.address in self._properties:
                node.value = self._readings[node.address].value
        return BrowseFacts(self.url, root, tuple(_namespaces(root)))

    def receive_write(self, address: str, value: Any, type: ValueType) -> Answer:
        """A value to be written came in. The answer is filled in when the machine has one."""
        answer = Answer()
        if self.frozen:
            self.spawn(self._write_later, answer, address, value, type)
        else:
            self._write(answer, address, value, type)
        return answer

    def receive_call(self, owner: str, method: str, arguments: list[Any]) -> Answer:
        """A method is to be called on the object `owner`. It runs on the machine, whatever becomes of the client."""
        answer = Answer()
        self.spawn(self._call, answer, owner, method, arguments)
        return answer

    def receive_condition(self, command: ConditionCommand) -> Answer:
        """A condition is to be dealt with."""
        answer = Answer()
        self.spawn(self._handle, answer, command)
        return answer

    async def _handle(self, answer: Answer, command: ConditionCommand) -> None:
        await self._answering.wait()
        said = [command.verb.value, command.comment, command.duration]
        self.commands.append(Received("condition", command.condition, said, self.clock.now()))
        refused = self._refusal(command.condition)
        if refused is not None:
            self._answer(answer, command.condition, error=_bad(command.condition, refused))
        else:
            self._answer(answer, command.condition, error=self.alarms.carry_out(command, self._sessions))

    async def _write_later(self, answer: Answer, address: str, value: Any, type: ValueType) -> None:
        await self._answering.wait()
        self._write(answer, address, value, type)

    def _write(self, answer: Answer, address: str, value: Any, type: ValueType) -> None:
        self.commands.append(Received("write", address, value, self.clock.now()))
        status = self._write_status(address, type)
        if not status:
            self.set(address, value)
            if address in self._written:
                self.spawn(self._written[address], value)
        self._answer(answer, address, status=status)

    def _write_status(self, address: str, type: ValueType) -> int:
        node = self._nodes.get(address)
        if node is None:
            return status_code("BadNodeIdUnknown")
        refused = self._refusal(address)
        if refused is not None:
            return status_code(refused)
        if not node.access.writable:
            return status_code("BadNotWritable")
        if node.type is not None and node.type.builtin is not type.builtin:
            return status_code("BadTypeMismatch")
        return 0

    async def _call(self, answer: Answer, owner: str, address: str, arguments: list[Any]) -> None:
        await self._answering.wait()
        self.commands.append(Received("call", address, arguments, self.clock.now()))
        error = self._call_refusal(owner, address, arguments)
        if error is not None:
            self._answer(answer, address, error=error)
            return
        try:
            result = await self._methods[address](*arguments)
        except RefusedError as error:
            self._answer(answer, address, error=error)
            return
        outputs = [] if result is None else list(result) if isinstance(result, list | tuple) else [result]
        self._answer(answer, address, outputs=outputs)

    def _call_refusal(self, owner: str, address: str, arguments: list[Any]) -> RefusedError | None:
        """Part 4, 5.12.2.4."""
        above, method = self._nodes.get(owner), self._nodes.get(address)
        if above is None:
            return _bad(address, "BadNodeIdUnknown")
        if method is None or not any(below is method for _, below in above.children):
            return _bad(address, "BadMethodInvalid")
        if not method.executable:
            return _bad(address, "BadNotExecutable")
        refused = self._refusal(address)
        if refused is not None:
            return _bad(address, refused)
        wanted = len(method.inputs)
        if len(arguments) == wanted:
            return None
        return _bad(address, "BadArgumentsMissing" if len(arguments) < wanted else "BadTooManyArguments")

    def _refusal(self, address: str) -> str | None:
        return self._refused.get(address, self._refused.get(None))

    def _answer(self, answer: Answer, address: str, **content: Any) -> None:
        for key in (address, None):
            if key in self._swallowed:
                self._swallowed.discard(key)
                return
        answer.fill(**content)


def _bad(address: str, status: str) -> RefusedError:
    return RefusedError(
        f"the machine answered {status_name(status_code(status))}", where=address, mend="ask the machine in its own display why"
    )


def _address(place: Place | None) -> Any:
    return place.address if isinstance(place, Node) else place


def _types(types: QualifiedName | Sequence[QualifiedName], base: str) -> tuple[QualifiedName, ...]:
    given = (types,) if isinstance(types, QualifiedName) else tuple(types)
    return (*given, QualifiedName(UA, base))


def _event_path(path: EventPath | str, namespace: str) -> EventPath:
    return tuple(QualifiedName(namespace, name) for name in path.split("/")) if isinstance(path, str) else path


def _arguments(of: Sequence[tuple[str, ValueType | BuiltinType]]) -> tuple[Argument, ...]:
    return tuple(Argument(name, value_type(type) if isinstance(type, BuiltinType) else type) for name, type in of)


_BUILTINS: Final = {bool: BuiltinType.Boolean, int: BuiltinType.Int64, float: BuiltinType.Double, str: BuiltinType.String}


def _type_of(value: Any) -> ValueType:
    if isinstance(value, list) and value:
        return value_type(_type_of(value[0]).builtin, rank=1)
    try:
        return value_type(_BUILTINS[type(value)])
    except KeyError:
        raise TypeError(f"the type of {value!r} cannot be guessed: give it") from None


def _namespaces(root: Node) -> Iterator[str]:
    seen: set[str] = set()
    for namespace in (UA, *(node.name.namespace for node in root.walk())):
        if namespace not in seen:
            seen.add(namespace)
            yield namespace
