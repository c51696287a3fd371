"""`dtios schema`: the JSON Schema of a command's output."""

import importlib
import json
from typing import Any

import click

from dtios.cli.options import json_option

__all__ = ["command", "schemas"]


def schemas() -> dict[str, dict[str, Any]]:
    """command -> schema (draft 2020-12) of each line it prints with --json, errors included."""
    from dtios.cli.entry import COMMANDS

    found: dict[str, dict[str, Any]] = {}
    for name, (module, _) in COMMANDS.items():
        imported = importlib.import_module(module)
        if hasattr(imported, "output_schemas"):
            found |= imported.output_schemas()
        elif hasattr(imported, "output_schema"):
            found[name] = imported.output_schema()
    return found


@click.command("schema")
@click.option("--command", "name", metavar="NAME", help="The command, as `describe` or `job list`.")
@json_option
def command(name: str | None, as_json: bool) -> int:
    """Print the JSON Schema (draft 2020-12) of each line that a command prints with --json; without NAME list the commands.

    \b
    Examples:
      dtios schema --command describe
      dtios schema --command "job list"
    """
    from dtios.cli.group import did_you_mean
    from dtios.model.errors import ConfigurationError

    known = schemas()
    if name is None:
        click.echo(json.dumps(sorted(known)) if as_json else "\n".join(known))
        return 0
    wanted = " ".join(name.replace("-", " ").split())
    if wanted not in known:
        mend = did_you_mean(wanted, known) or f"there are {', '.join(known)}"
        raise ConfigurationError(f"no command {name!r} prints JSON", where="--command", mend=mend)
    click.echo(json.dumps(known[wanted], indent=None if as_json else 2))
    return 0
