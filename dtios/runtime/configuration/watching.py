"""Notices that files changed, by looking at them twice a second.

Looking is chosen over the kernel's events: it needs no library, costs some microseconds a file, works on network drives and in
containers (where events of a mounted file do not arrive), sees through the renames and link swaps by which editors and Kubernetes
replace files, and its clock can be turned by a test.
"""

from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Final

import anyio.to_thread

from dtios.sdk.clock import Clock

__all__ = ["LOOK", "Signature", "signature", "watch"]

LOOK: Final = 0.5
"""Seconds between two looks. A change is taken up when two looks in a row see the same: what is still being written is left
alone, and several saves in a row are one."""

Signature = tuple[tuple[str, int, int, int], ...]
"""(path, modified in ns, size, inode) of each file; -1 for one that is not there."""


def signature(files: Iterable[Path]) -> Signature:
    return tuple(_look(file) for file in files)


def _look(file: Path) -> tuple[str, int, int, int]:
    try:
        found = file.stat()
    except OSError:
        return (str(file), -1, -1, -1)
    return (str(file), found.st_mtime_ns, found.st_size, found.st_ino)


async def watch(
    files: Callable[[], Iterable[Path]], known: Callable[[], Signature], changed: Callable[[], Awaitable[None]], clock: Clock
) -> None:
    """Call `changed` whenever the files have settled into something else than `known`, until cancelled.

    In a thread: a network drive that hangs must not hold up the machines.
    """
    before: Signature | None = None
    while True:
        await clock.sleep(LOOK)
        now = await anyio.to_thread.run_sync(signature, list(files()), abandon_on_cancel=True)
        if now == before and now != known():
            await changed()
        before = now
