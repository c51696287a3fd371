"""The Connection of MQTT: the sessions with one broker under one identity, and the ways of speaking on them."""

import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from typing import Any, Final

import anyio
import anyio.lowlevel
import anyio.to_thread
from anyio.abc import TaskStatus

from dtios.mapping.facts import BrowseFacts, Node, NodeKind, ReferenceKind
from dtios.mapping.profiles.library import ProfileLibrary
from dtios.model.status import BAD_NODE_ID_UNKNOWN
from dtios.model.values import DataValue, QualifiedName
from dtios.sdk.adapter import Call, Complaint, Connection, Fingerprint, LastCheck, MonitoredPoint, Progress, Publish, Sink, Write
from dtios.sdk.errors import ConfigurationError, DtiosError, TemporaryError
from dtios_mqtt.complaints import Complaints
from dtios_mqtt.errors import LostError
from dtios_mqtt.hearing import Hearing
from dtios_mqtt.image import ProcessImage
from dtios_mqtt.missed import Missed
from dtios_mqtt.session.client import MqttClient
from dtios_mqtt.session.opening import Role, open_client, roles
from dtios_mqtt.settings import Address, MqttSettings
from dtios_mqtt.sparkplug.mark import instance_id
from dtios_mqtt.speakers.sparkplug import SparkplugSpeaker
from dtios_mqtt.speakers.speaker import Place, Speaker
from dtios_mqtt.speakers.topics import TopicSpeaker
from dtios_mqtt.speakers.vda5050 import Vda5050Speaker

__all__ = ["NAMESPACE", "MqttConnection"]

NAMESPACE = "urn:dtios:mqtt"
_MEND = "is the broker running and the network up?"
_TICK = 0.25
_GOODBYE = 0.5
_MISSED = 30.0
"""Seconds within which points are subscribed, after which nothing is kept for them any longer."""
_RUN: Final = token_hex(8)
"""Of this process."""
_AT_ONCE = 0.001
"""Seconds that messages are taken for before others get their turn."""


