"""Keeps what runs and what is written the same: `dtios reload`, a changed file, and patches by who holds `commission`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import anyio
import anyio.to_thread
import structlog

from dtios.model.errors import ConfigurationError, DtiosError, TemporaryError
from dtios.runtime.commands.journal import Journal
from dtios.runtime.configuration.apart import check_apart
from dtios.runtime.configuration.applying import Applier, Trouble, links_after
from dtios.runtime.configuration.difference import difference
from dtios.runtime.configuration.loading import Located, hosted_plugin, make_setup, read_setup
from dtios.runtime.configuration.patching import Patch
from dtios.runtime.configuration.plan import Plan
from dtios.runtime.configuration.setup import Setup
from dtios.runtime.configuration.watching import Signature, signature, watch
from dtios.runtime.links.table import LinkTable
from dtios.runtime.registry import Registry
from dtios.sdk.clock import Clock
from dtios.sdk.protocol import ConfigurationChange, ConfigurationReport, ConfigurationView

__all__ = ["ConfigurationKeeper"]

log = structlog.get_logger("dtios.configuration")

AGAIN: Final = 5.0
"""Seconds until a change is tried again that is held up, as by a running job."""
FILE: Final = "file"
"""Who changed it, where nobody gave a command: the file did."""


class ConfigurationKeeper:
    """One change at a time. `running` is what runs, part by part."""

    def __init__(
        self, running: Setup, path: Path | None, registry: Registry, home: Path, clock: Clock, journal: Journal, links: LinkTable
    ) -> None:
        self.running = running
        self.watched = False
        self._path = path
        self._registry = registry
        self._home = home
        self._clock = clock
        self._journal = journal
        self._links = links
        self._applier: Applier
        self._changing = anyio.Lock()
        self._since = clock.now()
        self._seen: Signature = signature(running.files)
        self._problem: DtiosError | None = None
        self._again: float | None = None
        self._troubles: list[Trouble] = []

    def use(self, applier: Applier) -> None:
        self._applier = applier

    # --- from the file ---

    async def reload(self, who: str, *, dry_run: bool = False) -> ConfigurationReport:
        """Raises what is wrong with the file; then nothing was touched."""
        if self._path is None:
            raise ConfigurationError(
                "this runtime was not started from a file", where="dtios.yaml", mend="it ends with the command it belongs to"
            )
        async with self._changing:
            # Looked at before it is read: what is written meanwhile is seen as a change.
            seen = await anyio.to_thread.run_sync(signature, self.running.files)
            try:
                new, located = await anyio.to_thread.run_sync(read_setup, self._path, self._registry, self._home)
                seen = seen if new.files == self.running.files else await anyio.to_thread.run_sync(signature, new.files)
                report = await self._apply(new, located, who, dry_run=dry_run)
            except DtiosError as error:
                self._complain(error, dry_run=dry_run)
                if not dry_run:
                    self._seen = seen
                    self._again = self._clock.monotonic() + AGAIN if isinstance(error, TemporaryError) else None
                raise
            if not dry_run:
                self._seen, self._problem, self._again = seen, None, None
            return report

    async def watch(self) -> None:
        """Apply the file whenever it changes, until cancelled."""
        self.watched = self._path is not None
        if self.watched:
            await watch(lambda: self.running.files, self._known, self._changed, self._clock)

    def _known(self) -> Signature:
        """What need not be taken up; nothing, when it is time to try again."""
        return () if self._again is not None and self._clock.monotonic() >= self._again else self._seen

    async def _changed(self) -> None:
        assert self._path is not None
        try:
            if await anyio.to_thread.run_sync(_is_emptied, self._path, self.running):
                seen = await anyio.to_thread.run_sync(signature, self.running.files)
                error = ConfigurationError(
                    "the file is empty, which would take everything away",
                    where=str(self._path), mend="if that is meant: `dtios reload`",
                )  # fmt: skip
                self._complain(error)
                self._seen = seen
                return
            await self.reload(FILE)
        except DtiosError:
            return  # it is in the log and in the status; the old configuration runs on

    def _complain(self, error: DtiosError, *, dry_run: bool = False) -> None:
        if not dry_run and (self._problem is None or str(self._problem) != str(error)):
            log.error("configuration not applied, the old one runs on", reason=str(error))
            self._problem = error

    # --- by a patch ---

    async def patch(self, patch: dict[str, Any], who: str) -> ConfigurationReport:
        """Merge into `machines:` (RFC 7396), apply, and write it back. Raises ConfigurationError, and then nothing changed."""
        async with self._changing:
            prepared = await anyio.to_thread.run_sync(Patch.prepare, self.running.config, patch, self._path)
            try:
                new = await anyio.to_thread.run_sync(
                    lambda: make_setup(prepared.config, self._registry, self._home, files=self._own_files())
                )
                report = await self._apply(new, Located(), who)
            except BaseException:
                await anyio.to_thread.run_sync(prepared.discard)
                raise
            untouched = self._seen == await anyio.to_thread.run_sync(signature, self.running.files)
            await anyio.to_thread.run_sync(prepared.write)
            if untouched:  # else somebody else wrote it too, and that is still to be taken up
                self._seen = await anyio.to_thread.run_sync(signature, self.running.files)
            return report

    def _own_files(self) -> Sequence[Path]:
        return () if self._path is None else (self._path,)

    # --- any ---

    async def _apply(self, new: Setup, located: Located, who: str, *, dry_run: bool = False) -> ConfigurationReport:
        with located.at("state"):
            plan = difference(self.running, new)
        await self._check_apps(plan, located)
        async with self._links.still([change.key for change in plan.changed]):
            await self._check_links(plan, located)
            if dry_run or plan.empty:
                if not dry_run:
                    self.running = new
                return self._report(plan, [], applied=not dry_run)
            with anyio.CancelScope(shield=True):  # whoever asked may leave: half a change helps nobody
                old, self.running = self.running, new
                self._troubles = await self._applier.apply(plan, new)
                links = links_after(old, new, plan, self._troubles)
                self.running = Setup(new.config, links, new.hosted, new.files)
                await self._written_down(plan, who)
        return self._report(plan, self._troubles, applied=True)

    async def _check_apps(self, plan: Plan, located: Located) -> None:
        for name, setup in {**plan.started, **plan.restarted}.items():
            if setup.settings.isolation == "process":
                with located.at(f"{setup.kind}s", name):
                    await check_apart(hosted_plugin(self._registry, setup), setup)

    async def _check_links(self, plan: Plan, located: Located) -> None:
        for change in plan.changed:
            for place, error in await self._links.faults(change):
                raise located.told(error, ("machines", *place))

    async def _written_down(self, plan: Plan, who: str) -> None:
        self._since = self._clock.now()
        log.info("configuration changed", who=who, changes=[f"{c.kind} {c.name} {c.change}" for c in plan.changes])
        for trouble in self._troubles:
            log.error("configuration not applied in full", part=str(trouble.part), reason=trouble.sentence)
        for change in plan.changes:
            machine = change.name if change.kind == "machine" else ""
            target = f"{change.kind} {change.name}: {', '.join(change.keys) or change.why}"
            try:
                await self._journal.note(
                    self._since, "", who, machine, f"configuration {change.change}", target, ", ".join(change.effects)
                )
            except TemporaryError as error:
                log.warning("not in the journal", change=target, reason=str(error))

    def _report(self, plan: Plan, troubles: Sequence[Trouble], *, applied: bool) -> ConfigurationReport:
        changes = [ConfigurationChange(c.kind, c.name, c.change, list(c.keys), list(c.effects), c.why) for c in plan.changes]
        return ConfigurationReport(str(self._path) if self._path else None, applied, changes, [t.sentence for t in troubles])

    async def view(self) -> ConfigurationView:
        problem = self._problem
        if problem is None and self._path is not None:
            now = await anyio.to_thread.run_sync(signature, self.running.files)
            if now != self._seen:
                problem = ConfigurationError(
                    "it was changed since it was applied", where=str(self._path),
                    mend="wait a moment" if self.watched else "`dtios reload` applies it",
                )  # fmt: skip
        failed = [trouble.sentence for trouble in self._troubles if isinstance(trouble.part, tuple)]  # apps tell of themselves
        if problem is None and failed:
            problem = TemporaryError("; ".join(failed), mend="`dtios reload` tries it again")
        told = None if problem is None else (problem.kind, problem.message, problem.where, problem.mend)
        return ConfigurationView(str(self._path) if self._path else None, self.watched, self._since, told)


def _is_emptied(path: Path, running: Setup) -> bool:
    try:
        return bool(running.config.machines) and not path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return False  # reading it again says what is wrong
