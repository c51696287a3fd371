"""A job from the side of whoever started it."""

from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any

from dtios.model.errors import TemporaryError
from dtios.model.job import JobOutcome, JobState, JobVerb
from dtios.sdk.protocol import JobView

if TYPE_CHECKING:
    from dtios.sdk.client import Client

__all__ = ["JobHandle"]


class JobHandle:
    """A started job: iterate over its states, wait for its outcome, command it. `view` is its latest known state."""

    def __init__(self, client: "Client", view: JobView) -> None:
        self._client = client
        self.view = view

    @property
    def id(self) -> str:
        return self.view.job

    @property
    def machine(self) -> str:
        return self.view.machine

    @property
    def skill(self) -> str:
        return self.view.skill

    @property
    def state(self) -> JobState:
        return self.view.state

    async def __aiter__(self) -> AsyncIterator[JobView]:
        """The states from now on, the present one first, until the final one. Unknown is not final: somebody resolves it."""
        async with self._client.follow_job(self.machine, self.id) as changes:
            async for change in changes:
                self.view = change.view
                yield change.view
                if change.view.final:
                    return

    async def outcome(self) -> JobOutcome:
        """How it ended, with the reason where it did not complete; `view.error` has the error's parts. Waits for as long as that
        is not known. Raises TemporaryError when the runtime stops telling."""
        async for _ in self:
            pass
        view = self.view
        if view.outcome is not None:
            return view.outcome
        if not view.final:
            raise TemporaryError("the runtime stopped telling about this job", where=f"{view.machine}, job {view.job}")
        return JobOutcome(view.state, view.substate)

    async def pause(self) -> JobView:
        return await self._command(JobVerb.PAUSE)

    async def resume(self) -> JobView:
        return await self._command(JobVerb.RESUME)

    async def stop(self) -> JobView:
        return await self._command(JobVerb.STOP)

    async def abort(self) -> JobView:
        return await self._command(JobVerb.ABORT)

    async def cancel(self) -> JobView:
        return await self._command(JobVerb.CANCEL)

    async def update(self, parameters: Mapping[str, Any]) -> JobView:
        return await self._command(JobVerb.UPDATE, parameters)

    async def _command(self, verb: JobVerb, parameters: Mapping[str, Any] | None = None) -> JobView:
        self.view = await self._client.command_job(self.machine, self.id, verb, parameters)
        return self.view
