"""The help of every command, as the reference shows it. `python -m tests.docs.help_texts` writes it into the page again."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

from dtios.cli.entry import cli
from tests.docs.markdown import ROOT

__all__ = ["PAGE", "help_texts"]

PAGE: Final = ROOT / "docs/reference/commands.md"
_WIDTH: Final = 100


def help_texts() -> dict[str, str]:
    """command ("" for dtios itself, "job list") -> its help, of the commands of this project."""
    return dict(_walk(cli, click.Context(cli, info_name="dtios", **{**cli.context_settings, "terminal_width": _WIDTH}), ""))


def _walk(command: click.Command, context: click.Context, name: str) -> Iterator[tuple[str, str]]:
    yield name, command.get_help(context) + "\n"
    if isinstance(command, click.Group):
        for child in command.list_commands(context):
            found = command.get_command(context, child)
            assert found is not None
            inner = click.Context(found, parent=context, info_name=child, terminal_width=_WIDTH)
            yield from _walk(found, inner, f"{name} {child}".strip())


def _refresh(page: Path) -> None:
    texts = help_texts()

    def written(match: re.Match[str]) -> str:
        command = match[2].strip('"')
        return f"{match[1]}{texts[command]}```\n"

    page.write_text(
        re.sub(r'(```text help=("[^"\n]*"|\S*)\n).*?```\n', written, page.read_text("utf-8"), flags=re.DOTALL), "utf-8"
    )


if __name__ == "__main__":
    _refresh(PAGE)
