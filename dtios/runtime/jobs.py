"""Jobs: started through the gate, followed to their end, found again after a sudden end of the runtime, never started twice."""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final
from uuid import uuid4

import anyio
import structlog
from anyio.abc import TaskGroup

from dtios.mapping.parameters import results_to_canonical, to_machine, validate
from dtios.model.errors import ConfigurationError, DtiosError, OutcomeUnknown, RefusedError, TemporaryError
from dtios.model.job import (
    JobIdentity,
    JobOrder,
    JobOutcome,
    JobState,
    JobSubstate,
    JobVerb,
    allowed_verbs,
)
from dtios.model.machine import OnOwnerLost
from dtios.runtime.gate import Action, Command, Gate
from dtios.runtime.journal import Journal, StoredJob
from dtios.runtime.link import first_error
from dtios.runtime.machines import LiveMachine
from dtios.runtime.points import CommandPoints
from dtios.runtime.principal import Principal
from dtios.runtime.router import Router
from dtios.sdk.clock import Clock
from dtios.sdk.codec import pack, pack_value
from dtios.sdk.protocol import JobEntry, JobView

__all__ = ["ActiveJob", "JobRunner", "effective_on_owner_lost"]

log = structlog.get_logger("dtios.jobs")

_STOPPING: Final = frozenset({JobVerb.STOP, JobVerb.ABORT})
_LOST_VERBS: Final = {OnOwnerLost.HOLD: JobVerb.PAUSE, OnOwnerLost.STOP: JobVerb.STOP}
OWNER_LOST_LIMIT: Final = 0.8
"""Seconds that holding or stopping a lost owner's job may take before the runtime goes on (its end is due within one)."""


def effective_on_owner_lost(wanted: OnOwnerLost, verbs: frozenset[JobVerb]) -> OnOwnerLost:
    """What is really done: a binding that cannot hold stops, one that cannot stop finishes."""
    if wanted is OnOwnerLost.HOLD and JobVerb.PAUSE not in verbs:
        wanted = OnOwnerLost.STOP
    if wanted is OnOwnerLost.STOP and JobVerb.STOP not in verbs:
        return OnOwnerLost.FINISH
    return wanted


class ActiveJob:
    """A job that is not over, in this runtime. `owner` is the principal whose end means that the job's owner is lost."""

    def __init__(self, machine: LiveMachine, view: JobView, owner: Principal | None, on_owner_lost: OnOwnerLost) -> None:
        self.machine = machine
        self.view = view
        self.owner = owner
        self.on_owner_lost = on_owner_lost

    @property
    def key(self) -> tuple[str, str]:
        return (self.machine.identity, self.view.job)

    @property
    def order(self) -> JobOrder:
        parameters = to_machine(self.view.parameters, self.machine.wiring(self.view.skill))
        return JobOrder(self.view.job, self.machine.name, self.view.skill, parameters)


