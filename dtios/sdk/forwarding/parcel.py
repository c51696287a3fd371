"""What is handed in, kept and taken as one: some deliveries of one machine, in columns as they came."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import msgspec

from dtios.model.gap import Gap
from dtios.sdk.codec import pack_batch, unpack_batch
from dtios.sdk.delivery import Delivery

__all__ = ["Parcel", "pack_deliveries", "unpack_deliveries"]

_Kept = list[tuple[list[tuple[str, Gap]], bytes | None]]

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Kept)


@dataclass(slots=True, eq=False)
class Parcel:
    """Deliveries of one machine, Gaps before the rows they belong to. All have the same `paths`.

    The values are numbered by the store: the first one of the first delivery is (`epoch`, `sequence`), the next one (`epoch`,
    `sequence` + 1), and so on through all deliveries. A parcel of Gaps alone takes one number. No number is given twice: epochs
    rise with each opening of the store, sequences within one. A value that comes again has the number that it had.

    `historical`: it was kept, and values of the same signals that are younger may have gone before. `position` is the store's.
    """

    machine: str
    epoch: int
    sequence: int
    deliveries: list[Delivery]
    position: int
    historical: bool = False

    def __len__(self) -> int:
        """How many values."""
        return sum(map(len, self.deliveries))

    @property
    def numbers(self) -> int:
        """How many sequence numbers it takes."""
        return max(1, len(self))

    @property
    def paths(self) -> Mapping[int, str]:
        return self.deliveries[0].paths if self.deliveries else {}

    def numbered(self) -> Iterator[tuple[int, Delivery]]:
        """Each delivery with the sequence number of its first value."""
        sequence = self.sequence
        for delivery in self.deliveries:
            yield sequence, delivery
            sequence += len(delivery)


def pack_deliveries(deliveries: list[Delivery]) -> bytes:
    """All but machine and paths."""
    return _encoder.encode([(d.gaps, None if d.batch is None else pack_batch(d.batch)) for d in deliveries])


def unpack_deliveries(data: bytes, machine: str, paths: Mapping[int, str]) -> list[Delivery]:
    kept = _decoder.decode(data)
    return [Delivery(machine, gaps, None if batch is None else unpack_batch(batch), paths) for gaps, batch in kept]
