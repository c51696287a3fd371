"""The lock around a skill, over scripted points: taken, renewed, given back; refused, shared, lost."""

from collections.abc import Awaitable, Callable
from typing import Any, ClassVar

import anyio
import pytest
from scripted import Job, ScriptedPoints, answer, settle

from dtios.mapping.bindings import locked
from dtios.mapping.bindings.base import Report, SkillBinding
from dtios.mapping.bindings.locked import LockedBinding, LockNodes
from dtios.mapping.points import Points
from dtios.model.errors import RefusedError, TemporaryError
from dtios.model.job import JobIdentity, JobOrder, JobOutcome, JobState, JobSubstate, JobVerb
from dtios.model.machine import OnOwnerLost

NODES = LockNodes("lock", "InitLock", "ExitLock", "RenewLock", True, "Locked", "Client", "User", "Remaining")
DONE = JobOutcome(JobState.ENDED, JobSubstate.COMPLETED)
Work = Callable[[Points], Awaitable[JobOutcome]]


class Inner(SkillBinding):
    """Calls Start, then does what the test says."""

    name: ClassVar[str] = "inner"
    identity: ClassVar[JobIdentity] = JobIdentity.INFERABLE

    def __init__(self, work: Work, *verbs: JobVerb) -> None:
        self._work = work
        self._verbs = frozenset({JobVerb.START, *verbs})

    verbs = property(lambda self: self._verbs)
    parameters = property(lambda self: {"type": "object"})
    results = property(lambda self: {"type": "object"})

    async def run(self, order: JobOrder, points: Points, report: Report) -> JobOutcome:
        await points.call("unit", "Start", [])
        return await self._work(points)

    async def resume(self, order: JobOrder, points: Points, report: Report) -> JobOutcome:
        return await self._work(points)

    async def command(self, verb: JobVerb, order: JobOrder, points: Points) -> None:
        await points.call("unit", verb.value, [])


class Machine(ScriptedPoints):
    """A lock for one; `ours` says whether it is us who have it, `other` who else does."""

    def __init__(self, *, other: str = "", lasts: float = 0.2) -> None:
        super().__init__(Locked=bool(other), Client="", User=other, Remaining=lasts * 1000)
        self.ours, self.other = False, other
        self.on = {"InitLock": self._init, "ExitLock": self._exit, "RenewLock": self._renew, "Start": answer()}
        self.on |= {verb.value: answer() for verb in (JobVerb.PAUSE, JobVerb.STOP, JobVerb.ABORT)}

    async def _init(self, context: str) -> list[Any]:
        assert context == "job j1"
        if self.ours or self.other:
            return [-1]
        self.ours = True
        self.set("Locked", True)
        return [0]

    async def _renew(self) -> list[Any]:
        return [0 if self.ours else -1]

    async def _exit(self) -> list[Any]:
        self.ours = False
        self.set("Locked", False)
        return [0]

    def broken_by(self, other: str) -> None:
        self.ours, self.other = False, other
        self.set("User", other)
        if not other:
            self.set("Locked", False)

    @property
    def called(self) -> list[str]:
        """Without the renewals."""
        return [name for name, _ in self.sent if name != "RenewLock"]


def binding(work: Work, *verbs: JobVerb, on_lost: OnOwnerLost = OnOwnerLost.HOLD) -> LockedBinding:
    return LockedBinding(Inner(work, *verbs), NODES, on_lost)


async def at_once(_: Points) -> JobOutcome:
    return DONE


async def test_taken_before_and_given_back_after() -> None:
    machine = Machine()
    assert await Job(binding(at_once), machine).run() == DONE
    assert machine.called == ["InitLock", "Start", "ExitLock"]
    assert (machine.ours, machine.holders["lock"]) == (False, 0)


async def test_given_back_when_the_skill_is_refused() -> None:
    async def refused(_: Points) -> JobOutcome:
        raise RefusedError("not Ready")

    machine = Machine()
    with pytest.raises(RefusedError, match="not Ready"):
        await Job(binding(refused), machine).run()
    assert machine.called == ["InitLock", "Start", "ExitLock"]


async def test_somebody_elses_lock() -> None:
    machine = Machine(other="watchdog")
    with pytest.raises(RefusedError, match="locked by watchdog"):
        await Job(binding(at_once), machine).run()
    assert machine.called == ["InitLock"]
    assert machine.holders["lock"] == 0


async def test_renewed_for_as_long_as_it_takes() -> None:
    machine = Machine(lasts=0.15)

    async def long(_: Points) -> JobOutcome:
        with anyio.fail_after(5):
            while len([1 for name, _ in machine.sent if name == "RenewLock"]) < 3:
                await anyio.sleep(0.01)
        return DONE

    assert await Job(binding(long), machine).run() == DONE


