"""What is examined in a session: does a subscription deliver, what may be read, do the limits suffice, are the namespaces those
that were known."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Final

import anyio

from dtios.mapping.facts import BrowseFacts, Node, NodeKind
from dtios.model.batch import Batch
from dtios.model.condition import Condition
from dtios.model.datatypes import BuiltinType, ValueType
from dtios.model.event import Event
from dtios.model.machine import Access
from dtios.model.status import is_bad, status_name
from dtios.sdk.adapter import Connection, Loss, MonitoredPoint, Sink
from dtios.sdk.errors import DtiosError
from dtios_opcua.examining.report import Report, listed
from dtios_opcua.session.limits import Limits

__all__ = ["Ear", "stand"]

_TIME: Final = "i=2258"  # ServerStatus.CurrentTime
_SERVER: Final = "i=2253"
_DELIVERED: Final = 5.0
"""Seconds for the first value of a subscription, beyond twice what one publishing interval is."""
_MOST: Final = 5000
"""Signals that are read and subscribed: more would be a burden for the machine."""
_MANY: Final = 200
"""Requests in a row from which on describing takes noticeably long."""
_DENIED: Final = {"BadUserAccessDenied", "BadSecurityModeInsufficient"}
_LIMITED: Final = {
    "BadTooManyMonitoredItems",
    "BadTooManySubscriptions",
    "BadOutOfMemory",
    "BadResourceUnavailable",
    "BadTooManyOperations",
}


class Ear(Sink):
    """Hears whether anything is delivered, and keeps nothing."""

    def __init__(self) -> None:
        self.heard: dict[int, anyio.Event] = {}

    async def deliver(self, batch: Batch) -> None:
        for handle in batch.handles:
            if handle in self.heard:
                self.heard[handle].set()

    def lost(self, loss: Loss) -> None:
        return

    def alive(self) -> None:
        return

    def condition(self, source: str, condition: Condition) -> None:
        return

    def conditions_refreshed(self) -> None:
        return

    async def event(self, event: Event) -> None:
        return

    def clock(self, offset: int, error: int) -> None:
        return

    def changed(self) -> None:
        return

    def presence(self, addresses: Sequence[str], detail: str) -> None:
        return


async def stand(
    report: Report, connection: Connection, ear: Ear, limits: Limits, interval: float, known: BrowseFacts | None
) -> None:
    """In the session that `connection` has; `interval` is the publishing interval in seconds. Raises DtiosError when it ends."""
    await _delivers(report, connection, ear, interval)
    facts = await connection.browse()
    signals = list(_signals(facts))
    await _rights(report, connection, facts, signals)
    await _limits(report, connection, signals, limits)
    _namespaces(report, facts, known)


async def _delivers(report: Report, connection: Connection, ear: Ear, interval: float) -> None:
    ear.heard[0] = anyio.Event()
    mend = "restart the server; where that does not help a firewall or a gateway between may hold messages back"
    point = MonitoredPoint(0, _TIME, ValueType(BuiltinType.DateTime, "UtcTime"))
    (status,) = await connection.subscribe([point])
    if is_bad(status):
        report.problem("subscription", f"the server takes no subscription to its own time ({status_name(status)})", mend)
        return
    seconds = _DELIVERED + 2 * interval
    begun = anyio.current_time()
    with anyio.move_on_after(seconds):
        await ear.heard[0].wait()
    if ear.heard[0].is_set():
        report.good("subscription", f"a subscription delivers, its first value after {anyio.current_time() - begun:.2g} s")
    else:
        report.problem("subscription", f"a subscription was made, and nothing came for {seconds:g} s", mend)
    await connection.unsubscribe([0])


def _signals(facts: BrowseFacts) -> Sequence[Node]:
    """All variables but the server's own."""
    own = {id(node) for _, top in facts.root.children if top.address == _SERVER for node in top.walk()}
    return [node for node in facts.root.walk() if node.kind is NodeKind.VARIABLE and id(node) not in own]


