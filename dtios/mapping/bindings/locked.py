"""A lock held while a job runs (OPC 10000-100, LockingServicesType): taken before the start, renewed, given back at the end.

BreakLock is never issued. A lock belongs to the session (or user) that took it, so that nothing need be kept here.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import anyio

from dtios.mapping.bindings.base import Report, SkillBinding
from dtios.mapping.points import Points, Publish
from dtios.model.datatypes import BuiltinType, ValueType
from dtios.model.errors import DtiosError, RefusedError, TemporaryError
from dtios.model.job import JobIdentity, JobOrder, JobOutcome, JobVerb
from dtios.model.machine import OnOwnerLost

__all__ = ["LockNodes", "LockedBinding"]

RENEW_AT_MOST: Final = 60.0
RENEW_UNTOLD: Final = 5.0
"""Seconds between two renewals: the longest time, and the time where the server does not tell how long the lock lasts."""
RENEW_AGAIN: Final = 0.5
"""Seconds between two tries to renew while the machine cannot be reached."""
SHORTEST: Final = 0.05
STALE_FIRST: Final = 2.0
STALE: Final = 10.0
STALE_STEP: Final = 0.1
"""Seconds for which a job that was found again tries to take its lock, before it is followed and beside that: the old session may
have it still, until that ends or the lock runs out."""

_STRING: Final = ValueType(BuiltinType.String, "String")


@dataclass(frozen=True, slots=True)
class LockNodes:
    """`lock` is the object, the others its methods and variables. What a server lacks is None."""

    lock: str
    init: str
    exit: str
    renew: str | None = None
    takes_context: bool = True
    locked: str | None = None
    client: str | None = None
    user: str | None = None
    remaining: str | None = None


class LockedBinding(SkillBinding):
    """`inner` with the lock around it. `on_lost`: what becomes of a job whose lock is lost."""

    def __init__(self, inner: SkillBinding, nodes: LockNodes, on_lost: OnOwnerLost) -> None:
        self._inner = inner
        self._nodes = nodes
        self._on_lost = on_lost

    @property
    def name(self) -> str:  # type: ignore[override]  # it says what is locked
        return f"{self._inner.name}, locked"

    @property
    def identity(self) -> JobIdentity:  # type: ignore[override]  # that of the inner one
        return self._inner.identity

    @property
    def inferred_from(self) -> frozenset[str] | None:
        return self._inner.inferred_from

    @property
    def verbs(self) -> frozenset[JobVerb]:
        return self._inner.verbs

    @property
    def parameters(self) -> Mapping[str, Any]:
        return self._inner.parameters

    @property
    def results(self) -> Mapping[str, Any]:
        return self._inner.results

    async def run(self, order: JobOrder, points: Points, report: Report) -> JobOutcome:
        """Raises RefusedError naming who has the lock."""
        lock = _Lock(self._nodes, points)
        await lock.take(order)
        return await self._held(lock, order, points, lambda: self._inner.run(order, points, report))

    async def resume(self, order: JobOrder, points: Points, report: Report) -> JobOutcome:
        """A lock that went with the old session is taken again; if that cannot be, it counts as lost."""
        if self.identity is JobIdentity.NONE:  # nothing is followed
            return await self._inner.resume(order, points, report)
        lock = _Lock(self._nodes, points)
        until = anyio.current_time() + STALE_FIRST
        while not lock.held:
            try:
                await lock.take(order, settling=True, ours=True)
            except RefusedError as refusal:
                if anyio.current_time() >= until:
                    lock.lost, lock.patience = f"its lock could not be taken again: {refusal.message}", STALE
                    break
                await anyio.sleep(STALE_STEP)
        return await self._held(lock, order, points, lambda: self._inner.resume(order, points, report))

    async def command(self, verb: JobVerb, order: JobOrder, points: Points) -> None:
        await self._inner.command(verb, order, points)

    async def _held(
        self, lock: "_Lock", order: JobOrder, points: Points, work: Callable[[], Awaitable[JobOutcome]]
    ) -> JobOutcome:
        """The work with the lock kept alive beside it. The lock is given back whatever comes, unless all of it is cancelled: then
        the job is not over, and the lock goes with the session."""
        came: list[JobOutcome | DtiosError] = []
        said: list[str] = []
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._keep, lock, order, points, said, name=f"lock for job {order.job}")
                try:
                    came.append(await work())
                except DtiosError as error:
                    came.append(error)
                tasks.cancel_scope.cancel()
        except BaseException:
            lock.release()
            raise
        await lock.give_back()
        if isinstance(came[0], DtiosError):
            raise came[0]
        reason = "; ".join((*([came[0].reason] if came[0].reason else []), *said))
        return replace(came[0], reason=reason) if said else came[0]

    async def _keep(self, lock: "_Lock", order: JobOrder, points: Points, said: list[str]) -> None:
        """Renews it in time. When it is lost the job is held or stopped, as the skill says, and `said` says why. It is taken
        again for that, where nobody else has it: a machine may take no command without."""
        while True:
            if not lock.lost:
                await lock.keep()
            why = lock.lost
            stale, again = lock.patience > 0, await lock.take_again(order)
            if stale and again:
                continue
            said.append(f"{why}: {await self._lost(order, points)}")
            if not again:
                return

    async def _lost(self, order: JobOrder, points: Points) -> str:
        wanted = {
            OnOwnerLost.HOLD: (JobVerb.PAUSE, JobVerb.STOP, JobVerb.ABORT),
            OnOwnerLost.STOP: (JobVerb.STOP, JobVerb.ABORT),
        }.get(self._on_lost, ())
        failed = ""
        for verb in wanted:
            if verb in self._inner.verbs:
                try:
                    await self._inner.command(verb, order, _Settling(points))
                except DtiosError as error:
                    failed = failed or f", {verb.value} failed ({error.message})"
                else:
                    return f"asked to {verb.value}{failed}"
        return f"it goes on without{failed}"


class _Lock:
    """The lock for one job. `lost` says why it is not ours any more."""

    def __init__(self, nodes: LockNodes, points: Points) -> None:
        self._nodes = nodes
        self._points = points
        self.lost = ""
        self.held = False
        self.patience = 0.0
        """Seconds for which it may be tried again where it is refused."""

    async def take(self, order: JobOrder, *, settling: bool = False, ours: bool = False) -> None:
        """Ours from here on; together with other jobs of this runtime that have it. `ours`: it may be so already. Raises
        RefusedError naming who has it."""
        holders, lock = self._points.holders, self._nodes.lock
        holders[lock] += 1  # before it is asked for: a job that ends meanwhile must not give it back
        try:
            await self._take(order, shared=ours or holders[lock] > 1, settling=settling)
        except BaseException:
            self.held = True
            self.release()
            raise
        self.held, self.lost = True, ""

    async def _take(self, order: JobOrder, *, shared: bool, settling: bool) -> None:
        if shared and await self.renew():
            return
        given = [(f"job {order.job}", _STRING)] if self._nodes.takes_context else []
        try:
            answer = await self._points.call(self._nodes.lock, self._nodes.init, given, settling=settling)
        except RefusedError as refusal:
            raise await self._refused(order, refusal.message) from refusal
        if _code(answer) != 0:
            raise await self._refused(order, f"InitLock answered {_code(answer)}")

    def release(self) -> bool:
        """This job has it no more; whether that was the last of ours."""
        if not self.held:
            return False
        self.held = False
        holders, lock = self._points.holders, self._nodes.lock
        holders[lock] -= 1
        return holders[lock] <= 0

    async def _refused(self, order: JobOrder, said: str) -> RefusedError:
        who = await self.holder()
        message = f"the machine is locked by {who} ({said})" if who else f"its lock was not given ({said})"
        return RefusedError(message, where=order.skill, mend="wait until it is given back, or have it given back there")

    async def holder(self) -> str:
        """Who has it, as the machine says; empty where nobody has."""
        known = [a for a in (self._nodes.user, self._nodes.client) if a is not None]
        with_state = [*known, *([self._nodes.locked] if self._nodes.locked else [])]
        try:
            readings = await self._points.read(with_state)
        except TemporaryError:
            return ""
        if self._nodes.locked and readings[-1].is_good and readings[-1].value is False:
            return ""
        told = [str(r.value) for r in readings[: len(known)] if r.is_good and r.value]
        return " at ".join(told)

    async def renew(self) -> bool:
        """False where it is not ours. Raises TemporaryError while nobody can tell."""
        if self._nodes.renew is None:
            return not self.lost
        try:
            answer = await self._points.call(self._nodes.lock, self._nodes.renew, [], settling=True)
        except RefusedError as refusal:
            self.lost = f"its lock was lost ({refusal.message})"
            return False
        if _code(answer) != 0:
            who = await self.holder()
            self.lost = f"its lock was lost{f' to {who}' if who else ''} (RenewLock answered {_code(answer)})"
            return False
        self.lost = ""
        return True

    async def take_again(self, order: JobOrder) -> bool:
        """Whether it is ours once more. `lost` stays said where it is not."""
        self.release()
        until, self.patience = anyio.current_time() + self.patience, 0.0
        while True:
            try:
                await self.take(order, settling=True)
            except TemporaryError:
                await anyio.sleep(RENEW_AGAIN)
            except RefusedError:
                if anyio.current_time() >= until:
                    return False
                await anyio.sleep(RENEW_AGAIN)
            else:
                return True

    async def keep(self) -> None:
        """Renews it, and returns when it is lost."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._watch, tasks.cancel_scope, name="watch the lock")
            while not self.lost:
                await anyio.sleep(await self._interval())
                try:
                    await self.renew()
                except TemporaryError:
                    await anyio.sleep(RENEW_AGAIN)
            tasks.cancel_scope.cancel()

    async def _watch(self, until: anyio.CancelScope) -> None:
        """Cancels `until` as soon as the machine says that nobody has the lock."""
        while self._nodes.locked is not None and not self.lost:
            try:
                await self._until_free(self._nodes.locked)
            except TemporaryError:
                await anyio.sleep(RENEW_AGAIN)
            else:
                self.lost = "its lock was lost (the machine says that it is not locked)"
                until.cancel()

    async def _until_free(self, address: str) -> None:
        async with self._points.watch([address]) as changes:
            held = False
            async for _, reading in changes:
                if reading.is_good and reading.value is True:
                    held = True
                elif reading.is_good and reading.value is False and held:
                    return
        raise TemporaryError("the machine stopped telling whether it is locked")

    async def _interval(self) -> float:
        """Well before it runs out."""
        if self._nodes.remaining is None:
            return RENEW_UNTOLD
        try:
            (reading,) = await self._points.read([self._nodes.remaining])
        except TemporaryError:
            return RENEW_AGAIN
        left = reading.value
        if not reading.is_good or not isinstance(left, int | float) or not left > 0:
            return RENEW_UNTOLD
        return max(SHORTEST, min(left / 1000 / 3, RENEW_AT_MOST))

    async def give_back(self) -> None:
        """With the last of our jobs that has it. What cannot be given back runs out by itself."""
        if not self.release() or self.lost:
            return
        try:
            await self._points.call(self._nodes.lock, self._nodes.exit, [], settling=True)
        except DtiosError:
            self.lost = "it could not be given back"


class _Settling:
    """Points on which everything leads towards standing still: an owner that is gone cannot keep it back."""

    def __init__(self, points: Points) -> None:
        self._points = points
        self.read, self.ask, self.watch, self.holders = points.read, points.ask, points.watch, points.holders

    async def write(self, address: str, value: Any, type: ValueType, *, settling: bool = True) -> None:
        await self._points.write(address, value, type, settling=True)

    async def write_bit(self, address: str, bit: int, up: bool, type: ValueType, *, settling: bool = True) -> None:
        await self._points.write_bit(address, bit, up, type, settling=True)

    async def call(
        self,
        owner: str,
        method: str,
        arguments: Sequence[tuple[Any, ValueType]],
        timeout: float | None = None,
        *,
        settling: bool = True,
    ) -> list[Any]:
        return await self._points.call(owner, method, arguments, timeout, settling=True)

    async def publish(self, message: Publish, *, settling: bool = True) -> None:
        await self._points.publish(message, settling=True)


def _code(answer: Sequence[Any]) -> int:
    """InitLockStatus and its like: 0 is well. A method that answers nothing has not complained."""
    return int(answer[0]) if answer and isinstance(answer[0], int) else 0
