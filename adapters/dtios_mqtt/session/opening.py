"""Which sessions a connection has, and how each is opened: the Sparkplug host's own, and that of everything else."""

import ssl
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import anyio.to_thread

from dtios.mapping.profiles.library import ProfileLibrary
from dtios.sdk.errors import CredentialsError, DtiosError
from dtios_mqtt.errors import LostError
from dtios_mqtt.session.client import MqttClient
from dtios_mqtt.session.messages import Will
from dtios_mqtt.settings import Address, MqttSettings
from dtios_mqtt.speakers.speaker import Place, Speaker

__all__ = ["Role", "open_client", "roles"]


@dataclass(frozen=True, slots=True)
class Role:
    """One session's part. `clean` sessions are forgotten by the broker at once."""

    name: str
    client_id: str
    clean: bool
    speakers: Callable[[Place], list[Speaker]]
    will: Will | None = None


def roles(settings: MqttSettings, profiles: ProfileLibrary) -> list[Role]:
    """The sessions that are needed, given what the profiles speak of."""
    return [Role("plain", settings.client_id or f"dtios-{uuid.uuid4().hex[:12]}", not settings.persistent, lambda _place: [])]


async def open_client(address: Address, settings: MqttSettings, home: Path, role: Role) -> MqttClient:
    """MQTT 5, and 3.1.1 where the broker knows no other (or as the settings say). Raises the DtiosError tree."""
    context = await anyio.to_thread.run_sync(_tls, settings) if address.tls else None
    versions = {"auto": (5, 4), "5": (5,), "3.1.1": (4,)}[settings.version]
    for version in versions:
        client = MqttClient(
            address,
            version=version,
            client_id=role.client_id,
            clean=role.clean,
            expiry=0 if role.clean else 3600,
            user=settings.user,
            password=None if settings.password is None else settings.password.get_secret_value(),
            tls=context,
            will=role.will,
            keep_alive=settings.keep_alive,
            timeout=settings.timeout,
        )
        try:
            await client.open()
        except DtiosError as error:
            # a broker that knows no MQTT 5 says so, or just hangs up
            if version == versions[-1] or not isinstance(error.__cause__, LostError) or isinstance(error, CredentialsError):
                raise
            continue
        return client
    raise AssertionError("no version was tried")


def _tls(settings: MqttSettings) -> ssl.SSLContext:
    return ssl.create_default_context()
