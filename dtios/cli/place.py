"""Which configuration and which state directory a command works with, and through whose runtime.

If the state directory belongs to a running runtime, the command goes through it; otherwise it hosts one for its own length,
which serves the control socket as well, so that a second command goes through the first.
"""

import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import anyio

from dtios.cli.running import interruptible, unwrapped
from dtios.cli.unknown import DEFAULT_CONFIG, unknown_machine
from dtios.model.errors import ConfigurationError, TemporaryError
from dtios.runtime.broker.names import is_embedded
from dtios.runtime.clients.control import connect_control, serve_control, user_name
from dtios.runtime.configuration.config import RuntimeConfig, load_config
from dtios.runtime.state import StateDirectory, StateLocked
from dtios.sdk.client import Client, open_client
from dtios.sdk.transport import StreamTransport, memory_pair

if TYPE_CHECKING:
    from dtios.runtime.core import Runtime

__all__ = [
    "DEFAULT_CONFIG",
    "Place",
    "configured_machine",
    "find_place",
    "find_running",
    "hosted",
    "hosted_client",
    "machines_at",
    "own_principal",
    "through_runtime",
    "with_running",
]

_SETTLE: Final = 15.0  # seconds for a runtime that holds the lock to begin to listen, or to end
_AGAIN: Final = 0.05  # seconds between two tries: nothing signals across processes when a lock is given back

_NOTICED: Final = 0.2  # seconds in which the end of a runtime shows, if that is what an error came from

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Place:
    """`file` is None where there is no configuration; `config` is empty then."""

    file: Path | None
    config: RuntimeConfig
    state: StateDirectory


def find_place(config: Path | None, state: Path | None) -> Place:
    """The configuration named, else ./dtios.yaml where there is one. Raises ConfigurationError."""
    file = config if config is not None else DEFAULT_CONFIG if DEFAULT_CONFIG.exists() else None
    loaded = load_config(file) if file is not None else RuntimeConfig()
    return Place(file, loaded, StateDirectory.choose(state, loaded.state))


def own_principal() -> str:
    """Who gives the commands of this process."""
    return f"cli:{user_name(os.geteuid())}"


def find_running(config: Path | None, state: Path | None) -> Place:
    """The same for a command that only asks the running runtime: also where the file on disk is wrong just now."""
    try:
        return find_place(config, state)
    except ConfigurationError:
        file = config if config is not None else DEFAULT_CONFIG
        return Place(file, RuntimeConfig(), StateDirectory.choose(state, _state_said(file)))


def _state_said(file: Path) -> Path | None:
    """`state:` of a file that cannot be read as a whole."""
    try:
        text = file.read_text("utf-8", "replace")
    except OSError:
        return None
    said = re.search(r"^state:[ \t]*(['\"]?)([^#\r\n]+?)\1[ \t]*(?:#.*)?$", text, re.MULTILINE)
    return None if said is None else file.resolve().parent / said[2]


@asynccontextmanager
async def hosted(
    config: RuntimeConfig, state: StateDirectory, path: Path | None = None, *, watch: bool = False
) -> "AsyncIterator[Runtime]":
    """A runtime in this process that owns `state` and listens for commands. `path`, `watch`: see Runtime. Raises StateLocked."""
    with state.lock():
        from dtios.runtime.core import Runtime
        from dtios.runtime.registry import Registry

        made = Runtime(config, state, Registry(), path=path, watch=watch)
        async with made as runtime, anyio.create_task_group() as tasks:
            await tasks.start(serve_control, state, runtime.serve, name="control socket")
            try:
                yield runtime
            finally:
                tasks.cancel_scope.cancel()


@asynccontextmanager
async def hosted_client(
    config: RuntimeConfig, state: StateDirectory, path: Path | None = None, *, watch: bool = False
) -> AsyncIterator[Client]:
    """A client of a runtime that lives as long as it."""
    async with hosted(config, state, path, watch=watch) as runtime:
        ours, theirs = memory_pair()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(runtime.serve, theirs, own_principal(), name="own command")
            async with open_client(ours, "command") as client:
                yield client


class _Gone(Exception):
    """The running runtime ended while the command went through it."""


class _Unheard(Exception):
    """The runtime was ending when the command came, and did not greet it."""

    def __init__(self, error: TemporaryError) -> None:
        super().__init__(str(error))
        self.error = error


