"""Opening a session, and what stands against it: the security asked for, passwords, and the server's refusals."""

import asyncio
import ipaddress

from asyncua import ua
from asyncua.ua.uaerrors import UaError, UaStatusCodeError

from dtios.sdk.adapter import ConnectionSettings
from dtios.sdk.errors import ConfigurationError, CredentialsError, DtiosError, TemporaryError
from dtios_opcua.binary.wire import Undecodable
from dtios_opcua.errors import BadStatus, LostError, service_error
from dtios_opcua.session.channel import Channel, foreign, host_and_port
from dtios_opcua.session.limits import Limits
from dtios_opcua.session.session import Session

__all__ = ["check_settings", "endpoints_of", "is_loopback", "open_session"]

_NOT_UA = "check host and port"
_CLEAR = "the password would go over the network in clear text"


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_settings(url: str, settings: ConnectionSettings) -> None:
    """What can be said before there is a network. Raises ConfigurationError or CredentialsError."""
    policy = settings.security.partition(":")[0]
    if policy.lower() not in ("auto", "none"):
        raise ConfigurationError(
            f"the security policy {policy} is not supported yet",
            where=url,
            mend="ask for `--security none` if you trust the network",
        )
    if settings.password is not None:
        raise CredentialsError(f"without encryption {_CLEAR}", where=url, mend="connect without a user name and password")


async def open_session(url: str, settings: ConnectionSettings, limits: Limits | None = None) -> Session:
    """A session ready for use, within `limits`. Leaves nothing open when it raises: TemporaryError, CredentialsError or
    ConfigurationError."""
    check_settings(url, settings)
    host, _ = host_and_port(url)
    if settings.security.lower() == "auto" and not is_loopback(host):
        raise await _ask_for_none(url, settings)
    channel = Channel(url, settings.timeout)
    session = Session(channel, limits)
    try:
        async with asyncio.timeout(2 * settings.timeout):
            await session.open(settings.user, None)
    except Exception as error:
        await channel.close(0.2, None)
        known = opening_error(error, url, channel.complaint)
        if known is None:
            raise
        raise known from error
    except asyncio.CancelledError:
        await channel.close(0.2, None)
        raise
    return session


async def _ask_for_none(url: str, settings: ConnectionSettings) -> DtiosError:
    try:
        offered = await endpoints_of(url, settings.timeout)
    except DtiosError as error:
        return error
    policies = sorted({_policy(one) for one in offered})
    if policies == ["None"]:
        message = "the server offers no encryption, so anyone on the network can read and change what is sent"
    else:
        message = f"the server offers {', '.join(policies)}, and encryption is not supported yet"
    return ConfigurationError(message, where=url, mend="ask for `--security none` if you trust this network")


def _policy(endpoint: ua.EndpointDescription) -> str:
    name = str(endpoint.SecurityPolicyUri or "").rpartition("#")[2]
    return "None" if name in ("", "None") else f"{name}:{endpoint.SecurityMode.name}"


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
