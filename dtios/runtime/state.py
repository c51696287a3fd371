"""The state directory: journal, lock and control socket of one runtime. One runtime owns it at a time.

Which directory: `--state DIR`, else $DTIOS_STATE, else `state:` of the configuration used, else $XDG_STATE_HOME/dtios
(~/.local/state/dtios).
"""

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dtios.model.errors import ConfigurationError, TemporaryError

__all__ = ["StateDirectory", "StateLocked"]

_LONGEST = 200
_MEND = "name another directory with --state DIR or $DTIOS_STATE"


class StateLocked(TemporaryError):
    """Another runtime owns the directory. `pid` is its process, None where it has not written it yet."""

    def __init__(self, path: Path, pid: int | None) -> None:
        holder = f"process {pid}" if pid is not None else "another process"
        super().__init__(
            f"the state directory is in use by the runtime of {holder}",
            where=str(path),
            mend="give commands through it, stop it first, or name another directory with --state DIR",
        )
        self.pid = pid


class StateDirectory:
    """Paths and the lock. Making the object touches nothing; `lock` creates the directory (0700) where it is missing."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path).expanduser().absolute()
        self._lock_fd: int | None = None
        self._holds = 0

    @classmethod
    def choose(cls, option: Path | str | None = None, configured: Path | str | None = None) -> "StateDirectory":
        """The directory by the order of this module's docstring; empty strings count as not given."""
        named = option or os.environ.get("DTIOS_STATE") or configured
        if named:
            return cls(named)
        home = os.environ.get("XDG_STATE_HOME") or Path("~/.local/state").expanduser()
        return cls(Path(home) / "dtios")

    @property
    def journal(self) -> Path:
        return self.path / "journal.sqlite3"

    @property
    def socket(self) -> Path:
        return self.path / "control.sock"

    @property
    def lock_file(self) -> Path:
        return self.path / "lock"

    def app_folder(self, name: str) -> Path:
        """The folder of an app's or publisher's own (0700), made where it is missing. Raises ConfigurationError."""
        # a name may be `..`, and longer than a file's name can be
        safe = name if len(name.encode()) <= _LONGEST and not name.startswith((".", "%")) else f"%{_digest(name)}"
        folder = self.path / "apps" / safe
        try:
            folder.parent.mkdir(mode=0o700, exist_ok=True)
            folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise self._unusable(error) from error
        return folder

    @property
    def held(self) -> bool:
        """True while this object holds the lock."""
        return self._holds > 0

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Own the directory. May be entered again while this object holds it. The kernel gives the lock back when the
        process ends, however it ends. Raises StateLocked, ConfigurationError."""
        if self._holds == 0:
            self._lock_fd = self._acquire()
        self._holds += 1
        try:
            yield
        finally:
            self._holds -= 1
            if self._holds == 0 and self._lock_fd is not None:
                os.close(self._lock_fd)
                self._lock_fd = None

    def holder(self) -> int | None:
        """The pid that the last owner wrote; whether it still runs only the lock tells."""
        try:
            return int(self.lock_file.read_text("ascii").strip())
        except (OSError, ValueError):
            return None

    def _acquire(self) -> int:
        self._create()
        try:
            fd = os.open(self.lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self._unusable(error) from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            raise StateLocked(self.path, self.holder()) from None
        except OSError as error:  # a file system without locks
            os.close(fd)
            raise self._unusable(error) from error
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        return fd

    def _create(self) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise self._unusable(error) from error
        if not os.access(self.path, os.W_OK | os.X_OK):
            raise ConfigurationError("the state directory cannot be written", where=str(self.path), mend=_MEND)

    def _unusable(self, error: OSError) -> ConfigurationError:
        reason = error.strerror or type(error).__name__
        return ConfigurationError(f"the state directory cannot be used: {reason}", where=str(self.path), mend=_MEND)


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:32]
