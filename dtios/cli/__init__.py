"""The command line. `main` is the entry point; each command group is a module of its own, imported when it is called."""

from dtios.cli.entry import main

__all__ = ["main"]
