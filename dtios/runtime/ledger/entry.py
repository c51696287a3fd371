"""The ledger's page of one consumer on one machine: its account through all its streams, and the Gaps it was told."""

from collections import Counter, deque
from collections.abc import Callable, Mapping
from typing import Final

from dtios.model.gap import Gap, GapCause
from dtios.runtime.data.consumer import Consumer, Gaps
from dtios.runtime.ledger.account import Account
from dtios.runtime.ledger.mark import Mark
from dtios.sdk.clock import Clock
from dtios.sdk.protocol import LedgerGap, LedgerView, Policy

__all__ = ["Entry", "Heard"]

Heard = Callable[[], tuple[int, Mapping[int, int]]]
"""Until when (ns UTC) all that a machine sent was received: it was heard of then, or lost since; and the signals of which it was
lost earlier (handle -> since when)."""

HISTORY: Final = 200
"""Gaps kept of each consumer on each machine: the newest. One that many signals share counts once."""
NAMED: Final = 5
"""Signals of a Gap that are named; of more only the number is told."""


def _always() -> tuple[int, Mapping[int, int]]:
    return 2**63 - 1, {}


class Entry:
    """A Witness of its consumer. `mark` is what outlives the runtime, None for a consumer without a name of its own, whose page
    ends with its stream. `reach` tells until when (ns UTC) all that was received has come to its consumers' queues; `over` is
    called when the stream ends."""

    def __init__(
        self,
        name: str,
        identity: str,
        mark: Mark | None,
        clock: Clock,
        reach: Callable[[], int],
        over: Callable[["Entry"], None],
    ) -> None:
        self.name = name
        self.identity = identity
        self.mark = mark
        self.since = self._begun = clock.now()
        self.consumer: Consumer | None = None
        self._clock = clock
        self._reach = reach
        self._over = over
        self._heard: Heard = _always
        self._paths: Mapping[int, str] = {}
        self._past: dict[str, Account] = {}
        self._balanced = True
        self._policy: Policy = "block"
        self._gaps: deque[LedgerGap] = deque(maxlen=HISTORY)
        self._told: Counter[str] = Counter()

    @property
    def key(self) -> tuple[str, str]:
        return (self.name, self.identity)

    def begin(self, consumer: Consumer, paths: Mapping[int, str], heard: Heard) -> None:
        self.consumer = consumer
        self._heard = heard
        self._begun = self._clock.now()
        self._paths = paths
        self._policy = consumer.policy
        consumer.witness = self

    # --- Witness ---

    def told(self, gaps: Gaps) -> None:
        noted = self._clock.now()
        alike: dict[Gap, list[str]] = {}
        for handle, gap in gaps:
            alike.setdefault(gap, []).append(self._paths.get(handle, ""))
        for gap, paths in alike.items():
            self._gaps.append(LedgerGap(gap, sorted(paths)[:NAMED], len(paths), noted))
            self._told[gap.cause] += len(paths)

    def closed(self, consumer: Consumer, complete: int) -> None:
        for handle, path in self._paths.items():
            self._past[path] = self._past.get(path, Account()) + consumer.tally.account(handle, 0)
        self._balanced = self._balanced and consumer.tally.balanced({})
        if self.mark is not None:
            self._note(self.mark, consumer, complete)
        self.consumer = None
        self._over(self)

    # --- how far it is complete ---

    def advance(self) -> Mark | None:
        """The mark as it is now, where there is one to be moved."""
        if self.mark is None or self.consumer is None:
            return None
        self._note(self.mark, self.consumer, self.consumer.complete(self._clock.now()))
        return self.mark

    def _note(self, mark: Mark, consumer: Consumer, complete: int) -> None:
        # A connection that is lost, or dead and nobody knows it yet: its Gap is told when the machine is heard of again, and a
        # runtime that ends before that must not have vouched for more than what was received.
        heard, lost = self._heard()
        reach = min(self._reach(), heard)
        mark.complete = min(complete, max(reach, self._begun))
        mark.owed = {
            self._paths[handle]: (GapCause.CONNECTION_LOST, max(since, self._begun))
            for handle, since in lost.items()
            if handle in self._paths
        }
        owed = ((self._paths[handle], gap) for handle, gap in consumer.owed.items() if handle in self._paths)
        mark.owed |= {path: (gap.cause, gap.receive_from or 0) for path, gap in owed}

    # --- what is shown ---

    def view(self, machine: str) -> LedgerView:
        signals, balanced = dict(self._past), self._balanced
        if self.consumer is not None:
            pending, tally = self.consumer.pending(), self.consumer.tally
            balanced = balanced and tally.balanced(pending)
            for handle, path in self._paths.items():
                signals[path] = signals.get(path, Account()) + tally.account(handle, pending.get(handle, 0))
        whole = sum(signals.values(), Account())
        return LedgerView(
            self.name, machine, self._policy, self.consumer is not None, self.since,
            whole.received, whole.delivered, whole.conflated, whole.dropped, whole.pending,
            balanced and all(account.balanced for account in signals.values()),
            [(path, a.received, a.delivered, a.conflated, a.dropped, a.pending) for path, a in sorted(signals.items())],
            list(self._gaps), dict(self._told),
        )  # fmt: skip