async def through_runtime(
    place: Place,
    wanted: RuntimeConfig,
    body: Callable[[Client, bool], Awaitable[T]],
    *,
    repeatable: bool = True,
) -> T:
    """Call `body(client, hosting)` through the running runtime, else through one hosted with the configuration `wanted`.

    If the running one ends meanwhile, a repeatable body is called once more, with a runtime of our own unless a new one runs.
    """
    with unwrapped():
        try:
            return await _attempt(place.state, wanted, body)
        except _Gone:
            if not repeatable:
                raise TemporaryError(
                    "the runtime ended before it answered, so whether it was done is not known",
                    where=str(place.state.path),
                    mend="look at the machine, then decide whether to give the command again",
                ) from None
        try:
            return await _attempt(place.state, wanted, body)
        except _Gone as gone:
            raise TemporaryError(
                f"two runtimes, one after the other, did not take the command to its end ({gone})",
                where=str(place.state.path),
                mend="try again when one stays",
            ) from None


async def _attempt(state: StateDirectory, wanted: RuntimeConfig, body: Callable[[Client, bool], Awaitable[T]]) -> T:
    deadline = anyio.current_time() + _SETTLE
    while True:
        try:
            return await _once(state, wanted, body)
        except _Unheard as unheard:
            if anyio.current_time() > deadline:
                raise unheard.error from None
        await anyio.sleep(_AGAIN)


async def _once(state: StateDirectory, wanted: RuntimeConfig, body: Callable[[Client, bool], Awaitable[T]]) -> T:
    with unwrapped():
        async with _entered(state, wanted) as (client, hosting):
            try:
                with interruptible():
                    return await body(client, hosting)
            except TemporaryError as error:
                if not hosting and await _gone(client):
                    raise _Gone(str(error)) from error
                raise


async def _gone(client: Client) -> bool:
    """Whether the runtime ended or is ending. Sending may fail a moment before the reader sees the end."""
    with anyio.move_on_after(_NOTICED):
        await client.stopping.wait()
    return client.stopping.is_set()


@asynccontextmanager
async def _entered(state: StateDirectory, wanted: RuntimeConfig) -> AsyncIterator[tuple[Client, bool]]:
    with ExitStack() as owned:
        transport = await _running(state, owned)
        if transport is None:
            async with hosted_client(wanted, state) as client:
                yield client, True
            return
        greeted = False
        try:
            async with open_client(transport, "command") as client:
                greeted = True
                yield client, False
        except TemporaryError as error:
            if greeted:
                raise
            raise _Unheard(error) from error


async def _running(state: StateDirectory, owned: ExitStack) -> StreamTransport | None:
    """A transport to the runtime that owns `state`; None when nobody did, and then the lock is ours, entered into `owned`.
    The owner may just be starting or ending."""
    deadline = anyio.current_time() + _SETTLE
    while True:
        try:
            owned.enter_context(state.lock())
        except StateLocked as locked:
            try:
                return await connect_control(state)
            except TemporaryError:
                if anyio.current_time() > deadline:
                    raise locked from None
        else:
            return None
        await anyio.sleep(_AGAIN)


async def with_running(place: Place, body: Callable[[Client], Awaitable[T]]) -> T:
    """Call `body` through the runtime that runs. Raises TemporaryError if none does."""
    with ExitStack() as owned, unwrapped():
        # Where nobody ever ran there is no directory, and asking should not make one.
        transport = await _running(place.state, owned) if place.state.lock_file.exists() else None
        if transport is None:
            raise TemporaryError("no runtime runs here", where=str(place.state.path), mend="start one with `dtios run`")
        async with open_client(transport, "command") as client:
            return await body(client)


def configured_machine(place: Place, name: str) -> RuntimeConfig:
    """The configuration with this machine alone, for a runtime hosted by one command: no other machine, no apps."""
    if name not in place.config.machines:
        raise unknown_machine(name, list(place.config.machines), place.file)
    machine = place.config.machines[name]
    broker = place.config.broker if is_embedded(machine.endpoint) else None
    return RuntimeConfig(machines={name: machine}, profiles=place.config.profiles, broker=broker)


def machines_at(place: Place, url: str) -> RuntimeConfig:
    """The configured machines behind a URL, so that envelope and interlocks hold for it as well; else an empty configuration."""
    at = {name: m for name, m in place.config.machines.items() if m.endpoint.rstrip("/") == url.rstrip("/")}
    broker = place.config.broker if is_embedded(url) else None
    return RuntimeConfig(machines=at, profiles=place.config.profiles, broker=broker)
