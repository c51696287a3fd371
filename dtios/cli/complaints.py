"""`dtios complaints`: what machines said that was not understood."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dtios.cli.options import json_option, place_options

if TYPE_CHECKING:
    from dtios.sdk.protocol import ComplaintView

__all__ = ["command", "output_schema"]


def output_schema() -> dict[str, Any]:
    from dtios.cli.forms import COUNT, TEXT, TEXT_OR_NULL, TIME, array, line_schema, record

    last = record({"where": TEXT, "payload": TEXT, "time": TIME})
    one = {"endpoint": TEXT, "machine": TEXT_OR_NULL, "source": TEXT, "cause": TEXT, "count": COUNT, "last": array(last)}
    return line_schema("complaints", record(one))


@click.command("complaints")
@click.argument("machine", required=False)
@place_options
@json_option
def command(machine: str | None, config: Path | None, state: Path | None, as_json: bool) -> int:
    """Show what MACHINE (a configured name), or any machine of the runtime that runs here, said that was not understood.

    It is counted by machine and cause since the runtime was started; of each the last few are shown.

    \b
    Examples:
      dtios complaints
      dtios complaints press --json
    """
    from dtios.cli.output import Output, say
    from dtios.cli.place import find_running, with_running
    from dtios.cli.running import quiet_logging, run_async
    from dtios.sdk.client import Client

    quiet_logging()
    place = find_running(config, state)

    async def show(client: Client) -> int:
        if machine is not None:
            await client.describe(machine)  # a wrong name is a mistake, not a machine without complaints
        told = await client.complaints(machine)
        await Output(as_json).put_all([(_form(one), _text(one)) for one in told])
        if not told and not as_json:
            say("everything was understood")
        return 0

    async def main() -> int:
        return await with_running(place, show)

    return run_async(main)


def _form(one: "ComplaintView") -> dict[str, Any]:
    from dtios.model.wire_time import time_to_json

    last = [{"where": where, "payload": _shown(payload), "time": time_to_json(time or None)} for where, payload, time in one.last]
    return {
        "endpoint": one.endpoint, "machine": one.machine, "source": one.source, "cause": one.cause, "count": one.count,
        "last": last,
    }  # fmt: skip


def _text(one: "ComplaintView") -> str:
    who = one.machine or one.source or "nobody's"
    lines = [f"{who} at {one.endpoint}: {one.cause}, {one.count} times"]
    return "\n".join([*lines, *(f"  {last['time'] or '-'} {last['where']} {last['payload']}" for last in _form(one)["last"])])


def _shown(payload: bytes) -> str:
    """On one line, whatever is in it."""
    text = payload.decode("utf-8", "backslashreplace")
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode("ascii") for sign in text)
