"""Browse facts on disk, below the state directory: what was known of an address space when it was browsed last.

A file for each endpoint and user. It is written whole or not at all; one that is damaged, of another version or of another
endpoint is ignored, and the log says so. Nothing in it is ever executed.
"""

import hashlib
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from typing import Final, NamedTuple, TypeVar

import anyio.to_thread
import msgspec
import structlog

from dtios.mapping.facts import BrowseFacts
from dtios.runtime.links.facts_form import FORM, decode_facts, encode_facts
from dtios.sdk.adapter import Fingerprint

__all__ = ["FactsCache", "Known", "digest_of"]

log = structlog.get_logger("dtios.cache")

_MAGIC: Final = "dtios browse facts"
_MOST: Final = 200
"""Files kept; the oldest go first."""
T = TypeVar("T")


class Known(NamedTuple):
    """What was found, under which fingerprint; `digest` differs where anything of it does. `facts` None: they are in use."""

    fingerprint: Fingerprint
    facts: BrowseFacts | None
    digest: str


class _File(msgspec.Struct, array_like=True):
    magic: str
    form: int
    url: str
    user: str | None
    model: str
    run: str
    digest: str
    facts: bytes


class _Head(msgspec.Struct, array_like=True):
    magic: str
    form: int


def digest_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class FactsCache:
    """In `folder`, which is made when something is written; without one nothing is kept. I/O and coding is done in a thread."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def path(self, url: str, user: str | None) -> Path:
        """Raises ValueError without a folder."""
        if self._folder is None:
            raise ValueError("nothing is kept")
        name = hashlib.sha256(f"{url}\n{user or ''}\n{user is None}".encode()).hexdigest()[:32]
        return self._folder / f"{name}.facts"

    async def load(self, url: str, user: str | None) -> Known | None:
        """None where there is nothing that can be used."""
        return None if self._folder is None else await _in_thread(lambda: self._load(url, user))

    async def save(self, url: str, user: str | None, fingerprint: Fingerprint, facts: BrowseFacts) -> Known:
        """Never raises: what cannot be written is browsed again at the next start."""
        return await _in_thread(lambda: self._save(url, user, fingerprint, facts))

    def _load(self, url: str, user: str | None) -> Known | None:
        path = self.path(url, user)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            log.warning("what was known is not used", file=str(path), reason=error.strerror or str(error))
            return None
        try:
            return _opened(data, url, user)
        except Exception as error:  # noqa: BLE001  # a damaged file may fail in any way
            reason = str(error) or type(error).__name__
        log.warning("what was known is not used", endpoint=url, file=str(path), reason=reason)
        return None

    def _save(self, url: str, user: str | None, fingerprint: Fingerprint, facts: BrowseFacts) -> Known:
        try:
            data = encode_facts(facts)
        except TypeError as error:
            log.warning("what is known is not kept", endpoint=url, reason=str(error))
            return Known(fingerprint, facts, token_hex())
        digest = digest_of(data)
        if self._folder is not None:
            file = _File(_MAGIC, FORM, url, user, fingerprint.model, fingerprint.run, digest, data)
            try:
                self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                _replace(self.path(url, user), msgspec.msgpack.encode(file))
                _tidy(self._folder)
            except OSError as error:
                log.warning("what is known is not kept", endpoint=url, reason=error.strerror or str(error))
        return Known(fingerprint, facts, digest)


def _tidy(folder: Path) -> None:
    files = sorted(folder.glob("*.facts"), key=lambda file: file.stat().st_mtime)
    for old in files[:-_MOST]:
        old.unlink(missing_ok=True)


def _opened(data: bytes, url: str, user: str | None) -> Known:
    head = msgspec.msgpack.decode(data, type=_Head)
    if head.magic != _MAGIC:
        raise ValueError("it is no file of browse facts")
    if head.form != FORM:
        raise ValueError(f"it is of version {head.form}, and {FORM} is read here")
    file = msgspec.msgpack.decode(data, type=_File)
    if (file.url, file.user) != (url, user):
        raise ValueError("it is of another endpoint")
    if digest_of(file.facts) != file.digest:
        raise ValueError("it is damaged")
    return Known(Fingerprint(file.model, file.run), decode_facts(file.facts), file.digest)


def _replace(path: Path, data: bytes) -> None:
    fd, beside = tempfile.mkstemp(dir=path.parent, prefix=path.stem, suffix=".new")
    try:
        with open(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(beside)
        raise


async def _in_thread(work: Callable[[], T]) -> T:
    return await anyio.to_thread.run_sync(work)
