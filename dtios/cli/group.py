"""Groups that import a command when it is called, and say what was probably meant."""

import difflib
import importlib
import importlib.metadata
from collections.abc import Iterable, Mapping
from typing import Any

import click

__all__ = ["LazyGroup", "RootGroup", "did_you_mean"]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`did you mean a or b?`, or empty when nothing is near."""
    folded = {k.casefold(): k for k in known}
    near = [folded[k] for k in difflib.get_close_matches(name.casefold(), folded, n=3, cutoff=0.6)]
    # A path of several parts is often typed by its last one alone.
    ends = [k for k in folded.values() if k.rpartition("/")[2].casefold() == name.casefold() and k not in near]
    found = [*ends, *near][:3]
    return f"did you mean {' or '.join(found)}?" if found else ""


class LazyGroup(click.Group):
    """`commands_by_name`: name -> (module, one line of help); the module's attribute is `command`."""

    def __init__(self, *, commands_by_name: Mapping[str, tuple[str, str]] | None = None, **settings: Any) -> None:
        super().__init__(**settings)
        self._lazy = dict(commands_by_name or {})

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*self._lazy, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in self._lazy:
            command = importlib.import_module(self._lazy[cmd_name][0]).command
            return command if isinstance(command, click.Command) else None
        return super().get_command(ctx, cmd_name)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.exceptions.NoSuchCommand as error:
            hint = did_you_mean(args[0], self.list_commands(ctx))
            raise click.UsageError(f"no such command '{args[0]}'" + (f", {hint}" if hint else ""), ctx) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, self.summary(ctx, name)) for name in self.list_commands(ctx)])

    def summary(self, ctx: click.Context, name: str) -> str:
        """One line, without importing the command."""
        if name in self._lazy:
            return self._lazy[name][1]
        command = super().get_command(ctx, name)
        return command.get_short_help_str(80) if command is not None else ""


def _plugin_commands() -> dict[str, importlib.metadata.EntryPoint]:
    """name -> entry point of the group that dtios.sdk.commands describes; that module's package is not imported for it."""
    return {point.name: point for point in importlib.metadata.entry_points(group="dtios.commands")}


class RootGroup(LazyGroup):
    """`dtios` itself: its own commands first, then those of plug-ins. A broken plug-in breaks its own command only."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        own = super().list_commands(ctx)
        return [*own, *sorted(_plugin_commands().keys() - set(own))]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        found = super().get_command(ctx, cmd_name)
        if found is not None:
            return found
        point = _plugin_commands().get(cmd_name)
        if point is None:
            return None
        from dtios.sdk.commands import load_command

        return load_command(point)

    def summary(self, ctx: click.Context, name: str) -> str:
        return super().summary(ctx, name) or "Added by a plug-in."
