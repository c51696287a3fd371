"""What describe, read, watch, write and start have in common: the way from a target to a client and its machine."""

from collections.abc import Awaitable, Callable

from dtios.cli.options import Target
from dtios.cli.place import find_place, through_runtime
from dtios.cli.progress import shown_progress
from dtios.cli.reach import reach, reach_all, target_settings, wanted_config
from dtios.cli.running import quiet_logging, run_async
from dtios.sdk.client import Client
from dtios.sdk.protocol import MachineView

__all__ = ["on_machine", "on_machines"]


def on_machine(
    target: Target,
    body: Callable[[Client, MachineView], Awaitable[int]],
    *,
    repeatable: bool = True,
    interrupted: Callable[[], int] | None = None,
) -> int:
    """The exit status of `body`, called with the one machine that is meant."""

    async def one(client: Client, views: list[MachineView]) -> int:
        return await body(client, views[0])

    return _on(target, one, several=False, repeatable=repeatable, interrupted=interrupted)


def on_machines(target: Target, body: Callable[[Client, list[MachineView]], Awaitable[int]]) -> int:
    """As `on_machine`, with all machines behind a URL."""
    return _on(target, body, several=True, repeatable=True, interrupted=None)


def _on(
    target: Target,
    body: Callable[[Client, list[MachineView]], Awaitable[int]],
    *,
    several: bool,
    repeatable: bool,
    interrupted: Callable[[], int] | None,
) -> int:
    quiet_logging()
    place = find_place(target.config, target.state)
    wanted, settings = wanted_config(place, target), target_settings(target)

    async def main() -> int:
        async def with_client(client: Client, hosting: bool) -> int:
            if several:
                views = await reach_all(client, place, target, settings, progress)
            else:
                views = [await reach(client, place, target, settings, progress)]
            closing()
            return await body(client, views)

        with shown_progress("starting") as (progress, closing):
            return await through_runtime(place, wanted, with_client, repeatable=repeatable)

    return run_async(main, interrupted=interrupted)
