"""A plug-in's own subcommand of `dtios`: an entry point of the group `dtios.commands`.

The entry point's name is the subcommand's, its object a `click.Command` or `click.Group`. It is imported when it is called,
not before. What it raises of the error tree becomes one sentence and the exit status, with `--json` in its arguments an
error object on stdout.

    [project.entry-points."dtios.commands"]
    sim = "dtios_cell.command:sim"
"""

import importlib.metadata
from typing import Final

import click

from dtios.model.errors import ConfigurationError

__all__ = ["COMMANDS_GROUP", "load_command"]

COMMANDS_GROUP: Final = "dtios.commands"


def load_command(point: importlib.metadata.EntryPoint) -> click.Command:
    """Import a subcommand. Raises ConfigurationError, whatever is wrong with the plug-in."""
    where = f"plug-in command {point.name} ({point.value})"
    mend = "correct or uninstall the plug-in"
    try:
        command = point.load()
    except Exception as error:  # a plug-in's import may raise anything, and must not break the command line
        raise ConfigurationError(f"cannot be imported: {type(error).__name__}: {error}", where=where, mend=mend) from error
    if not isinstance(command, click.Command):
        raise ConfigurationError(f"is a {type(command).__name__}, not a click command", where=where, mend=mend)
    return command
