"""The JSON publisher, as it runs: values from the outbox, descriptions and states as they change, its own presence."""

from contextlib import suppress
from functools import partial

import anyio

from dtios.model.machine import Signal
from dtios.sdk import Context, MachineChange, Publisher
from dtios.sdk.forwarding import Outbox, collect, open_outbox
from dtios_mqtt.errors import LostError
from dtios_mqtt.north.keeping import keep_session
from dtios_mqtt.north.namespace.payloads import description, presence, state, value_messages
from dtios_mqtt.north.namespace.settings import JsonConfig
from dtios_mqtt.north.namespace.topics import Namespace
from dtios_mqtt.north.namespace.voice import Voice
from dtios_mqtt.session.client import MqttClient
from dtios_mqtt.session.messages import Will

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

    def will(self) -> Will:
        return Will(self._topics.presence, self._presence(False), qos=1, retain=True)

    def _presence(self, online: bool) -> bytes:
        return presence(online, self._outbox.epoch, self._ctx.clock.now())

    async def serve(self, client: MqttClient) -> None:
        """Until it is cancelled, the session is lost (LostError), or the broker refuses a message (LostError too)."""
        voice = Voice(client)
        voice.keep(self._topics.presence, self._presence(True))
        try:
            async with anyio.create_task_group() as tasks, self._ctx.follow_machines() as changes:
                tasks.start_soon(voice.raise_when_refused, name="json: refused")
                tasks.start_soon(self._send_values, voice, name="json: send")
                async for change in changes:
                    self._tell(voice, change)
        finally:
            with suppress(LostError):
                voice.keep(self._topics.presence, self._presence(False))

    def _tell(self, voice: Voice, change: MachineChange) -> None:
        view, topic = change.machine.view, self._topics.machine(change.machine.name)
        self._signals[view.machine.name] = {signal.path: signal for signal in view.machine.signals}
        voice.keep(f"{topic}/description", b"" if change.gone else description(view))
        voice.keep(f"{topic}/state", state(view, gone=change.gone))

    async def _send_values(self, voice: Voice) -> None:
        largest = self._ctx.config.largest * 1024
        async with self._outbox.uplink() as uplink:
            while True:
                parcel = await uplink.take()
                topic = f"{self._topics.machine(parcel.machine)}/values"
                payloads = value_messages(parcel, self._signals.get(parcel.machine, {}), largest)
                voice.say_all(topic, payloads, partial(uplink.acknowledge, parcel))
