"""From an address to all servers that it leads to: itself, those that it knows of, and those that announce themselves."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Final
from urllib.parse import urlsplit

from dtios.sdk.adapter import Endpoint
from dtios.sdk.errors import DtiosError, TemporaryError
from dtios_opcua.discovery.addresses import Names, url_of
from dtios_opcua.discovery.asking import Answer, ask, details_of
from dtios_opcua.discovery.leads import Lead, from_announcement, from_answer, usable
from dtios_opcua.discovery.mdns import announced

__all__ = ["discover"]

_TIMEOUT: Final = 4.0
"""Seconds for each step with one server."""
_WHOLE: Final = 25.0
"""Seconds for a search; what was found until then is told."""
_AT_ONCE: Final = 24
_MOST: Final = 100
"""Servers that one search asks because others named them: more are counted and not asked."""
_DEPTH: Final = 2
"""An announced discovery server leads to others, and they to none."""
_LOCAL: Final = "opc.tcp://localhost:4840"

Key = tuple[str, str]
"""(place, application URI): what is one server, however it was found."""


async def discover(hint: str) -> list[Endpoint]:
    """The server at an address and those it knows of. Without an address, or with `@ADDRESS` of one of our interfaces, what
    announces itself by mDNS (there), and what the discovery server of this machine knows.

    Raises what the address that was asked failed with.
    """
    search = _Search()
    asked = hint and not hint.startswith("@")
    try:
        async with asyncio.timeout(_WHOLE):
            await (search.follow([Lead((url_of(hint),), "asked")]) if asked else search.around(hint[1:]))
    except TimeoutError:
        search.is_silent(Lead((hint,), "asked"), TemporaryError(f"the search was ended after {_WHOLE:g} s", where=hint))
    finally:
        await search.names.aclose()
    if asked and not search.found:
        raise search.errors[0]
    return [*search.found.values(), *search.silent]


@dataclass(slots=True)
class _Search:
    names: Names = field(default_factory=Names)
    found: dict[Key, Endpoint] = field(default_factory=dict)
    silent: list[Endpoint] = field(default_factory=list)
    errors: list[DtiosError] = field(default_factory=list)
    keys: dict[str, Key] = field(default_factory=dict)
    left: int = field(default_factory=lambda: _MOST)
    at_once: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_AT_ONCE))

    async def around(self, interface: str) -> None:
        heard, _ = await asyncio.gather(announced(interface), self.follow([Lead((_LOCAL,), "this machine's LDS")]))
        self.silent = [one for one in self.silent if one.url != _LOCAL]  # most machines have none
        await self.follow(await self._fresh(map(from_announcement, heard)))

    async def follow(self, leads: list[Lead], depth: int = 0) -> None:
        further: list[Lead] = []
        answers = await asyncio.gather(*(self._try(lead) for lead in leads))
        for lead, answer in zip(leads, answers, strict=True):
            if answer is not None and await self._keep(lead, answer):
                further += from_answer(answer)
        if further and depth < _DEPTH:
            await self.follow(await self._fresh(further), depth + 1)

    async def _try(self, lead: Lead) -> Answer | None:
        """What the first of its addresses that answers has to say."""
        error: DtiosError = TemporaryError("it gives no address of this protocol", where=lead.name)
        for url in lead.urls:
            try:
                async with self.at_once:
                    if not await self.names.addresses(urlsplit(url).hostname or ""):
                        raise TemporaryError("nobody here can resolve the name", where=url, mend="give its address instead")
                    return await ask(url, _TIMEOUT)
            except DtiosError as raised:
                error = raised
        self.is_silent(lead, error)
        return None

    def is_silent(self, lead: Lead, error: DtiosError) -> None:
        self.errors.append(error)
        details = {"found": [lead.found], "notes": list(lead.notes)}
        self.silent.append(Endpoint(lead.urls[0] if lead.urls else lead.speaker, lead.name, details, error.message))

    async def _keep(self, lead: Lead, answer: Answer) -> bool:
        """Put it to what was found; False for one that is known already."""
        place, uri = await self.names.place(answer.url), answer.application_uri
        self.keys[place] = key = (place, uri)
        notes = [*lead.notes, *await self._names_itself(lead, answer)]
        if lead.uri and uri and lead.uri != uri:
            notes.append(f"{lead.speaker} says that {lead.uri} is here")
        details = {**details_of(answer), "found": [lead.found], "notes": notes}
        before = self.found.get(key)
        name = answer.application_name or lead.name
        self.found[key] = Endpoint(answer.url, name, details) if before is None else _merged(before, details)
        return before is None

    async def _names_itself(self, lead: Lead, answer: Answer) -> list[str]:
        for one in answer.endpoints:
            host = urlsplit(str(one.EndpointUrl or "")).hostname
            if host and not any(host in note for note in lead.notes) and not await self.names.addresses(host):
                why = f"it calls itself {one.EndpointUrl}, and nobody here can resolve {host}"
                return [f"{why}: {answer.url} is the address that was asked"]
        return []

    async def _fresh(self, leads: Iterable[Lead]) -> list[Lead]:
        """Those not asked yet; that the others were found once more is noted."""
        fresh: dict[str, Lead] = {}
        for lead in leads:
            there = await usable(lead, self.names)
            place = await self.names.place(there.urls[0]) if there.urls else f"{lead.found} {lead.name}"
            if place in self.keys:
                key = self.keys[place]
                itself = self.found[key].url == lead.speaker
                self.found[key] = _merged(self.found[key], {"found": [] if itself else [lead.found], "notes": []})
            else:
                fresh.setdefault(place, there)
        asked, more = list(fresh.values())[: self.left], list(fresh.values())[self.left :]
        self.left -= len(asked)
        for lead in more:
            self.is_silent(lead, TemporaryError(f"not asked: more than {_MOST} servers were named", mend="ask it by itself"))
        return asked


def _merged(one: Endpoint, other: dict[str, Any]) -> Endpoint:
    both = {key: list(dict.fromkeys([*one.details.get(key, ()), *other[key]])) for key in ("found", "notes")}
    return replace(one, details={**one.details, **both})
