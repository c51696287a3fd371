"""Jobs: started through the gate, followed to their end, found again after a sudden end of the runtime, never started twice."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final
from uuid import uuid4

import anyio
import structlog
from anyio.abc import TaskGroup

from dtios.mapping.skills.parameters import to_machine, validate
from dtios.model.errors import ConfigurationError, DtiosError, OutcomeUnknown, RefusedError, TemporaryError
from dtios.model.job import JobIdentity, JobOutcome, JobState, JobVerb, allowed_verbs
from dtios.model.machine import OnOwnerLost, Skill
from dtios.runtime.commands.gate import Action, Command, Gate, Permit
from dtios.runtime.commands.journal import Journal, StoredJob
from dtios.runtime.commands.principal import Principal
from dtios.runtime.data.router import Router
from dtios.runtime.jobs.book import ActiveJob, JobBook
from dtios.runtime.jobs.owners import OWNER_LOST_LIMIT, leave
from dtios.runtime.links.link import first_error
from dtios.runtime.links.machines import LiveMachine
from dtios.runtime.links.points import CommandPoints
from dtios.sdk.clock import Clock
from dtios.sdk.codec import pack, pack_value
from dtios.sdk.protocol import JobView

__all__ = ["JobRunner"]

log = structlog.get_logger("dtios.jobs")

_STOPPING: Final = frozenset({JobVerb.STOP, JobVerb.ABORT})
_ACTIONS: Final = {
    JobVerb.STOP: Action.STOP,
    JobVerb.ABORT: Action.STOP,
    JobVerb.PAUSE: Action.HOLD,
    JobVerb.CANCEL: Action.HOLD,
}
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
        self._starting = anyio.Lock()
        self._forsaken: dict[tuple[str, str], ActiveJob] = {}

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
        # One at a time: what was free when it was looked at must be so when the job is entered.
        async with self._starting:
            return await self._start(
                principal, machine, skill, parameters, job, command=command, deadline=deadline, lease=lease,
                on_owner_lost=on_owner_lost,
            )  # fmt: skip

    async def _start(
        self,
        principal: Principal,
        machine: LiveMachine,
        skill: Skill,
        parameters: Mapping[str, Any],
        job: str,
        *,
        command: str,
        deadline: float | None,
        lease: int | None,
        on_owner_lost: OnOwnerLost | None,
    ) -> JobView:
        where = f"{machine.name} {skill.path}"
        present = await self._same_job(principal, machine, skill.path, parameters, job)
        if present is not None:
            return present
        asked = Command(
            command or str(uuid4()), principal, machine, Action.START, skill.path, dict(parameters),
            None if deadline is None else self._clock.monotonic() + deadline, lease, f"start {job}",
        )  # fmt: skip
        self._check_free(machine, skill)
        machine.check_reachable()
        permit = await self._gate.admit(asked)
        now = self._clock.now()
        view = JobView(
            machine.name, skill.path, job, principal.name, JobState.ALLOWED_TO_START, None, dict(parameters), now, now, False
        )
        try:
            taken = await self._journal.create_job(machine.identity, view)
        except DtiosError:
            await permit.conclude("nothing was sent")
            raise
        if taken is not None:  # two asked for the same id at once
            await permit.conclude("joined")
            return self._joined(taken, skill.path, parameters)
        active = ActiveJob(machine, view, principal, on_owner_lost)
        active.seen.set()
        self._book.enter(active)
        self._book.tell(view)

        async def mark_sent() -> None:
            await self._journal.mark_sent(machine.identity, job)

        points = CommandPoints(
            machine.link, self._router, self._clock, where, permit, mark_sent, lambda: self._permit_to_settle(active)
        )

        async def first_run() -> None:
            try:
                await self._follow(active, points, fresh=True)
            finally:
                with anyio.CancelScope(shield=True):
                    await points.conclude(active.view.state)
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
        if verb not in _STOPPING and verb not in _possible(active):
            raise RefusedError(
                f"{verb} is not possible while it is {active.view.state}", where=where, mend="wait for another state"
            )
        given: dict[str, Any] = {}
        if parameters and verb is not JobVerb.UPDATE:
            raise RefusedError(f"{verb} takes no parameters", where=where, mend="leave them out, or ask for an update")
        if parameters:
            given = validate(parameters, skill.parameters, where)
        asked = Command(
            command or str(uuid4()), principal, machine, _ACTIONS.get(verb, Action.STEER), skill.path, given,
            None if deadline is None else self._clock.monotonic() + deadline, lease, f"{verb} {job}",
        )  # fmt: skip
        await self._give(active, verb, asked, given)
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
        active = self._book.find(stored.identity, stored.view.job)
        now = stored.view.state if active is None else active.view.state
        if now is not JobState.UNKNOWN:
            raise RefusedError(f"it is {now}, not Unknown", where=where, mend="only an Unknown job is resolved")
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
        lost = active.owner is None or not active.owner.alive
        if lost and principal.may_run(machine.machine, skill):  # who may only look takes nothing over
            active.owner = principal
        return active.view

    @staticmethod
    def _joined(view: JobView, skill: str, parameters: Mapping[str, Any]) -> JobView:
        same = pack(pack_value(_comparable(view.parameters))) == pack(pack_value(_comparable(dict(parameters))))
        if view.skill != skill or not same:
            raise RefusedError(
                f"the job id {view.job!r} is taken by another job ({view.skill} with {json.dumps(view.parameters, default=str)})",
                where=f"{view.machine} {skill}",
                mend="choose another id, or none; ids stay taken for 30 days",
            )
        return view

    def _check_free(self, machine: LiveMachine, skill: Skill) -> None:
        """Skills whose jobs are told by the same points of a machine can do one at a time; an Unknown one blocks until it is
        resolved."""
        for active in self._book.on(machine):
            same_skill = active.view.skill == skill.path
            inferred = skill.identity is JobIdentity.INFERABLE and active.identity is JobIdentity.INFERABLE
            inferred = inferred and _share(machine, skill.path, active.view.skill)
            unknown = active.view.state is JobState.UNKNOWN
            if (same_skill and (inferred or unknown)) or inferred:
                raise RefusedError(
                    f"the job {active.view.job} on it is {active.view.state}",
                    where=f"{machine.name} {skill.path}",
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

    async def _follow(self, active: ActiveJob, points: CommandPoints, *, fresh: bool) -> None:
        """Run or resume it. Whatever goes wrong is this job's trouble: the runtime and its other jobs go on."""
        with active.scope:
            try:
                if not fresh:
                    await active.machine.link.wait_online()
                await self._run(active, points, fresh=fresh)
            except Exception as raised:
                log.exception("following a job failed", job=active.view.job, machine=active.machine.name)
                await self._book.unknown(active, f"following it failed ({raised!r})")

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
        wiring = active.machine.mapped.skills.get(active.view.skill)
        if wiring is None:
            await self._book.unknown(active, "its skill is gone from the machine")
            return None
        work = wiring.binding.run if fresh else wiring.binding.resume
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
            await self._book.finish(active, JobOutcome(JobState.ABORTED, None, {}, f"never started: {error}"), error)
            return True
        if fresh and isinstance(error, RefusedError):
            await self._book.finish(active, JobOutcome(JobState.ABORTED, None, {}, f"the machine refused it: {error}"), error)
            return True
        none = active.identity is JobIdentity.NONE
        if none or isinstance(error, OutcomeUnknown) or not isinstance(error, TemporaryError):
            await self._book.unknown(active, str(error))
        return none

    # --- finding again ---

    async def recover(self, machine: LiveMachine) -> None:
        """After a start of the runtime, when a machine is first described: its open jobs are found again, or Unknown."""
        async with self._starting:  # a job that is being started has a row before it is in the book
            for stored in await self._journal.jobs(open_only=True):
                if stored.identity == machine.identity and self._book.find(stored.identity, stored.view.job) is None:
                    self._recover(machine, stored)

    def _recover(self, machine: LiveMachine, stored: StoredJob) -> None:
        stored.view.machine = machine.name  # it may have another name now
        active = ActiveJob(machine, stored.view, None, OnOwnerLost.FINISH)
        earlier = self._forsaken.pop(active.key, None)
        if earlier is not None:  # its owner may well be there still
            active.owner, active.asked = earlier.owner, earlier.asked
        self._book.enter(active)
        name = f"job {stored.view.job} found again on {machine.name}"
        self._tasks.start_soon(self._found_again, active, stored.sent, name=name)
        if active.owner is not None and not active.owner.alive:
            self._tasks.start_soon(self._leave, active, anyio.Event(), name=f"owner lost: {name}")

    async def _found_again(self, active: ActiveJob, sent: bool) -> None:
        machine, skill = active.machine, active.view.skill
        if skill not in machine.mapped.skills:
            await self._book.unknown(active, "its skill is gone from the machine")
        elif not sent:
            reason = "never started: the runtime ended before it was sent"
            await self._book.finish(active, JobOutcome(JobState.ABORTED, None, {}, reason))
        elif active.identity is JobIdentity.NONE:
            await self._book.unknown(active, "the runtime ended while it ran, and the machine keeps no record of it")
        else:
            where = f"{machine.name} {skill}"
            settle = lambda: self._permit_to_settle(active)  # noqa: E731  # nothing but a name for it
            points = CommandPoints(machine.link, self._router, self._clock, where, None, settle=settle)
            try:
                await self._follow(active, points, fresh=False)
            finally:
                with anyio.CancelScope(shield=True):
                    await points.conclude(active.view.state)

    async def _permit_to_settle(self, active: ActiveJob) -> Permit:
        """For what a job takes back when it is over, or its lock is lost: that must be possible whoever is gone by then."""
        runtime = Principal("runtime", everything=True)
        detail = f"settle {active.view.job}"
        return await self._gate.admit(
            Command(str(uuid4()), runtime, active.machine, Action.STOP, active.view.skill, {}, detail=detail)
        )

    async def forsake(self, machine: LiveMachine, reason: str = "") -> None:
        """A machine goes: its jobs are no longer followed, and found again when it is back. With a reason they are Unknown."""
        for active in self._book.on(machine):
            if active.machine is machine:
                active.scope.cancel()
                self._book.leave(active)
                self._forsaken[active.key] = active
                if reason:
                    await self._book.unknown(active, reason)

    # --- a changed configuration ---

    def on(self, machine: LiveMachine) -> list[ActiveJob]:
        """The jobs on it that are not over."""
        return self._book.on(machine)

    def renamed(self, machine: LiveMachine) -> None:
        """Its jobs go on under its new name, from this moment."""
        for active in self._book.on(machine):
            active.view.machine = machine.name
            self._book.tell(active.view)

    async def store_name(self, machine: LiveMachine) -> None:
        try:
            await self._journal.rename_machine(machine.identity, machine.name)
        except TemporaryError as error:
            log.warning("not in the journal", machine=machine.name, reason=str(error))

    async def let_go(self, machine: LiveMachine) -> None:
        """It is no longer configured: its jobs are held, stopped or left to finish as when their owner is lost."""
        await self._leave_all(self._book.on(machine))

    # --- owners ---

    async def owner_lost(self, principal: Principal) -> None:
        """Hold, stop or let finish what a principal leaves behind, as each skill says; in the audit.

        Returns after OWNER_LOST_LIMIT at the latest. What could not be done by then (a machine that is offline, a job that has
        not begun) is seen to as soon as it can be, for as long as the runtime lives.
        """
        await self._leave_all(self._book.owned_by(principal))

    async def _leave_all(self, owned: list[ActiveJob]) -> None:
        done = [anyio.Event() for _ in owned]
        for active, event in zip(owned, done, strict=True):
            self._tasks.start_soon(self._leave, active, event, name=f"owner lost: job {active.view.job}")
        with anyio.move_on_after(OWNER_LOST_LIMIT, shield=True):
            for event in done:
                await event.wait()

    async def _leave(self, active: ActiveJob, done: anyio.Event) -> None:
        lost = active.owner
        try:
            action = await leave(active, self._give)
            if active.forsaken:  # seen to when its machine is back
                return
            await self._book.note(active, f"owner lost: {action}", "runtime")
            await self._gate.note(active.machine, "owner lost", active.view.skill, f"{action} {active.view.job}")
            if active.owner is lost:
                active.owner = None
            if action is not OnOwnerLost.FINISH:  # so that the journal says how it stands, where the machine is quick enough
                with anyio.move_on_after(OWNER_LOST_LIMIT):
                    while active.view.state in (JobState.ALLOWED_TO_START, JobState.RUNNING):
                        await active.change()
        except Exception:
            log.exception("owner lost, and it could not be seen to", job=active.view.job, machine=active.machine.name)
        finally:
            done.set()


def _possible(active: ActiveJob) -> frozenset[JobVerb]:
    """What may be asked of it now: as the standard has it, and as its machine can."""
    state = active.view.state
    binding = active.machine.wiring(active.view.skill).binding
    runs = state in (JobState.RUNNING, JobState.INTERRUPTED)
    return allowed_verbs(state) | ({JobVerb.UPDATE} if runs and binding.updates_while_running else frozenset())


def _share(machine: LiveMachine, one: str, other: str) -> bool:
    """Whether two skills infer their jobs from the same points; of a skill that is gone nobody can tell."""
    both = [machine.mapped.skills.get(path) for path in (one, other)]
    told = [None if skill is None else skill.binding.inferred_from for skill in both]
    return told[0] is None or told[1] is None or not told[0].isdisjoint(told[1])


def _comparable(value: Any) -> Any:
    """Keys in one order, and 2.0 as 2: JSON knows one kind of number."""
    if isinstance(value, dict):
        return {k: _comparable(value[k]) for k in sorted(value)}
    if isinstance(value, list | tuple) and type(value) in (list, tuple):
        return [_comparable(v) for v in value]
    return int(value) if type(value) is float and value.is_integer() and abs(value) < 2**63 else value
