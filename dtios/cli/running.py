"""Run a command's coroutine: Ctrl-C and SIGTERM end it in order, errors come out single."""

import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress

import anyio
from anyio.abc import TaskStatus

from dtios.cli.output import say
from dtios.model.errors import DtiosError

__all__ = ["Interrupted", "interruptible", "quiet_logging", "run_async", "unwrapped"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run_async(main: Callable[[], Awaitable[int]], *, interrupted: Callable[[], int] | None = None) -> int:
    """The exit status of `main`; if a signal ended it 128 + its number, or what `interrupted` says. What it started is ended
    in order first; a second signal does not wait for that."""
    with unwrapped():
        return anyio.run(_guarded, main, interrupted)


def quiet_logging() -> None:
    """For commands whose output is their own: errors only, unless $DTIOS_LOG names another level."""
    from dtios.logging import configure_logging

    level = os.environ.get("DTIOS_LOG", "critical")
    configure_logging(level=level if level in ("debug", "info", "warning", "error", "critical") else "critical")


async def _guarded(main: Callable[[], Awaitable[int]], interrupted: Callable[[], int] | None) -> int:
    caught: list[int] = []
    status = 0
    async with anyio.create_task_group() as tasks:
        with anyio.CancelScope() as scope:
            await tasks.start(_watch_signals, scope, caught, name="signals")
            with suppress(Interrupted), unwrapped():
                status = await main()
        tasks.cancel_scope.cancel()
    if caught:
        return 128 + caught[0] if interrupted is None else interrupted()
    return status


async def _watch_signals(scope: anyio.CancelScope, caught: list[int], *, task_status: TaskStatus[None]) -> None:
    with anyio.open_signal_receiver(*_SIGNALS) as signals:
        task_status.started()
        async for number in signals:
            if caught:
                os._exit(128 + number)
            caught.append(number)
            (_bodies[-1] if _bodies else scope).cancel()


_bodies: list[anyio.CancelScope] = []


class Interrupted(Exception):
    """A signal ended the body of the command; what is around it ends in order."""


@contextmanager
def interruptible() -> Iterator[None]:
    """What a signal ends inside of a hosted runtime: the runtime itself is not cancelled, because what it still has to do, as
    holding a job that was left behind, needs its connections. Raises Interrupted."""
    with anyio.CancelScope() as scope:
        _bodies.append(scope)
        try:
            yield
        finally:
            _bodies.remove(scope)
    if scope.cancelled_caught:
        raise Interrupted


@contextmanager
def unwrapped() -> Iterator[None]:
    """Task groups wrap what ends them; a command shows the error itself. Further ones of the tree are said on stderr."""
    try:
        yield
    except BaseExceptionGroup as group:
        leaves = list(_leaves(group))
        known = [leaf for leaf in leaves if isinstance(leaf, DtiosError)]
        if len(known) == len(leaves):
            for other in known[1:]:
                say(f"dtios: {other}")
            raise known[0] from None
        if len(leaves) == 1:
            raise leaves[0] from None
        raise


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error
