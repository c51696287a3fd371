"""Who answers at an address: every adapter that can is asked."""

from typing import Any

import anyio
import structlog

from dtios.model.errors import ConfigurationError, DtiosError, TemporaryError
from dtios.runtime.registry import Registry
from dtios.sdk.adapter import Adapter, ConnectionSettings, Progress

__all__ = ["adapters_for", "discover"]

log = structlog.get_logger("dtios.discovery")


def adapters_for(registry: Registry, hint: str) -> list[Adapter]:
    """The one that a URL is for, else all. Raises ConfigurationError for a URL of no adapter; a broken adapter hides no other."""
    adapters: list[Adapter] = []
    for name in registry.names("adapter"):
        try:
            adapters.append(registry.adapter(name))
        except ConfigurationError as error:
            log.warning("adapter is broken", adapter=name, reason=str(error))
    scheme = hint.partition(":")[0]
    named = [adapter for adapter in adapters if ":" in hint and scheme in adapter.schemes]
    return named[:1] or ([registry.adapter_for(hint)] if "://" in hint else adapters)


async def discover(
    registry: Registry, hint: str, limit: float, listen: float, settings: ConnectionSettings | None, progress: Progress
) -> list[dict[str, Any]]:
    """`adapter`, `url`, `name`, `details` and `error` of all that was found within `limit` seconds for each adapter, and the
    `listen` seconds for which it may listen besides.

    Raises what stood in the way where nothing was found.
    """
    found: list[dict[str, Any]] = []
    errors: list[DtiosError] = []
    adapters = adapters_for(registry, hint)

    async def ask(adapter: Adapter) -> None:
        try:
            with anyio.fail_after(limit + listen):
                endpoints = await adapter.discover(hint, listen, settings)
        except DtiosError as error:
            errors.append(error)
        except TimeoutError:
            errors.append(
                TemporaryError(f"{adapter.name} found nothing within {limit:g} s", where=hint, mend="give it more time")
            )
        else:
            found.extend(
                {"adapter": adapter.name, "url": e.url, "name": e.name, "details": e.details, "error": e.error} for e in endpoints
            )

    progress(f"asking {hint or 'around'}", 0, len(adapters))
    async with anyio.create_task_group() as tasks:
        for adapter in adapters:
            tasks.start_soon(ask, adapter, name=f"discover {adapter.name} {hint}")
    if errors and not found:
        raise _one(errors, hint)
    return found


def _one(errors: list[DtiosError], hint: str) -> DtiosError:
    if len(errors) == 1:
        return errors[0]
    return TemporaryError("; ".join(error.message for error in errors), where=hint, mend=errors[0].mend)
