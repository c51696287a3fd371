"""A machine in memory behind the Points seam: values that a test sets, calls that a script answers, a connection that breaks."""

import math
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio

from dtios.mapping.bindings.base import SkillBinding
from dtios.mapping.points import Change, Publish, with_bit
from dtios.model.datatypes import ValueType
from dtios.model.errors import RefusedError, TemporaryError
from dtios.model.job import JobOrder, JobOutcome, JobState, JobSubstate
from dtios.model.values import DataValue

LOST = 0x80310000
Answer = Callable[..., Awaitable[list[Any]]]


class ScriptedPoints:
    """`on[method]` answers a call with its values; `sent` is all that was written and called, in order."""

    def __init__(self, **values: Any) -> None:
        self.values: dict[str, DataValue] = {name: DataValue(value) for name, value in values.items()}
        self.on: dict[str, Answer] = {}
        self.on_write: dict[str, Callable[[Any], Awaitable[None]]] = {}
        self.sent: list[tuple[str, Any]] = []
        self.on_publish: Callable[[Publish], Awaitable[None]] | None = None
        self.published: list[Publish] = []
        self.online = True
        self.holders: Counter[str] = Counter()
        self.only_settling = False
        """As for a job that was found again: nothing may be started."""
        self._watchers: list[tuple[set[str], Any]] = []

    async def read(self, addresses: Sequence[str]) -> list[DataValue]:
        if not self.online:
            raise TemporaryError("it is offline")
        return [self.values.get(a, DataValue(None, 0x80340000)) for a in addresses]

    async def write(self, address: str, value: Any, type: ValueType, *, settling: bool = False) -> None:
        if not self.online:
            raise TemporaryError("it is offline")
        if self.only_settling and not settling:
            raise RefusedError("only reading is allowed here")
        self.sent.append((address, value))
        self.set(address, value)
        if address in self.on_write:
            await self.on_write[address](value)

    async def write_bit(self, address: str, bit: int, up: bool, type: ValueType, *, settling: bool = False) -> None:
        await self.write(address, with_bit(self.values[address].value, bit, up, type), type, settling=settling)

    async def call(
        self,
        owner: str,
        method: str,
        arguments: Sequence[tuple[Any, ValueType]],
        timeout: float | None = None,
        *,
        settling: bool = False,
    ) -> list[Any]:
        if not self.online:
            raise TemporaryError("it is offline")
        if self.only_settling and not settling:
            raise RefusedError("only reading is allowed here")
        self.sent.append((method, [value for value, _ in arguments]))
        if method not in self.on:
            raise RefusedError(f"BadMethodInvalid: {method}")
        return await self.on[method](*[value for value, _ in arguments])

    async def publish(self, message: Publish, *, settling: bool = False) -> None:
        if not self.online:
            raise TemporaryError("it is offline")
        if self.only_settling and not settling:
            raise RefusedError("only reading is allowed here")
        self.published.append(message)
        if self.on_publish is not None:
            await self.on_publish(message)

    async def ask(self, owner: str, method: str, arguments: Sequence[tuple[Any, ValueType]]) -> list[Any]:
        return await self.call(owner, method, arguments, settling=True)

    @asynccontextmanager
    async def watch(self, addresses: Sequence[str]) -> AsyncIterator[AsyncIterator[Change]]:
        if not self.online:
            raise TemporaryError("it is offline")
        send, receive = anyio.create_memory_object_stream[Change](math.inf)
        watcher = (set(addresses), send)
        for address in addresses:
            send.send_nowait((address, self.values.get(address, DataValue(None, 0x80340000))))
        self._watchers.append(watcher)
        try:
            with send, receive:
                yield receive
        finally:
            self._watchers.remove(watcher)

    def set(self, address: str, value: Any, status: int = 0) -> None:
        self.values[address] = DataValue(value, status)
        for addresses, send in self._watchers:
            if address in addresses:
                send.send_nowait((address, self.values[address]))

    def lose(self, *addresses: str) -> None:
        """The connection is gone: Bad values, nothing can be asked."""
        self.online = False
        for address in addresses:
            self.set(address, None, LOST)

    def recover(self, **values: Any) -> None:
        self.online = True
        for address, value in values.items():
            self.set(address, value)


class Job:
    """One run or resume of a binding, with what it reported."""

    def __init__(self, binding: SkillBinding, points: ScriptedPoints, job: str = "j1", **parameters: Any) -> None:
        self.binding, self.points = binding, points
        self.order = JobOrder(job, "m", "s", parameters)
        self.states: list[tuple[JobState, JobSubstate | None]] = []
        self._changed = anyio.Event()

    async def report(self, state: JobState, substate: JobSubstate | None) -> None:
        self.states.append((state, substate))
        self._changed.set()
        self._changed = anyio.Event()

    async def run(self) -> JobOutcome:
        with anyio.fail_after(20):
            return await self.binding.run(self.order, self.points, self.report)

    async def resume(self) -> JobOutcome:
        with anyio.fail_after(20):
            return await self.binding.resume(self.order, self.points, self.report)

    async def until(self, state: JobState, substate: JobSubstate | None = None) -> None:
        with anyio.fail_after(5):
            while (state, substate) not in self.states:
                await self._changed.wait()


def answer(*values: Any) -> Answer:
    async def answered(*_: Any) -> list[Any]:
        return list(values)

    return answered


async def settle() -> None:
    """Let every task run until all of them wait."""
    await anyio.wait_all_tasks_blocked()
