"""`dtios doctor`, the runtime's part: an endpoint examined by its adapter, and what the runtime itself knows."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import anyio

from dtios.mapping.facts import BrowseFacts
from dtios.model.errors import DtiosError
from dtios.runtime.links.link import Link
from dtios.sdk.adapter import Adapter, ConnectionSettings, Finding

if TYPE_CHECKING:
    from dtios.runtime.kernel import Kernel

__all__ = ["examine", "health"]

_SILENT: Final = 10.0
"""Seconds without a word from the other end that are worth a line."""


async def examine(
    adapter: Adapter,
    url: str,
    settings: ConnectionSettings,
    home: Path,
    known: BrowseFacts | None,
    link: Link | None,
    limit: float,
) -> list[Finding]:
    """Within `limit` seconds. `link` is the connection that is there already: with that the examination has to agree."""
    try:
        with anyio.fail_after(limit):
            findings = await adapter.examine(url, settings, home, known)
    except TimeoutError:
        late = f"the examination took longer than {limit:g} s"
        return [Finding("time", "problem", late, url, "give it more with --timeout; is the machine or the network overloaded?")]
    except DtiosError as error:
        return [Finding("examination", "problem", error.message, url, error.mend)]
    if not findings:
        return [Finding("examination", "warning", f"the adapter {adapter.name} cannot examine", url, "try `dtios describe`")]
    return [_beside(finding, link) for finding in findings]


def _beside(finding: Finding, link: Link | None) -> Finding:
    """No session left is no problem where the runtime itself holds the one there is."""
    if finding.check != "sessions" or finding.level != "problem" or link is None or not link.online:
        return finding
    message = f"{finding.message}: no further client can connect, the runtime's own session stands"
    return replace(finding, level="warning", message=message)


def health(kernel: "Kernel") -> list[Finding]:
    """What the runtime can say of its machines, its apps and the values it handed on."""
    return [*_broker(kernel), *_machines(kernel), *_apps(kernel), *_dropped(kernel)]


def _broker(kernel: "Kernel") -> Iterator[Finding]:
    broker = kernel.broker_view()
    if broker is None:
        return
    if broker.health == "listening":
        said = f"the embedded broker listens at {broker.url}" + (
            f", started again {broker.restarts} times" * bool(broker.restarts)
        )
        yield Finding("broker", "warning" if broker.restarts else "good", said, broker.url)
    else:
        yield Finding("broker", "problem", f"the embedded broker is not there: {broker.detail}", broker.url, "look at the log")


def _machines(kernel: "Kernel") -> Iterator[Finding]:
    for machine in kernel.machines:
        view, link = machine.view(), machine.link
        if view.health != "online":
            mend = link.error.mend if link.error is not None else ""
            message = link.error.message if link.error is not None else "it was not reached yet"
            said = f"{machine.name} is {view.health}: {message}"
            yield Finding("machine", "warning" if view.health == "connecting" else "problem", said, machine.name, mend)
        elif link.silence() > _SILENT:
            silent = f"{machine.name} is online, and has been silent for {link.silence():.0f} s"
            yield Finding("machine", "warning", silent, machine.name, "look at the network between, and at keep_alive")
        else:
            yield Finding("machine", "good", f"{machine.name} is online, heard of {link.silence():.1f} s ago", machine.name)


def _apps(kernel: "Kernel") -> Iterator[Finding]:
    for app in kernel.app_views():
        said = f"the app {app.name} is {app.health}" + (f": {app.detail}" if app.detail else "")
        if app.health == "failed":
            yield Finding("app", "problem", said, app.name, "look at its log; `dtios app test` tries it without a machine")
        elif app.health == "backing-off" or app.restarts:
            again = f"{said}, restarted {app.restarts} times"
            yield Finding("app", "warning", again, app.name, "look at its log: why does it end?")
        else:
            yield Finding("app", "good", said, app.name)


def _dropped(kernel: "Kernel") -> Iterator[Finding]:
    lost: dict[tuple[str, str], int] = defaultdict(int)
    for machine in kernel.machines:
        for consumer in kernel.router.consumers:
            here = [handle for handle in consumer.handles if machine.path(handle) is not None]
            lost[consumer.name, machine.name] += sum(map(consumer.tally.dropped, here))
    for (consumer_name, name), count in lost.items():
        if count:
            message = f"{count} values of {name} were dropped for {consumer_name}, which takes them more slowly than they come"
            yield Finding(
                "values", "warning", message, name, "ask for fewer signals or take only the latest; `dtios status --counters`"
            )
