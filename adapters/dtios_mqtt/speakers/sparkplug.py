"""Sparkplug B 3.0 as a host application: the state machine's steps carried out over one MQTT session of its own."""

import json
import time
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Final
from uuid import UUID

import anyio

from dtios.mapping.facts import Node, NodeKind, ReferenceKind
from dtios.model.gap import GapCause
from dtios.model.status import BAD_NO_COMMUNICATION, status_code
from dtios.model.values import NO_TIME, DateTime, QualifiedName, Record
from dtios.sdk.adapter import LastCheck, Loss, Write
from dtios.sdk.errors import OutcomeUnknown, RefusedError
from dtios_mqtt.image import Reading
from dtios_mqtt.session.messages import Incoming, Outgoing, Will
from dtios_mqtt.sparkplug.addresses import address_of
from dtios_mqtt.sparkplug.datatypes import DATETIME
from dtios_mqtt.sparkplug.describing import NAMESPACE, edge_node, points_of
from dtios_mqtt.sparkplug.encoding import encode
from dtios_mqtt.sparkplug.host import Host, Step
from dtios_mqtt.sparkplug.metric import DataSet, Metric, Payload
from dtios_mqtt.sparkplug.topics import EVERYTHING, Topic, parse_topic, state_topic
from dtios_mqtt.speakers.speaker import Place, Speaker

__all__ = ["SparkplugSpeaker"]

_NULL: Final = status_code("BadNoData")
_STALE: Final = status_code("UncertainLastUsableValue")
_BAD_QUALITY: Final = status_code("BadSensorFailure")
_OFFLINE: Final = status_code("BadNotConnected")
_UUID: Final = 15


