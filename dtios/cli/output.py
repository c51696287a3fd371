"""What a command prints: JSON lines or text on stdout, sentences and progress on stderr."""

import json
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import anyio.to_thread
import click

__all__ = ["Output", "columns", "is_stalled", "say"]


def say(sentence: str) -> None:
    """A sentence for a person, on stderr."""
    click.echo(sentence, err=True)


class Output:
    """stdout. Writing happens in a thread, so that a slow reader never stops the sessions to the machines.

    Raises BrokenPipeError when the reader is gone. `muted` swallows everything (for a job that is followed to its end though
    nobody reads any more).
    """

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        self.muted = False

    async def put(self, form: Any, text: str) -> None:
        """One object: its JSON on a line, or its text."""
        await self.put_all([(form, text)])

    async def put_all(self, items: Iterable[tuple[Any, str]]) -> None:
        """Several at once, in order."""
        lines = [_line(form) if self.as_json else text for form, text in items]
        if lines and not self.muted:
            await anyio.to_thread.run_sync(_write, "\n".join(lines) + "\n", abandon_on_cancel=True)


def is_stalled() -> bool:
    """True while a thread is blocked in writing to a pipe that nobody reads."""
    return bool(_writing)


def _line(form: Any) -> str:
    return json.dumps(form, ensure_ascii=False, allow_nan=False)


_writing: list[bool] = []


def _write(text: str) -> None:
    data = memoryview(text.encode("utf-8", "backslashreplace"))
    _writing.append(True)
    try:
        sys.stdout.flush()
        descriptor = sys.stdout.fileno()
        while data:
            data = data[os.write(descriptor, data) :]
    finally:
        _writing.pop()


def columns(header: Sequence[str], rows: Sequence[Sequence[str]], indent: str = "  ") -> list[str]:
    """A table as lines: columns as wide as their content, the last one free."""
    if not rows:
        return []
    table = [tuple(h.upper() for h in header), *rows]
    widths = [max(len(row[i]) for row in table) for i in range(len(header))]
    return [indent + "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in table]