async def test_renewal_waits_out_a_lost_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locked, "RENEW_AGAIN", 0.02)
    machine = Machine(lasts=0.06)

    async def long(_: Points) -> JobOutcome:
        machine.online = False
        await anyio.sleep(0.1)
        machine.online = True
        machine.sent.clear()
        with anyio.fail_after(5):
            while not machine.sent:
                await anyio.sleep(0.01)
        return DONE

    assert await Job(binding(long), machine).run() == DONE
    assert machine.called == ["ExitLock"]


@pytest.mark.parametrize(("verbs", "on_lost", "asked"), [
    ([JobVerb.PAUSE, JobVerb.STOP, JobVerb.ABORT], OnOwnerLost.HOLD, ["pause"]),
    ([JobVerb.STOP, JobVerb.ABORT], OnOwnerLost.HOLD, ["stop"]),
    ([JobVerb.ABORT], OnOwnerLost.STOP, ["abort"]),
    ([JobVerb.PAUSE, JobVerb.ABORT], OnOwnerLost.FINISH, []),
])  # fmt: skip
@pytest.mark.parametrize("other", ["watchdog", ""])
async def test_lost(verbs: list[JobVerb], on_lost: OnOwnerLost, asked: list[str], other: str) -> None:
    """Held or stopped as the skill says, and the outcome says why. Where nobody else has it, it is taken again for that."""
    machine, over = Machine(lasts=0.06), anyio.Event()

    async def until_over(_: Points) -> JobOutcome:
        await over.wait()
        return DONE

    came: list[JobOutcome] = []

    async def go() -> None:
        came.append(await Job(binding(until_over, *verbs, on_lost=on_lost), machine).run())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(go)
        await settle()
        machine.broken_by(other)
        with anyio.fail_after(5):
            while machine.called.count("InitLock") < 2:
                await anyio.sleep(0.01)
        await settle()
        over.set()
    again = ["InitLock", *asked] if other else ["InitLock", *asked, "ExitLock"]
    assert machine.called == ["InitLock", "Start", *again]
    assert (came[0].state, "its lock was lost" in came[0].reason) == (JobState.ENDED, True)
    assert (f"asked to {asked[0]}" if asked else "goes on without") in came[0].reason
    assert machine.holders["lock"] == 0


async def test_shared_by_jobs_of_one_runtime() -> None:
    machine, over = Machine(lasts=60), anyio.Event()

    async def until_over(_: Points) -> JobOutcome:
        await over.wait()
        return DONE

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(Job(binding(until_over), machine).run)
        await settle()
        assert await Job(binding(at_once), machine).run() == DONE
        assert machine.ours, "the first job still has it"
        over.set()
    assert (machine.ours, machine.called.count("ExitLock")) == (False, 1)


async def test_found_again_takes_it_again_and_starts_nothing() -> None:
    machine = Machine()
    machine.only_settling = True
    assert await Job(binding(at_once), machine).resume() == DONE
    assert machine.called == ["InitLock", "ExitLock"]
    still = Machine()
    still.ours = True
    assert await Job(binding(at_once), still).resume() == DONE
    assert still.called == ["ExitLock"]


async def test_found_again_while_the_old_session_has_it_for_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locked, "RENEW_AGAIN", 0.02)
    monkeypatch.setattr(locked, "STALE_FIRST", 0.0)
    machine = Machine(other="a session that is gone")

    async def a_while(_: Points) -> JobOutcome:
        machine.broken_by("")
        with anyio.fail_after(5):
            while not machine.ours:
                await anyio.sleep(0.01)
        return DONE

    assert await Job(binding(a_while, JobVerb.PAUSE), machine).resume() == DONE
    assert "pause" not in machine.called


async def test_found_again_while_somebody_else_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locked, "STALE", 0.0)
    monkeypatch.setattr(locked, "STALE_FIRST", 0.0)
    machine, over = Machine(other="watchdog"), anyio.Event()
    machine.only_settling = True
    came: list[JobOutcome] = []

    async def until_over(_: Points) -> JobOutcome:
        await over.wait()
        return DONE

    async def go() -> None:
        came.append(await Job(binding(until_over, JobVerb.PAUSE), machine).resume())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(go)
        await settle()
        over.set()
    assert "pause" in machine.called
    assert "could not be taken again" in came[0].reason


async def test_offline_before_anything() -> None:
    machine = Machine()
    machine.online = False
    with pytest.raises(TemporaryError):
        await Job(binding(at_once), machine).run()
    assert (machine.sent, machine.holders["lock"]) == ([], 0)


async def test_what_the_skill_is_shows_through() -> None:
    one = binding(at_once, JobVerb.PAUSE)
    assert (one.name, one.identity, one.verbs) == ("inner, locked", JobIdentity.INFERABLE, {JobVerb.START, JobVerb.PAUSE})