class SparkplugSpeaker(Speaker):
    """`host_id` names our STATE topic; `timeout` seconds is how long a command's metric may take to come back."""

    scheme: ClassVar[str] = "spb"
    own_session: ClassVar[bool] = True

    def __init__(self, host_id: str, timeout: float) -> None:
        super().__init__()
        self._state = state_topic(host_id)
        self._host = Host(host_id)
        self._timeout = timeout
        self._born = b""
        self._awaited: dict[str, list[tuple[Any, anyio.Event]]] = {}
        self._drawn: dict[tuple[str, str], tuple[tuple[int, ...], Node]] = {}

    # --- life (message-flow-phid-sparkplug-*) ---

    def will(self) -> Will:
        """STATE offline, with the timestamp that the online message of this session will have."""
        now = time.time_ns() // 1_000_000
        self._born = _state(True, now)
        return Will(self._state, _state(False, now), qos=1, retain=True)

    @property
    def filters(self) -> Sequence[tuple[str, int]]:
        return [(EVERYTHING, 1)]

    async def begin(self, place: Place) -> None:
        """The subscriptions stand: now STATE says that we are here, and known edge nodes are asked for their births."""
        await super().begin(place)
        await place.client.hand_over(Outgoing(self._state, self._born, qos=1, retain=True))
        for group, node in self._host.nodes:
            self._ask_for_birth(Topic("NBIRTH", group, node))

    async def end(self) -> None:
        now = time.time_ns() // 1_000_000
        await self.place.client.hand_over(Outgoing(self._state, _state(False, now), qos=1, retain=True))

    def lost(self) -> None:
        """Births of this session say nothing of the next one; what was described stays described."""
        for edge in self._host.nodes.values():
            list(edge.death(None))
        for waiting in self._awaited.values():
            for _, event in waiting:
                event.set()
        self._awaited.clear()
        super().lost()

    # --- up ---

    async def take(self, message: Incoming) -> bool:
        topic = parse_topic(message.topic)
        if topic is None:
            if message.topic.startswith("spBv1.0/"):
                self._complain("", "a topic that is not Sparkplug's", message)
                return True
            return False
        if message.retain and topic.kind != "STATE":
            self._complain(_machine(topic), "retained", message)  # only STATE may be (payloads-*-retain)
            return True
        await self._carry_out(self._host.take(topic, message.payload, time.monotonic()), message)
        return True

    async def tick(self) -> None:
        await self._carry_out(self._host.tick(time.monotonic()), None)

    async def _carry_out(self, steps: Iterable[Step], message: Incoming | None) -> None:
        place = self.place
        received = time.time_ns() if message is None else message.received
        for step in steps:
            topic = step.topic
            match step.kind:
                case "readings":
                    await self._tell(topic, step, received)
                case "described":
                    self._know(topic)
                    place.sink.changed()
                case "died":
                    await self._die(topic, step.parts, received)
                case "missed":
                    gone = [a for part in self._host.nodes[topic.group, topic.node].parts for a in self._addresses(topic, part)]
                    place.sink.lost(Loss(GapCause.MESSAGE_MISSED, place.image.handles(gone)))
                case "rebirth":
                    self._ask_for_birth(topic)
                case "say-online":
                    place.client.hand_over(Outgoing(self._state, self._born, qos=1, retain=True))
                case "complaint":
                    self._complain(_machine(topic), step.cause, message)

    def _complain(self, machine: str, cause: str, message: Incoming | None) -> None:
        topic, payload, time_ = ("", b"", 0) if message is None else (message.topic, message.payload, message.received)
        self.place.complaints.add(machine, cause, topic, payload, time_)

    async def _tell(self, topic: Topic, step: Step, received: int) -> None:
        readings: list[Reading] = []
        for name, metric in step.metrics:
            if metric.is_historical:
                continue  # it lies in the Gap that its outage left; the present value is not of then
            address = address_of(topic.group, topic.node, topic.device, name)
            metric.name = name
            for _, leaf, point in points_of(metric, address):
                readings.append(_reading(point, leaf, metric.timestamp or step.timestamp))
        await self.place.image.tell(readings, received)
        for address, value, _, _ in readings:
            for wanted, event in self._awaited.get(address, ()):
                if wanted == value:
                    event.set()

    async def _die(self, topic: Topic, parts: Sequence[str], received: int) -> None:
        addresses = [address for part in parts for address in self._addresses(topic, part)]
        image = self.place.image
        await image.lose(addresses, BAD_NO_COMMUNICATION, received)
        self.place.sink.lost(Loss(GapCause.CONNECTION_LOST, image.handles(addresses)))

    def _addresses(self, topic: Topic, device: str) -> list[str]:
        metrics = self._host.nodes[topic.group, topic.node].parts[device].metrics
        return [
            point
            for name, metric in metrics.items()
            for _, _, point in points_of(metric, address_of(topic.group, topic.node, device, name))
        ]

    def _know(self, topic: Topic) -> None:
        self.place.image.know(self._addresses(topic, topic.device))

    def _ask_for_birth(self, topic: Topic) -> None:
        """NCMD Node Control/Rebirth (operational-behavior-data-commands-rebirth-*)."""
        metric = Metric("Node Control/Rebirth", timestamp=time.time_ns() // 1_000_000, datatype=11, value=True)
        payload = encode(Payload(metric.timestamp, None, [metric]))
        self.place.client.hand_over(Outgoing(Topic("NCMD", topic.group, topic.node).text, payload))

    # --- what is there ---

    def nodes(self) -> Sequence[Node]:
        groups: dict[str, Node] = {}
        for (group, name), edge in sorted(self._host.nodes.items()):
            if not edge.parts:
                continue
            folder = groups.get(group)
            if folder is None:
                types = (QualifiedName(NAMESPACE, "Folder"),)
                folder = groups[group] = Node(f"spb:{group}", QualifiedName(NAMESPACE, group), NodeKind.OBJECT, types)
            generations = tuple(part.generation for _, part in sorted(edge.parts.items()))
            drawn = self._drawn.get((group, name))
            if drawn is None or drawn[0] != generations:
                drawn = self._drawn[group, name] = (generations, edge_node(group, name, edge))
            folder.children.append((ReferenceKind.COMPONENT, drawn[1]))
        return list(groups.values())

    # --- down ---

    async def write(self, write: Write, last_check: LastCheck) -> int:
        """NCMD or DCMD, confirmed by the metric that comes back with the value. OutcomeUnknown when it does not."""
        topic, name = self._target(write.address)
        edge = self._host.nodes.get((topic.group, topic.node))
        part = None if edge is None else edge.parts.get(topic.device)
        metric = None if part is None else part.metrics.get(name)
        if edge is None or part is None or metric is None or not part.online:
            return _OFFLINE
        value, shown = _wire(write.value), _canonical(write.value)
        now = time.time_ns() // 1_000_000
        sent = Metric("" if metric.alias is not None else name, metric.alias, now, metric.datatype, value)
        try:
            payload = encode(Payload(now, None, [sent]))
        except (ValueError, TypeError) as error:
            raise RefusedError(f"the value does not fit ({error})", where=write.address) from error
        event = anyio.Event()
        awaited = self._awaited.setdefault(write.address, [])
        awaited.append((shown, event))
        try:
            self.place.client.hand_over(Outgoing(topic.text, payload, expiry=self._timeout), last_check)
            with anyio.move_on_after(self._timeout):
                await event.wait()
        finally:
            awaited.remove((shown, event))
        if not event.is_set() or self._place is None:
            raise OutcomeUnknown(
                f"the metric did not come back with the value within {self._timeout:g} s", where=write.address,
                mend="look at the machine before you repeat it",
            )  # fmt: skip
        return 0

    def _target(self, address: str) -> tuple[Topic, str]:
        group, node, device, name = address.removeprefix("spb:").split("/", 3)
        return Topic("DCMD" if device else "NCMD", group, node, device), name


def _state(online: bool, timestamp: int) -> bytes:
    return json.dumps({"online": online, "timestamp": timestamp}).encode()


def _machine(topic: Topic) -> str:
    return "/".join(filter(None, (topic.group, topic.node, topic.device)))


def _reading(address: str, metric: Metric, timestamp: int | None) -> Reading:
    source = NO_TIME if timestamp is None or not 0 <= timestamp < 2**53 else timestamp * 1_000_000
    if metric.is_null or metric.value is None:
        return (address, None, _NULL, source)
    match metric.properties.get("Quality"):
        case 0:
            return (address, None, _BAD_QUALITY, source)
        case 500:
            return (address, _canonical_metric(metric), _STALE, source)
        case _:
            return (address, _canonical_metric(metric), 0, source)


def _canonical_metric(metric: Metric) -> Any:
    value = metric.value
    if isinstance(value, DataSet):
        return [Record("DataSet", dict(zip(value.columns, row, strict=True))) for row in value.rows]
    if metric.datatype == DATETIME and isinstance(value, int):
        return DateTime(value * 1_000_000)
    if metric.datatype == _UUID and isinstance(value, str):
        try:
            return UUID(value)
        except ValueError:
            return value
    return value


def _wire(value: Any) -> Any:
    if isinstance(value, DateTime):
        return int(value) // 1_000_000
    return str(value) if isinstance(value, UUID) else value


def _canonical(value: Any) -> Any:
    return DateTime(int(value) // 1_000_000 * 1_000_000) if isinstance(value, DateTime) else value
