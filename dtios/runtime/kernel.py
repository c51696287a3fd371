"""The runtime's parts, as its sessions use them. Assembled by `dtios.runtime.core`, private to the runtime."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from dtios.model.errors import ConfigurationError
from dtios.runtime.clients.questions import QuestionBoard
from dtios.runtime.commands.conditions import ConditionCommands
from dtios.runtime.commands.gate import Gate
from dtios.runtime.commands.journal import Journal, StoredJob
from dtios.runtime.commands.principal import Principal
from dtios.runtime.commands.writer import SignalWriter
from dtios.runtime.data.router import Router
from dtios.runtime.jobs.runner import JobRunner
from dtios.runtime.ledger.ledger import Ledger
from dtios.runtime.links.conditions import ConditionBoard
from dtios.runtime.links.machines import MachineTable
from dtios.runtime.links.results import ResultBoard
from dtios.runtime.links.table import LinkTable
from dtios.sdk.clock import Clock
from dtios.sdk.protocol import AppView, BrokerView, ConfigurationReport, ConfigurationView

__all__ = ["Client", "Configuration", "Kernel"]


class Configuration(Protocol):
    """What runs, and how it is changed."""

    async def patch(self, patch: dict[str, Any], who: str) -> ConfigurationReport: ...

    async def reload(self, who: str, *, dry_run: bool = False) -> ConfigurationReport: ...

    async def view(self) -> ConfigurationView: ...


class Client(Protocol):
    """A session, as far as the runtime needs it."""

    principal: Principal

    def regranted(self) -> None: ...

    async def end(self, reason: str, grace: float) -> None: ...


@dataclass(slots=True, eq=False)
class Kernel:
    clock: Clock
    journal: Journal
    router: Router
    ledger: Ledger
    machines: MachineTable
    gate: Gate
    jobs: JobRunner
    writer: SignalWriter
    links: LinkTable
    questions: QuestionBoard
    conditions: ConditionBoard
    results: ResultBoard
    condition_commands: ConditionCommands
    configuration: Configuration
    app_views: Callable[[], list[AppView]]
    broker_view: Callable[[], BrokerView | None]
    sessions: set[Client] = field(default_factory=set)

    async def find_job(self, job: str, machine: str | None) -> StoredJob:
        """A job by its id, on a machine where the id alone is not enough. Raises ConfigurationError."""
        found = await self.journal.jobs(job=job)
        live = None if machine is None else self.machines.find(machine)
        if machine is not None:
            identity = None if live is None else live.identity
            own = [f for f in found if f.identity == identity]
            found = own or [f for f in found if f.view.machine == machine]  # of one that had this name before, or is not here
        if not found:
            raise ConfigurationError(
                "there is no such job", where=f"{machine + ' ' if machine else ''}job {job}", mend="`dtios job list` shows them"
            )
        if len(found) > 1:
            where = ", ".join(f.view.machine for f in found)
            raise ConfigurationError(
                f"several machines have a job of this id: {where}", where=f"job {job}", mend="name the machine"
            )
        return found[0]
