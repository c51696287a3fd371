"""`dtios reload`: apply a changed configuration to the runtime that runs."""

from pathlib import Path
from typing import Any, get_args

import click

from dtios.cli.options import json_option, place_options

__all__ = ["command", "output_schema"]


def output_schema() -> dict[str, Any]:
    from dtios.cli.forms import TEXT, TEXT_OR_NULL, array, choice, line_schema, record
    from dtios.runtime.configuration.plan import Effect

    change = record(
        {
            "kind": choice("machine", "app", "publisher"), "name": TEXT,
            "change": choice("added", "removed", "renamed", "changed"), "keys": array(TEXT),
            "effects": array(choice(*get_args(Effect))), "why": TEXT,
        }
    )  # fmt: skip
    whole = {"file": TEXT_OR_NULL, "applied": {"type": "boolean"}, "changes": array(change), "troubles": array(TEXT)}
    return line_schema("reload", record(whole))


@click.command("reload")
@click.option("--dry-run", is_flag=True, help="Check it and show what it would touch; change nothing.")
@place_options
@json_option
def command(dry_run: bool, config: Path | None, state: Path | None, as_json: bool) -> int:
    """Apply the dtios.yaml of the runtime that runs here as it is on disk now; only what changed is touched.

    One that is wrong changes nothing: the exit status is 2 and the line is named. The exit status is 1 if a part could not be
    applied; that part stays as it was.

    \b
    Examples:
      dtios reload
      dtios reload --dry-run --json
    """
    from dtios.cli.configuration import report_form, report_text
    from dtios.cli.output import Output, say
    from dtios.cli.place import find_running, with_running
    from dtios.cli.running import quiet_logging, run_async
    from dtios.sdk.client import Client

    quiet_logging()
    place = find_running(config, state)

    async def reload(client: Client) -> int:
        report = await client.reload(dry_run=dry_run)
        await Output(as_json).put(report_form(report), report_text(report))
        for trouble in report.troubles:
            say(f"dtios: {trouble}")
        return 1 if report.troubles else 0

    async def main() -> int:
        return await with_running(place, reload)

    return run_async(main)
