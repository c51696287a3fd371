"""The JSON publisher, as it runs: values from the outbox, descriptions and states as they change, its own presence."""

from collections.abc import Iterable

import anyio

from dtios.model.machine import Signal
from dtios.sdk import Context, MachineChange, Publisher
from dtios.sdk.forwarding import Outbox, Parcel, Uplink, collect, open_outbox
from dtios_mqtt.errors import LostError
from dtios_mqtt.north.keeping import keep_session
from dtios_mqtt.north.namespace.payloads import description, presence, state, value_messages
from dtios_mqtt.north.namespace.settings import JsonConfig
from dtios_mqtt.north.namespace.topics import Namespace
from dtios_mqtt.session.client import Delivery as Handed
from dtios_mqtt.session.client import MqttClient
from dtios_mqtt.session.messages import Outgoing, Will

__all__ = ["publisher"]

publisher = Publisher("json", config=JsonConfig, summary="every machine as JSON over MQTT, by ISA-95 levels")


@publisher.main
async def publish(ctx: Context[JsonConfig]) -> None:
    config = ctx.config
    outbox = open_outbox(
        ctx.folder / "outbox.sqlite3",
        ctx.clock,
        size=config.store.size * 2**20,
        age=config.store.age * 86_400,
        log=ctx.log,
    )
    async with outbox as opened, anyio.create_task_group() as tasks:
        tasks.start_soon(_collect, ctx, opened, name="json: values")
        north = _Namespaced(ctx, opened)
        await keep_session(ctx, config, north.will, north.serve)


async def _collect(ctx: Context[JsonConfig], outbox: Outbox) -> None:
    await collect(ctx, outbox, signals=ctx.config.signals, interval=ctx.config.interval)


class _Namespaced:
    """What is said in each session."""

    def __init__(self, ctx: Context[JsonConfig], outbox: Outbox) -> None:
        self._ctx = ctx
        self._outbox = outbox
        self._topics = Namespace(ctx.config)
        self._signals: dict[str, dict[str, Signal]] = {}
        self._said: dict[str, bytes] = {}

    def will(self) -> Will:
        return Will(self._topics.presence, self._presence(False), qos=1, retain=True)

    def _presence(self, online: bool) -> bytes:
        return presence(online, self._outbox.epoch, self._ctx.clock.now())

    async def serve(self, client: MqttClient) -> None:
        """Until it is cancelled, the session is lost (LostError), or the broker refuses a message (LostError too)."""
        client.hand_over(Outgoing(self._topics.presence, self._presence(True), qos=1, retain=True))
        self._said.clear()
        try:
            async with anyio.create_task_group() as tasks, self._ctx.follow_machines() as changes:
                tasks.start_soon(self._send_values, client, name="json: send")
                async for change in changes:
                    self._tell(client, change)
        finally:
            if not client.lost.done():
                client.hand_over(Outgoing(self._topics.presence, self._presence(False), qos=1, retain=True))

    def _tell(self, client: MqttClient, change: MachineChange) -> None:
        view, topic = change.machine.view, self._topics.machine(change.machine.name)
        signals = {signal.path: signal for signal in view.machine.signals}
        self._signals[view.machine.name] = signals
        self._keep(client, f"{topic}/description", b"" if change.gone else description(view))
        self._keep(client, f"{topic}/state", state(view, gone=change.gone))

    def _keep(self, client: MqttClient, topic: str, payload: bytes) -> None:
        """Retained, unless this session has said so already."""
        if self._said.get(topic) != payload:
            self._said[topic] = payload
            client.hand_over(Outgoing(topic, payload, qos=1, retain=True))

    async def _send_values(self, client: MqttClient) -> None:
        refused = anyio.Event()
        largest = self._ctx.config.largest * 1024
        async with self._outbox.uplink() as uplink, anyio.create_task_group() as tasks:
            tasks.start_soon(_raise_when, refused, name="json: refused")
            while True:
                parcel = await uplink.take()
                topic = f"{self._topics.machine(parcel.machine)}/values"
                payloads = value_messages(parcel, self._signals.get(parcel.machine, {}), largest)
                handed = [client.hand_over(Outgoing(topic, payload, qos=1)) for payload in payloads]
                _Acknowledging(uplink, parcel, refused).wait_for(handed)


async def _raise_when(refused: anyio.Event) -> None:
    await refused.wait()
    raise LostError("the broker refused a message of ours; look at its access list and its largest message")


class _Acknowledging:
    """A parcel is acknowledged when the broker has acknowledged each of its messages (PUBACK), and no earlier."""

    def __init__(self, uplink: Uplink, parcel: Parcel, refused: anyio.Event) -> None:
        self._uplink = uplink
        self._parcel = parcel
        self._refused = refused
        self._missing = 0

    def wait_for(self, handed: Iterable[Handed]) -> None:
        for one in handed:
            self._missing += 1
            one.add_done_callback(self._done)

    def _done(self, one: Handed) -> None:
        error = one.exception()
        if isinstance(error, LostError) and error.refused is not None:
            self._refused.set()
        if error is not None:
            return  # the session is over: the parcel comes again
        self._missing -= 1
        if not self._missing:
            self._uplink.acknowledge(self._parcel)
