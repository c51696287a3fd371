"""Hints that there is a server somewhere: by a person, by another server, by mDNS."""

from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from asyncua import ua

from dtios_opcua.discovery.addresses import Names, is_local, is_opc_tcp, with_host
from dtios_opcua.discovery.asking import Answer
from dtios_opcua.discovery.mdns import Announced

__all__ = ["Lead", "from_announcement", "from_answer", "usable"]


@dataclass(frozen=True, slots=True)
class Lead:
    """A server should be at one of `urls`. `found` says how that is known, `speaker` is the URL of the server that said so,
    `uri` the application URI it should have."""

    urls: tuple[str, ...]
    found: str
    name: str = ""
    uri: str = ""
    speaker: str = ""
    notes: tuple[str, ...] = ()


def from_announcement(one: Announced) -> Lead:
    return Lead(one.urls, "mDNS", one.name, notes=(f"announced as {one.host}",) if one.host else ())


def from_answer(answer: Answer) -> list[Lead]:
    """What FindServers and FindServersOnNetwork told, without the one who told it."""
    own = answer.application_uri
    found, speaker = f"LDS {answer.url}", answer.url
    named = [
        Lead(
            tuple(str(url) for url in server.DiscoveryUrls or [] if is_opc_tcp(str(url))),
            found,
            server.ApplicationName.Text or "",
            str(server.ApplicationUri or ""),
            speaker,
        )
        for server in answer.servers
        if str(server.ApplicationUri or "") != own and server.ApplicationType is not ua.ApplicationType.Client
    ]
    network = [
        Lead((str(one.DiscoveryUrl),), found, str(one.ServerName or ""), speaker=speaker)
        for one in answer.network
        if is_opc_tcp(str(one.DiscoveryUrl))
    ]
    return [*named, *network]


async def usable(lead: Lead, names: Names) -> Lead:
    """The lead with addresses that lead there from here: a name that nobody resolves, or that means the speaker's own machine,
    is where the speaker was asked."""
    if not lead.speaker:
        return lead
    asked = urlsplit(lead.speaker).hostname or ""
    urls, notes = [], list(lead.notes)
    for url in lead.urls:
        host, there = urlsplit(url).hostname or "", with_host(url, asked)
        if not await names.addresses(host):
            notes.append(f"{lead.speaker} names {url}, and nobody here can resolve {host}: {there} is the address that was asked")
        elif is_local(host) and not is_local(asked):
            notes.append(f"{lead.speaker} names {url}, which means its own machine: {there} is the address that was asked")
        else:
            there = url
        urls.append(there)
    return replace(lead, urls=tuple(dict.fromkeys(urls)), notes=tuple(dict.fromkeys(notes)))
