"""One client of the runtime, an app or a command: its requests, its streams, and what happens when it is gone."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Final, TypeVar

import anyio
import msgspec
import structlog
from anyio.abc import TaskGroup
from anyio.streams.memory import MemoryObjectSendStream

from dtios.model.errors import ConfigurationError, DtiosError, RefusedError, TemporaryError
from dtios.runtime.commands.principal import Principal
from dtios.runtime.data.consumer import Consumer
from dtios.runtime.kernel import Kernel
from dtios.runtime.links.link import Link, first_error
from dtios.runtime.links.machines import LiveMachine
from dtios.sdk import protocol as p
from dtios.sdk.codec import pack, pack_batch, pack_value
from dtios.sdk.transport import Closed, Transport

__all__ = ["Last", "Session", "handles", "packed_view"]

log = structlog.get_logger("dtios.session")

MAX_REQUESTS: Final = 256
"""Requests of one client under way at once; more are refused (temporary)."""
CHANGES: Final = 1000
"""Changes of jobs or machines a slow client may be behind; then its stream ends and says so."""

Last = tuple[p.FromRuntime, bool]
"""A message of a stream, and whether it is the last one."""

_M = TypeVar("_M")
Handler = Callable[["Session", Any, p.Request], Awaitable[Any]]
_HANDLERS: dict[type, Handler] = {}


def handles(kind: type[_M]) -> Callable[[Callable[["Session", _M, p.Request], Awaitable[Any]]], Callable[..., Any]]:
    """Register the handler of one kind of request (`dtios.runtime.clients.requests` holds them)."""

    def register(handler: Callable[["Session", _M, p.Request], Awaitable[Any]]) -> Callable[..., Any]:
        _HANDLERS[kind] = handler
        return handler

    return register


def packed_view(view: p.JobView) -> p.JobView:
    """A job's view as it travels: values packed, so that they arrive as what they are."""
    outcome = view.outcome
    if outcome is not None:
        outcome = replace(outcome, results=pack_value(dict(outcome.results)))
    return msgspec.structs.replace(view, parameters=pack_value(view.parameters), outcome=outcome)


