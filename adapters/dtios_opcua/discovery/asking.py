"""What one address answers: GetEndpoints, FindServers and FindServersOnNetwork (Part 4, 5.5). None of them needs a session."""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any

from asyncua import ua

from dtios_opcua.session.channel import Channel, foreign
from dtios_opcua.session.opening import opening_error

__all__ = ["Answer", "ask", "details_of"]

_OPTIONAL = 2.0
"""Seconds for the services that a server need not have."""


@dataclass(frozen=True, slots=True)
class Answer:
    """`servers` are those it knows of, itself too; `network` those that it knows by mDNS."""

    url: str
    endpoints: list[ua.EndpointDescription]
    servers: list[ua.ApplicationDescription]
    network: list[ua.ServerOnNetwork]

    @property
    def application_uri(self) -> str:
        """Of who answers; empty where it tells no endpoint."""
        return str(self.endpoints[0].Server.ApplicationUri or "") if self.endpoints else ""

    @property
    def application_name(self) -> str:
        return str(self.endpoints[0].Server.ApplicationName.Text or "") if self.endpoints else ""


async def ask(url: str, timeout: float) -> Answer:
    """Within 2 * `timeout` seconds. Raises TemporaryError where nobody, or something else, answers."""
    channel = Channel(url, timeout)
    try:
        async with asyncio.timeout(2 * timeout):
            await channel.open()
            endpoints = list(await foreign(channel.client.get_endpoints()) or [])
            servers = list(await _optional(channel.client.find_servers()) or [])
            found = await _optional(channel.client.find_servers_on_network())
        return Answer(url, endpoints, servers, list(getattr(found, "Servers", None) or []))
    except Exception as error:
        known = opening_error(error, url, channel.complaint)
        if known is None:
            raise
        raise known from error
    finally:
        await channel.close(0.2, None)


async def _optional(answer: Awaitable[Any]) -> Any:
    """None from a server that has no such service; many close the channel then."""
    try:
        async with asyncio.timeout(_OPTIONAL):
            return await foreign(answer)
    except Exception as error:
        if opening_error(error, "") is None:
            raise
        return None


def details_of(answer: Answer) -> dict[str, Any]:
    """Who it is, which security it offers (as `--security` takes it) and which users it knows."""
    if not answer.endpoints:
        return {}
    application = answer.endpoints[0].Server
    return {
        "application_uri": str(application.ApplicationUri or ""),
        "product_uri": str(application.ProductUri or ""),
        "application_type": application.ApplicationType.name,
        "security": sorted({_security(one) for one in answer.endpoints}),
        "users": sorted({token.TokenType.name for one in answer.endpoints for token in one.UserIdentityTokens or []}),
    }


def _security(endpoint: ua.EndpointDescription) -> str:
    policy = str(endpoint.SecurityPolicyUri or "").rpartition("#")[2] or "None"
    return policy if policy == "None" else f"{policy}:{endpoint.SecurityMode.name.strip('_')}"
