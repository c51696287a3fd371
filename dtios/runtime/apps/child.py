"""A process that hosts one app: started, listened to, asked where it stands, and ended."""

import os
import signal
import socket
import sys
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import anyio
import psutil
from anyio.abc import ByteReceiveStream, Process, UNIXSocketStream

from dtios.sdk.transport import StreamTransport

__all__ = ["Child", "spawn"]

MAX_LINE: Final = 4096
LINES_A_SECOND: Final = 200
"""Of what an app prints; more is dropped and counted."""
_TAIL: Final = 60
_STACK_WAIT: Final = 0.5
_STACK_LINES: Final = 500
_PRIVATE = "DTIOS_"

Printed = Callable[[str, str], None]
"""(stream, line)."""


class Child:
    """The runtime's view of the process. `transport` is this end of the socket pair."""

    def __init__(self, process: Process, transport: StreamTransport) -> None:
        self._process = process
        self.transport = transport
        self._tail: deque[str] = deque(maxlen=_TAIL)
        self._silenced = 0
        self._printed_this_second = 0
        self._arrived = anyio.Event()
        self._stack: list[str] | None = None

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def last_words(self) -> str:
        """The last lines it wrote to stderr."""
        return "\n".join(self._tail)

    def memory(self) -> int | None:
        """Resident bytes; None once it is gone."""
        try:
            return int(psutil.Process(self.pid).memory_info().rss)
        except psutil.Error:
            return None

    async def wait(self) -> int:
        """The exit status; the negative of the signal that ended it."""
        return await self._process.wait()

    def kill(self) -> None:
        """It, and whatever it started in its session."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    async def stack(self) -> list[str]:
        """Where it stands now, as faulthandler writes it; empty if it cannot answer (frozen, or gone)."""
        lines = self._stack = []
        try:
            self._process.send_signal(signal.SIGUSR1)
        except ProcessLookupError:
            return []
        with anyio.move_on_after(_STACK_WAIT):
            # The main thread is written last, and the module that was run is near its outermost frame.
            while not any("in <module>" in line for line in lines):
                self._arrived = anyio.Event()
                await self._arrived.wait()
        self._stack = None
        return lines

    async def read_output(self, printed: Printed) -> None:
        """Hand on what it prints, line by line, until it has closed both streams."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._reset_rate, tasks.cancel_scope, printed, name=f"child {self.pid}: output rate")
            async with anyio.create_task_group() as readers:
                for name in ("stdout", "stderr"):
                    stream: ByteReceiveStream | None = getattr(self._process, name)
                    if stream is not None:
                        readers.start_soon(self._read, name, stream, printed, name=f"child {self.pid}: {name}")
            tasks.cancel_scope.cancel()

    async def _reset_rate(self, scope: anyio.CancelScope, printed: Printed) -> None:
        while True:
            await anyio.sleep(1)
            dropped, self._silenced, self._printed_this_second = self._silenced, 0, 0
            if dropped:
                printed("stdout", f"({dropped} more lines in this second were dropped)")

    async def _read(self, name: str, stream: ByteReceiveStream, printed: Printed) -> None:
        rest = b""
        with suppress(anyio.ClosedResourceError, anyio.BrokenResourceError):
            async for block in stream:
                *lines, rest = (rest + block).split(b"\n")
                for line in lines:
                    self._line(name, line, printed)
                if len(rest) > MAX_LINE:
                    self._line(name, rest, printed)
                    rest = b""
        if rest:
            self._line(name, rest, printed)

    def _line(self, name: str, raw: bytes, printed: Printed) -> None:
        line = raw[:MAX_LINE].decode(errors="replace").rstrip()
        if name == "stderr":
            if self._stack is not None and len(self._stack) < _STACK_LINES:
                self._stack.append(line)
                self._arrived.set()
                return
            self._tail.append(line)
        if self._printed_this_second >= LINES_A_SECOND:
            self._silenced += 1
            return
        self._printed_this_second += 1
        if line:
            printed(name, line)


@asynccontextmanager
async def spawn(target: str, name: str) -> AsyncIterator[Child]:
    """Start `python -m dtios.sdk.process` on an app. When the context ends the process has ended and was waited for."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with theirs:
            process = await anyio.open_process(
                [sys.executable, "-u", "-m", "dtios.sdk.process", target, str(theirs.fileno()), name],
                pass_fds=[theirs.fileno()],
                env=_environment(),
                start_new_session=True,
            )
    except BaseException:
        ours.close()
        raise
    child = Child(process, StreamTransport(await UNIXSocketStream.from_socket(ours)))
    try:
        yield child
    finally:
        with anyio.CancelScope(shield=True):
            child.kill()
            await process.wait()
            await child.transport.aclose()
            await process.aclose()


def _environment() -> dict[str, str]:
    """The runtime's own, without what is meant for it alone; modules are found where the runtime finds them."""
    environment: dict[str, Any] = {k: v for k, v in os.environ.items() if not k.startswith(_PRIVATE)}
    environment["PYTHONPATH"] = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
    return environment
