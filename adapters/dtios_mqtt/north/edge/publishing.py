"""The Sparkplug publisher, as it runs."""

from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import anyio
import anyio.to_thread

from dtios.model.errors import ConfigurationError, TemporaryError
from dtios.sdk import Context, MachineChange, Publisher
from dtios.sdk.forwarding import Outbox, Parcel, Uplink, collect, open_outbox
from dtios_mqtt.errors import LostError
from dtios_mqtt.north.edge.commands import Refusal, commanded
from dtios_mqtt.north.edge.node import PublishedNode
from dtios_mqtt.north.edge.primary import PrimaryHost
from dtios_mqtt.north.edge.settings import SparkplugConfig
from dtios_mqtt.north.keeping import keep_session
from dtios_mqtt.session.client import MqttClient
from dtios_mqtt.session.messages import Incoming, Outgoing, Will
from dtios_mqtt.sparkplug.mark import instance_id
from dtios_mqtt.sparkplug.topics import Topic, parse_topic, state_topic

__all__ = ["publisher"]

_COVERED: Final = 0.05
"""Seconds at least between two questions to the broker whether it has what was sent."""
_REFUSALS: Final = 100
"""Refused commands that wait to be written down; of more the newest are counted, and told as one."""
_LINE: Final = 0.05
"""Seconds between two lines about refused commands: whoever floods us fills no disk, and holds up no command's intent."""
_LINGER: Final = 0.3
"""Seconds in which nothing is told of a machine that is away, until its device dies: its last values come first."""
_REBIRTH: Final = 0.5
"""Seconds between two births that are asked for; what is asked meanwhile is one."""

publisher = Publisher("sparkplug", config=SparkplugConfig, summary="every machine as a device of a Sparkplug B edge node")


@publisher.main
async def publish(ctx: Context[SparkplugConfig]) -> None:
    config = ctx.config
    outbox = open_outbox(
        ctx.folder / "outbox.sqlite3",
        ctx.clock,
        size=config.store.size * 2**20,
        age=config.store.age * 86_400,
        log=ctx.log,
    )
    mark = await anyio.to_thread.run_sync(instance_id, ctx.folder.parent.parent)
    async with outbox as opened, anyio.create_task_group() as tasks:
        node = PublishedNode(config.group, config.node, mark=mark, epoch=opened.epoch)
        tasks.start_soon(_collect, ctx, opened, node, name="sparkplug: values")
        north = _Edge(ctx, opened, node)
        await keep_session(ctx, config, north.will, north.serve)


async def _collect(ctx: Context[SparkplugConfig], outbox: Outbox, node: PublishedNode) -> None:
    await collect(ctx, outbox, signals=ctx.config.signals, interval=ctx.config.interval, seen=node.see)


