"""Which names in a certificate stand for the host that was asked for."""

import ipaddress
import socket
from contextlib import suppress
from typing import Final

__all__ = ["is_loopback", "names_meant"]

_LOCAL: Final = frozenset({"localhost", "127.0.0.1", "::1"})


def is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def names_meant(host: str) -> frozenset[str]:
    """In lower case. Over loopback one reaches this computer alone, so its own name is as good."""
    asked = host.lower().rstrip(".")
    with suppress(ValueError):
        asked = str(ipaddress.ip_address(asked))
    if is_loopback(asked):
        return _LOCAL | {asked, socket.gethostname().lower()}
    return frozenset({asked})
