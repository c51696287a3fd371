"""Abstract points: all the I/O that a skill binding may do, whatever the adapter.

Addresses are those of the browse facts, values are the machine's own (not yet converted to canonical units). Every write
and call made through a `Points` passes the gate's last check at the moment it is handed to the wire.
"""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from dtios.model.datatypes import BuiltinType, ValueType
from dtios.model.values import DataValue

__all__ = ["Change", "Points", "Publish", "with_bit"]

Change = tuple[str, DataValue]
"""(address, reading)."""


@dataclass(frozen=True, slots=True)
class Publish:
    """A message to a point that takes messages (MQTT: a topic). It is never kept for who is away.

    `expiry` seconds after which nobody should act on it any more; `reply_to` (a point) and `correlation` say where and under
    which mark an answer is awaited. Where the protocol has no place for these they are left out (MQTT 3.1.1).
    """

    address: str
    payload: bytes
    expiry: float | None = None
    reply_to: str | None = None
    correlation: bytes | None = None


class Points(Protocol):
    """What a binding sees of a machine.

    `holders` counts, by address, the jobs of this runtime that hold something on the connection together, as a lock.
    """

    @property
    def holders(self) -> Counter[str]: ...

    async def read(self, addresses: Sequence[str]) -> list[DataValue]:
        """Read now, from the machine, in the order asked. A point that cannot be read is Bad, not an exception.

        Raises TemporaryError when the machine is offline.
        """
        ...

    async def write(self, address: str, value: Any, type: ValueType, *, settling: bool = False) -> None:
        """Write one value with its exact type. Raises RefusedError when the machine or the gate refuses,
        TemporaryError when offline (nothing was sent), OutcomeUnknown when no answer came.

        `settling`: it takes back what this job put there (a trigger, a lock), or leads towards standing still. It starts nothing,
        so it is allowed when the job's sender is gone, and for a job that was found again.
        """
        ...

    async def write_bit(self, address: str, bit: int, up: bool, type: ValueType, *, settling: bool = False) -> None:
        """Read the word at `address`, set one bit of it (0 is the least), write it back. One at a time on each connection, so
        that skills may share a word; what somebody else changes in it meanwhile is lost. Errors as in `write`."""
        ...

    async def call(
        self,
        owner: str,
        method: str,
        arguments: Sequence[tuple[Any, ValueType]],
        timeout: float | None = None,
        *,
        settling: bool = False,
    ) -> list[Any]:
        """Call `method` of the object `owner`; the output arguments. `timeout` in seconds, None waits as long as
        the connection lives. Errors and `settling` as in `write`."""
        ...

    async def publish(self, message: "Publish", *, settling: bool = False) -> None:
        """Send a message to a point that takes messages (MQTT: a topic). Errors and `settling` as in `write`."""
        ...

    async def ask(self, owner: str, method: str, arguments: Sequence[tuple[Any, ValueType]]) -> list[Any]:
        """Call a method of which the standard says that it only answers and changes nothing: as `read`, no command."""
        ...

    def watch(self, addresses: Sequence[str]) -> AbstractAsyncContextManager[AsyncIterator[Change]]:
        """Changes of these points from now on, the present readings first, every one in order; Bad ones when the machine
        is lost. Entering returns when the points are subscribed."""
        ...


_SIGNED = {BuiltinType.SByte: 8, BuiltinType.Int16: 16, BuiltinType.Int32: 32, BuiltinType.Int64: 64}


def with_bit(word: int, bit: int, up: bool, type: ValueType) -> int:
    """`word` with one bit changed, as a value of its type: the highest bit of a signed one is its sign."""
    changed = word | 1 << bit if up else word & ~(1 << bit)
    width = _SIGNED.get(BuiltinType(type.builtin))
    if width is None:
        return changed
    changed &= (1 << width) - 1
    return changed - (1 << width) if changed >> (width - 1) else changed
