"""Jobs: started through the gate, followed to their end, found again after a sudden end of the runtime, never started twice."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final
from uuid import uuid4

import anyio
import structlog
from anyio.abc import TaskGroup

from dtios.mapping.parameters import to_machine, validate
from dtios.model.errors import ConfigurationError, DtiosError, OutcomeUnknown, RefusedError, TemporaryError
from dtios.model.job import JobIdentity, JobOutcome, JobState, JobVerb, allowed_verbs
from dtios.model.machine import OnOwnerLost
from dtios.runtime.gate import Action, Command, Gate
from dtios.runtime.job_book import ActiveJob, JobBook
from dtios.runtime.job_owners import OWNER_LOST_LIMIT, effective_on_owner_lost, leave
from dtios.runtime.journal import Journal, StoredJob
from dtios.runtime.link import first_error
from dtios.runtime.machines import LiveMachine
from dtios.runtime.points import CommandPoints
from dtios.runtime.principal import Principal
from dtios.runtime.router import Router
from dtios.sdk.clock import Clock
from dtios.sdk.codec import pack, pack_value
from dtios.sdk.protocol import JobView

__all__ = ["JobRunner"]

log = structlog.get_logger("dtios.jobs")

_STOPPING: Final = frozenset({JobVerb.STOP, JobVerb.ABORT})
SEEN_LIMIT: Final = 5.0
FIND_AGAIN: Final = 0.2
"""Seconds between a loss while a job runs and the first look for it."""


class JobRunner:
    """All jobs of this runtime. Its task group is the runtime's; a job's task is named after it."""

    def __init__(self, journal: Journal, gate: Gate, router: Router, clock: Clock, tasks: TaskGroup) -> None:
        self._journal = journal
        self._gate = gate
        self._router = router
        self._clock = clock
        self._tasks = tasks
        self._book = JobBook(journal, clock)

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
        active.seen.set()
        self._book.enter(active)
        self._book.tell(view)

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
        active = self._book.find(machine.identity, job)
        if active is None:
            raise await self._not_active(machine, job)
        skill = machine.skill(active.view.skill)
        where = f"{machine.name} {skill.path} job {job}"
        if verb not in skill.verbs:
            can = ", ".join(sorted(skill.verbs))
            raise RefusedError(f"its {skill.binding} binding cannot {verb}", where=where, mend=f"it can {can}")
        if verb not in _STOPPING:  # these are for the machine to judge, whatever we believe of the job
            await self._seen(active)
        if verb not in _STOPPING and verb not in allowed_verbs(active.view.state):
            raise RefusedError(
                f"{verb} is not possible while it is {active.view.state}", where=where, mend="wait for another state"
            )
        asked = Command(
            command or str(uuid4()), principal, machine, Action.STOP if verb in _STOPPING else Action.STEER, skill.path, {},
            None if deadline is None else self._clock.monotonic() + deadline, lease, f"{verb} {job}",
        )  # fmt: skip
        await self._give(active, verb, asked, parameters)
        return active.view

    @staticmethod
    async def _seen(active: ActiveJob) -> None:
        """A job found in the journal is asked only when its machine has said how it stands, or does not within SEEN_LIMIT."""
        with anyio.move_on_after(SEEN_LIMIT):
            await active.seen.wait()

    async def _give(self, active: ActiveJob, verb: JobVerb, asked: Command, parameters: Mapping[str, Any] | None = None) -> None:
        order = active.order
        if parameters:
            order = replace(order, parameters=to_machine(parameters, active.machine.wiring(active.view.skill)))
        permit = await self._gate.admit(asked)
        where = f"{active.machine.name} {asked.target}"
        points = CommandPoints(active.machine.link, self._router, self._clock, where, permit)
        try:
            await active.machine.wiring(active.view.skill).binding.command(verb, order, points)
        except DtiosError as error:
            await permit.conclude(f"{error.kind}: {error}")
            raise
        await permit.conclude("accepted")
        await self._book.note(active, verb, asked.principal.name, "accepted")

    async def resolve(self, principal: Principal, stored: StoredJob, state: JobState, reason: str) -> JobView:
        """A person says how an Unknown job ended; it is theirs to know."""
        where = f"{stored.view.machine} job {stored.view.job}"
        if stored.view.state is not JobState.UNKNOWN:
            raise RefusedError(f"it is {stored.view.state}, not Unknown", where=where, mend="only an Unknown job is resolved")
        if state not in (JobState.ENDED, JobState.ABORTED):
            raise RefusedError(f"a job cannot be resolved to {state}", where=where, mend="say Ended or Aborted")
        return await self._book.resolve(stored.identity, stored.view, state, reason, principal.name)

    def watch(self, watcher: Callable[[JobView], None]) -> Callable[[], None]:
        """Called with each state of each job; returns what ends it."""
        return self._book.watch(watcher)

    # --- the same id ---

    async def _same_job(
        self, principal: Principal, machine: LiveMachine, skill: str, parameters: Mapping[str, Any], job: str
    ) -> JobView | None:
        stored = await self._journal.job(machine.identity, job)
        if stored is None:
            return None
        view = self._joined(stored.view, skill, parameters)
        active = self._book.find(machine.identity, job)
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
        for active in self._book.on(machine):
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
        while not active.view.final:
            error = await self._attempt(active, points, fresh=fresh)
            if error is None or await self._settled(active, points, error, fresh=fresh):
                return
            fresh = False
            await self._clock.sleep(FIND_AGAIN)
            await active.machine.link.wait_online()

    async def _attempt(self, active: ActiveJob, points: CommandPoints, *, fresh: bool) -> DtiosError | None:
        """One go at it; None when its end, or Unknown, is written."""
        binding = active.machine.wiring(active.view.skill).binding
        work = binding.run if fresh else binding.resume
        try:
            outcome = await work(active.order, points, lambda state, sub: self._book.report(active, state, sub))
        except Exception as raised:  # a binding's fault must end as a job's state, not the runtime's
            error = first_error(raised)
            if error is None:
                log.error("binding failed", job=active.view.job, machine=active.machine.name, exc_info=raised)  # noqa: TRY400
                error = OutcomeUnknown(f"its binding failed ({raised!r})", where=active.machine.name)
            return error
        if outcome.state is JobState.UNKNOWN:
            await self._book.unknown(active, outcome.reason)
        else:
            await self._book.finish(active, outcome)
        return None

    async def _settled(self, active: ActiveJob, points: CommandPoints, error: DtiosError, *, fresh: bool) -> bool:
        """Whether an error ends it here. What may have been sent is looked for again, where the machine can tell."""
        if fresh and not points.sent:
            await self._book.finish(active, JobOutcome(JobState.ABORTED, None, {}, "never started"), error)
            return True
        if fresh and isinstance(error, RefusedError):
            await self._book.finish(active, JobOutcome(JobState.ABORTED, None, {}, "the machine refused it"), error)
            return True
        none = active.machine.skill(active.view.skill).identity is JobIdentity.NONE
        if none or isinstance(error, OutcomeUnknown) or not isinstance(error, TemporaryError):
            await self._book.unknown(active, str(error))
        return none

    # --- finding again ---

    async def recover(self, machine: LiveMachine) -> None:
        """After a start of the runtime, when a machine is first described: its open jobs are found again, or Unknown."""
        for stored in await self._journal.jobs(open_only=True):
            if stored.identity == machine.identity and self._book.find(stored.identity, stored.view.job) is None:
                await self._recover(machine, stored)

    async def _recover(self, machine: LiveMachine, stored: StoredJob) -> None:
        active = ActiveJob(machine, stored.view, None, OnOwnerLost.FINISH)
        self._book.enter(active)
        if stored.view.skill not in machine.mapped.skills:
            await self._book.unknown(active, "its skill is gone from the machine")
        elif not stored.sent:
            reason = "never started: the runtime ended before it was sent"
            await self._book.finish(active, JobOutcome(JobState.ABORTED, None, {}, reason))
        elif machine.skill(stored.view.skill).identity is JobIdentity.NONE:
            await self._book.unknown(active, "the runtime ended while it ran, and the machine keeps no record of it")
        else:
            where = f"{machine.name} {stored.view.skill}"
            points = CommandPoints(machine.link, self._router, self._clock, where, None)

            async def again() -> None:
                await machine.link.wait_online()
                await self._run(active, points, fresh=False)

            self._tasks.start_soon(again, name=f"job {stored.view.job} found again on {machine.name}")

    # --- owners ---

    async def owner_lost(self, principal: Principal) -> None:
        """Hold, stop or let finish what a principal leaves behind, as each skill says; in the audit."""
        with anyio.move_on_after(OWNER_LOST_LIMIT, shield=True):
            async with anyio.create_task_group() as leaving:
                for active in self._book.owned_by(principal):
                    leaving.start_soon(self._leave, active, name=f"owner lost: job {active.view.job}")

    async def _leave(self, active: ActiveJob) -> None:
        action = await leave(active, self._give)
        await self._book.note(active, f"owner lost: {action}", "runtime")
        await self._journal.note(
            self._clock.now(), "", "runtime", active.machine.name, "owner lost", active.view.skill, f"{action} {active.view.job}"
        )


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _sorted(value[k]) for k in sorted(value)}
    return [_sorted(v) for v in value] if isinstance(value, list) else value
