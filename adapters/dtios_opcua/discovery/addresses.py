"""Addresses: as a person gives them, as servers give them, and whether two of them are one."""

import asyncio
import ipaddress
import socket
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from dtios_opcua.session.channel import host_and_port

__all__ = ["Names", "full_url", "is_local", "is_opc_tcp", "is_ours", "url_of", "with_host"]

_RESOLVING = 4.0
"""Seconds for a name: a resolver that is not there takes much longer to say so."""
_SELF = "this machine"


def full_url(hint: str) -> str:
    """`HOST`, `HOST:PORT` or a URL as a URL."""
    given = hint.strip()
    if "://" in given:
        return given
    bare = given.count(":") > 1 and not given.startswith("[")  # an IPv6 address
    return f"opc.tcp://{f'[{given}]' if bare else given}"


def url_of(hint: str) -> str:
    """The same with its port. Raises ValueError for a port that is no number."""
    url = full_url(hint)
    host, port = host_and_port(url)
    return f"opc.tcp://{_spelled(host)}:{port}{urlsplit(url).path.rstrip('/')}"


def with_host(url: str, host: str) -> str:
    """The same port and path at another host."""
    _, port = host_and_port(url)
    return f"opc.tcp://{_spelled(host)}:{port}{urlsplit(url).path}"


def is_opc_tcp(url: str | None) -> bool:
    """A usable URL of this protocol; servers also name HTTPS and what they misspell."""
    try:
        parts = urlsplit(url or "")
        return parts.scheme == "opc.tcp" and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def is_local(host: str) -> bool:
    """A name or address that means the machine of who says it."""
    return host in ("localhost", "::1", "0.0.0.0") or host.startswith("127.")


def _spelled(host: str) -> str:
    return f"[{host}]" if ":" in host else host


@dataclass(slots=True)
class Names:
    """What host names stand for, each asked once."""

    _known: dict[str, asyncio.Task[frozenset[str]]] = field(default_factory=dict)

    async def addresses(self, host: str) -> frozenset[str]:
        """Empty for a name that nobody can resolve."""
        host = host.lower()
        if host not in self._known:
            self._known[host] = asyncio.create_task(_resolved(host), name=f"resolve {host}")
        return await asyncio.shield(self._known[host])

    async def place(self, url: str) -> str:
        """The same text for two URLs that lead to one place: this machine has many names and addresses."""
        host, port = host_and_port(url)
        found = await self.addresses(host)
        if any(is_ours(address) for address in found):
            return f"{_SELF}:{port}"
        return f"{min(found, default=host.lower())}:{port}"

    async def aclose(self) -> None:
        """Wait for nothing: a resolver's thread ends by itself."""
        for task in self._known.values():
            task.cancel()
        await asyncio.gather(*self._known.values(), return_exceptions=True)


async def _resolved(host: str) -> frozenset[str]:
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[frozenset[str]] = loop.create_future()
    # A thread that nobody waits for at the end: the event loop's own ones are, and a resolver may take half a minute.
    threading.Thread(target=_look_up, args=(host, loop, answer), name=f"resolve {host}", daemon=True).start()
    try:
        async with asyncio.timeout(_RESOLVING):
            return await answer
    except TimeoutError:
        return frozenset()


def _look_up(host: str, loop: asyncio.AbstractEventLoop, answer: asyncio.Future[frozenset[str]]) -> None:
    try:
        found = frozenset(str(one[4][0]) for one in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM))
    except (OSError, UnicodeError):
        found = frozenset()
    with suppress(RuntimeError):  # the loop has ended meanwhile
        loop.call_soon_threadsafe(_settle, answer, found)


def _settle(answer: asyncio.Future[frozenset[str]], found: frozenset[str]) -> None:
    if not answer.done():  # nobody waits any more
        answer.set_result(found)


def is_ours(address: str) -> bool:
    """An address of this machine: no other can be bound."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
        if parsed.is_loopback:
            return True
        family = socket.AF_INET6 if parsed.version == 6 else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((str(parsed), 0))
    except (OSError, ValueError):
        return False
    return True
