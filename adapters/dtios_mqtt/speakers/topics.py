"""Plain topics, as profiles describe them."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, ClassVar, Final

import anyio

from dtios.mapping.facts import Node, NodeKind, ReferenceKind
from dtios.mapping.profiles.library import ProfileLibrary
from dtios.mapping.templates import encode
from dtios.mapping.topic_patterns import TopicPattern
from dtios.model.coercion import check
from dtios.model.datatypes import BuiltinType, ValueType
from dtios.model.gap import GapCause
from dtios.model.status import BAD_NO_COMMUNICATION, is_bad, status_code
from dtios.model.values import QualifiedName
from dtios.sdk.adapter import LastCheck, Loss, Publish, Write
from dtios.sdk.errors import ConfigurationError, OutcomeUnknown, RefusedError
from dtios_mqtt.errors import LostError
from dtios_mqtt.image import Reading
from dtios_mqtt.session.client import Delivery
from dtios_mqtt.session.messages import Incoming, Outgoing
from dtios_mqtt.speakers.speaker import Place, Speaker
from dtios_mqtt.topics.conversion import written
from dtios_mqtt.topics.layout import QOS, Layout, Message, Value, layouts, needed
from dtios_mqtt.topics.machine import NAMESPACE, Machine, Names
from dtios_mqtt.topics.readings import Reader

__all__ = ["TopicSpeaker"]

_MACHINES: Final = 10_000
_TOPICS: Final = 20_000
_LONGEST_TOPIC: Final = 1_000
"""Topics whose machine is remembered, and the characters of one; others are looked up anew."""
_UNKNOWN: Final = status_code("BadNodeIdUnknown")
_NOT_WRITABLE: Final = status_code("BadNotWritable")
_DESCRIBE: Final = "describe the machine again"

Bound = tuple[Machine, Message]
Awaited = tuple[Any, anyio.Event]


class TopicSpeaker(Speaker):
    """`timeout`: seconds that the broker may take to acknowledge a message."""

    scheme: ClassVar[str] = "topic"
    namespace: ClassVar[str] = NAMESPACE

    def __init__(self, timeout: float) -> None:
        super().__init__()
        self._timeout = timeout
        self._layouts: dict[str, Layout] = {}
        self._machines: dict[str, Machine] = {}
        self._names = Names()
        self._bound: dict[str, list[Bound]] = {}
        self._subscribed: set[str] = set()
        self._awaited: dict[str, list[Awaited]] = {}

    # --- what to listen for ---

    def learn(self, profiles: ProfileLibrary) -> None:
        """Machines that were heard of stay, as far as their profile does."""
        self._layouts = layouts(profiles)
        self._bound.clear()
        known = [(m.layout.profile, m.levels) for m in self._machines.values()]
        known += [(layout.profile, levels) for layout in self._layouts.values() for levels in layout.rules.known]
        before, self._machines, self._names = self._machines, {}, Names()
        for profile, levels in known:
            layout = self._layouts.get(profile)
            if layout is not None and all(name in levels for name in layout.rules.identity):
                machine = Machine(layout, levels, self._names)
                if machine.address in before:
                    machine.spoke, machine.received = before[machine.address].spoke, before[machine.address].received
                self._machines.setdefault(machine.address, machine)

    @property
    def filters(self) -> Sequence[tuple[str, int]]:
        return [(one, QOS) for one in needed(self._layouts.values())]

    async def begin(self, place: Place) -> None:
        await super().begin(place)
        self._subscribed |= {one for one, _ in self.filters}  # the broker may have kept older ones
        for machine in self._machines.values():
            machine.spoke = None
            place.image.know(machine.points())

    def lost(self) -> None:
        for waiting in self._awaited.values():
            for _, event in waiting:
                event.set()
        super().lost()

    async def tick(self) -> None:
        """Profiles may have changed while the session stands, or since the last one. New filters come before old ones go, so that
        nothing is missed between them."""
        await self._silence()
        wanted = self.filters
        more = [one for one in wanted if one[0] not in self._subscribed]
        gone = self._subscribed - {one for one, _ in wanted}
        if not (more or gone) or self._place is None:
            return
        client = self.place.client
        self._subscribed = {one for one, _ in wanted}
        for machine in self._machines.values():
            self.place.image.know(machine.points())
        await client.follow(more)
        await client.unsubscribe(sorted(gone))

    async def _silence(self) -> None:
        """Machines that were silent for too long. What waits to be taken may be theirs: then nobody is judged yet."""
        if self._place is None or self._place.client.more:
            return
        place, now = self._place, time.monotonic()
        for machine in list(self._machines.values()):
            limit = machine.layout.rules.silent_after
            if limit is not None and machine.spoke is not None and now - machine.spoke > limit:
                machine.spoke = None
                points = list(machine.points())
                await place.image.lose(points, BAD_NO_COMMUNICATION, time.time_ns())
                handles = place.image.handles(points)
                if handles:
                    place.sink.lost(Loss(GapCause.CONNECTION_LOST, handles, since=machine.received))

    # --- up ---

    async def take(self, message: Incoming) -> bool:
        bound = self._bound.get(message.topic)
        if bound is None:
            bound = self._bind(message)
        for machine, kind in bound:
            if machine.spoke is None or not message.retain:  # what the broker had kept is no sign of life later on
                machine.spoke, machine.received = time.monotonic(), message.received
            reader = Reader(machine, kind, message, partial(self._complain, machine.label, message))
            readings = reader.readings()
            if readings:
                await self.place.image.tell(readings, message.received, hold=self.place.client.more)
                self._confirm(readings)
            if reader.changed:
                self.place.learned()
        return bool(bound)

    def _bind(self, message: Incoming) -> list[Bound]:
        bound = list(self._find(message))
        if len(message.topic) <= _LONGEST_TOPIC:
            if len(self._bound) >= _TOPICS:
                self._bound.clear()
            self._bound[message.topic] = bound
        return bound

    def _find(self, message: Incoming) -> Iterator[Bound]:
        """Of the kinds of messages of a profile the first one that fits."""
        for layout in self._layouts.values():
            for kind in layout.messages:
                levels = kind.match(message.topic)
                if levels is not None:
                    machine = self._machine(layout, levels, message)
                    if machine is not None:
                        yield machine, kind
                    break

    def _machine(self, layout: Layout, levels: dict[str, str], message: Incoming) -> Machine | None:
        made = Machine(layout, levels, self._names)
        machine = self._machines.get(made.address)
        if machine is not None:
            machine.levels.update(levels)
            return machine
        if len(self._machines) >= _MACHINES:
            self._complain("", message, "too many machines")
            return None
        self._machines[made.address] = made
        self.place.image.know(made.points())
        self.place.learned()
        return made

    def _complain(self, machine: str, message: Incoming, cause: str) -> None:
        self.place.complaints.add(machine, cause, message.topic, message.payload, message.received)

    # --- what is there ---

    def nodes(self) -> Sequence[Node]:
        """A folder for each level of the identity but the last one."""
        top: list[Node] = []
        folders: dict[tuple[str, ...], Node] = {}
        for _, machine in sorted(self._machines.items()):
            above: Callable[[Node], None] = top.append
            for depth in range(1, len(machine.place)):
                path = machine.place[:depth]
                if path not in folders:
                    folders[path] = _folder(path)
                    above(folders[path])
                above = partial(_hang, folders[path])
            above(machine.node())
        return top

    # --- down ---

    def _owner(self, address: str, sign: str) -> tuple[Machine, str]:
        """Raises ConfigurationError. A level may hold the sign, too."""
        at = address.find(sign)
        while at >= 0:
            machine, name = self._machines.get(address[:at]), address[at + 1 :]
            if machine is not None and (sign == "#" or name in machine.layout.rules.commands):
                return machine, name
            at = address.find(sign, at + 1)
        raise ConfigurationError("there is no such point", where=address, mend=_DESCRIBE)

    async def write(self, write: Write, last_check: LastCheck) -> int:
        """Confirmed by the value that comes back, unless the profile says otherwise. OutcomeUnknown when it does not."""
        machine, name = self._owner(write.address, "#")
        value = next((value for signal, value in machine.values() if signal == name), None)
        if value is None or value.rule.write is None:
            return _UNKNOWN if value is None else _NOT_WRITABLE
        rule = value.rule.write
        topic = _topic(rule.topic, machine, write.address)
        fitting = check(write.value, ValueType(BuiltinType[value.rule.type]), write.address)
        try:
            payload = encode(rule.payload, {"value": written(fitting, value.rule), "name": name})
        except (ValueError, TypeError) as error:
            raise RefusedError(f"the value does not fit ({error})", where=write.address) from error
        message = Outgoing(topic, payload, qos=1, expiry=rule.within)
        if not rule.confirm:
            await self._deliver(self.place.client.hand_over(message, last_check), write.address)
            return 0
        return await self._confirmed(write, value, message, last_check, rule.within)

    async def _confirmed(self, write: Write, value: Value, message: Outgoing, last_check: LastCheck, within: float) -> int:
        awaited: Awaited = (write.value, anyio.Event())
        waiting = self._awaited.setdefault(write.address, [])
        waiting.append(awaited)
        try:
            self.place.client.hand_over(message, last_check)
            with anyio.move_on_after(within):
                await awaited[1].wait()
        finally:
            waiting.remove(awaited)
            if not waiting:
                self._awaited.pop(write.address, None)
        if not awaited[1].is_set() or self._place is None:
            raise OutcomeUnknown(
                f"the value did not come back within {within:g} s", where=write.address,
                mend="look at the machine before you repeat it",
            )  # fmt: skip
        return 0

    def _confirm(self, readings: Sequence[Reading]) -> None:
        for address, value, status, _ in readings if self._awaited else ():
            for wanted, event in self._awaited.get(address, ()):
                if not is_bad(status) and _same(wanted, value):
                    event.set()

    async def publish(self, message: Publish, last_check: LastCheck) -> None:
        """To a command's topic, at least once, never retained. Returns when the broker has it."""
        machine, name = self._owner(message.address, ">")
        answers = None if message.reply_to is None else self._answers(message.reply_to)
        outgoing = Outgoing(
            _topic(machine.layout.rules.commands[name], machine, message.address),
            message.payload,
            qos=1,
            expiry=message.expiry,
            response_topic=answers,
            correlation=message.correlation,
        )
        await self._deliver(self.place.client.hand_over(outgoing, last_check), message.address)

    def _answers(self, address: str) -> str:
        machine, name = self._owner(address, "#")
        kind = next((one for one in machine.layout.messages if one.rule.whole == name), None)
        if kind is None:
            raise ConfigurationError("there is no such message", where=address, mend=_DESCRIBE)
        return _topic(kind.rule.topic, machine, address)

    async def _deliver(self, delivery: Delivery, address: str) -> None:
        """Raises OutcomeUnknown: it was handed over, and may have been received."""
        try:
            with anyio.fail_after(self._timeout):
                await delivery
        except (LostError, TimeoutError) as error:
            if isinstance(error, LostError) and error.refused is not None:
                raise RefusedError(str(error), where=address, mend="look at the broker's access list") from error
            raise OutcomeUnknown("the broker did not acknowledge the message", where=address) from error


def _topic(pattern: str, machine: Machine, where: str) -> str:
    topic = TopicPattern(pattern).fill(machine.levels)
    if topic is None:
        raise RefusedError(f"a level of {pattern} is not known yet", where=where, mend="wait until the machine was heard")
    return topic


def _folder(path: tuple[str, ...]) -> Node:
    types = (QualifiedName(NAMESPACE, "Folder"),)
    return Node(f"topic:/{'/'.join(path)}", QualifiedName(NAMESPACE, path[-1]), NodeKind.OBJECT, types)


def _hang(folder: Node, below: Node) -> None:
    folder.children.append((ReferenceKind.ORGANIZES, below))


def _same(wanted: Any, value: Any) -> bool:
    """A number that went through a text, or a 32-bit float, is the same one."""
    if isinstance(wanted, bool) or isinstance(value, bool) or not isinstance(wanted, int | float):
        return bool(wanted == value)
    return isinstance(value, int | float) and math.isclose(wanted, value, rel_tol=1e-6, abs_tol=1e-12)
