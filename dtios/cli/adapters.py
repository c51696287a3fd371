"""`dtios adapters`: which protocols are understood here."""

from typing import Any

import click

from dtios.cli.group import LazyGroup
from dtios.cli.options import json_option

__all__ = ["command", "output_schemas"]


def output_schemas() -> dict[str, dict[str, Any]]:
    from dtios.cli.forms import TEXT, TEXT_OR_NULL, array, line_schema, record

    line = record(
        {
            "name": TEXT, "schemes": array(TEXT), "summary": TEXT, "grade": TEXT_OR_NULL, "plugin": TEXT,
            "distribution": TEXT, "problem": TEXT_OR_NULL,
        }
    )  # fmt: skip
    return {"adapters list": line_schema("adapters list", line)}


@click.group("adapters", cls=LazyGroup)
def command() -> None:
    """The installed adapters.

    \b
    Example:
      dtios adapters list
    """


@command.command("list")
@json_option
def list_adapters(as_json: bool) -> int:
    """List the installed adapters, with the URL schemes they answer to. The exit status is 1 if one is broken.

    \b
    Example:
      dtios adapters list --json
    """
    from dtios.cli.output import Output, columns
    from dtios.cli.running import quiet_logging, run_async
    from dtios.model.errors import ConfigurationError
    from dtios.runtime.registry import Registry

    quiet_logging()

    async def main() -> int:
        forms = []
        for plugin in Registry().plugins("adapter"):
            form: dict[str, Any] = {
                "name": plugin.name, "schemes": list(plugin.schemes), "summary": "", "grade": None, "plugin": plugin.target,
                "distribution": plugin.distribution, "problem": None,
            }  # fmt: skip
            try:
                adapter = plugin.load()
                form |= {"schemes": list(adapter.schemes), "summary": adapter.summary, "grade": adapter.grade}
            except ConfigurationError as error:
                form["problem"] = error.message
            forms.append(form)
        if as_json:
            await Output(True).put_all((form, "") for form in forms)
        else:
            rows = [
                (f["name"], ", ".join(f["schemes"]), f["grade"] or "not graded", f["problem"] or f["summary"], f["plugin"])
                for f in forms
            ]
            lines = columns(("name", "schemes", "grade", "summary", "plug-in"), rows, indent="")
            await Output(False).put(None, "\n".join(lines) if lines else "no adapters are installed")
        return 1 if any(form["problem"] for form in forms) else 0

    return run_async(main)
