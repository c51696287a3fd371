"""The jobs that are not over, and the one place where a job's state changes: journal first, then whoever follows it."""

from collections.abc import Callable
from typing import Final

import anyio
import msgspec
import structlog

from dtios.mapping.skills.parameters import results_to_canonical, to_machine
from dtios.model.errors import DtiosError, TemporaryError
from dtios.model.job import JobIdentity, JobOrder, JobOutcome, JobState, JobSubstate
from dtios.model.machine import OnOwnerLost, effective_on_owner_lost
from dtios.runtime.commands.journal import Journal
from dtios.runtime.commands.principal import Principal
from dtios.runtime.links.machines import LiveMachine
from dtios.sdk.clock import Clock
from dtios.sdk.protocol import JobEntry, JobView

__all__ = ["ActiveJob", "JobBook"]

log = structlog.get_logger("dtios.jobs")

AGAIN: Final = 1.0
"""Seconds between two tries to write the end of a job into a journal that cannot be written."""


class ActiveJob:
    """A job that is not over, in this runtime. `owner` is the principal whose end means that the job's owner is lost; `asked`
    what it wanted done then, None: as its skill says when it comes to that."""

    def __init__(self, machine: LiveMachine, view: JobView, owner: Principal | None, asked: OnOwnerLost | None) -> None:
        self.machine = machine
        self.view = view
        self.owner = owner
        self.asked = asked
        self.seen = anyio.Event()
        """Set when its state was told by the machine in this runtime: one found in the journal may have moved on."""
        self.scope = anyio.CancelScope()
        """Around whoever follows it on the machine."""
        skill = machine.mapped.skills.get(view.skill)
        self.identity = JobIdentity.INFERABLE if skill is None else machine.skill(view.skill).identity
        """What its machine kept of it when it was started; a skill that is gone is taken for one that keeps the unit busy."""
        self._changed = anyio.Event()

    @property
    def on_owner_lost(self) -> OnOwnerLost:
        skill = next((s for s in self.machine.machine.skills if s.path == self.view.skill), None)
        if skill is None:
            return self.asked or OnOwnerLost.HOLD
        return effective_on_owner_lost(self.asked or skill.on_owner_lost, skill.verbs)

    @property
    def forsaken(self) -> bool:
        """Nobody follows it any more, though it is not over."""
        return self.scope.cancel_called

    @property
    def key(self) -> tuple[str, str]:
        return (self.machine.identity, self.view.job)

    @property
    def order(self) -> JobOrder:
        parameters = to_machine(self.view.parameters, self.machine.wiring(self.view.skill))
        return JobOrder(self.view.job, self.machine.name, self.view.skill, parameters)

    async def change(self) -> None:
        """Until the next change of state."""
        await self._changed.wait()

    def told(self) -> None:
        changed, self._changed = self._changed, anyio.Event()
        changed.set()


