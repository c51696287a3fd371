"""The verdict: what the recorder was told, held against what the senders wrote down and which faults were injected when."""

from bisect import bisect_left, bisect_right
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from dtios.model.gap import Gap, GapCause
from dtios.runtime.links.backoff import Backoff
from tests.soak.told import Key, Stream

__all__ = ["AFTER", "BEFORE", "Fault", "Log", "Verdict", "judge"]

_SECOND: Final = 10**9
BEFORE: Final = 2 * _SECOND
"""ns: a Gap begins at most so long before a fault: the last sign of life, or the last checkpoint."""
AFTER: Final = int((Backoff.LIMIT + 5) * _SECOND)
"""ns: a Gap ends at most so long after the end of a fault."""
UNDER_WAY: Final = _SECOND // 2
"""ns from the setting of a value to its receipt. One that was set and not received when the connection broke lies so much before
the Gap, whose times are those of receipt: a publishing interval, and what a busy computer adds."""

Log = Sequence[tuple[int, int]]
"""(ns UTC, number) of each step of a sender, in all its lives, ascending."""


@dataclass(frozen=True, slots=True)
class Fault:
    """`begin` and `end` in ns UTC. `touched` are the machines whose values it may cost, and `causes` what their Gaps may name.
    `resent`: machines that may send again after it what was not acknowledged, also behind later values, or the present value with
    a birth."""

    kind: str
    begin: int
    end: int
    touched: frozenset[str]
    causes: frozenset[GapCause]
    resent: frozenset[str] = frozenset()

    def spans(self, begin: int, end: int) -> bool:
        return self.begin - BEFORE <= begin and end <= self.end + AFTER


@dataclass(slots=True)
class Verdict:
    """`objections` is empty when all promises were kept. Counts are of values; `again`: of those delivered, how often one came
    again."""

    objections: list[str] = field(default_factory=list)
    sent: int = 0
    delivered: int = 0
    in_gaps: int = 0
    again: int = 0
    gaps: int = 0


def judge(
    logs: Mapping[str, Log], streams: Mapping[Key, Stream], faults: Sequence[Fault], signals: Iterable[str], until: int
) -> Verdict:
    """A sender's values count from the first one that was delivered (to a consumer that is new nothing before it is missing) to
    those sent by `until` (ns UTC)."""
    verdict = Verdict()
    wanted = list(signals)
    for machine, log in logs.items():
        for signal in wanted:
            stream = streams.get((machine, signal))
            if stream is None or not stream.numbers:
                verdict.objections.append(f"{machine} {signal}: nothing was delivered")
                continue
            _Signal(machine, signal, log, faults, verdict).judge(stream, until)
    return verdict


class _Signal:
    def __init__(self, machine: str, signal: str, log: Log, faults: Sequence[Fault], verdict: Verdict) -> None:
        self._machine = machine
        self._signal = signal
        self._log = log
        self._numbers = [number for _, number in log]
        self._times = [at for at, _ in log]
        self._known = set(self._numbers)
        self._faults = faults
        self._verdict = verdict

    def judge(self, stream: Stream, until: int) -> None:
        first = stream.numbers[0]
        last = self._account(stream, until)
        self._verdict.sent += bisect_right(self._numbers, last) - bisect_left(self._numbers, first)
        self._verdict.gaps += len(stream.gaps)
        for _, gap in stream.gaps:
            self._explain(gap)

    def _object(self, what: str) -> None:
        self._verdict.objections.append(f"{self._machine} {self._signal}: {what}")

    # --- Gaps ---

    def _explain(self, gap: Gap) -> None:
        begin, end = gap.receive_from, gap.receive_to
        if begin is None or end is None or begin > end:
            self._object(f"a Gap without its times: {gap}")
            return
        near = [fault for fault in self._faults if fault.begin - BEFORE <= end and begin <= fault.end + AFTER]
        touching = [fault for fault in near if self._machine in fault.touched]
        caused = [fault for fault in touching if gap.cause in fault.causes]
        if not near:
            self._object(f"a Gap without a fault: {gap}")
        elif not touching:
            self._object(f"a Gap on a signal that no fault touched ({_kinds(near)}): {gap}")
        elif not caused:
            self._object(f"a Gap with a wrong cause ({_kinds(touching)}): {gap}")
        elif not any(fault.spans(begin, end) for fault in caused):
            wide = [f"{fault.kind}: {(begin - fault.begin) / 1e9:+.3f} s to {(end - fault.end) / 1e9:+.3f} s" for fault in caused]
            self._object(f"a Gap that is too wide ({'; '.join(wide)}): {gap}")

    # --- values ---

    def _account(self, stream: Stream, until: int) -> int:
        """Ascending between Gaps, but for what a sender sends again or late; what is left out lies in the Gaps that stand at that
        place. The last number accounted for."""
        gaps = iter([*stream.gaps, (len(stream.numbers) + 1, None)])
        place, gap = next(gaps)
        between: list[Gap] = []
        highest = stream.numbers[0] - 1
        delivered = set(stream.numbers)
        for index, number in enumerate(stream.numbers):
            while place <= index:
                if gap is not None:
                    between.append(gap)
                place, gap = next(gaps)
            if number not in self._known:
                self._object(f"{number} was delivered and never sent")
            if number <= highest:
                self._repeated(number, stream.received[index], between)
                continue
            self._missing(highest, number, between, delivered)
            highest, between = number, []
        last = max(highest, self._log[bisect_right(self._times, until) - 1][1])
        self._missing(highest, last + 1, [*between, *(one for one in (gap, *(g for _, g in gaps)) if one is not None)], delivered)
        self._verdict.delivered += len(delivered & self._known)
        self._verdict.again += len(stream.numbers) - len(delivered)
        return last

    def _repeated(self, number: int, received: int, between: list[Gap]) -> None:
        again = (fault for fault in self._faults if self._machine in fault.resent and fault.spans(received, received))
        if not between and not any(again):
            self._object(f"{number} was delivered twice, or out of order")

    def _missing(self, low: int, high: int, between: list[Gap], delivered: Container[int]) -> None:
        """Of the numbers above `low` and below `high`: those that did not come later either."""
        start, stop = bisect_right(self._numbers, low), bisect_left(self._numbers, high)
        absent = [(at, number) for at, number in self._log[start:stop] if number not in delivered]
        lost = [(at, number) for at, number in absent if not _lies_in(at, between)]
        self._verdict.in_gaps += len(absent) - len(lost)
        if lost:
            numbers = f"{lost[0][1]} to {lost[-1][1]}"
            times = ", ".join(_seconds(at, between) for at, _ in (lost[0], lost[-1]))
            self._object(f"{len(lost)} values ({numbers}) are missing and lie in no Gap; {times} beside {between}")


def _lies_in(at: int, gaps: Iterable[Gap]) -> bool:
    return any((one.receive_from or 0) - UNDER_WAY <= at <= (one.receive_to or 0) for one in gaps)


def _seconds(at: int, gaps: Sequence[Gap]) -> str:
    """How far from the Gaps, for whoever must find out."""
    ends = [(at - end) / 1e9 for one in gaps for end in (one.receive_from or 0, one.receive_to or 0)]
    return f"{min(ends, key=abs):+.3f} s" if ends else f"at {at}"


def _kinds(faults: Iterable[Fault]) -> str:
    return ", ".join(fault.kind for fault in faults)