class MqttConnection(Connection):
    """See `Connection`. One object serves one run after the other."""

    def __init__(self, address: Address, settings: MqttSettings, home: Path) -> None:
        self.address = address
        self._settings = settings
        self._home = home
        self._run = token_hex(8)
        self._speakers: list[Speaker] = [
            SparkplugSpeaker(settings.host_id, settings.timeout, settings.reorder_timeout),
            Vda5050Speaker(settings.vda_interfaces),
            TopicSpeaker(settings.timeout),
        ]
        self._image: ProcessImage | None = None
        self.complaints = Complaints()
        self._hearing = Hearing(settings.listen)

    def learn(self, profiles: ProfileLibrary) -> None:
        for speaker in self._speakers:
            speaker.learn(profiles)

    def misunderstood(self) -> list[Complaint]:
        return self.complaints.told()

    # --- life ---

    async def run(self, sink: Sink, *, task_status: TaskStatus[None]) -> None:
        image = ProcessImage(sink)
        clients: list[MqttClient] = []
        instance = await anyio.to_thread.run_sync(self._instance)
        try:
            served = [(role, await self._open(role, clients)) for role in roles(self._settings, self._speakers)]
            self._image = image
            if any(client.session_present for _, client in served):
                image.missed = Missed()
            async with anyio.create_task_group() as tasks:
                for role, client in served:
                    tasks.start_soon(client.serve, name=f"mqtt socket {self.address.url}")
                    await client.follow([one for speaker in role.speakers for one in speaker.filters])
                    for speaker in role.speakers:
                        await speaker.begin(Place(client, image, sink, self.complaints, instance, self._hearing.news))
                    tasks.start_soon(self._hear, client, role.speakers, name=f"mqtt messages {self.address.url}")
                self._hearing.begin()
                tasks.start_soon(self._time, clients, sink, name=f"mqtt timers {self.address.url}")
                task_status.started()
        except* (LostError, DtiosError) as group:
            reason = _first(group)
            if isinstance(reason, DtiosError):
                raise reason from reason.__cause__
            raise TemporaryError(str(reason), where=self.address.url, mend=_MEND) from reason
        finally:
            self._image = None
            with anyio.CancelScope(shield=True):
                await self._leave(clients)

    def _instance(self) -> str:
        try:
            return instance_id(self._home)
        except OSError as error:
            raise ConfigurationError(f"the runtime's id cannot be kept ({error.strerror})", where=str(self._home)) from error

    async def _open(self, role: Role, clients: list[MqttClient]) -> MqttClient:
        client = await open_client(self.address, self._settings, self._home, role)
        clients.append(client)
        return client

    async def _hear(self, client: MqttClient, speakers: Sequence[Speaker]) -> None:
        over = 0.0
        while True:
            message = await client.next()
            if client.more and time.monotonic() > over:
                await anyio.lowlevel.checkpoint()
                over = time.monotonic() + _AT_ONCE
            for speaker in speakers:
                if await speaker.take(message):
                    break
            else:
                self.complaints.add("", "nobody's topic", message.topic, message.payload, message.received)
            if not client.more and self._image is not None:
                await self._image.flush()

    async def _time(self, clients: Sequence[MqttClient], sink: Sink) -> None:
        heard, until = -1, anyio.current_time() + _MISSED
        while True:
            await anyio.sleep(_TICK)
            if self._image is not None and anyio.current_time() > until:
                self._image.missed = None
            now = sum(client.last_read for client in clients)
            if now != heard:
                heard = now
                sink.alive()
            for speaker in self._speakers:
                await speaker.tick()

    async def _leave(self, clients: Sequence[MqttClient]) -> None:
        with anyio.move_on_after(_GOODBYE):
            for speaker in self._speakers:
                with suppress(LostError, TemporaryError):
                    await speaker.end()
        for speaker in self._speakers:
            speaker.lost()
        for client in clients:
            await client.close()

    def _standing(self) -> ProcessImage:
        if self._image is None:
            raise TemporaryError("the broker is not connected", where=self.address.url, mend=_MEND)
        return self._image

    def _of(self, address: str) -> Speaker | None:
        scheme = address.partition(":")[0]
        return next((one for one in self._speakers if one.scheme == scheme), None)

    def _speaker(self, address: str) -> Speaker:
        found = self._of(address)
        if found is None:
            raise ConfigurationError("there is no such point", where=address, mend="describe the machine again")
        return found

    # --- what is there ---

    async def fingerprint(self) -> Fingerprint:
        """Machines come and go by their messages, and are told by `Sink.changed`; what was learned outlives sessions, and not
        the process: what an earlier one knew is to be heard again. Nor is a connection that has heard nothing yet taken for one
        that has."""
        self._standing()
        learned = any(speaker.nodes() for speaker in self._speakers)
        return Fingerprint(NAMESPACE, _RUN if learned else self._run)

    async def browse(self, progress: Progress | None = None) -> BrowseFacts:
        self._standing()
        await self._hearing.over()
        root = Node("mqtt:", QualifiedName(NAMESPACE, "Broker"), NodeKind.OBJECT)
        for speaker in self._speakers:
            root.children += [(ReferenceKind.ORGANIZES, node) for node in speaker.nodes()]
        if progress is not None:
            progress("listening", sum(1 for _ in root.walk()), None)
        namespaces = [NAMESPACE, *(one.namespace for one in self._speakers if one.namespace)]
        return BrowseFacts(self.address.url, root, tuple(dict.fromkeys(namespaces)), [], complete=False)

    # --- values ---

    async def subscribe(self, points: Sequence[MonitoredPoint]) -> list[int]:
        known = [self._of(point.address) is not None for point in points]
        statuses = iter(
            await self._standing().subscribe([p for p, ours in zip(points, known, strict=True) if ours], time.time_ns())
        )
        return [next(statuses) if ours else BAD_NODE_ID_UNKNOWN for ours in known]

    async def unsubscribe(self, handles: Sequence[int]) -> None:
        self._standing().unsubscribe(handles)

    async def read(self, addresses: Sequence[str]) -> list[DataValue]:
        image = self._standing()
        return [image.read(address) for address in addresses]

    # --- commands ---

    async def write(self, writes: Sequence[Write], last_check: LastCheck) -> list[int]:
        self._standing()
        speakers = [self._speaker(write.address) for write in writes]
        try:
            return [await speaker.write(write, last_check) for speaker, write in zip(speakers, writes, strict=True)]
        except LostError as error:
            raise TemporaryError(f"the write was not sent, {error}", where=writes[0].address, mend=_MEND) from error

    async def publish(self, message: Publish, last_check: LastCheck) -> None:
        self._standing()
        speaker = self._speaker(message.address)
        try:
            await speaker.publish(message, last_check)
        except LostError as error:
            raise TemporaryError(f"the message was not sent, {error}", where=message.address, mend=_MEND) from error

    async def call(self, call: Call, last_check: LastCheck) -> list[Any]:
        raise ConfigurationError("there are no methods over MQTT", where=call.method, mend="use a skill of the machine's profile")


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """What says most: that a session is lost may only follow from what ended it."""
    said = group.subgroup(DtiosError) or group
    found = said.exceptions[0]
    return _first(found) if isinstance(found, BaseExceptionGroup) else found
