"""The points a skill binding works on: reads and watches go to the link, writes and calls carry their permit to the wire."""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from dtios.mapping.points import Change, with_bit
from dtios.model.datatypes import ANY_RANK, BuiltinType, ValueType
from dtios.model.errors import RefusedError
from dtios.model.status import is_good, is_uncertain, status_name
from dtios.model.values import DataValue
from dtios.runtime.commands.gate import Permit
from dtios.runtime.data.consumer import Consumer
from dtios.runtime.data.router import Router
from dtios.runtime.links.link import Link
from dtios.sdk.adapter import Call, Publish, Write
from dtios.sdk.clock import Clock

__all__ = ["CommandPoints"]

_ANY = ValueType(BuiltinType.Variant, rank=ANY_RANK)
_WATCH_CAPACITY = 1000  # changes; a binding watches a handful of state variables and takes each at once


class CommandPoints:
    """Implements `dtios.mapping.points.Points` for one command.

    `permit` None: nothing may be started (a job that is followed again). `settle` gives the permit for what is taken back; it is
    asked for once, when it is first needed. `before_wire` is awaited before the first write or call is
    checked for the last time: the journal marks there that something may be sent. `sent` tells whether anything was.
    """

    def __init__(
        self,
        link: Link,
        router: Router,
        clock: Clock,
        name: str,
        permit: Permit | None,
        before_wire: Callable[[], Awaitable[None]] | None = None,
        settle: Callable[[], Awaitable[Permit]] | None = None,
    ) -> None:
        self.sent = False
        self._link = link
        self._router = router
        self._clock = clock
        self._name = name
        self._permit = permit
        self._before_wire = before_wire
        self._settle = settle
        self._settling: Permit | None = None

    @property
    def holders(self) -> Counter[str]:
        return self._link.holders

    async def read(self, addresses: Sequence[str]) -> list[DataValue]:
        return await self._link.read(addresses)

    async def write(self, address: str, value: Any, type: ValueType, *, settling: bool = False) -> None:
        permit = await self._prepare(settling)
        (status,) = await self._link.write([Write(address, value, type)], lambda: self._last_check(permit, address, value))
        if not (is_good(status) or is_uncertain(status)):
            raise RefusedError(
                f"the machine refused the value {value!r} ({status_name(status)})", where=f"{self._name} {address}"
            )

    async def write_bit(self, address: str, bit: int, up: bool, type: ValueType, *, settling: bool = False) -> None:
        async with self._link.words:
            (reading,) = await self._link.read([address])
            if not reading.is_good or isinstance(reading.value, bool) or not isinstance(reading.value, int):
                raise RefusedError(
                    f"the word with this bit cannot be read ({reading.status_name}), so it cannot be written either",
                    where=f"{self._name} {address}",
                )
            await self.write(address, with_bit(reading.value, bit, up, type), type, settling=settling)

    async def call(
        self,
        owner: str,
        method: str,
        arguments: Sequence[tuple[Any, ValueType]],
        timeout: float | None = None,
        *,
        settling: bool = False,
    ) -> list[Any]:
        permit = await self._prepare(settling)
        return await self._link.call(Call(owner, method, arguments, timeout), lambda: self._last_check(permit))

    async def publish(self, message: Publish, *, settling: bool = False) -> None:
        permit = await self._prepare(settling)
        await self._link.publish(message, lambda: self._last_check(permit))

    async def ask(self, owner: str, method: str, arguments: Sequence[tuple[Any, ValueType]]) -> list[Any]:
        return await self._link.call(Call(owner, method, arguments), _nothing_to_check)

    async def conclude(self, outcome: str) -> None:
        """Write down what came of the permit to settle, where one was asked for."""
        if self._settling is not None:
            await self._settling.conclude(outcome)

    async def _prepare(self, settling: bool) -> Permit:
        permit = self._permit if not settling or self._settle is None else await self._permit_to_settle(self._settle)
        if permit is None:
            raise RefusedError("only reading is allowed here", where=self._name)
        self._link.session()
        if self._before_wire is not None:
            await self._before_wire()
            self._before_wire = None
        return permit

    async def _permit_to_settle(self, settle: Callable[[], Awaitable[Permit]]) -> Permit:
        """One for all that this job takes back."""
        if self._settling is None:
            self._settling = await settle()
        return self._settling

    def _last_check(self, permit: Permit, address: str = "", value: Any = None) -> None:
        self._link.session()
        if address:
            permit.verify_write(address, value)
        else:
            permit.verify()
        self.sent = True

    @asynccontextmanager
    async def watch(self, addresses: Sequence[str]) -> AsyncIterator[AsyncIterator[Change]]:
        handles = {self._link.points.raw(address, _ANY): address for address in addresses}
        consumer = Consumer(f"job on {self._name}", handles, "block", _WATCH_CAPACITY, self._clock)
        self._router.attach(consumer)
        try:
            await self._link.points.monitor(list(handles))
            try:
                yield self._changes(consumer, handles)
            finally:
                await self._link.points.release(list(handles))
        finally:
            self._router.detach(consumer)

    @staticmethod
    async def _changes(consumer: Consumer, addresses: dict[int, str]) -> AsyncIterator[Change]:
        while (delivery := await consumer.take()) is not None:
            if delivery.batch is not None:
                for handle, reading in delivery.batch.rows():
                    yield addresses[handle], reading
            consumer.acknowledge(delivery.number)


def _nothing_to_check() -> None:
    """Reading is no command."""
