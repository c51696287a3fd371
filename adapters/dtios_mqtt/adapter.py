"""The plug-in itself."""

from pathlib import Path
from typing import ClassVar

from dtios.sdk.adapter import Adapter, Connection, ConnectionSettings, Endpoint
from dtios_mqtt.connection import MqttConnection
from dtios_mqtt.settings import MqttSettings, parse_url

__all__ = ["MqttAdapter"]


class MqttAdapter(Adapter):
    """MQTT 3.1.1 and 5 over TCP, TLS and websockets."""

    name: ClassVar[str] = "mqtt"
    schemes: ClassVar[tuple[str, ...]] = ("mqtt", "mqtts", "ws", "wss")
    settings: ClassVar[type[ConnectionSettings]] = MqttSettings
    summary: ClassVar[str] = "MQTT 3.1.1 and 5: Sparkplug B, VDA 5050 and plain topics, on paho"

    def connect(self, url: str, settings: ConnectionSettings, home: Path) -> Connection:
        address = parse_url(url)
        checked = settings if isinstance(settings, MqttSettings) else MqttSettings.model_validate(settings.model_dump())
        return MqttConnection(address, checked, home)

    async def discover(self, hint: str) -> list[Endpoint]:
        return []
