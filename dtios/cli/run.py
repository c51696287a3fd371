"""`dtios run`: the machines and apps of a configuration, until Ctrl-C or SIGTERM."""

from collections.abc import AsyncIterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from dtios.cli.options import json_option

if TYPE_CHECKING:
    from dtios.cli.output import Output
    from dtios.sdk.client import Client
    from dtios.sdk.protocol import AppView

__all__ = ["command", "output_schema"]

_LOOK: Final = 0.5
"""Seconds between two looks at the apps' health."""
_OVER: Final = frozenset({"failed", "finished", "stopped"})


def output_schema() -> dict[str, Any]:
    from dtios.cli.forms import COUNT, TEXT, TEXT_OR_NULL, TIME, line_schema, record

    machine = record({"machine": TEXT, "health": TEXT, "detail": TEXT, "state": TEXT_OR_NULL, "time": TIME})
    app = record({"app": TEXT, "health": TEXT, "detail": TEXT, "restarts": COUNT, "time": TIME})
    return line_schema("run", machine, app)


@click.command("run")
@click.argument("file", metavar="[dtios.yaml]", type=click.Path(path_type=Path), required=False)
@click.option("--state", type=click.Path(path_type=Path), help="State directory (default: $DTIOS_STATE).")
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), help="End after this time.")
@click.option("--no-watch", is_flag=True, help="Do not apply the file when it changes; `dtios reload` does.")
@click.option("--log-format", type=click.Choice(["auto", "console", "json"]), default="auto", show_default=True)
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info", show_default=True)
@json_option
def command(
    file: Path | None, state: Path | None, seconds: float | None, no_watch: bool, log_format: Any, log_level: str, as_json: bool
) -> int:
    """Run the machines and apps of a configuration (./dtios.yaml), and serve commands on its machines.

    When the file or a profile that it names changes, that is applied, and touches only what changed; one that is wrong leaves
    the old one running.

    Ctrl-C ends it in order. The exit status is 1 if an app has failed for good; a run whose apps have all ended, one of them
    so, ends by itself.

    \b
    Examples:
      dtios run
      dtios run line.yaml --log-format json
    """
    import anyio

    from dtios.cli.output import Output
    from dtios.cli.place import find_place, hosted_client
    from dtios.cli.running import interruptible, run_async
    from dtios.cli.unknown import DEFAULT_CONFIG
    from dtios.logging import configure_logging

    configure_logging(log_format, log_level)
    place = find_place(file or DEFAULT_CONFIG, state)
    shown = _Shown(Output(as_json))

    async def main() -> int:
        async with hosted_client(place.config, place.state, place.file, watch=not no_watch) as client:
            with interruptible(), anyio.move_on_after(seconds) if seconds is not None else nullcontext():
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(shown.machines, client, name="machines shown")
                    await shown.apps(client)
                    tasks.cancel_scope.cancel()
        return shown.status

    return run_async(main, interrupted=lambda: shown.status)


class _Shown:
    """What was said of each machine and app; `status` is 1 while an app has failed for good."""

    def __init__(self, output: "Output") -> None:
        self._output = output
        self._failed: set[str] = set()

    @property
    def status(self) -> int:
        return 1 if self._failed else 0

    async def machines(self, client: "Client") -> None:
        last: dict[str, tuple[str, str, str | None]] = {}
        async with client.follow_machines() as changes:
            async for change in changes:
                view = change.view
                name, now = view.machine.name, ("gone" if change.gone else view.health, view.detail, view.packml)
                if last.get(name) == now:
                    continue
                last[name] = now
                health, detail, state = now
                form = {"machine": name, "health": health, "detail": detail, "state": state, "time": _now()}
                said = ", ".join(filter(None, (health, state, detail)))
                await self._say(form, f"machine {name}: {said}")

    async def apps(self, client: "Client") -> None:
        """Until all apps are over and one of them has failed."""
        last: dict[str, tuple[str, str, int]] = {}
        async for views in _looks(client):
            for view in views:
                now = (view.health, view.detail, view.restarts)
                if last.get(view.name) == now:
                    continue
                last[view.name] = now
                form = {"app": view.name, "health": now[0], "detail": now[1], "restarts": now[2], "time": _now()}
                await self._say(form, f"app {view.name}: {', '.join(filter(None, now[:2]))}")
            self._failed = {view.name for view in views if view.health == "failed"}
            if self._failed and all(view.health in _OVER for view in views):
                return

    async def _say(self, form: dict[str, Any], text: str) -> None:
        try:
            await self._output.put(form, text)
        except BrokenPipeError:
            self._output.muted = True  # the machines go on without a reader


async def _looks(client: "Client") -> "AsyncIterator[list[AppView]]":
    """The protocol has no stream of apps: a look twice a second."""
    import anyio

    while True:
        yield await client.apps()
        await anyio.sleep(_LOOK)


def _now() -> str | None:
    import time

    from dtios.model.wire import time_to_json

    return time_to_json(time.time_ns())
