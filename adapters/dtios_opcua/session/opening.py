"""Opening a session, and what stands against it: the security asked for, certificates, users, and the server's refusals."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import anyio.to_thread
import structlog
from asyncua import ua
from asyncua.ua.uaerrors import UaError, UaStatusCodeError

from dtios.model.status import status_name
from dtios.sdk.errors import CredentialsError, DtiosError, TemporaryError
from dtios.sdk.pki import Identity, OwnCertificates, is_loopback, thumbprint
from dtios_opcua.binary.wire import Undecodable
from dtios_opcua.errors import BadStatus, LostError, service_error
from dtios_opcua.security.choosing import choose_endpoint
from dtios_opcua.security.handshake import TAMPERED, Handshake
from dtios_opcua.security.policies import wanted_security
from dtios_opcua.security.refusals import OurCertificateRefused, refusal, untrusted
from dtios_opcua.security.server import verified_server
from dtios_opcua.security.settings import OpcUaSettings
from dtios_opcua.security.tokens import load_user, usable_token
from dtios_opcua.session.channel import Channel, foreign, host_and_port
from dtios_opcua.session.leftover import Leftover
from dtios_opcua.session.limits import Limits
from dtios_opcua.session.session import Session

__all__ = ["endpoints_of", "open_session", "opening_error"]

_NOT_UA = "check host and port"

log = structlog.get_logger("dtios.opcua")


async def open_session(
    url: str, settings: OpcUaSettings, home: Path, limits: Limits | None = None, left: Leftover | None = None
) -> Session:
    """A session ready for use, within `limits`; `left` may give way to it.

    Leaves nothing open when it raises: TemporaryError, CredentialsError or ConfigurationError.
    """
    handshake = await _handshake(url, settings, home)
    if not handshake.secured:
        return await _attempt(handshake, settings, home, limits, left or Leftover())
    identities = await anyio.to_thread.run_sync(OwnCertificates(home).identities)
    return await _with_identities(handshake, identities, settings, home, limits, left or Leftover())


async def _handshake(url: str, settings: OpcUaSettings, home: Path) -> Handshake:
    """Who the user is, which endpoint is taken, and whose certificate stands there: all that is known before the session."""
    wanted = wanted_security(settings.security, url)
    user = await anyio.to_thread.run_sync(load_user, settings, url)
    if wanted.none and user.kind == "anonymous":
        return Handshake(url, user)
    discovered = await endpoints_of(url, settings.timeout)
    host, _ = host_and_port(url)
    choice = choose_endpoint(discovered, wanted, user.kind, loopback=is_loopback(host), where=url)
    token = usable_token(choice.endpoint, user.kind, choice.mode)
    if choice.policy is None and (token is None or token.policy is None):
        return Handshake(url, user, choice, discovered)
    server = await anyio.to_thread.run_sync(verified_server, choice.endpoint, url, home)
    return Handshake(url, user, choice, discovered, server)


async def _with_identities(
    handshake: Handshake,
    identities: Sequence[Identity],
    settings: OpcUaSettings,
    home: Path,
    limits: Limits | None,
    left: Leftover,
) -> Session:
    """With our newest certificate, and as long as the server does not trust that one yet with the one before."""
    for number, identity in enumerate(identities, start=1):
        try:
            return await _attempt(replace(handshake, identity=identity), settings, home, limits, left)
        except OurCertificateRefused as error:
            if number == len(identities):
                raise
            log.info("new certificate not trusted yet", endpoint=handshake.url, thumbprint=thumbprint(identity.certificate),
                     reason=error.message, mend=error.mend)  # fmt: skip
    raise CredentialsError("there is no certificate of our own", where=handshake.url)


async def _attempt(handshake: Handshake, settings: OpcUaSettings, home: Path, limits: Limits | None, left: Leftover) -> Session:
    channel = Channel(handshake.url, settings.timeout, handshake.channel_policy())
    session = Session(channel, limits)
    try:
        async with asyncio.timeout(2 * settings.timeout):
            await session.open(handshake, left)
    except Exception as error:
        await channel.close(0.2, None)
        known = _explained(error, handshake, channel, home)
        if known is None:
            raise
        raise known from error
    except asyncio.CancelledError:
        await channel.close(0.2, None)
        raise
    return session


def _explained(error: Exception, handshake: Handshake, channel: Channel, home: Path) -> DtiosError | None:
    """What the server meant. None for a defect of our own."""
    url, stage = handshake.url, channel.stage
    if isinstance(error, BadStatus | UaStatusCodeError):
        name = status_name(error.status if isinstance(error, BadStatus) else error.code)
        known = refusal(name, stage, home, handshake.user.shown, url, secured=handshake.secured)
        return known or opening_error(error, url, channel.complaint)
    if handshake.secured and stage == "channel" and isinstance(error, ConnectionError):
        if channel.complaint:
            message = f"the server's answer does not fit the security that was asked for ({channel.complaint})"
            return CredentialsError(message, where=url, mend=TAMPERED)
        message = "the server closed the connection instead of opening a secure channel: it may not trust our certificate yet"
        return untrusted(message, home, url)
    return opening_error(error, url, channel.complaint)


async def endpoints_of(url: str, timeout: float) -> list[ua.EndpointDescription]:
    """GetEndpoints (Part 4, 5.5.4), over a channel of its own."""
    channel = Channel(url, timeout)
    try:
        async with asyncio.timeout(2 * timeout):
            await channel.open()
            found: list[ua.EndpointDescription] = await foreign(channel.client.get_endpoints())
    except Exception as error:
        known = opening_error(error, url, channel.complaint)
        if known is None:
            raise
        raise known from error
    finally:
        await channel.close(0.2, None)
    return found


def opening_error(error: Exception, url: str, complaint: str = "") -> DtiosError | None:
    """What the attempt to connect ended with, for a person; None for a defect of our own."""
    host, port = host_and_port(url)
    match error:
        case DtiosError():
            return error
        case BadStatus():
            return service_error(error.status, url, "connecting")
        case UaStatusCodeError():
            return service_error(error.code, url, "connecting")
        case LostError() if complaint:
            return TemporaryError(f"this does not answer like an OPC UA server ({complaint})", where=url, mend=_NOT_UA)
        case TimeoutError() | LostError():
            return TemporaryError(
                "the server did not answer in time", where=url, mend=f"is an OPC UA server running at {host}, port {port}?"
            )
        case ConnectionRefusedError():
            return TemporaryError("nobody listens there", where=url, mend=f"is the server running, and is {port} its port?")
        case ConnectionError() if complaint or error.errno is None:
            complaint = complaint or "it closed the connection"
            return TemporaryError(f"this does not answer like an OPC UA server ({complaint})", where=url, mend=_NOT_UA)
        case OSError():
            why = error.strerror or str(error)
            return TemporaryError(f"the server cannot be reached ({why})", where=url, mend="check the address and the network")
        case Undecodable() | UaError():
            return TemporaryError(f"this does not answer like an OPC UA server ({error})", where=url, mend=_NOT_UA)
    return None
