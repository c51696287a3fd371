"""Files below `home/pki`: made with the right mode, replaced whole or not at all, changed by one process at a time."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from dtios.sdk.errors import ConfigurationError

__all__ = ["files_in", "locked", "read_small", "unusable", "write_new"]

_MOST_FILES: Final = 1000
_LARGEST: Final = 1 << 20


def _make(folder: Path) -> None:
    """Each missing folder on the way is for its owner alone (`parents=True` would leave those open)."""
    if not folder.is_dir():
        _make(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


def unusable(path: Path, error: OSError) -> ConfigurationError:
    if isinstance(error, FileNotFoundError):
        return ConfigurationError("there is no such file", where=str(path), mend="check the name or the directory")
    reason = error.strerror or type(error).__name__
    return ConfigurationError(f"it cannot be used: {reason}", where=str(path), mend="check its owner and its permissions")


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Alone among processes. Makes the folder (0700). Raises ConfigurationError where that cannot be."""
    try:
        _make(folder)
        descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise unusable(folder, error) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    except OSError as error:
        raise unusable(folder, error) from error
    finally:
        os.close(descriptor)


def write_new(path: Path, data: bytes, mode: int = 0o644) -> None:
    """The file has its mode from its first moment on."""
    _make(path.parent)
    beside = path.with_name(f".{path.name}.new")
    beside.unlink(missing_ok=True)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def files_in(folder: Path) -> list[Path]:
    """The plain files of a folder, hidden ones left out, by name; none where there is no folder."""
    try:
        found = sorted(path for path in folder.iterdir() if not path.name.startswith(".") and path.is_file())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise unusable(folder, error) from error
    return found[:_MOST_FILES]


def read_small(path: Path) -> bytes | None:
    """None for what is gone, not readable, or far too large for a certificate."""
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
    except OSError:
        return None
    return data if len(data) <= _LARGEST else None
