"""The tasks of one running app and the calls of its handlers: named, guarded, and counted for a stop."""

import traceback
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import anyio
from anyio.abc import TaskGroup

from dtios.model.errors import DtiosError, TemporaryError
from dtios.sdk.app import Handler
from dtios.sdk.client import Client
from dtios.sdk.protocol import AppFailed

__all__ = ["Crew"]


class _HandlerRaised(Exception):
    """Tells an app's own exception (the cause) from one of the streams that feed its handler."""


class Crew:
    """Tasks are named `app:NAME:WHAT`. The first exception that leaves one is kept as `failure` and ends them all."""

    def __init__(self, app: str, client: Client, tasks: TaskGroup) -> None:
        self._app = app
        self._client = client
        self._tasks = tasks
        self._calls: dict[object, str] = {}
        self._quiet = anyio.Event()
        self.failure: AppFailed | None = None
        self.ended = False

    def start(self, name: str, call: Callable[..., Awaitable[None]], *args: Any) -> None:
        self._tasks.start_soon(partial(self._guard, name, call, *args), name=f"app:{self._app}:{name}")

    async def _guard(self, name: str, call: Callable[..., Awaitable[None]], *args: Any) -> None:
        """The edge between an app's code and ours: whatever it raises becomes one report and the app's end."""
        try:
            await call(*args)
        except _HandlerRaised as raised:
            self._fail(name, raised.__cause__ or raised)
        except Exception as error:  # noqa: BLE001 - a foreign handler may raise anything; it is reported, nothing is hidden
            self._fail(name, error)

    def _fail(self, name: str, error: BaseException) -> None:
        lost = self._client.closed is not None and isinstance(error, TemporaryError)
        if self.failure is None and not self.ended and not lost:
            self.failure = report(name, error)
        self.end()

    def end(self) -> None:
        self.ended = True
        self._tasks.cancel_scope.cancel()

    @property
    def running(self) -> str:
        """The handlers that are being called now."""
        return ", ".join(self._calls.values())

    async def call(self, handler: Handler, *args: object) -> None:
        """Call a handler. Once a stop is requested nothing new is called: this waits for the end then, so that what was to
        be handled is not acknowledged."""
        if self._client.stopping.is_set():
            await anyio.sleep_forever()
        try:
            with self._counted(handler.name):
                await handler.call(*args)
        except Exception as error:
            raise _HandlerRaised from error

    @contextmanager
    def _counted(self, name: str) -> Iterator[None]:
        token = object()
        self._calls[token] = name
        try:
            yield
        finally:
            del self._calls[token]
            if not self._calls:
                self._quiet.set()

    async def stop(self) -> None:
        """Wait for the request to stop. Calls that run then may end, for as long as the grace lasts; what only waits ends
        at once."""
        await self._client.stopping.wait()
        stop = self._client.stop
        with anyio.move_on_after(0.0 if stop is None else stop.grace):
            while self._calls:
                self._quiet = anyio.Event()
                await self._quiet.wait()
        self.end()


def report(name: str, error: BaseException) -> AppFailed:
    """What a person reads about an app's end: the handler, the line, and the traceback for the log."""
    text = "".join(traceback.format_exception(error))
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:  # what raised it ran in a task of the app's own
        error = error.exceptions[0]
    if isinstance(error, DtiosError):
        where = f"{name}: {error.where}" if error.where else name
        return AppFailed(error.kind, error.message, where, error.mend, text)
    last = traceback.extract_tb(error.__traceback__)[-1:]
    where = name + "".join(f" ({frame.filename}:{frame.lineno})" for frame in last)
    return AppFailed("app", f"{type(error).__name__}: {error}", where, "the traceback is in the log", text)
