"""Servers that announce themselves by multicast DNS, `_opcua-tcp._tcp` (Part 12, Annex C)."""

import asyncio
from dataclasses import dataclass

from zeroconf import Error, InterfaceChoice, IPVersion, ServiceStateChange, Zeroconf
from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo, AsyncZeroconf

from dtios.sdk.errors import ConfigurationError, TemporaryError
from dtios_opcua.discovery.addresses import is_ours

__all__ = ["Announced", "announced"]

_SERVICE = "_opcua-tcp._tcp.local."
_LISTENING = 3.0
_ASKING = 2000  # ms
_INTERFACES = "`ip address` (or `ifconfig`) lists them"


@dataclass(frozen=True, slots=True)
class Announced:
    """`host` is the name it announces, `urls` its addresses."""

    name: str
    host: str
    urls: tuple[str, ...]


async def announced(interface: str = "", seconds: float = _LISTENING) -> list[Announced]:
    """Ask on all interfaces, or on the one with this address, and listen for `seconds`. Raises TemporaryError, and
    ConfigurationError for an address that is not ours."""
    if interface and not is_ours(interface):
        raise ConfigurationError("no interface of this computer has this address", where=interface, mend=_INTERFACES)
    try:
        multicast = AsyncZeroconf(interfaces=[interface] if interface else InterfaceChoice.All, ip_version=_version(interface))
    except (OSError, Error) as error:
        raise TemporaryError(
            f"mDNS cannot be asked ({error})", where=interface or "all interfaces", mend="name a HOST, or another interface"
        ) from error
    try:
        names = await _names(multicast, seconds)
        found = await asyncio.gather(*(_info(multicast.zeroconf, name) for name in names))
    finally:
        await multicast.async_close()
    return [one for one in found if one is not None]


def _version(interface: str) -> IPVersion:
    return IPVersion.V6Only if ":" in interface else IPVersion.V4Only


async def _names(multicast: AsyncZeroconf, seconds: float) -> list[str]:
    names: dict[str, None] = {}

    def changed(zeroconf: Zeroconf, service_type: str, name: str, state_change: ServiceStateChange) -> None:
        if state_change is ServiceStateChange.Removed:
            names.pop(name, None)
        else:
            names[name] = None

    browser = AsyncServiceBrowser(multicast.zeroconf, _SERVICE, handlers=[changed])
    try:
        await asyncio.sleep(seconds)
    finally:
        await browser.async_cancel()
    return list(names)


async def _info(zeroconf: Zeroconf, name: str) -> Announced | None:
    info = AsyncServiceInfo(_SERVICE, name)
    if not await info.async_request(zeroconf, _ASKING) or not info.port:
        return None
    path = (info.decoded_properties.get("path") or "").strip("/")
    addresses = info.parsed_scoped_addresses(IPVersion.All)
    urls = (f"opc.tcp://{f'[{a}]' if ':' in a else a}:{info.port}{'/' if path else ''}{path}" for a in addresses)
    return Announced(name.removesuffix(f".{_SERVICE}"), (info.server or "").rstrip("."), tuple(urls))
