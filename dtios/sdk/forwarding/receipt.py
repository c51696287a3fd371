"""What whoever hands values in holds, until they are secured."""

import anyio

from dtios.sdk.forwarding.parcel import Parcel

__all__ = ["Receipt"]


class Receipt:
    """Of a parcel that was handed in. `secured`: the receiver has it, or it is on disk."""

    __slots__ = ("_secured", "acknowledged", "handed_in", "parcel", "stored")

    def __init__(self, parcel: Parcel, now: float) -> None:
        self.parcel = parcel
        self.handed_in = now
        self.stored = False
        self.acknowledged = False
        self._secured = anyio.Event()

    @property
    def is_secured(self) -> bool:
        return self.stored or self.acknowledged

    async def secured(self) -> None:
        """Wait until the values outlive this process: then what they came from may be acknowledged."""
        await self._secured.wait()

    def note(self, *, stored: bool = False, acknowledged: bool = False) -> None:
        self.stored = self.stored or stored
        self.acknowledged = self.acknowledged or acknowledged
        self._secured.set()
