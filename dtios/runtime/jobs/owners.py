"""When the owner of a running job is gone: hold it, stop it or let it finish, as its skill says, and write down which."""

from collections.abc import Awaitable, Callable
from typing import Final
from uuid import uuid4

import anyio
import structlog

from dtios.model.errors import DtiosError, TemporaryError
from dtios.model.job import JobState, JobVerb, allowed_verbs
from dtios.model.machine import OnOwnerLost, effective_on_owner_lost
from dtios.runtime.commands.gate import Action, Command
from dtios.runtime.commands.principal import Principal
from dtios.runtime.jobs.book import ActiveJob

__all__ = ["OWNER_LOST_LIMIT", "Give", "leave"]

log = structlog.get_logger("dtios.jobs")

Give = Callable[[ActiveJob, JobVerb, Command], Awaitable[None]]
"""Gives a verb to a job through the gate."""

TRIES: Final = 5
"""How often a verb is given to a machine that is not there or does not answer, before the next safer thing."""
AGAIN: Final = 0.1
OWNER_LOST_LIMIT: Final = 0.8
"""Seconds that holding or stopping a lost owner's job may take before the runtime goes on (its end is due within one)."""


def _verb(action: OnOwnerLost, verbs: frozenset[JobVerb]) -> JobVerb | None:
    """What is given for it: abort, where a machine has no stop or did not follow it."""
    if action is OnOwnerLost.HOLD:
        return JobVerb.PAUSE
    if action is OnOwnerLost.STOP:
        return JobVerb.STOP if JobVerb.STOP in verbs else JobVerb.ABORT
    return None


async def leave(active: ActiveJob, give: Give) -> OnOwnerLost:
    """Do what the skill says; where the machine does not follow, the next safer thing. Returns what was done in the end.

    A job that has not begun yet is waited for: it cannot be held before it runs, and must not run on unwatched. So is a machine
    that is offline. Whoever takes the job over ends it.
    """
    runtime = Principal("runtime", everything=True)
    lost, action = active.owner, active.on_owner_lost
    skill = active.machine.mapped.skills.get(active.view.skill)
    verbs = frozenset() if skill is None else skill.binding.verbs
    tries = 0
    while (verb := _verb(action, verbs)) is not None and not active.view.final and not active.forsaken:
        if active.owner is not lost:
            log.info("owner lost, and another has taken it over", machine=active.machine.name, job=active.view.job)
            return action
        if verb not in allowed_verbs(active.view.state):
            if verb is JobVerb.PAUSE and active.view.state is JobState.INTERRUPTED:
                break  # it stands already
            if verb is JobVerb.PAUSE and active.view.state is JobState.UNKNOWN:
                action = effective_on_owner_lost(OnOwnerLost.STOP, verbs)  # all that Unknown allows
                continue
            await active.change()
            continue
        detail = f"owner lost: {verb} {active.view.job}"
        try:
            await give(
                active, verb, Command(str(uuid4()), runtime, active.machine, Action.STOP, active.view.skill, {}, detail=detail)
            )
        except DtiosError as error:
            tries += 1
            if tries == 1:
                log.warning(
                    "owner lost, and the machine did not follow",
                    machine=active.machine.name, job=active.view.job, verb=verb, reason=str(error),
                )  # fmt: skip
            if isinstance(error, TemporaryError) and tries < TRIES and active.machine.present:
                await anyio.sleep(AGAIN)  # a loss is noticed a little after it
                await active.machine.link.wait_online()
                continue
            verbs -= {verb}
            action = effective_on_owner_lost(OnOwnerLost.STOP, verbs)
        else:
            break
    log.warning("owner lost", machine=active.machine.name, job=active.view.job, action=action)
    return action