class _Edge:
    """What is said in each session. Whatever makes messages hands them over at once: their `seq` is their order on the wire."""

    def __init__(self, ctx: Context[SparkplugConfig], outbox: Outbox, node: PublishedNode) -> None:
        self._ctx = ctx
        self._outbox = outbox
        self._node = node
        self._host = PrimaryHost()
        self._heard = anyio.Event()
        self._sent: deque[Parcel] = deque()
        self._more_sent = anyio.Event()
        self._refused: deque[Refusal] = deque()
        self._more_refused = anyio.Event()
        self._untold = 0
        self._lost = anyio.Event()
        self._rebirth = anyio.Event()
        self._may_send = anyio.Event()

    def will(self) -> Will:
        """With a bdSeq of its own for each CONNECT, kept over restarts (tck-id-topics-nbirth-bdseq-increment)."""
        return self._node.will(_next_bd_seq(self._ctx.folder / "bdseq"), self._ctx.clock.now())

    def _say(self, client: MqttClient, messages: Iterable[Outgoing]) -> None:
        for message in messages:
            client.hand_over(message)

    async def serve(self, client: MqttClient) -> None:
        """Until it is cancelled, the session is lost (LostError), or the primary host goes (LostError too)."""
        self._host, self._heard = PrimaryHost(), anyio.Event()
        self._sent.clear()
        self._rebirth, self._may_send = anyio.Event(), anyio.Event()
        await self._subscribe(client)
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._listen, client, name="sparkplug: commands")
                if self._ctx.config.host_id is not None:
                    await self._heard.wait()
                await self._publish(client)
        finally:
            # The broker forgets the will when a client takes its leave, so the death is said here.
            if not client.lost.done():
                client.hand_over(self._node.death(self._ctx.clock.now()))

    async def _subscribe(self, client: MqttClient) -> None:
        """tck-id-message-flow-edge-node-ncmd-subscribe, -device-dcmd-subscribe, -phid-wait: before any birth."""
        node = self._node
        filters = [Topic("NCMD", node.group, node.node).text, Topic("DCMD", node.group, node.node, "+").text]
        if self._ctx.config.host_id is not None:
            filters.append(state_topic(self._ctx.config.host_id))
        granted = await client.subscribe([(one, 1) for one in filters])
        refused = [one for one, code in zip(filters, granted, strict=True) if code >= 128]
        if refused:
            raise ConfigurationError(
                f"the broker does not let us listen to {refused[0]}",
                where=self._ctx.config.url,
                mend="allow it in its access list",
            )

    async def _publish(self, client: MqttClient) -> None:
        now = self._ctx.clock.now
        async with anyio.create_task_group() as tasks, self._ctx.follow_machines() as changes:
            for machine in self._ctx.machines():
                view = machine.view
                self._node.tell(view.machine, online=view.health == "online", now=now())
            self._rebirth = anyio.Event()
            self._say(client, self._node.births(now()))
            self._may_send.set()
            tasks.start_soon(self._send, client, name="sparkplug: send")
            tasks.start_soon(self._bury, client, name="sparkplug: deaths")
            tasks.start_soon(self._be_born_again, client, name="sparkplug: rebirths")
            async for change in changes:
                self._say(client, self._changed(change))
                self._lost.set()

    def _changed(self, change: MachineChange) -> list[Outgoing]:
        view, now = change.machine.view, self._ctx.clock.now()
        if change.gone:
            return self._node.forget(view.machine.name, now)
        return self._node.tell(view.machine, online=view.health == "online", now=now)

    # --- values ---

    async def _send(self, client: MqttClient) -> None:
        async with self._outbox.uplink() as uplink, anyio.create_task_group() as tasks:
            tasks.start_soon(self._cover, client, uplink, name="sparkplug: covered")
            while True:
                parcel = await uplink.take()
                await self._may_send.wait()
                self._say(client, self._node.data(parcel, self._ctx.clock.now(), 1024 * self._ctx.config.largest))
                self._lost.set()
                self._sent.append(parcel)
                self._more_sent.set()

    async def _cover(self, client: MqttClient, uplink: Uplink) -> None:
        """DATA has QoS 0, so nothing acknowledges it. A broker that answers a PINGREQ has what was sent before it."""
        while True:
            await self._more_sent.wait()
            self._more_sent = anyio.Event()
            asked, self._sent = list(self._sent), deque()
            await client.ping()
            uplink.acknowledge(*asked)
            await anyio.sleep(_COVERED)

    async def _bury(self, client: MqttClient) -> None:
        while True:
            await self._lost.wait()
            self._lost = anyio.Event()
            while self._node.lingers:
                await self._ctx.sleep(_LINGER)
                self._say(client, self._node.bury(self._ctx.clock.now()))

    # --- commands ---

    async def _listen(self, client: MqttClient) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._write_down, name="sparkplug: refused commands")
            while True:
                for refusal in self._take(client, await client.next()):
                    self._refuse(refusal)

    def _refuse(self, one: Refusal) -> None:
        if len(self._refused) < _REFUSALS:
            self._refused.append(one)
        else:
            self._untold += 1
        self._more_refused.set()

    def _take(self, client: MqttClient, message: Incoming) -> list[Refusal]:
        topic = parse_topic(message.topic)
        if topic is None:
            return []
        if topic.kind == "STATE":
            if topic.node == self._ctx.config.host_id and self._host.hear(message.payload):
                if self._host.online:
                    self._heard.set()
                elif self._heard.is_set():
                    raise LostError("the primary host application went offline: its births are waited for again")
            return []
        rebirth, refused = commanded(topic, message.payload)
        if rebirth and not message.retain:
            # tck-id-operational-behavior-data-commands-rebirth-action-1: no DATA from now on, until the births are said
            if self._may_send.is_set():
                self._may_send = anyio.Event()
            self._rebirth.set()
        return refused

    async def _be_born_again(self, client: MqttClient) -> None:
        while True:
            await self._rebirth.wait()
            self._rebirth = anyio.Event()
            self._ctx.log.info("a rebirth was asked for")
            self._say(client, self._node.births(self._ctx.clock.now()))
            self._may_send.set()
            await self._ctx.sleep(_REBIRTH)

    async def _write_down(self) -> None:
        while True:
            await self._more_refused.wait()
            self._more_refused = anyio.Event()
            while self._refused:
                one = self._refused.popleft()
                reason = f"the edge node takes no command but Rebirth (value {one.value})"
                await self._note(self._node.machine_of(one.device), one.metric, reason)
            if self._untold:
                untold, self._untold = self._untold, 0
                await self._note("", f"{untold} more metrics", "they came faster than they can be written down")

    async def _note(self, machine: str, target: str, reason: str) -> None:
        self._ctx.log.warning("a command from above is refused", machine=machine, metric=target, why=reason)
        try:
            await self._ctx.note_refusal(machine, "write", target, reason)
        except TemporaryError as error:
            self._ctx.log.warning("a refused command is not in the audit", machine=machine, metric=target, why=str(error))
        await self._ctx.sleep(_LINE)


def _next_bd_seq(file: Path) -> int:
    """0, 1 ... 255, 0: one for each CONNECT. A small file, replaced whole."""
    try:
        number = (int(file.read_text("ascii")) + 1) % 256
    except (OSError, ValueError):
        number = 0
    beside = file.with_suffix(".new")
    try:
        beside.write_text(f"{number}\n", "ascii")
        beside.replace(file)
    except OSError as error:
        raise ConfigurationError(
            f"bdSeq cannot be kept ({error.strerror})", where=str(file), mend="check the folder's rights and free space"
        ) from error
    return number
