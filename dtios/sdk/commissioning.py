"""What a client asks who connects and configures machines: find, examine, browse, propose, configure."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec

from dtios.sdk import protocol as p
from dtios.sdk.adapter import LISTEN, Finding

__all__ = ["Commissioning", "OnProgress"]

T = TypeVar("T")
OnProgress = Callable[[str, int, int | None], None]
"""(what is being done, how much is done, of how much or None)."""


class Commissioning(ABC):
    """Needs the grant `commission`: RefusedError without it."""

    @abstractmethod
    async def request(self, body: p.RequestBody, progress: OnProgress | None = None) -> Any:
        """The plain form of the answer."""

    async def _ask_for(self, type: type[T], body: p.RequestBody, progress: OnProgress | None = None) -> T:
        return msgspec.convert(await self.request(body, progress), type)

    async def discover(
        self,
        hint: str,
        progress: OnProgress | None = None,
        limit: float = 30.0,
        listen: float = LISTEN,
        settings: Mapping[str, Any] | None = None,
    ) -> list[dict[str, Any]]:
        """Endpoints at or around an address, each as `adapter`, `url`, `name`, `details`, and `error` where it did not answer.
        An empty hint asks the network. Raises what the address failed with."""
        return await self._ask_for(list[dict[str, Any]], p.Discover(hint, limit, listen, dict(settings or {})), progress)

    async def examine(self, url: str, settings: Mapping[str, Any], limit: float = 60.0) -> list[Finding]:
        """Try whatever a connection to the URL needs."""
        return await self._ask_for(list[Finding], p.Examine(url, dict(settings), limit))

    async def health(self) -> list[Finding]:
        """What the runtime says of its machines, apps and values."""
        return await self._ask_for(list[Finding], p.Health())

    async def browse(self, url: str, progress: OnProgress | None = None) -> Any:
        """Nested dicts of the nodes behind an endpoint."""
        return await self.request(p.BrowseFactsOf(url), progress)

    async def propose(self, url: str, path: str, progress: OnProgress | None = None) -> tuple[str, str]:
        """(name, YAML) of a proposed profile for the machine at `path` behind an endpoint that is open."""
        return await self._ask_for(tuple[str, str], p.Propose(url, path), progress)

    async def configure(self, patch: Mapping[str, Any]) -> None:
        """Merge a patch (RFC 7396) into the configuration's machines."""
        await self.request(p.Configure(dict(patch)))

    async def reload(self, *, dry_run: bool = False) -> p.ConfigurationReport:
        """Have the runtime apply its dtios.yaml as it is on disk; `dry_run`: only say what that would do."""
        return await self._ask_for(p.ConfigurationReport, p.Reload(dry_run))

    async def configuration(self) -> p.ConfigurationView:
        return await self._ask_for(p.ConfigurationView, p.Configuration())
