"""Sparkplug B 3.0 as a host application: the state machine's steps carried out over one MQTT session of its own."""

import asyncio
import json
import time
from collections.abc import Callable, Iterable, Sequence
from typing import ClassVar

from dtios.mapping.facts import Node, NodeKind, ReferenceKind
from dtios.model.gap import GapCause
from dtios.model.status import BAD_NO_COMMUNICATION
from dtios.model.values import QualifiedName
from dtios.sdk.adapter import LastCheck, Loss, Write
from dtios_mqtt.image import Reading
from dtios_mqtt.session.messages import Incoming, Outgoing, Will
from dtios_mqtt.sparkplug.addresses import address_of, device_address
from dtios_mqtt.sparkplug.commanding import Commanding, ask_for_birth
from dtios_mqtt.sparkplug.describing import NAMESPACE, edge_node, points_of
from dtios_mqtt.sparkplug.host import Host
from dtios_mqtt.sparkplug.metric import Metric
from dtios_mqtt.sparkplug.step import Step
from dtios_mqtt.sparkplug.times import nanoseconds
from dtios_mqtt.sparkplug.topics import EVERYTHING, Topic, parse_topic, state_topic
from dtios_mqtt.sparkplug.values import readings
from dtios_mqtt.speakers.speaker import Place, Speaker

__all__ = ["SparkplugSpeaker"]

_UNHEARD = "it was not born since the broker was connected"
_DEAD = "its edge node says that it is dead"