class Session:
    """Serves one transport until it closes. `survives`: see `end`."""

    def __init__(
        self,
        kernel: Kernel,
        transport: Transport,
        principal: Principal,
        welcome: p.Welcome,
        survives: bool = False,
    ) -> None:
        self.kernel = kernel
        self._survives = survives
        self.principal = principal
        self._transport = transport
        self._welcome = welcome
        self._scopes: dict[int, anyio.CancelScope] = {}
        self._consumers: dict[int, tuple[Consumer, anyio.Semaphore]] = {}
        self._followed: dict[int, LiveMachine] = {}
        self._entered: set[Consumer] = set()
        self._revoked: dict[int, DtiosError] = {}
        self._under_way = 0
        self.opened: list[Link] = []
        self._scope = anyio.CancelScope()
        self._ended = anyio.Event()
        self._handed_over = False
        self._tasks: TaskGroup

    async def run(self) -> None:
        """Until the client closes or is gone; then its streams end and what it left behind is held, stopped or finished."""
        self.kernel.sessions.add(self)
        try:
            with self._scope:
                await self._serve()
        finally:
            self.principal.alive = False
            self.kernel.sessions.discard(self)
            try:
                with anyio.CancelScope(shield=True):
                    await self._transport.aclose()
                    for consumer in self._entered:  # of streams that were cancelled before they began
                        consumer.close()
                    if not self._handed_over:
                        await self.kernel.jobs.owner_lost(self.principal)
                    for link in self.opened:
                        await self.kernel.links.close(link)
            finally:
                self._ended.set()

    async def _serve(self) -> None:
        try:
            async with anyio.create_task_group() as self._tasks:
                try:
                    while True:
                        await self._dispatch(p.CLIENT_DECODER.decode(await self._transport.receive()))
                except Closed:
                    pass
                except msgspec.MsgspecError as error:
                    log.warning("client sent what cannot be read", client=self.principal.name, error=str(error))
                await self._transport.aclose()  # what is being sent to one who does not read cannot be cancelled
                self._tasks.cancel_scope.cancel()
        except ExceptionGroup:
            log.exception("session failed", client=self.principal.name)

    async def end(self, reason: str, grace: float) -> None:
        """Ask the client to end, and after `grace` seconds end it.

        A command that came over the local socket lives on when its runtime ends, and takes its jobs over into a runtime of its
        own: they are left running.
        """
        self._handed_over = self._survives
        async with anyio.create_task_group() as asking:
            asking.start_soon(self._ask_to_stop, p.Stop(reason, grace), name=f"ask {self.principal.name} to stop")
            with anyio.move_on_after(grace):
                await self._ended.wait()
            self.principal.alive = False
            await self._transport.aclose()  # one who does not read would hold up what is being sent to it for ever
            self._scope.cancel()
            await self._ended.wait()

    async def _ask_to_stop(self, stop: p.Stop) -> None:
        try:
            await self.send(stop)
        except Closed:
            return

    # --- messages ---

    async def _dispatch(self, message: p.FromClient) -> None:
        match message:
            case p.Request():
                if self._under_way >= MAX_REQUESTS:
                    # Answered before the next is read: who asks without listening is held up, and fills nobody's memory.
                    await self._fail(
                        message.id, TemporaryError(f"{MAX_REQUESTS} requests are under way", mend="wait for some of them")
                    )
                else:
                    self._under_way += 1
                    name = f"{self.principal.name}: {type(message.body).__name__}"
                    self._tasks.start_soon(self._answer, message, name=name)
            case p.Ack(stream, number):
                found = self._consumers.get(stream)
                if found is not None and found[0].acknowledge(number):
                    found[1].release()
            case p.Close(stream):
                scope = self._scopes.get(stream)
                if scope is not None:  # its number is free again when it has ended
                    scope.cancel()
            case _:
                pass  # what an app says of itself is heard by its supervisor, before it comes here

    async def _answer(self, request: p.Request) -> None:
        try:
            result = await _HANDLERS[type(request.body)](self, request.body, request)
            await self.send(p.Reply(request.id, result))
        except Closed:
            pass
        except Exception as raised:  # noqa: BLE001  # one request's fault is that request's failure, not the session's
            await self._fail(request.id, self._judged(raised, request))
        finally:
            self._under_way -= 1

    @staticmethod
    def _judged(raised: Exception, request: p.Request) -> DtiosError:
        error = first_error(raised)
        if error is None:
            log.error("request failed", request=type(request.body).__name__, exc_info=raised)
            error = TemporaryError(f"the runtime failed on it ({type(raised).__name__}: {raised})", mend="report it with the log")
        return error

    async def _fail(self, request: int, error: DtiosError) -> None:
        try:
            await self.send(p.Failure(request, error.kind, error.message, error.where, error.mend))
        except Closed:
            return

    async def send(self, message: p.FromRuntime) -> None:
        await self._transport.send(pack(message))

    # --- streams ---

    def open_stream(self, stream: int, pump: Callable[[], Awaitable[None]]) -> None:
        """Run a stream's pump in a task of its own until it ends or the client closes it."""
        self.check_free(stream)
        scope = self._scopes[stream] = anyio.CancelScope()

        async def pumped() -> None:
            error: DtiosError | None = None
            with scope:
                try:
                    await pump()
                except Closed:
                    return
                except DtiosError as raised:
                    error = raised
            self._scopes.pop(stream, None)
            error = self._revoked.pop(stream, error)
            with anyio.CancelScope(shield=False):
                try:
                    said = None if error is None else (error.kind, error.message, error.where, error.mend)
                    await self.send(p.StreamEnded(stream, said))
                except Closed:
                    return

        self._tasks.start_soon(pumped, name=f"{self.principal.name}: stream {stream}")

    def check_free(self, stream: int) -> None:
        if stream in self._scopes:
            raise ConfigurationError(f"the stream {stream} is open already", mend="choose another number")

    def open_data(self, stream: int, machine: LiveMachine, consumer: Consumer, window: int) -> None:
        """A stream of values, of which `window` deliveries may be unacknowledged. The consumer is closed with it, or with the
        session."""
        self._entered.add(consumer)
        try:
            self.open_stream(stream, lambda: self.pump_data(stream, machine, consumer, anyio.Semaphore(window)))
        except ConfigurationError:
            self._leave(consumer)
            raise

    def _leave(self, consumer: Consumer) -> None:
        self._entered.discard(consumer)
        self.kernel.router.detach(consumer)

    def regranted(self) -> None:
        """The principal has other grants: a stream of what it may no longer read ends, and says why."""
        for stream, machine in tuple(self._followed.items()):
            paths = [path for handle in self._consumers[stream][0].handles if (path := machine.path(handle)) is not None]
            lost = next((path for path in paths if not self.principal.may_read(machine.machine, path)), None)
            if lost is not None and stream in self._scopes:
                where = f"{machine.name} {lost}"
                self._revoked[stream] = RefusedError(f"the grant of {self.principal.name} to read it is gone", where=where)
                self._scopes[stream].cancel()

    async def pump_data(self, stream: int, machine: LiveMachine, consumer: Consumer, window: anyio.Semaphore) -> None:
        """Deliveries from the consumer's queue to the client, as many unacknowledged as the window has room for."""
        self._consumers[stream] = (consumer, window)
        self._followed[stream] = machine
        handles = list(consumer.handles)
        router = self.kernel.router
        router.attach(consumer)
        try:
            await machine.link.points.monitor(handles)
            if machine.link.points.stands:
                consumer.settle(handles, self.kernel.clock.now())
            try:
                while True:
                    await window.acquire()
                    delivery = await consumer.take()
                    if delivery is None:
                        return
                    batch = None if delivery.batch is None else pack_batch(delivery.batch)
                    await self.send(p.Data(stream, delivery.number, delivery.gaps, batch))
            finally:
                self._leave(consumer)  # before anything is awaited: whoever comes back under its name is this one
                await machine.link.points.release(handles)
        finally:
            self._consumers.pop(stream, None)
            self._followed.pop(stream, None)
            self._leave(consumer)

    async def pump_changes(
        self,
        watch: Callable[[Callable[..., None]], Callable[[], None]],
        wrap: Callable[..., Last | None],
        first: Callable[[], Awaitable[list[Last]]],
    ) -> None:
        """What is there first, then changes as a watcher is told of them, in order, bounded by CHANGES (then an error).

        `wrap` gives the message and whether it is the last one, or None for what this client does not want.
        """
        into, out = anyio.create_memory_object_stream[Last](CHANGES)
        overrun = False

        def watcher(*change: Any) -> None:
            nonlocal overrun
            overrun = not _put(into, wrap(*change)) or overrun

        unwatch = watch(watcher)
        with into, out:
            try:
                seen = None
                for message, last in await first():
                    await self.send(message)
                    if last:
                        return
                    seen = message
                async for message, last in out:
                    if message != seen:  # told while the first ones were read
                        await self.send(message)
                        seen = None  # from here on what is as it was first is news: it had been otherwise
                    if last:
                        return
                    if overrun:
                        raise TemporaryError(f"the client is more than {CHANGES} changes behind", mend="follow it again")
            finally:
                unwatch()


def _put(into: "MemoryObjectSendStream[Last]", message: Last | None) -> bool:
    if message is None:
        return True
    try:
        into.send_nowait(message)
    except anyio.WouldBlock:
        return False
    except (anyio.ClosedResourceError, anyio.BrokenResourceError):
        return True
    return True