async def _rights(report: Report, connection: Connection, facts: BrowseFacts, signals: Sequence[Node]) -> None:
    if not signals:
        mend = "is the machine's program loaded in the server? Another user may see more: `--user NAME`"
        report.problem("rights", "this user sees no variable at all", mend)
        return
    some = signals[:_MOST]
    readings = await connection.read([node.address for node in some])
    denied = [n.name.name for n, r in zip(some, readings, strict=True) if status_name(r.status) in _DENIED]
    writable = sum(node.access in (Access.WRITE, Access.READ_WRITE) for node in signals)
    if denied:
        message = f"this user may not read {len(denied)} of {len(some)} signals ({listed(denied)})"
        mend = "give the user rights at the server, or connect as another one (`--user NAME`, `user:` in dtios.yaml)"
        (report.problem if len(denied) == len(some) else report.warning)("rights", message, mend)
    else:
        report.good("rights", f"{len(signals)} signals can be read and {writable} of them written, as far as the server says")
    said = (status_name(r.status) for n, r in zip(some, readings, strict=True) if is_bad(r.status) and n.access.readable)
    others = Counter(name for name in said if name not in _DENIED)
    if others:
        shown = listed([f"{count} {name}" for name, count in others.most_common()])
        report.warning("values", f"signals without a good value: {shown}", "look at the machine: it says so itself")
    if facts.notes:
        report.warning(
            "browsing", f"{len(facts.notes)} things could not be browsed ({listed(facts.notes, 1)})", "`dtios describe` shows all"
        )


async def _limits(report: Report, connection: Connection, signals: Sequence[Node], limits: Limits) -> None:
    requests = math.ceil(len(signals) / limits.read) + math.ceil(len(signals) / limits.browse)
    if requests > _MANY:
        sizes = f"{limits.read} reads and {limits.browse} browses in a request"
        message = f"the server takes {sizes}, so describing it takes {requests} requests"
        report.warning("operations", message, "raise its operation limits (OperationLimits) if they can be set")
    some = signals[:_MOST]
    points = [MonitoredPoint(n, node.address, node.type or _ANY, 1.0) for n, node in enumerate(some, 1)]
    try:
        statuses = await connection.subscribe(points) if points else []
    except DtiosError as error:
        report.problem("limits", f"{len(some)} signals cannot be subscribed together, {error.message}", _FEWER)
        return
    refused = Counter(status_name(s) for s in statuses if status_name(s) in _LIMITED)
    if refused:
        taken = len(some) - sum(refused.values())
        message = f"the server takes {taken} of {len(some)} signals at a time ({listed(list(refused))})"
        report.problem("limits", message, _FEWER)
    elif some:
        report.good("limits", f"{len(some)} of {len(signals)} signals can be subscribed at a time")


_ANY: Final = ValueType(BuiltinType.Variant)
_FEWER: Final = (
    "raise the limits for monitored items at the server, end other clients that use them up, or have apps ask for fewer signals"
)


def _namespaces(report: Report, facts: BrowseFacts, known: BrowseFacts | None) -> None:
    if known is None or not known.namespaces:
        report.good("namespaces", f"{len(facts.namespaces)} namespaces")
        return
    gone = [uri for uri in known.namespaces if uri not in facts.namespaces]
    fresh = [uri for uri in facts.namespaces if uri not in known.namespaces]
    if gone:
        message = f"namespaces are gone since it was described last: {listed(gone)}" + (
            f"; new: {listed(fresh)}" if fresh else ""
        )
        mend = "what profiles and apps say of them leads nowhere now: describe the machine again, and correct the profile"
        report.problem("namespaces", message, mend)
    elif fresh:
        report.warning("namespaces", f"new since it was described last: {listed(fresh)}", "describe the machine again")
    else:
        moved = facts.namespaces != known.namespaces
        report.good("namespaces", "the namespaces are those that were known" + (", in another order" if moved else ""))
