"""What answers at an address: GetEndpoints and FindServers (Part 4, 5.5)."""

import asyncio

from asyncua import ua

from dtios.sdk.adapter import Endpoint
from dtios_opcua.session.channel import Channel, host_and_port
from dtios_opcua.session.opening import endpoints_of, opening_error

__all__ = ["discover", "url_of"]

_TIMEOUT = 4.0


def url_of(hint: str) -> str:
    """`host`, `host:port` or a whole URL."""
    return hint if "://" in hint else f"opc.tcp://{hint}"


async def discover(hint: str) -> list[Endpoint]:
    """The server at the address itself, and others it knows of. Raises TemporaryError when nobody answers."""
    url = url_of(hint)
    described = await endpoints_of(url, _TIMEOUT)
    host, port = host_and_port(url)
    asked = url if f":{port}" in url.rpartition("]")[2] else f"opc.tcp://{f'[{host}]' if ':' in host else host}:{port}"
    found = [_endpoint(asked, described)]
    own = {str(one.Server.ApplicationUri) for one in described}
    for server in await _servers(url):
        if str(server.ApplicationUri) not in own:
            found += [
                Endpoint(str(other), server.ApplicationName.Text or "", {"application_uri": str(server.ApplicationUri)})
                for other in server.DiscoveryUrls or []
                if str(other).startswith("opc.tcp://")
            ]
    return found


def _endpoint(url: str, described: list[ua.EndpointDescription]) -> Endpoint:
    if not described:
        return Endpoint(url)
    server = described[0].Server
    return Endpoint(
        url,
        server.ApplicationName.Text or "",
        {
            "application_uri": str(server.ApplicationUri),
            "product_uri": str(server.ProductUri or ""),
            "security": sorted(
                {f"{str(one.SecurityPolicyUri or '').rpartition('#')[2]}:{one.SecurityMode.name.strip('_')}" for one in described}
            ),
            "users": sorted({token.TokenType.name for one in described for token in one.UserIdentityTokens or []}),
        },
    )


async def _servers(url: str) -> list[ua.ApplicationDescription]:
    """Optional: a server that cannot say which others there are is no error."""
    channel = Channel(url, _TIMEOUT)
    try:
        async with asyncio.timeout(_TIMEOUT):
            await channel.open()
            found: list[ua.ApplicationDescription] = await channel.client.find_servers()
            return found
    except Exception as error:
        if opening_error(error, url) is None:
            raise
        return []
    finally:
        await channel.close(0.2, None)
