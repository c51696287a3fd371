"""From arguments to an exit status: 0 done, 1 failed, 2 usage or configuration, 130 ended by Ctrl-C.

Whatever a person does wrong becomes one sentence on stderr; with `--json` it is an error object on stdout as well.
"""

import os
import sys
from collections.abc import Sequence
from typing import Final

import click

from dtios import __version__
from dtios.cli.failure import INTERRUPTED, report, report_usage
from dtios.cli.group import RootGroup
from dtios.model.errors import DtiosError, TemporaryError

__all__ = ["COMMANDS", "cli", "main"]

COMMANDS: Final = {
    "discover": ("dtios.cli.discover", "Find machines at an address, or in the network."),
    "describe": ("dtios.cli.describe", "Describe a machine: identification, signals, skills."),
    "profile": ("dtios.cli.profile", "Propose a profile for a machine."),
    "watch": ("dtios.cli.watch", "Follow the signals of a machine."),
    "read": ("dtios.cli.read", "Read signals once."),
    "write": ("dtios.cli.write", "Write a signal."),
    "start": ("dtios.cli.start", "Start a skill as a job and follow it to its end."),
    "run": ("dtios.cli.run", "Run the machines and apps of a dtios.yaml."),
    "reload": ("dtios.cli.reload", "Apply a changed dtios.yaml to the runtime that runs."),
    "check": ("dtios.cli.check", "Check a dtios.yaml without touching a machine."),
    "status": ("dtios.cli.status", "Show the health of machines and apps."),
    "ledger": ("dtios.cli.ledger", "Show what each consumer received, and what is missing."),
    "complaints": ("dtios.cli.complaints", "Show what machines said that was not understood."),
    "doctor": ("dtios.cli.doctor", "Say what is wrong with a machine, and what mends it."),
    "job": ("dtios.cli.job", "List, show, command and resolve jobs."),
    "condition": ("dtios.cli.condition", "List, acknowledge, confirm and shelve conditions (alarms)."),
    "results": ("dtios.cli.results", "Follow the results of a machine."),
    "app": ("dtios.cli.app", "Make, list and test apps; answer their questions."),
    "trust": ("dtios.cli.trust", "Say which certificates are trusted; export our own."),
    "adapters": ("dtios.cli.adapters", "List and grade the installed adapters."),
    "schema": ("dtios.cli.schema", "Print the JSON Schema of a command's output."),
}
"""name -> (module, one line of help). A module's command is its attribute `command`."""

_EPILOG = """\b
Try:
  dtios describe opc.tcp://localhost:4840
  dtios watch opc.tcp://localhost:4840 'Status/*' --count 10
"""


@click.group(
    cls=RootGroup,
    commands_by_name=COMMANDS,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(__version__, message="%(prog)s %(version)s")
def cli() -> None:
    """The digital connector of a factory: any machine behind one standard interface."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and leave with its exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    status = _status(given)
    _leave(status)


def _status(given: list[str]) -> int:
    as_json = "--json" in given[: given.index("--")] if "--" in given else "--json" in given
    try:
        if "_DTIOS_COMPLETE" in os.environ:
            cli.main(prog_name="dtios")
        # Not cli.main: that takes a broken pipe for a failure.
        with cli.make_context("dtios", given) as context:
            result = cli.invoke(context)
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except click.ClickException as error:
        return report_usage(error, as_json)
    except DtiosError as error:
        return report(error, as_json)
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except BrokenPipeError:
        return 0  # whoever read the output has enough, as `| head`
    except Exception as error:
        if os.environ.get("DTIOS_DEBUG"):
            raise
        defect = TemporaryError(
            f"this is a defect of dtios: {type(error).__name__}: {error}",
            mend="report it with what DTIOS_DEBUG=1 shows",
        )
        return report(defect, as_json)
    return result if isinstance(result, int) else 0


def _leave(status: int) -> None:
    """End the process. After Ctrl-C a thread may still be blocked in writing to a pipe that nobody reads: do not wait for it."""
    if "dtios.cli.output" in sys.modules and sys.modules["dtios.cli.output"].is_stalled():
        sys.stderr.flush()
        os._exit(status)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.exit(status)
