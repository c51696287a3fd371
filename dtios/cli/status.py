"""`dtios status`: machines and apps of the running runtime."""

from pathlib import Path
from typing import Any, Final

import click

from dtios.cli.options import json_option, place_options

__all__ = ["command", "output_schema"]

_COUNTERS: Final = ("consumer", "machine", "signal", "received", "delivered", "conflated", "dropped", "pending")


def output_schema() -> dict[str, Any]:
    from dtios.cli.forms import CLOCK, COUNT, ERROR_BODY, TEXT, TEXT_OR_NULL, TIME, array, choice, line_schema, record

    machine = record(
        {
            "name": TEXT, "endpoint": TEXT, "health": choice("connecting", "online", "offline", "failed"), "detail": TEXT,
            "state": TEXT_OR_NULL, "clock": CLOCK,
        }
    )  # fmt: skip
    app = record(
        {
            "name": TEXT, "plugin": TEXT, "isolation": choice("process", "inline"),
            "health": choice("starting", "ready", "backing-off", "stopped", "failed", "finished"), "detail": TEXT,
            "restarts": COUNT, "pid": {"type": ["integer", "null"]}, "memory": {"type": ["integer", "null"]},
        }
    )  # fmt: skip
    broker = record(
        {
            "url": TEXT, "health": choice("starting", "listening", "backing-off"), "detail": TEXT, "restarts": COUNT,
            "pid": {"type": ["integer", "null"]},
        }
    )  # fmt: skip
    nullable = {"oneOf": [ERROR_BODY, {"type": "null"}]}
    configuration = record({"file": TEXT_OR_NULL, "watched": {"type": "boolean"}, "since": TIME, "problem": nullable})
    counters = record({name: TEXT if name in _COUNTERS[:3] else COUNT for name in _COUNTERS})
    whole = {
        "machines": array(machine), "apps": array(app), "broker": broker, "configuration": configuration,
        "counters": array(counters),
    }  # fmt: skip
    return line_schema("status", record(whole, optional=("broker", "counters")))


@click.command("status")
@click.option("--counters", is_flag=True, help="Show what each consumer received, and what was conflated or dropped.")
@place_options
@json_option
def command(counters: bool, config: Path | None, state: Path | None, as_json: bool) -> int:
    """Show the health of machines and apps of the runtime that runs here.

    \b
    Examples:
      dtios status
      dtios status --counters --json
    """
    from msgspec import to_builtins

    from dtios.cli.configuration import configuration_form, problem_line
    from dtios.cli.output import Output, columns
    from dtios.cli.place import find_running, with_running
    from dtios.cli.running import quiet_logging, run_async
    from dtios.cli.text import offset_text
    from dtios.model.wire_machine import clock_to_json
    from dtios.sdk.client import Client

    quiet_logging()
    place = find_running(config, state)

    async def show(client: Client) -> int:
        views = await client.machines()
        machines = [
            {
                "name": view.machine.name, "endpoint": view.machine.endpoint, "health": view.health, "detail": view.detail,
                "state": view.packml, "clock": clock_to_json(view.clock),
            }
            for view in views
        ]  # fmt: skip
        apps = [
            {
                "name": v.name, "plugin": v.plugin, "isolation": v.isolation, "health": v.health, "detail": v.detail,
                "restarts": v.restarts, "pid": v.pid, "memory": v.memory,
            }
            for v in await client.apps()
        ]  # fmt: skip
        configuration = await client.configuration()
        form: dict[str, Any] = {"machines": machines, "apps": apps, "configuration": configuration_form(configuration)}
        rows = [
            (view.machine.name, view.health, view.packml or "-", offset_text(view.clock), view.machine.endpoint, view.detail)
            for view in views
        ]
        lines = columns(("machine", "health", "state", "clock", "endpoint", "detail"), rows, indent="") or ["no machines"]
        app_rows = [(str(a["name"]), str(a["health"]), str(a["restarts"]), str(a["isolation"]), str(a["detail"])) for a in apps]
        lines += ["", *(columns(("app", "health", "restarts", "isolation", "detail"), app_rows, indent="") or ["no apps"])]
        if (broker := await client.broker()) is not None:
            form["broker"] = to_builtins(broker)
            row = (broker.url, broker.health, str(broker.restarts), broker.detail)
            lines += ["", *columns(("broker", "health", "restarts", "detail"), [row], indent="")]
        if configuration.problem is not None:
            lines += ["", problem_line(configuration)]
        if counters:
            figures = [dict(zip(_COUNTERS, row, strict=True)) for row in await client.counters()]
            form["counters"] = figures
            lines += ["", *columns(_COUNTERS, [[str(v) for v in row.values()] for row in figures], indent="")]
        await Output(as_json).put(form, "\n".join(lines))
        return 0

    async def main() -> int:
        return await with_running(place, show)

    return run_async(main)
