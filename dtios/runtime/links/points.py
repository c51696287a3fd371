"""The points a skill binding works on: reads and watches go to the link, writes and calls carry their permit to the wire."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from dtios.mapping.points import Change
from dtios.model.datatypes import ANY_RANK, BuiltinType, ValueType
from dtios.model.errors import RefusedError
from dtios.model.status import is_good, is_uncertain, status_name
from dtios.model.values import DataValue
from dtios.runtime.commands.gate import Permit
from dtios.runtime.data.consumer import Consumer
from dtios.runtime.data.router import Router
from dtios.runtime.links.link import Link
from dtios.sdk.adapter import Call, Write
from dtios.sdk.clock import Clock

__all__ = ["CommandPoints"]

_ANY = ValueType(BuiltinType.Variant, rank=ANY_RANK)
_WATCH_CAPACITY = 1000  # changes; a binding watches a handful of state variables and takes each at once


class CommandPoints:
    """Implements `dtios.mapping.points.Points` for one command.

    `permit` None: reading only (a job that is followed again). `before_wire` is awaited before the first write or call is
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
    ) -> None:
        self.sent = False
        self._link = link
        self._router = router
        self._clock = clock
        self._name = name
        self._permit = permit
        self._before_wire = before_wire

    async def read(self, addresses: Sequence[str]) -> list[DataValue]:
        return await self._link.read(addresses)

    async def write(self, address: str, value: Any, type: ValueType) -> None:
        await self._prepare()
        (status,) = await self._link.write([Write(address, value, type)], lambda: self._last_check(address, value))
        if not (is_good(status) or is_uncertain(status)):
            raise RefusedError(
                f"the machine refused the value {value!r} ({status_name(status)})", where=f"{self._name} {address}"
            )

    async def call(
        self, owner: str, method: str, arguments: Sequence[tuple[Any, ValueType]], timeout: float | None = None
    ) -> list[Any]:
        await self._prepare()
        return await self._link.call(Call(owner, method, arguments, timeout), self._last_check)

    async def ask(self, owner: str, method: str, arguments: Sequence[tuple[Any, ValueType]]) -> list[Any]:
        return await self._link.call(Call(owner, method, arguments), _nothing_to_check)

    async def _prepare(self) -> None:
        if self._permit is None:
            raise RefusedError("only reading is allowed here", where=self._name)
        self._link.session()
        if self._before_wire is not None:
            await self._before_wire()
            self._before_wire = None

    def _last_check(self, address: str = "", value: Any = None) -> None:
        assert self._permit is not None
        self._link.session()
        if address:
            self._permit.verify_write(address, value)
        else:
            self._permit.verify()
        self.sent = True

    @asynccontextmanager
    async def watch(self, addresses: Sequence[str]) -> AsyncIterator[AsyncIterator[Change]]:
        handles = {self._link.raw(address, _ANY): address for address in addresses}
        consumer = Consumer(f"job on {self._name}", handles, "block", _WATCH_CAPACITY, self._clock)
        self._router.attach(consumer)
        try:
            await self._link.monitor(list(handles))
            try:
                yield self._changes(consumer, handles)
            finally:
                await self._link.release(list(handles))
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
