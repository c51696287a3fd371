"""The plug-in itself."""

import contextlib
import uuid
from pathlib import Path
from typing import ClassVar

import anyio

from dtios.mapping.facts import BrowseFacts
from dtios.sdk.adapter import LISTEN, Adapter, Connection, ConnectionSettings, Endpoint, Finding
from dtios.sdk.errors import ConfigurationError, TemporaryError
from dtios_mqtt.connection import MqttConnection
from dtios_mqtt.discovery import Heard, recognise
from dtios_mqtt.discovery import listen as hear
from dtios_mqtt.errors import LostError
from dtios_mqtt.examining import examine
from dtios_mqtt.session.client import MqttClient
from dtios_mqtt.session.opening import open_session
from dtios_mqtt.settings import MqttSettings, parse_url

__all__ = ["MqttAdapter"]


class MqttAdapter(Adapter):
    """MQTT 3.1.1 and 5 over TCP, TLS and websockets."""

    name: ClassVar[str] = "mqtt"
    schemes: ClassVar[tuple[str, ...]] = ("mqtt", "mqtts", "ws", "wss")
    settings: ClassVar[type[ConnectionSettings]] = MqttSettings
    summary: ClassVar[str] = "MQTT 3.1.1 and 5: Sparkplug B, VDA 5050 and plain topics, on paho"

    def connect(self, url: str, settings: ConnectionSettings, home: Path) -> Connection:
        return MqttConnection(parse_url(url), _checked(settings), home)

    async def discover(self, hint: str, listen: float = LISTEN, settings: ConnectionSettings | None = None) -> list[Endpoint]:
        """At a broker's URL alone: who is there is known only after having listened. Nothing is sent but a subscription."""
        if "://" not in hint:
            return []
        access = MqttSettings() if settings is None else _checked(settings)
        client = await open_session(parse_url(hint), access, f"dtios-{uuid.uuid4().hex[:12]}")
        heard: Heard | None = None
        why = ""
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_keep, client, name="discovery: keep-alives")
                try:
                    heard = await hear(client, listen)
                except LostError as error:
                    why = str(error)
                tasks.cancel_scope.cancel()
        finally:
            with anyio.CancelScope(shield=True):
                await client.close()
        if heard is None:
            raise TemporaryError(f"it was not listened to: {why}", where=hint, mend="see that the broker runs and lets us listen")
        return recognise(hint, heard)

    async def examine(
        self, url: str, settings: ConnectionSettings, home: Path, known: BrowseFacts | None = None
    ) -> list[Finding]:
        try:
            address = parse_url(url)
        except ConfigurationError as error:
            return [Finding("settings", "problem", error.message, url, error.mend)]
        return await examine(address, _checked(settings))


def _checked(settings: ConnectionSettings) -> MqttSettings:
    return settings if isinstance(settings, MqttSettings) else MqttSettings.model_validate(settings.model_dump())


async def _keep(client: MqttClient) -> None:
    with contextlib.suppress(LostError):  # whoever waits for messages is told
        await client.serve()
