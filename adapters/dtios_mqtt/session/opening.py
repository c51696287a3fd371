"""Which sessions a connection has, and how each is opened: one for what wants its own, one for everything else."""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import anyio.to_thread

from dtios.sdk.errors import CredentialsError, DtiosError
from dtios_mqtt.errors import LostError
from dtios_mqtt.session.client import MqttClient
from dtios_mqtt.session.messages import Will
from dtios_mqtt.session.security import tls_context
from dtios_mqtt.settings import Access, Address, MqttSettings
from dtios_mqtt.speakers.speaker import Speaker

__all__ = ["Role", "open_client", "open_session", "roles"]

_KEPT = 3600
"""Seconds that a broker keeps a persistent session (MQTT 5)."""


@dataclass(frozen=True, slots=True)
class Role:
    """One session's part. A `clean` session is forgotten by the broker at once."""

    client_id: str
    clean: bool
    speakers: tuple[Speaker, ...]
    will: Will | None = None


def roles(settings: MqttSettings, speakers: Sequence[Speaker]) -> list[Role]:
    """The sessions that are needed now."""
    made = [Role(_new_id(), True, (one,), one.will()) for one in speakers if one.own_session]
    others = tuple(one for one in speakers if not one.own_session)
    if others:
        made.append(Role(settings.client_id or _new_id(), not settings.persistent, others))
    return made


def _new_id() -> str:
    return f"dtios-{uuid.uuid4().hex[:12]}"


async def open_client(address: Address, settings: MqttSettings, home: Path, role: Role) -> MqttClient:
    """The session of a role. Raises the DtiosError tree."""
    return await open_session(address, settings, role.client_id, clean=role.clean, will=role.will)


async def open_session(
    address: Address, access: Access, client_id: str, *, clean: bool = True, will: Will | Callable[[], Will | None] | None = None
) -> MqttClient:
    """MQTT 5, and 3.1.1 where the broker knows no other (or as the settings say). Raises the DtiosError tree."""
    context = await anyio.to_thread.run_sync(tls_context, access) if address.tls else None
    versions = {"auto": (5, 4), "5": (5,), "3.1.1": (4,)}[access.version]
    for version in versions:
        client = MqttClient(
            address,
            version=version,
            client_id=client_id,
            clean=clean,
            expiry=0 if clean else _KEPT,
            user=access.user,
            password=None if access.password is None else access.password.resolve(),
            tls=context,
            will=will,
            keep_alive=access.keep_alive,
            timeout=access.timeout,
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
