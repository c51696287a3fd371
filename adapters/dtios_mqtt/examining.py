"""What can be examined of a broker: is it there, does it know us, does it let us read, and does anybody speak."""

import contextlib
import socket
import ssl
import time
import uuid
from typing import Final

import anyio

from dtios.sdk.adapter import Finding
from dtios.sdk.errors import ConfigurationError, CredentialsError, DtiosError
from dtios_mqtt.discovery.listening import Heard
from dtios_mqtt.errors import LostError
from dtios_mqtt.session.client import MqttClient
from dtios_mqtt.session.opening import open_session
from dtios_mqtt.settings import Address, MqttSettings
from dtios_mqtt.sparkplug.topics import EVERYTHING
from dtios_mqtt.vda5050.topics import filters

__all__ = ["examine"]

_ALL: Final = "#"
_LEAST, _MOST = 1.0, 10.0
"""Seconds that are listened for at least and at most, whatever the settings say of a session."""
_RIGHTS: Final = "allow it in the broker's access list, or connect as another user"
_NOBODY: Final = (
    "do machines publish now, and at this broker? Many brokers say nothing of what a user may not read; `dtios discover` listens"
    " for longer"
)


async def examine(address: Address, settings: MqttSettings) -> list[Finding]:
    """With one clean session, that publishes nothing and has no will."""
    begun = time.monotonic()
    try:
        client = await open_session(address, settings, f"dtios-{uuid.uuid4().hex[:12]}")
    except DtiosError as error:
        return [Finding(_failed(error), "problem", error.message, address.url, error.mend)]
    findings = [_good(address, "session", f"the broker took our session within {time.monotonic() - begun:.2f} s")]
    if address.tls:
        findings.insert(0, _good(address, "server", "the broker's certificate is trusted, and for this host"))
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_keep, client, name=f"examine {address.url}: keep-alives")
            try:
                findings += await _reading(address, settings, client)
            except LostError as error:
                mend = "look at the broker's log: why does it end a session?"
                findings.append(Finding("session", "problem", str(error), address.url, mend))
            tasks.cancel_scope.cancel()
    finally:
        with anyio.CancelScope(shield=True):
            await client.close()
    return findings


def _failed(error: DtiosError) -> str:
    """Which step it was that failed, from what lies below the error."""
    below = error.__cause__
    if isinstance(error, ConfigurationError):
        return "protocol" if isinstance(below, LostError) else "settings"
    match below:
        case socket.gaierror():
            return "name"
        case ssl.SSLCertVerificationError():
            return "server"
        case ssl.SSLError():
            return "protocol"
        case LostError():
            return "user" if isinstance(error, CredentialsError) else "session"
        case OSError():  # a TimeoutError is one, too
            return "port"
    return "user" if isinstance(error, CredentialsError) else "session"


async def _reading(address: Address, settings: MqttSettings, client: MqttClient) -> list[Finding]:
    """What we may read, and what comes. Raises LostError."""
    needed = [EVERYTHING, *(one for one, _ in filters(settings.vda_interfaces))]
    asked = [_ALL, *needed]
    granted = await client.subscribe([(one, 0) for one in asked])
    if len(granted) != len(asked):
        raise LostError("the broker answered a subscription wrongly")
    refused = [one for one, qos in zip(asked, granted, strict=True) if qos > 2]
    missing = [one for one in refused if one != _ALL]
    if missing:
        message = f"the broker does not let us read {', '.join(missing)}, and without that no machine is connected"
        return [Finding("rights", "problem", message, address.url, _RIGHTS)]
    rights = (
        "the broker takes all subscriptions" if not refused else "of plain topics only those can be read that a profile names"
    )
    return [_good(address, "rights", rights), await _heard(address, min(max(settings.listen, _LEAST), _MOST), client)]


async def _heard(address: Address, seconds: float, client: MqttClient) -> Finding:
    """Topics and not messages are counted: where filters overlap a broker may send a message twice."""
    heard = Heard(seconds)
    with anyio.move_on_after(seconds):
        while True:
            heard.take(await client.next())
    live = sum(topic.count > topic.retained for topic in heard.topics.values())
    if live:
        more = "more than " if heard.beyond else ""
        return _good(address, "values", f"{more}{live} topics were heard within {seconds:g} s")
    if heard.topics:
        before = f"the broker had retained what was said before on {len(heard.topics)} of its topics"
        only = f"nobody spoke within {seconds:g} s; {before}"
        return Finding("values", "warning", only, address.url, _NOBODY)
    return Finding("values", "warning", f"nothing was heard within {seconds:g} s", address.url, _NOBODY)


def _good(address: Address, check: str, message: str) -> Finding:
    return Finding(check, "good", message, address.url)


async def _keep(client: MqttClient) -> None:
    with contextlib.suppress(LostError):  # whoever waits for messages is told
        await client.serve()
