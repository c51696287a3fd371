"""Reads a stack that faulthandler wrote: which handler of an app holds its event loop, and at which line."""

import os
import re
import sysconfig
from pathlib import Path
from typing import Final

__all__ = ["blocker", "is_foreign"]

_FRAME: Final = re.compile(r'  File "(?P<file>[^"]*)", line (?P<line>\d+) in (?P<function>.*)')
_OURS: Final = str(Path(__file__).parents[2]) + os.sep
_STANDARD_LIBRARY: Final = sysconfig.get_path("stdlib")


def is_foreign(file: str) -> bool:
    """True for code that is neither of this package nor of Python itself: an app's, or of what it uses."""
    standard = file.startswith(_STANDARD_LIBRARY) and "site-packages" not in file
    return not standard and not file.startswith((_OURS, "<"))


def _caller(file: str) -> bool:
    """The modules that call what an app brings: its handlers, its main, its import."""
    return Path(file).name in ("crew.py", "host.py", "process.py")


def blocker(stack: list[str], handler: str = "") -> str:
    """The end of a sentence: ` in HANDLER, at FILE:LINE (FUNCTION)`. `handler` is what the app last said, for a stack that
    names no foreign code. The main thread is written last and innermost frame first."""
    frames: list[re.Match[str]] = []
    for line in stack:
        if line.startswith(("Thread 0x", "Current thread 0x")):
            frames = []
        elif found := _FRAME.match(line):
            frames.append(found)
    calls = next((i for i, frame in enumerate(frames) if frame["file"].startswith(_OURS) and _caller(frame["file"])), len(frames))
    foreign = [frame for frame in frames[:calls] if is_foreign(frame["file"])]
    if not foreign:
        return f" in {handler}" if handler else ""
    inner, outer = foreign[0], foreign[-1]
    return f" in {outer['function']}, at {inner['file']}:{inner['line']} ({inner['function']})"
