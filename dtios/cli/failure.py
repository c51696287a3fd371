"""Errors as a person and a program read them, and the exit status they lead to."""

import json
import sys
from typing import Any, Final

import click

from dtios.model.errors import ConfigurationError, DtiosError

__all__ = ["INTERRUPTED", "error_to_json", "exit_status", "report", "report_usage"]

INTERRUPTED: Final = 130  # 128 + SIGINT, as shells have it


def error_to_json(error: DtiosError) -> dict[str, Any]:
    """docs/reference/wire-forms.md: an error, anywhere."""
    return {"error": {"kind": error.kind, "message": error.message, "where": error.where, "mend": error.mend}}


def exit_status(error: DtiosError) -> int:
    return 2 if error.kind == "configuration" else 1


def report(error: DtiosError, as_json: bool) -> int:
    """Say it; returns the exit status."""
    if as_json:
        _print_line(sys.stdout, json.dumps(error_to_json(error)))
    _print_line(sys.stderr, f"dtios: {' '.join(str(error).split())}")
    return exit_status(error)


def report_usage(error: click.ClickException, as_json: bool) -> int:
    """A mistake in the arguments: exit status 2."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return 2
    context = error.ctx if isinstance(error, click.UsageError) else None
    path = context.command_path if context is not None else "dtios"
    message = error.format_message().rstrip(".").replace("\n", " ")
    message = message[:1].lower() + message[1:]
    return report(ConfigurationError(message, where=path, mend=f"see `{path} --help`"), as_json)


def _print_line(stream: Any, text: str) -> None:
    try:
        print(text, file=stream, flush=True)
    except BrokenPipeError:
        pass  # nobody listens; the exit status still tells
    except UnicodeEncodeError:
        print(text.encode("ascii", "backslashreplace").decode("ascii"), file=stream, flush=True)
