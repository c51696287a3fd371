"""What is being done, on a terminal's last line; nothing at all where stderr is not a terminal."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from dtios.sdk.client import OnProgress

__all__ = ["shown_progress"]


@contextmanager
def shown_progress(first: str) -> Iterator[tuple[OnProgress, Callable[[], None]]]:
    """Yields what takes (what, done, total), and what removes the line; it is removed when the context ends, too."""
    if not sys.stderr.isatty():
        yield lambda what, done, total: None, lambda: None
        return
    from rich.console import Console

    status = Console(stderr=True).status(first)

    def update(what: str, done: int, total: int | None) -> None:
        of = f" of {total}" if total is not None else ""
        status.update(f"{what} {done}{of}" if done or total else what)

    status.start()
    try:
        yield update, status.stop
    finally:
        status.stop()
