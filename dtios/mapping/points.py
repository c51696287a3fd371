"""Abstract points: all the I/O that a skill binding may do, whatever the adapter.

Addresses are those of the browse facts, values are the machine's own (not yet converted to canonical units). Every write
and call made through a `Points` passes the gate's last check at the moment it is handed to the wire.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from dtios.model.datatypes import ValueType
from dtios.model.values import DataValue

__all__ = ["Change", "Points"]

Change = tuple[str, DataValue]
"""(address, reading)."""


class Points(Protocol):
    """What a binding sees of a machine."""

    async def read(self, addresses: Sequence[str]) -> list[DataValue]:
        """Read now, from the machine, in the order asked. A point that cannot be read is Bad, not an exception.

        Raises TemporaryError when the machine is offline.
        """
        ...

    async def write(self, address: str, value: Any, type: ValueType) -> None:
        """Write one value with its exact type. Raises RefusedError when the machine or the gate refuses,
        TemporaryError when offline (nothing was sent), OutcomeUnknown when no answer came."""
        ...

    async def call(
        self, owner: str, method: str, arguments: Sequence[tuple[Any, ValueType]], timeout: float | None = None
    ) -> list[Any]:
        """Call `method` of the object `owner`; the output arguments. `timeout` in seconds, None waits as long as
        the connection lives. Errors as in `write`."""
        ...

    async def ask(self, owner: str, method: str, arguments: Sequence[tuple[Any, ValueType]]) -> list[Any]:
        """Call a method of which the standard says that it only answers and changes nothing: as `read`, no command."""
        ...

    def watch(self, addresses: Sequence[str]) -> AbstractAsyncContextManager[AsyncIterator[Change]]:
        """Changes of these points from now on, the present readings first, every one in order; Bad ones when the machine
        is lost. Entering returns when the points are subscribed."""
        ...
