"""What an app receives: a Delivery (columns, as it came), or Changes made of it when an app asks for single values."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from dtios.model.batch import Batch
from dtios.model.gap import Gap
from dtios.model.status import is_bad, is_good, status_name
from dtios.model.values import NO_TIME

__all__ = ["Change", "Delivery"]


@dataclass(slots=True)
class Change:
    """One new value of one signal. Times are int nanoseconds UTC, None where nobody gave one.

    `value` is None while `status` is Bad. `gap` says what is missing between this value and the one before it;
    `sequence` counts the signal's values at receipt, from 1 (0: not counted).
    """

    machine: str
    signal: str
    value: object
    status: int
    source_time: int | None
    server_time: int | None
    receive_time: int
    sequence: int
    gap: Gap | None = None

    @property
    def is_good(self) -> bool:
        return is_good(self.status)

    @property
    def is_bad(self) -> bool:
        return is_bad(self.status)

    @property
    def status_name(self) -> str:
        return status_name(self.status)

    @property
    def number(self) -> float:
        """The value as a float, NaN unless it is a number that is not Bad: for comparisons that must fail safely."""
        value = self.value
        if self.is_bad or isinstance(value, bool) or not isinstance(value, int | float):
            return float("nan")
        return float(value)


@dataclass(slots=True)
class Delivery:
    """One message of a subscription. Gaps come before the batch's rows in the stream.

    `paths` maps the batch's handles to signal paths; `gaps` are (path, Gap). `number` is for `Subscription.acknowledge`.
    """

    machine: str
    gaps: list[tuple[str, Gap]]
    batch: Batch | None
    paths: Mapping[int, str]
    number: int = 0

    def __len__(self) -> int:
        return 0 if self.batch is None else len(self.batch)

    def changes(self, gaps: dict[str, Gap] | None = None) -> Iterator[Change]:
        """A Change for each row, in order. `gaps` keeps a signal's Gap until its next value, across Deliveries."""
        waiting = {} if gaps is None else gaps
        waiting.update(self.gaps)
        batch = self.batch
        if batch is None:
            return
        sequences = batch.sequences or [0] * len(batch)
        for handle, value, status, source, server, sequence in zip(
            batch.handles, batch.values, batch.statuses, batch.source_times, batch.server_times, sequences, strict=True
        ):
            path = self.paths.get(handle, "")
            yield Change(
                self.machine,
                path,
                value,
                status,
                None if source == NO_TIME else source,
                None if server == NO_TIME else server,
                batch.receive_time,
                sequence,
                waiting.pop(path, None) if waiting else None,
            )
