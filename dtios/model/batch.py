"""The unit of the data path: one batch for each notification message, columns instead of objects.

Nothing above an adapter makes an object for a single value until an app asks for one.
"""

from collections.abc import Iterator
from typing import Any

from dtios.model.values import NO_TIME, DataValue

__all__ = ["Batch"]


class Batch:
    """Parallel columns, one row for each value, rows in the order they were received.

    handles: the runtime's number of the signal, as it was given to `Connection.subscribe`.
    values: Python objects as `dtios.model.values` lists them. statuses: StatusCodes as ints.
    source_times, server_times: int64 nanoseconds UTC, NO_TIME where the source gave none.
    receive_time: int64 nanoseconds UTC, one for the message.
    epoch, sequences: given by the router at receipt: the runtime's start number, and each signal's own count from 1.
    An adapter leaves these two at 0 and empty.
    """

    __slots__ = (
        "epoch",
        "handles",
        "receive_time",
        "sequences",
        "server_times",
        "source_times",
        "statuses",
        "values",
    )

    def __init__(
        self,
        handles: list[int],
        values: list[Any],
        statuses: list[int],
        source_times: list[int],
        server_times: list[int],
        receive_time: int,
        epoch: int = 0,
        sequences: list[int] | None = None,
    ) -> None:
        self.handles = handles
        self.values = values
        self.statuses = statuses
        self.source_times = source_times
        self.server_times = server_times
        self.receive_time = receive_time
        self.epoch = epoch
        self.sequences: list[int] = [] if sequences is None else sequences

    def __len__(self) -> int:
        return len(self.handles)

    def row(self, index: int) -> DataValue:
        """One row as a DataValue; the only place where an object is made for a single value."""
        source, server = self.source_times[index], self.server_times[index]
        return DataValue(
            self.values[index],
            self.statuses[index],
            None if source == NO_TIME else source,
            None if server == NO_TIME else server,
            self.receive_time,
        )

    def rows(self) -> Iterator[tuple[int, DataValue]]:
        """(handle, DataValue) in order of receipt."""
        for index, handle in enumerate(self.handles):
            yield handle, self.row(index)

    def select(self, indexes: list[int]) -> "Batch":
        """The rows named, in that order."""
        sequences = self.sequences
        return Batch(
            [self.handles[i] for i in indexes],
            [self.values[i] for i in indexes],
            [self.statuses[i] for i in indexes],
            [self.source_times[i] for i in indexes],
            [self.server_times[i] for i in indexes],
            self.receive_time,
            self.epoch,
            [sequences[i] for i in indexes] if sequences else [],
        )
