"""All that a publisher may read, into its outbox: machines as they come, in parcels, acknowledged to the runtime when secured."""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from dtios.model.errors import ConfigurationError, DtiosError, RefusedError, TemporaryError
from dtios.sdk.context import Context, MachineHandle
from dtios.sdk.delivery import Delivery
from dtios.sdk.forwarding.outbox import Outbox
from dtios.sdk.forwarding.parcel import Parcel
from dtios.sdk.forwarding.receipt import Receipt
from dtios.sdk.patterns import path_matches
from dtios.sdk.streams import LARGEST_WINDOW, Subscription

__all__ = ["collect"]

RETRY: Final = 2.0
"""Seconds until a machine that could not be followed is tried again."""
PARCELS: Final = 4
"""Parcels of one machine that may be unsecured; then its values wait, and the runtime's queue for it fills."""


async def collect(
    ctx: Context[Any],
    outbox: Outbox,
    *,
    signals: Sequence[str] = ("**",),
    interval: float = 0.1,
    largest: int = 5_000,
    capacity: int = 100_000,
    name: str = "forward",
    seen: Callable[[Parcel], None] | None = None,
) -> None:
    """Hand in every value of these signals (paths or patterns) of every machine that may be seen, until cancelled.

    What a machine says within `interval` seconds becomes one parcel; more than `largest` values become several. A value is
    acknowledged to the runtime when its parcel is secured: after a sudden end, what was neither sent nor written lies in a Gap,
    by the `name` under which the values are subscribed. `capacity` values of a machine wait in the runtime; then they hold the
    machine up, for half a second at most, and of more the oldest are dropped with a Gap (the policy `block`). `seen` is called
    with each parcel as it is handed in: who tells the present must know it also while the receiver is away.
    """
    following: dict[str, _Following] = {}
    async with anyio.create_task_group() as tasks, ctx.follow_machines() as changes:
        async for change in changes:
            machine = change.machine
            known = following.get(machine.name)
            if change.gone:
                if known is not None:
                    following.pop(machine.name).scope.cancel()
            elif known is not None:
                known.look_again()
            else:
                known = following[machine.name] = _Following(
                    ctx, outbox, machine, signals, interval, largest, capacity, name, seen
                )
                tasks.start_soon(known.run, name=f"forward {machine.name}")


class _Following:
    """One machine's values on their way."""

    def __init__(
        self,
        ctx: Context[Any],
        outbox: Outbox,
        machine: MachineHandle,
        signals: Sequence[str],
        interval: float,
        largest: int,
        capacity: int,
        name: str,
        seen: Callable[[Parcel], None] | None,
    ) -> None:
        self.scope = anyio.CancelScope()
        self._stream = anyio.CancelScope()
        self._ctx = ctx
        self._outbox = outbox
        self._machine = machine
        self._signals = signals
        self._interval = interval
        self._largest = largest
        self._capacity = capacity
        self._name = name
        self._seen = seen
        self._known = self._paths(machine)
        self._bundle: deque[Delivery] = deque()
        self._filled = anyio.Event()

    def _paths(self, machine: MachineHandle) -> frozenset[str]:
        every = (signal.path for signal in machine.description.signals if not signal.gone)
        return frozenset(path for path in every if path_matches(path, self._signals))

    def look_again(self) -> None:
        """Subscribe anew if the machine has signals now that it had not."""
        if not self._paths(self._machine) <= self._known:
            self._stream.cancel()

    async def run(self) -> None:
        said = ""
        with self.scope:
            while True:
                why = ""
                with anyio.CancelScope() as self._stream:
                    try:
                        await self._follow()
                    except (TemporaryError, RefusedError, ConfigurationError) as error:
                        why = str(error)
                    if why and why != said:
                        self._ctx.log.info("a machine is not forwarded yet", machine=self._machine.name, why=why)
                    said = why
                    await anyio.sleep(RETRY)

    async def _follow(self) -> None:
        """Until the stream ends."""
        self._known = self._paths(self._machine)
        if not self._known:
            return
        self._bundle.clear()
        # one that this machine has not would be refused
        signals = [one for one in self._signals if any(path_matches(path, [one]) for path in self._known)]
        subscribed = self._machine.subscribe(
            *signals, policy="block", capacity=self._capacity, name=self._name, window=LARGEST_WINDOW
        )
        try:
            async with subscribed as subscription, anyio.create_task_group() as tasks:
                into, out = anyio.create_memory_object_stream[tuple[Receipt, list[Delivery]]](PARCELS - 1)
                tasks.start_soon(self._hand_in, into, name=f"forward {self._machine.name}: hand in")
                tasks.start_soon(self._acknowledge, subscription, out, name=f"forward {self._machine.name}: acknowledge")
                await self._read(subscription)
                tasks.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            expected, others = group.split(DtiosError)
            if others is not None or expected is None:
                raise
            raise _first(expected) from None

    async def _read(self, subscription: Subscription) -> None:
        try:
            while True:
                self._bundle.append(await subscription.take())
                self._filled.set()
        except StopAsyncIteration:
            return

    async def _hand_in(self, into: MemoryObjectSendStream[tuple[Receipt, list[Delivery]]]) -> None:
        clock = self._ctx.clock
        due = clock.monotonic()
        with into:
            while True:
                await self._filled.wait()
                self._filled = anyio.Event()
                if (wait := due - clock.monotonic()) > 0:
                    await self._ctx.sleep(wait)
                due = clock.monotonic() + self._interval
                while self._bundle:
                    deliveries = self._some()
                    receipt = self._outbox.hand_in(deliveries)
                    if self._seen is not None:
                        self._seen(receipt.parcel)
                    await into.send((receipt, deliveries))

    def _some(self) -> list[Delivery]:
        taken = [self._bundle.popleft()]
        size = len(taken[0])
        while self._bundle and size + len(self._bundle[0]) <= self._largest:
            size += len(self._bundle[0])
            taken.append(self._bundle.popleft())
        return taken

    async def _acknowledge(
        self, subscription: Subscription, out: MemoryObjectReceiveStream[tuple[Receipt, list[Delivery]]]
    ) -> None:
        with out:
            async for receipt, deliveries in out:
                await receipt.secured()
                for delivery in deliveries:
                    await subscription.acknowledge(delivery)


def _first(group: BaseExceptionGroup[DtiosError]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