class JobBook:
    def __init__(self, journal: Journal, clock: Clock) -> None:
        self._journal = journal
        self._clock = clock
        self._active: dict[tuple[str, str], ActiveJob] = {}
        self._watchers: dict[Callable[[JobView], None], None] = {}

    # --- which there are ---

    def find(self, identity: str, job: str) -> ActiveJob | None:
        return self._active.get((identity, job))

    def on(self, machine: LiveMachine) -> list[ActiveJob]:
        return [a for a in self._active.values() if a.machine.identity == machine.identity]

    def owned_by(self, principal: Principal) -> list[ActiveJob]:
        return [a for a in self._active.values() if a.owner is principal]

    def enter(self, active: ActiveJob) -> None:
        self._active[active.key] = active

    def leave(self, active: ActiveJob) -> None:
        """It is not followed any more; its row stays open, so that it is found again when its machine is described anew."""
        self._active.pop(active.key, None)
        active.told()

    def watch(self, watcher: Callable[[JobView], None]) -> Callable[[], None]:
        """Called with each state of each job; returns what ends it."""
        self._watchers[watcher] = None
        return lambda: self._watchers.pop(watcher, None) and None

    def tell(self, view: JobView) -> None:
        for watcher in tuple(self._watchers):
            watcher(view)

    # --- what becomes of them ---

    async def report(self, active: ActiveJob, state: JobState, substate: JobSubstate | None) -> None:
        active.seen.set()
        if active.view.final or (active.view.state, active.view.substate) == (state, substate):
            return
        active.view.state, active.view.substate, active.view.changed = state, substate, self._clock.now()
        await self._write(active, str(substate or state))

    async def unknown(self, active: ActiveJob, reason: str) -> None:
        """Nobody can tell: it stays open, blocks its skill, and is never started again by itself."""
        active.seen.set()
        if active.view.final or active.view.state is JobState.UNKNOWN:
            return
        active.view.state, active.view.substate, active.view.changed = JobState.UNKNOWN, None, self._clock.now()
        active.view.outcome = JobOutcome(JobState.UNKNOWN, None, {}, reason)
        log.warning("job outcome unknown", job=active.view.job, machine=active.machine.name, reason=reason)
        await self._write(active, str(JobState.UNKNOWN), reason)

    async def finish(self, active: ActiveJob, outcome: JobOutcome, error: DtiosError | None = None) -> None:
        """A final state, unless a person has resolved the job meanwhile."""
        view = active.view
        active.seen.set()
        if view.final:
            return
        wiring = active.machine.mapped.skills.get(view.skill)
        results = dict(outcome.results) if wiring is None else results_to_canonical(outcome.results, wiring)
        view.state, view.substate, view.final, view.changed = outcome.state, outcome.substate, True, self._clock.now()
        view.outcome = JobOutcome(outcome.state, outcome.substate, results, outcome.reason)
        if error is not None:
            view.error = (error.kind, error.message, error.where, error.mend)
        await self._write(active, str(outcome.state), str(error) if error is not None else outcome.reason)

    async def resolve(self, identity: str, view: JobView, state: JobState, reason: str, principal: str) -> JobView:
        """A person's word on how an Unknown job ended."""
        active = self._active.get((identity, view.job))
        view = active.view if active is not None else view
        now, outcome = self._clock.now(), JobOutcome(state, None, {}, reason)
        resolved = msgspec.structs.replace(view, state=state, substate=None, final=True, changed=now, outcome=outcome)
        await self._journal.change_job(identity, resolved, JobEntry(now, f"resolved {state}", principal, reason))
        if active is not None:
            active.view = resolved
            active.scope.cancel()
        self._close(identity, resolved)
        return resolved

    async def note(self, active: ActiveJob, event: str, principal: str, detail: str = "") -> None:
        """Never raises: what was done is done, written down or not."""
        entry = JobEntry(self._clock.now(), event, principal, detail)
        try:
            await self._journal.add_history(active.machine.identity, active.view.job, entry)
        except TemporaryError as error:
            log.warning("not in the journal", job=active.view.job, machine=active.machine.name, history=event, reason=str(error))

    async def _write(self, active: ActiveJob, event: str, detail: str = "") -> None:
        """A state in between that cannot be journalled is told all the same: the row stays open, and that is what counts at the
        next start. An end is told when it is written, and is tried until it is; new commands are refused meanwhile."""
        entry = JobEntry(active.view.changed, event, active.view.principal, detail)
        complained = False
        while True:
            try:
                await self._journal.change_job(active.machine.identity, active.view, entry)
                break
            except TemporaryError as error:
                if not complained:
                    log.warning(
                        "not in the journal", job=active.view.job, machine=active.machine.name, state=event, reason=str(error)
                    )
                    complained = True
            if not active.view.final:
                break
            await self._clock.sleep(AGAIN)
        self._close(active.machine.identity, active.view)

    def _close(self, identity: str, view: JobView) -> None:
        active = self._active.get((identity, view.job))
        if view.final:
            self._active.pop((identity, view.job), None)
        if active is not None:
            active.told()
        self.tell(view)
