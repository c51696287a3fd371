"""The Connection of MQTT: the sessions with one broker under one identity, and the ways of speaking on them."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
from anyio.abc import TaskStatus

from dtios.mapping.facts import BrowseFacts, Node, NodeKind, ReferenceKind
from dtios.mapping.profiles.library import ProfileLibrary
from dtios.model.values import DataValue, QualifiedName
from dtios.sdk.adapter import Call, Connection, LastCheck, MonitoredPoint, Progress, Publish, Sink, Write
from dtios.sdk.errors import ConfigurationError, TemporaryError
from dtios_mqtt.complaints import Complaints
from dtios_mqtt.errors import LostError
from dtios_mqtt.image import ProcessImage
from dtios_mqtt.session.client import MqttClient
from dtios_mqtt.session.opening import open_client, roles
from dtios_mqtt.settings import Address, MqttSettings
from dtios_mqtt.speakers.speaker import Place, Speaker

__all__ = ["NAMESPACE", "MqttConnection"]

NAMESPACE = "urn:dtios:mqtt"
_MEND = "is the broker running and the network up?"
_TICK = 0.25


class MqttConnection(Connection):
    """See `Connection`. One object serves one run after the other."""

    def __init__(self, address: Address, settings: MqttSettings, home: Path) -> None:
        self.address = address
        self._settings = settings
        self._home = home
        self._profiles = ProfileLibrary([])
        self._speakers: list[Speaker] = []
        self._image: ProcessImage | None = None
        self._sink: Sink | None = None
        self._changes = 0
        self.complaints = Complaints()

    def learn(self, profiles: ProfileLibrary) -> None:
        self._profiles = profiles

    # --- life ---

    async def run(self, sink: Sink, *, task_status: TaskStatus[None]) -> None:
        image = ProcessImage(sink)
        clients: list[MqttClient] = []
        try:
            served: list[tuple[MqttClient, list[Speaker]]] = []
            for role in roles(self._settings, self._profiles):
                client = await open_client(self.address, self._settings, self._home, role)
                clients.append(client)
                speakers = role.speakers(Place(client, image, sink, self.complaints))
                served.append((client, speakers))
            self._sink, self._image = sink, image
            self._speakers = [speaker for _, speakers in served for speaker in speakers]
            async with anyio.create_task_group() as tasks:
                for client, speakers in served:
                    tasks.start_soon(client.serve, name=f"mqtt socket {self.address.url}")
                    await self._listen(client, speakers)
                    tasks.start_soon(self._hear, client, speakers, name=f"mqtt messages {self.address.url}")
                tasks.start_soon(self._time, name=f"mqtt timers {self.address.url}")
                task_status.started()
        except* LostError as group:
            reason = next(iter(_leaves(group)))
            raise TemporaryError(str(reason), where=self.address.url, mend=_MEND) from reason
        finally:
            speakers, self._speakers, self._image, self._sink = self._speakers, [], None, None
            with anyio.CancelScope(shield=True):
                await self._leave(speakers, clients)

    @staticmethod
    async def _listen(client: MqttClient, speakers: Sequence[Speaker]) -> None:
        await client.subscribe([one for speaker in speakers for one in speaker.filters])
        for speaker in speakers:
            await speaker.begin()

    async def _hear(self, client: MqttClient, speakers: Sequence[Speaker]) -> None:
        while True:
            message = await client.next()
            for speaker in speakers:
                if await speaker.take(message):
                    break
            else:
                self.complaints.add("", "nobody's topic", message.topic, message.payload, message.received)

    async def _time(self) -> None:
        while True:
            await anyio.sleep(_TICK)
            for speaker in self._speakers:
                await speaker.tick()

    @staticmethod
    async def _leave(speakers: Sequence[Speaker], clients: Sequence[MqttClient]) -> None:
        with anyio.move_on_after(0.5):
            for speaker in speakers:
                try:
                    await speaker.end()
                except LostError:
                    continue
        for client in clients:
            await client.close()

    def _standing(self) -> ProcessImage:
        if self._image is None:
            raise TemporaryError("the broker is not connected", where=self.address.url, mend=_MEND)
        return self._image

    def _speaker(self, address: str) -> Speaker:
        scheme = address.partition(":")[0]
        found = next((one for one in self._speakers if one.scheme == scheme), None)
        if found is None:
            raise ConfigurationError("there is no such point", where=address, mend="describe the machine again")
        return found

    # --- what is there ---

    async def fingerprint(self) -> str:
        """Machines come and go by their messages (`Sink.changed`): a new session is a new look."""
        self._standing()
        return f"{id(self._image)}"

    async def browse(self, progress: Progress | None = None) -> BrowseFacts:
        self._standing()
        root = Node("mqtt:", QualifiedName(NAMESPACE, "Broker"), NodeKind.OBJECT)
        for speaker in self._speakers:
            root.children += [(ReferenceKind.ORGANIZES, node) for node in speaker.nodes()]
        if progress is not None:
            progress("listening", sum(1 for _ in root.walk()), None)
        return BrowseFacts(self.address.url, root, (NAMESPACE,), [])

    # --- values ---

    async def subscribe(self, points: Sequence[MonitoredPoint]) -> list[int]:
        return await self._standing().subscribe(points, time.time_ns())

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


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    return [leaf for one in group.exceptions for leaf in (_leaves(one) if isinstance(one, BaseExceptionGroup) else [one])]
