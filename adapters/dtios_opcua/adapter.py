"""The plug-in itself."""

import logging
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

from dtios.mapping.facts import BrowseFacts
from dtios.sdk.adapter import LISTEN, Adapter, Connection, ConnectionSettings, Endpoint, Finding
from dtios.sdk.errors import ConfigurationError, DtiosError
from dtios_opcua.connection import OpcUaConnection
from dtios_opcua.discovery.addresses import full_url
from dtios_opcua.discovery.search import discover
from dtios_opcua.examining.examine import examine
from dtios_opcua.security.policies import wanted_security
from dtios_opcua.security.settings import OpcUaSettings, opcua_settings

__all__ = ["OpcUaAdapter"]


class OpcUaAdapter(Adapter):
    """OPC UA over opc.tcp, binary encoding."""

    name: ClassVar[str] = "opcua"
    schemes: ClassVar[tuple[str, ...]] = ("opc.tcp",)
    live: ClassVar[frozenset[str]] = frozenset({"timeout"})
    settings: ClassVar[type[ConnectionSettings]] = OpcUaSettings
    summary: ClassVar[str] = "OPC UA client/server (opc.tcp, binary), on asyncua"

    def __init__(self) -> None:
        # asyncua's client logs what this adapter turns into errors and gaps (see `channel` for what its protocol says)
        for name in ("asyncua.client", "asyncua.uaprotocol"):
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)

    def connect(self, url: str, settings: ConnectionSettings, home: Path) -> Connection:
        _check_url(url)
        own = opcua_settings(settings)
        wanted_security(own.security, url)
        return OpcUaConnection(url, own, home)

    async def discover(self, hint: str, listen: float = LISTEN, settings: ConnectionSettings | None = None) -> list[Endpoint]:
        if hint and not hint.startswith("@"):
            _check_url(full_url(hint))
        return await discover(hint)

    async def examine(
        self, url: str, settings: ConnectionSettings, home: Path, known: BrowseFacts | None = None
    ) -> list[Finding]:
        try:
            _check_url(url)
            own = opcua_settings(settings)
            wanted_security(own.security, url)
        except DtiosError as error:
            return [Finding("settings", "problem", error.message, url, error.mend)]
        return await examine(OpcUaConnection(url, own, home), own, home, known)


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ConfigurationError(f"this is not a URL ({error})", where=url, mend=_MEND) from None
    if parts.scheme != "opc.tcp" or not parts.hostname:
        raise ConfigurationError("this is not an OPC UA URL", where=url, mend=_MEND)
    if port == 0:
        raise ConfigurationError("port 0 is nobody's", where=url, mend=_MEND)
    if parts.username or parts.password:
        shown = url.replace(parts.netloc, parts.netloc.rpartition("@")[2])
        raise ConfigurationError("user and password do not belong into the URL", where=shown, mend="give them as settings")


_MEND = "an OPC UA URL looks like opc.tcp://192.168.0.10:4840"