class SparkplugSpeaker(Speaker):
    """`host_id` names our STATE topic; `timeout` seconds is how long a command's metric may take to come back, `reorder` how long
    a missing message is waited for."""

    scheme: ClassVar[str] = "spb"
    namespace: ClassVar[str] = NAMESPACE
    own_session: ClassVar[bool] = True

    def __init__(self, host_id: str, timeout: float, reorder: float = 2.0, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._state = state_topic(host_id)
        self._host = Host(host_id, reorder)
        self._commanding = Commanding(self._host, timeout)
        self._said = 0
        self._turn = asyncio.Lock()
        self._drawn: dict[tuple[str, str], tuple[tuple[int, ...], Node]] = {}

    # --- life (message-flow-phid-sparkplug-*) ---

    def will(self) -> Will:
        """STATE offline, with the timestamp that the online message of this session will have; later than any before it, or
        edge nodes would not believe it."""
        self._said = max(time.time_ns() // 1_000_000, self._said + 1)
        return Will(self._state, _state(False, self._said), qos=1, retain=True)

    @property
    def filters(self) -> Sequence[tuple[str, int]]:
        return [(EVERYTHING, 1)]

    async def begin(self, place: Place) -> None:
        """The subscriptions stand: now STATE says that we are here, and known edge nodes are asked for their births."""
        await super().begin(place)
        self._turn = asyncio.Lock()
        self._host.own = place.instance
        await self._say_online()
        for (group, node), edge in self._host.nodes.items():
            place.sink.presence([at for device in edge.parts for at in _places(group, node, device)], _UNHEARD)
            ask_for_birth(place.client, group, node)

    async def _say_online(self) -> None:
        await self.place.client.hand_over(Outgoing(self._state, _state(True, self._said), qos=1, retain=True))

    async def end(self) -> None:
        """STATE offline, with the time of now (host-topic-phid-death-payload-timestamp-disconnect-clean)."""
        self._said = max(time.time_ns() // 1_000_000, self._said)
        await self.place.client.hand_over(Outgoing(self._state, _state(False, self._said), qos=1, retain=True))

    def lost(self) -> None:
        """Births of this session say nothing of the next one; what was described stays described."""
        for (group, node), device, since in self._host.forget_session():
            if self._place is not None:
                self._miss(Topic("NDATA", group, node, device), [device], GapCause.CONNECTION_LOST, since)
        self._commanding.lost()
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
        async with self._turn:
            await self._carry_out(list(self._host.take(topic, message.payload, self._clock(), message.received)), message)
        return True

    async def tick(self) -> None:
        if self._turn.locked():  # a slow consumer holds a message up: what is due can wait
            return
        async with self._turn:
            await self._carry_out(list(self._host.tick(self._clock())), None)

    async def _carry_out(self, steps: Iterable[Step], message: Incoming | None) -> None:
        place = self.place
        received = time.time_ns() if message is None else message.received
        for step in steps:
            topic = step.topic
            if step.kind != "readings":
                await place.image.flush()
            match step.kind:
                case "readings" if step.told is not None:
                    await place.image.tell_columns(step.told, received, hold=place.client.more)
                    if self._commanding.waits:
                        self._commanding.heard(zip(*step.told, strict=True))
                case "readings":
                    await self._tell(topic, step, received)
                case "described":
                    await self._describe(topic, step, received)
                case "born":
                    self._be_born(topic, step)
                case "died":
                    await self._die(topic, step, received)
                case "missed":
                    edge = self._host.edge(*topic.key)
                    self._miss(topic, [] if edge is None else list(edge.parts), GapCause.MESSAGE_MISSED, step.since)
                case "undecodable":
                    gone = [at for name, _ in step.metrics for at in self._points(topic, topic.device, name)]
                    place.sink.lost(Loss(GapCause.UNDECODABLE, place.image.handles(gone)))
                case "rebirth":
                    ask_for_birth(place.client, topic.group, topic.node)
                case "say-online":
                    place.client.hand_over(Outgoing(self._state, _state(True, self._said), qos=1, retain=True))
                case "complaint":
                    self._complain(_machine(topic), step.cause, message)

    def _complain(self, machine: str, cause: str, message: Incoming | None) -> None:
        topic, payload, time_ = ("", b"", 0) if message is None else (message.topic, message.payload, message.received)
        self.place.complaints.add(machine, cause, topic, payload, time_)

    async def _tell(self, topic: Topic, step: Step, received: int) -> None:
        told: list[Reading] = []
        above = address_of(topic.group, topic.node, topic.device, "")
        for name, metric in step.metrics:
            if metric.is_historical:
                continue  # it lies in the Gap that its outage left; the present value is not of then
            metric.name = name
            told += readings(metric, above + name, step.timestamp)
        await self.place.image.tell(told, received, hold=self.place.client.more)
        if self._commanding.waits:
            self._commanding.heard(told)

    async def _describe(self, topic: Topic, step: Step, received: int) -> None:
        gone = [
            point
            for name, metric in step.metrics
            for _, _, point in points_of(metric, address_of(topic.group, topic.node, topic.device, name))
        ]
        self.place.image.know(self._addresses(topic, topic.device))
        if gone:
            await self.place.image.forget(gone, received)
        self.place.learned()

    def _be_born(self, topic: Topic, step: Step) -> None:
        if step.since is not None:
            self._miss(topic, [topic.device], GapCause.CONNECTION_LOST, step.since)
        self.place.sink.presence(_places(topic.group, topic.node, topic.device), "")

    async def _die(self, topic: Topic, step: Step, received: int) -> None:
        """By a DDEATH at its timestamp, by an NDEATH now (operational-behavior-edge-node-termination-host-action-*)."""
        addresses = [address for part in step.parts for address in self._addresses(topic, part)]
        self.place.sink.presence([at for part in step.parts for at in _places(topic.group, topic.node, part)], _DEAD)
        await self.place.image.lose(addresses, BAD_NO_COMMUNICATION, received, nanoseconds(step.timestamp))

    def _miss(self, topic: Topic, parts: Sequence[str], cause: GapCause, since: int | None) -> None:
        place = self.place
        handles = place.image.handles([address for part in parts for address in self._addresses(topic, part)])
        if handles:
            place.sink.lost(Loss(cause, handles, since=since))

    def _addresses(self, topic: Topic, device: str) -> list[str]:
        edge = self._host.edge(*topic.key)
        names = () if edge is None or device not in edge.parts else edge.parts[device].metrics
        return [point for name in names for point in self._points(topic, device, name)]

    def _points(self, topic: Topic, device: str, name: str) -> list[str]:
        edge = self._host.edge(*topic.key)
        part = None if edge is None else edge.parts.get(device)
        metric: Metric | None = None if part is None else part.metrics.get(name)
        address = address_of(topic.group, topic.node, device, name)
        return [] if metric is None else [point for _, _, point in points_of(metric, address)]

    # --- what is there ---

    def nodes(self) -> Sequence[Node]:
        groups: dict[str, Node] = {}
        nodes = self._host.nodes
        self._drawn = {key: drawn for key, drawn in self._drawn.items() if key in nodes}
        for (group, name), edge in sorted(nodes.items()):
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
        place = self.place
        return await self._commanding.write(write, last_check, place.client, place.image)


def _places(group: str, node: str, device: str) -> list[str]:
    """The nodes that are away when this part is: with the edge node also the folder it stands in."""
    here = device_address(group, node, device)
    return [here] if device else [here, here.removesuffix("/")]


def _state(online: bool, timestamp: int) -> bytes:
    return json.dumps({"online": online, "timestamp": timestamp}).encode()


def _machine(topic: Topic) -> str:
    return "/".join(filter(None, (topic.group, topic.node, topic.device)))