class JobRunner:
    """All jobs of this runtime. Its task group is the runtime's; a job's task is named after it."""

    def __init__(self, journal: Journal, gate: Gate, router: Router, clock: Clock, tasks: TaskGroup) -> None:
        self._journal = journal
        self._gate = gate
        self._router = router
        self._clock = clock
        self._tasks = tasks
        self._active: dict[tuple[str, str], ActiveJob] = {}
        self._watchers: dict[Callable[[JobView], None], None] = {}

    # --- asking ---

    async def start(
        self,
        principal: Principal,
        machine: LiveMachine,
        skill_path: str,
        parameters: Mapping[str, Any],
        job: str = "",
        *,
        command: str = "",
        deadline: float | None = None,
        lease: int | None = None,
        on_owner_lost: OnOwnerLost | None = None,
    ) -> JobView:
        """Start a job, or join the one that has this id with the same skill and parameters.

        Raises RefusedError (gate, or the id is another job's), ConfigurationError (no such skill, wrong parameters),
        TemporaryError (offline). What the machine says comes as the job's states.
        """
        skill = machine.skill(skill_path)
        job = job or str(uuid4())
        where = f"{machine.name} {skill.path}"
        parameters = validate(parameters, skill.parameters, where)
        present = await self._same_job(principal, machine, skill.path, parameters, job)
        if present is not None:
            return present
        asked = Command(
            command or str(uuid4()), principal, machine, Action.START, skill.path, parameters,
            None if deadline is None else self._clock.monotonic() + deadline, lease, f"start {job}",
        )  # fmt: skip
        self._check_free(machine, skill.path, job)
        machine.link.session()
        permit = await self._gate.admit(asked)
        now = self._clock.now()
        view = JobView(
            machine.name, skill.path, job, principal.name, JobState.ALLOWED_TO_START, None, dict(parameters), now, now, False
        )
        taken = await self._journal.create_job(machine.identity, view)
        if taken is not None:  # two asked for the same id at once
            await permit.conclude("joined")
            return self._joined(taken, skill.path, parameters)
        wanted = on_owner_lost or skill.on_owner_lost
        active = ActiveJob(machine, view, principal, effective_on_owner_lost(wanted, skill.verbs))
        self._active[active.key] = active
        self._tell(view)

        async def mark_sent() -> None:
            await self._journal.mark_sent(machine.identity, job)

        points = CommandPoints(machine.link, self._router, self._clock, where, permit, mark_sent)

        async def first_run() -> None:
            try:
                await self._run(active, points, fresh=True)
            finally:
                with anyio.CancelScope(shield=True):
                    await permit.conclude(active.view.state if points.sent else "nothing was sent")

        self._tasks.start_soon(first_run, name=f"job {job} on {machine.name}")
        return view

    async def command(
        self,
        principal: Principal,
        machine: LiveMachine,
        job: str,
        verb: JobVerb,
        *,
        parameters: Mapping[str, Any] | None = None,
        command: str = "",
        deadline: float | None = None,
        lease: int | None = None,
    ) -> JobView:
        """Ask a verb of a running job; stop and abort need only the stop grant. Returns when the machine accepted it.

        `parameters` are the new ones, for `update`.
        """
        active = self._active.get((machine.identity, job))
        if active is None:
            raise await self._not_active(machine, job)
        skill = machine.skill(active.view.skill)
        where = f"{machine.name} {skill.path} job {job}"
        if verb not in skill.verbs:
            can = ", ".join(sorted(skill.verbs))
            raise RefusedError(f"its {skill.binding} binding cannot {verb}", where=where, mend=f"it can {can}")
        if verb not in allowed_verbs(active.view.state):
            raise RefusedError(
                f"{verb} is not possible while it is {active.view.state}", where=where, mend="wait for another state"
            )
        asked = Command(
            command or str(uuid4()), principal, machine, Action.STOP if verb in _STOPPING else Action.STEER, skill.path, {},
            None if deadline is None else self._clock.monotonic() + deadline, lease, f"{verb} {job}",
        )  # fmt: skip
        await self._give(active, verb, asked)
        return active.view

    async def _give(self, active: ActiveJob, verb: JobVerb, asked: Command) -> None:
        permit = await self._gate.admit(asked)
        points = CommandPoints(active.machine.link, self._router, self._clock, f"{active.machine.name} {asked.target}", permit)
        try:
            await active.machine.wiring(active.view.skill).binding.command(verb, active.order, points)
        except DtiosError as error:
            await permit.conclude(f"{error.kind}: {error}")
            raise
        await permit.conclude("accepted")
        await self._journal.add_history(
            active.machine.identity, active.view.job, JobEntry(self._clock.now(), verb, asked.principal.name, "accepted")
        )

    async def resolve(self, principal: Principal, stored: StoredJob, state: JobState, reason: str) -> JobView:
        """A person says how an Unknown job ended; it is theirs to know."""
        where = f"{stored.view.machine} job {stored.view.job}"
        if stored.view.state is not JobState.UNKNOWN:
            raise RefusedError(f"it is {stored.view.state}, not Unknown", where=where, mend="only an Unknown job is resolved")
        if state not in (JobState.ENDED, JobState.ABORTED):
            raise RefusedError(f"a job cannot be resolved to {state}", where=where, mend="say Ended or Aborted")
        active = self._active.pop((stored.identity, stored.view.job), None)
        view = active.view if active is not None else stored.view
        view.state, view.final, view.changed = state, True, self._clock.now()
        view.outcome = JobOutcome(state, None, {}, reason)
        await self._journal.change_job(stored.identity, view, JobEntry(view.changed, f"resolved {state}", principal.name, reason))
        self._tell(view)
        return view

    # --- what is going on ---

    def active(self, machine: LiveMachine, job: str) -> ActiveJob | None:
        return self._active.get((machine.identity, job))

    def watch(self, watcher: Callable[[JobView], None]) -> Callable[[], None]:
        """Called with each state of each job; returns what ends it."""
        self._watchers[watcher] = None
        return lambda: self._watchers.pop(watcher, None) and None

    def _tell(self, view: JobView) -> None:
        for watcher in tuple(self._watchers):
            watcher(view)

    # --- the same id ---

    async def _same_job(
        self, principal: Principal, machine: LiveMachine, skill: str, parameters: Mapping[str, Any], job: str
    ) -> JobView | None:
        stored = await self._journal.job(machine.identity, job)
        if stored is None:
            return None
        view = self._joined(stored.view, skill, parameters)
        active = self._active.get((machine.identity, job))
        if active is None:
            return view
        if active.owner is None or not active.owner.alive:
            active.owner = principal
        return active.view

    @staticmethod
    def _joined(view: JobView, skill: str, parameters: Mapping[str, Any]) -> JobView:
        same = pack(pack_value(_sorted(view.parameters))) == pack(pack_value(_sorted(dict(parameters))))
        if view.skill != skill or not same:
            raise RefusedError(
                f"the job id {view.job!r} is taken by another job ({view.skill} with {json.dumps(view.parameters, default=str)})",
                where=f"{view.machine} {skill}",
                mend="choose another id, or none; ids stay taken for 30 days",
            )
        return view

    def _check_free(self, machine: LiveMachine, skill: str, job: str) -> None:
        """A machine whose own state is the job's can do one at a time; an Unknown one blocks until it is resolved."""
        for active in self._active.values():
            if active.machine is not machine or active.view.job == job:
                continue
            same_skill = active.view.skill == skill
            inferred = (
                machine.skill(skill).identity is JobIdentity.INFERABLE
                and machine.skill(active.view.skill).identity is JobIdentity.INFERABLE
            )
            unknown = active.view.state is JobState.UNKNOWN
            if (same_skill and (inferred or unknown)) or inferred:
                raise RefusedError(
                    f"the job {active.view.job} on it is {active.view.state}",
                    where=f"{machine.name} {skill}",
                    mend=f"`dtios job resolve {active.view.job}` once you have looked at the machine"
                    if unknown
                    else "wait for its end",
                )

    async def _not_active(self, machine: LiveMachine, job: str) -> DtiosError:
        stored = await self._journal.job(machine.identity, job)
        where = f"{machine.name} job {job}"
        if stored is None:
            return ConfigurationError("there is no such job", where=where, mend="`dtios job list` shows them")
        return RefusedError(f"it is {stored.view.state} and cannot be asked anything", where=where)

    # --- running ---

    async def _run(self, active: ActiveJob, points: CommandPoints, *, fresh: bool) -> None:
        """Run or resume until a final state. A connection that is lost is waited for; the job is then found again."""
        binding = active.machine.wiring(active.view.skill).binding
        while True:
            try:
                work = binding.run if fresh else binding.resume
                outcome = await work(active.order, points, lambda state, sub: self._report(active, state, sub))
            except Exception as raised:  # a binding's fault must end as a job's state, not the runtime's
                error = first_error(raised)
                if error is None:
                    log.exception("binding failed", job=active.view.job, machine=active.machine.name)
                    error = OutcomeUnknown(f"its binding failed ({raised!r})", where=active.machine.name)
                if fresh and not points.sent:
                    await self._finish(active, JobOutcome(JobState.ABORTED, None, {}, "never started"), error)
                    return
                if isinstance(error, RefusedError) and fresh:
                    await self._finish(active, JobOutcome(JobState.ABORTED, None, {}, "the machine refused it"), error)
                    return
                if isinstance(error, OutcomeUnknown) or not isinstance(error, TemporaryError):
                    await self._unknown(active, error)
                fresh = False
                if binding.identity is JobIdentity.NONE:
                    await self._unknown(active, error)
                    return
                await self._clock.sleep(0.2)
                await active.machine.link.wait_online()
                continue
            if outcome.state is JobState.UNKNOWN:
                await self._unknown(active, None, outcome.reason)
            else:
                await self._finish(active, outcome)
            return

    async def _report(self, active: ActiveJob, state: JobState, substate: JobSubstate | None) -> None:
        if active.view.final or (active.view.state, active.view.substate) == (state, substate):
            return
        active.view.state, active.view.substate, active.view.changed = state, substate, self._clock.now()
        await self._write(active, str(substate or state))

    async def _unknown(self, active: ActiveJob, error: DtiosError | None, reason: str = "") -> None:
        if active.view.final or active.view.state is JobState.UNKNOWN:
            return
        active.view.state, active.view.substate, active.view.changed = JobState.UNKNOWN, None, self._clock.now()
        reason = reason or (str(error) if error is not None else "")
        active.view.outcome = JobOutcome(JobState.UNKNOWN, None, {}, reason)
        log.warning("job outcome unknown", job=active.view.job, machine=active.machine.name, reason=reason)
        await self._write(active, "Unknown", reason)

    async def _finish(self, active: ActiveJob, outcome: JobOutcome, error: DtiosError | None = None) -> None:
        if active.view.final:  # a person resolved it meanwhile
            return
        wiring = active.machine.wiring(active.view.skill)
        results = results_to_canonical(outcome.results, wiring)
        view = active.view
        view.state, view.substate, view.final, view.changed = outcome.state, outcome.substate, True, self._clock.now()
        view.outcome = JobOutcome(outcome.state, outcome.substate, results, outcome.reason)
        if error is not None:
            view.error = (error.kind, error.message, error.where, error.mend)
        self._active.pop(active.key, None)
        await self._write(active, str(outcome.state), str(error) if error is not None else outcome.reason)

    async def _write(self, active: ActiveJob, event: str, detail: str = "") -> None:
        entry = JobEntry(active.view.changed, event, active.view.principal, detail)
        await self._journal.change_job(active.machine.identity, active.view, entry)
        self._tell(active.view)

    # --- finding again ---

    async def recover(self, machine: LiveMachine) -> None:
        """After a start of the runtime, when a machine is first described: its open jobs are found again, or Unknown."""
        for stored in await self._journal.jobs(open_only=True):
            if stored.identity == machine.identity and (stored.identity, stored.view.job) not in self._active:
                await self._recover(machine, stored)

    async def _recover(self, machine: LiveMachine, stored: StoredJob) -> None:
        active = ActiveJob(machine, stored.view, None, OnOwnerLost.FINISH)
        self._active[active.key] = active
        try:
            wiring = machine.wiring(stored.view.skill)
        except KeyError:
            await self._unknown(active, None, "its skill is gone from the machine")
            return
        if not stored.sent:
            await self._finish(
                active, JobOutcome(JobState.ABORTED, None, {}, "never started: the runtime ended before it was sent")
            )
            return
        if wiring.binding.identity is JobIdentity.NONE:
            await self._unknown(active, None, "the runtime ended while it ran, and the machine keeps no record of it")
            return
        points = CommandPoints(machine.link, self._router, self._clock, f"{machine.name} {stored.view.skill}", None)

        async def again() -> None:
            await machine.link.wait_online()
            await self._run(active, points, fresh=False)

        self._tasks.start_soon(again, name=f"job {stored.view.job} found again on {machine.name}")

    # --- owners ---

    async def owner_lost(self, principal: Principal) -> list[tuple[JobView, OnOwnerLost]]:
        """Hold, stop or let finish what a principal leaves behind, as each skill says; in the audit. Returns what was done."""
        left = [a for a in self._active.values() if a.owner is principal and not a.view.final]
        done: list[tuple[JobView, OnOwnerLost]] = []

        async def leave(active: ActiveJob) -> None:
            done.append((active.view, await self._leave(active)))

        with anyio.move_on_after(OWNER_LOST_LIMIT, shield=True):
            async with anyio.create_task_group() as leaving:
                for active in left:
                    leaving.start_soon(leave, active, name=f"owner lost: job {active.view.job}")
        return done

    async def _leave(self, active: ActiveJob) -> OnOwnerLost:
        action = active.on_owner_lost
        runtime = Principal("runtime", everything=True)
        where = (active.machine.name, active.view.job)
        while action is not OnOwnerLost.FINISH:
            verb = _LOST_VERBS[action]
            asked = Command(
                str(uuid4()),
                runtime,
                active.machine,
                Action.STOP,
                active.view.skill,
                {},
                detail=f"owner lost: {verb} {active.view.job}",
            )
            try:
                if verb in allowed_verbs(active.view.state):
                    await self._give(active, verb, asked)
                break
            except DtiosError as error:
                log.warning(
                    "owner lost, and the machine did not follow", machine=where[0], job=where[1], verb=verb, reason=str(error)
                )
                verbs = active.machine.skill(active.view.skill).verbs - {verb}
                action = effective_on_owner_lost(OnOwnerLost.STOP, verbs)
        log.warning("owner lost", machine=where[0], job=where[1], action=action)
        await self._journal.note(
            self._clock.now(), "", "runtime", active.machine.name, "owner lost", active.view.skill, f"{action} {active.view.job}"
        )
        return action


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _sorted(value[k]) for k in sorted(value)}
    return [_sorted(v) for v in value] if isinstance(value, list) else value
