"""The local socket by which commands go through the runtime that owns a state directory (0600, user from the kernel).

Nobody says who they are: the kernel does (SO_PEERCRED; LOCAL_PEERCRED on macOS). Only the runtime's own user and root get in.
"""

import os
import pwd
import socket
import struct
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import anyio
import msgspec
import structlog
from anyio.abc import SocketAttribute, SocketStream, TaskStatus, UNIXSocketStream

from dtios.model.errors import CredentialsError, TemporaryError
from dtios.runtime.state import StateDirectory
from dtios.sdk.codec import pack
from dtios.sdk.protocol import CLIENT_DECODER, Failure, Request
from dtios.sdk.transport import Closed, StreamTransport, Transport

__all__ = ["MAX_CLIENTS", "Serve", "connect_control", "serve_control", "user_name"]

Serve = Callable[[Transport, str], Awaitable[None]]
"""Serve one client until it closes: (transport, principal)."""

MAX_CLIENTS: Final = 64
_LONGEST_ADDRESS: Final = 100  # sun_path holds 108 bytes on Linux, 104 on macOS, the closing zero included
_FIRST_WORD: Final = 1.0  # seconds for one who is turned away to say what it came for

_log = structlog.get_logger("dtios.control")


def user_name(uid: int) -> str:
    """The login name, or the number for a user that the system has no name for."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


async def serve_control(
    state: StateDirectory,
    serve: Serve,
    *,
    limit: int = MAX_CLIENTS,
    task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED,
) -> None:
    """Accept commands until cancelled; `started` when the socket listens. The caller holds the state directory's lock, so
    a socket that is already there belonged to a runtime that ended suddenly, and is replaced."""
    state.socket.unlink(missing_ok=True)
    with _short(state.socket) as path:
        listener = await anyio.create_unix_listener(path, mode=0o600)
    door = _Door(serve, limit)
    async with anyio.create_task_group() as inside:
        try:
            task_status.started()
            await listener.serve(door.enter, inside)
        finally:
            # Nobody comes in any more, while those inside are seen to their end.
            state.socket.unlink(missing_ok=True)
            with anyio.CancelScope(shield=True):
                await listener.aclose()


async def connect_control(state: StateDirectory) -> StreamTransport:
    """A transport to the runtime that owns `state`. Raises TemporaryError if nobody answers there."""
    try:
        with _short(state.socket) as path:
            return StreamTransport(await anyio.connect_unix(path))
    except PermissionError as error:
        raise CredentialsError(
            "the runtime's control socket belongs to another user", where=str(state.socket), mend="give the command as that user"
        ) from error
    except OSError as error:
        raise TemporaryError(
            "no runtime answers at its control socket", where=str(state.socket), mend="try again, or start one with `dtios run`"
        ) from error


class _Door:
    """Who may come in, and how many at once."""

    def __init__(self, serve: Serve, limit: int) -> None:
        self._serve = serve
        self._limit = limit
        self._inside = 0

    async def enter(self, stream: SocketStream | UNIXSocketStream) -> None:
        transport = StreamTransport(stream)
        try:
            uid = _peer(stream)
            if uid not in (os.geteuid(), 0):
                await _turn_away(
                    transport, "credentials", "this runtime belongs to another user", "give the command as that user"
                )
            elif self._inside >= self._limit:
                sentence = f"{self._limit} commands are connected already"
                await _turn_away(transport, "temporary", sentence, "try again when one of them has ended")
            else:
                await self._attend(transport, f"cli:{user_name(uid)}")
        except Closed:
            pass  # it left by itself
        finally:
            with anyio.CancelScope(shield=True):
                await transport.aclose()

    async def _attend(self, transport: StreamTransport, principal: str) -> None:
        self._inside += 1
        try:
            await self._serve(transport, principal)
        except Closed:
            raise
        except Exception:  # noqa: BLE001 - one client's trouble must not end the machines' runtime; it is told aloud instead
            _log.exception("control.client-failed", principal=principal)
        finally:
            self._inside -= 1


async def _turn_away(transport: StreamTransport, kind: str, message: str, mend: str) -> None:
    """Answer the first request with the reason, so that the command has a sentence to show."""
    _log.warning("control.turned-away", reason=message)
    with anyio.move_on_after(_FIRST_WORD):
        try:
            first = CLIENT_DECODER.decode(await transport.receive())
        except msgspec.MsgspecError:
            return
        if isinstance(first, Request):
            await transport.send(pack(Failure(first.id, kind, message, "control socket", mend)))


def _peer(stream: SocketStream | UNIXSocketStream) -> int:
    """The uid of the process at the other end, as the kernel saw it connect."""
    raw = stream.extra(SocketAttribute.raw_socket)
    if sys.platform == "darwin":
        credentials = raw.getsockopt(0, 1, 76)  # SOL_LOCAL, LOCAL_PEERCRED: struct xucred
        return int(struct.unpack_from("=II", credentials)[1])
    credentials = raw.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", credentials)[1])


@contextmanager
def _short(path: Path) -> Iterator[str]:
    """A name of `path` that fits into a socket address: itself, or through a symbolic link in a private directory that
    lives as long as the call. A socket keeps working when the name it was bound by is gone."""
    if len(os.fsencode(path)) <= _LONGEST_ADDRESS:
        yield str(path)
        return
    room = tempfile.gettempdir()
    with tempfile.TemporaryDirectory(prefix="dtios-", dir=room if len(os.fsencode(room)) < 60 else "/tmp") as private:
        link = Path(private) / "s"
        link.symlink_to(path.parent, target_is_directory=True)
        yield str(link / path.name)
