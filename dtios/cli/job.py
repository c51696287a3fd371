"""`dtios job`: what the journal knows, verbs for what runs, and a person's word on what nobody knows."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from dtios.cli.group import LazyGroup
from dtios.cli.options import json_option, place_options

if TYPE_CHECKING:
    from dtios.sdk.client import Client
    from dtios.sdk.protocol import JobView

__all__ = ["command", "output_schemas"]

_VERBS: Final = {
    "pause": "Pause a running job.",
    "resume": "Let a paused job go on.",
    "stop": "End a job in order.",
    "abort": "End a job at once.",
    "cancel": "Take a job that has not started off its machine's list.",
}


_LEADS_TO: Final = {"pause": "Interrupted", "resume": "Running"}
SETTLE: Final = 3.0
"""Seconds to wait for what was asked; a machine may take longer, and its state now is shown then."""


def output_schemas() -> dict[str, dict[str, Any]]:
    from dtios.cli.forms import line_schema
    from dtios.cli.job_forms import JOB, JOB_RECORD

    schemas = {"job show": line_schema("job show", JOB_RECORD)}
    return schemas | {f"job {name}": line_schema(f"job {name}", JOB) for name in ("list", "resolve", *_VERBS)}


@click.group("job", cls=LazyGroup)
def command() -> None:
    """List, show, command and resolve jobs.

    \b
    Examples:
      dtios job list --open
      dtios job show order-17
      dtios job stop order-17
    """


@command.command("list")
@click.option("--machine", help="Only the jobs of this machine.")
@click.option("--open", "open_only", is_flag=True, help="Only jobs that have not ended.")
@place_options
@json_option
def list_jobs(machine: str | None, open_only: bool, config: Path | None, state: Path | None, as_json: bool) -> int:
    """List jobs, newest first.

    \b
    Example:
      dtios job list --open --json
    """
    from dtios.cli.job_forms import job_to_json
    from dtios.cli.output import Output, columns
    from dtios.cli.text import clock_text

    async def show(client: "Client") -> int:
        views = await client.jobs(machine, open_only=open_only)
        if as_json:
            await Output(True).put_all((job_to_json(view), "") for view in views)
            return 0
        rows = [(v.job, v.machine, v.skill, _state(v), v.principal, clock_text(v.changed)) for v in views]
        header = ("job", "machine", "skill", "state", "by", "changed")
        await Output(False).put(None, "\n".join(columns(header, rows, indent="")) if rows else "no jobs")
        return 0

    return _with_journal(config, state, show)


@command.command("show")
@click.argument("job")
@click.option("--machine", help="Which machine's, where several have a job of this id.")
@place_options
@json_option
def show_job(job: str, machine: str | None, config: Path | None, state: Path | None, as_json: bool) -> int:
    """Show a job and its history.

    \b
    Example:
      dtios job show order-17
    """
    from dtios.cli.job_forms import job_record_to_json, job_text, outcome_of
    from dtios.cli.output import Output
    from dtios.cli.text import clock_text

    async def show(client: "Client") -> int:
        found = await client.show_job(job, machine)
        lines = [job_text(found.view, outcome_of(found.view) if found.view.final else {})]
        lines += [f"  {clock_text(e.time)}  {e.event}  {e.principal}  {e.detail}".rstrip() for e in found.history]
        await Output(as_json).put(job_record_to_json(found), "\n".join(lines))
        return 0

    return _with_journal(config, state, show)


@command.command("resolve")
@click.argument("job")
@click.argument("state_of_job", metavar="STATE", type=click.Choice(["Ended", "Aborted"], case_sensitive=False))
@click.option("--reason", required=True, help="What was seen at the machine; it goes into the audit.")
@click.option("--machine", help="Which machine's, where several have a job of this id.")
@place_options
@json_option
def resolve_job(
    job: str, state_of_job: str, reason: str, machine: str | None, config: Path | None, state: Path | None, as_json: bool
) -> int:
    """Say how an Unknown JOB ended: a person looked at the machine.

    \b
    Example:
      dtios job resolve order-17 Ended --reason "the part lies in the tray"
    """
    from dtios.model.job import JobState

    async def resolve(client: "Client") -> int:
        view = await client.resolve_job(job, JobState(state_of_job), reason, machine)
        return await _print(view, as_json)

    return _with_journal(config, state, resolve)


def _verb_command(verb: str, summary: str) -> click.Command:
    @click.command(verb, help=f"{summary}\n\n\b\nExample:\n  dtios job {verb} order-17")
    @click.argument("job")
    @click.option("--machine", help="The configured machine or URL that it runs on, where no runtime runs.")
    @click.option("--timeout", type=click.FloatRange(min=0, min_open=True), default=10.0, help="Seconds to wait for the machine.")
    @place_options
    @json_option
    def run(job: str, machine: str | None, timeout: float, config: Path | None, state: Path | None, as_json: bool) -> int:
        return _command_job(verb, job, machine, timeout, config, state, as_json)

    return run


for _verb, _summary in _VERBS.items():
    command.add_command(_verb_command(_verb, _summary))


def _command_job(
    verb: str, job: str, machine: str | None, timeout: float, config: Path | None, state: Path | None, as_json: bool
) -> int:
    from dtios.cli.options import Target
    from dtios.cli.place import find_place, through_runtime
    from dtios.cli.progress import shown_progress
    from dtios.cli.reach import reach, wanted_config
    from dtios.cli.running import quiet_logging, run_async
    from dtios.model.job import JobVerb
    from dtios.runtime.configuration.config import RuntimeConfig

    quiet_logging()
    place = find_place(config, state)

    def target(name: str) -> Target:
        return Target(name, None, config, state, None, None, timeout)

    # Where no runtime runs, the job's machine is not known before the journal is open: all configured ones may be it.
    wanted = (
        wanted_config(place, target(machine))
        if machine is not None
        else RuntimeConfig(machines=place.config.machines, profiles=place.config.profiles)
    )

    async def main() -> int:
        async def body(client: "Client", hosting: bool) -> int:
            name = machine
            if name is not None:
                name = (await reach(client, place, target(name), {}, progress)).machine.name
            view = (await client.show_job(job, name)).view
            if name is None:
                await reach(client, place, target(view.machine), {}, progress)
            closing()
            asked = await client.command_job(view.machine, job, JobVerb(verb))
            return await _print(await _settled(client, asked, verb), as_json)

        with shown_progress("starting") as (progress, closing):
            return await through_runtime(place, wanted, body, repeatable=False)

    return run_async(main)


async def _settled(client: "Client", view: "JobView", verb: str) -> "JobView":
    """The job in the state that the verb leads to, as far as it comes there within SETTLE seconds."""
    import anyio

    wanted = _LEADS_TO.get(verb)
    with anyio.move_on_after(SETTLE):
        async with client.follow_job(view.machine, view.job) as changes:
            async for change in changes:
                view = change.view
                if view.final or view.state == wanted:
                    break
    return view


def _with_journal(config: Path | None, state: Path | None, body: Callable[["Client"], Awaitable[int]]) -> int:
    """Through the running runtime, else through one that opens the journal and connects to nothing."""
    from dtios.cli.place import find_place, through_runtime
    from dtios.cli.running import quiet_logging, run_async
    from dtios.runtime.configuration.config import RuntimeConfig

    quiet_logging()
    place = find_place(config, state)

    async def with_client(client: "Client", hosting: bool) -> int:
        return await body(client)

    async def main() -> int:
        return await through_runtime(place, RuntimeConfig(), with_client)

    return run_async(main)


def _state(view: Any) -> str:
    return f"{view.state.value}/{view.substate.value}" if view.substate is not None else str(view.state.value)


async def _print(view: Any, as_json: bool) -> int:
    from dtios.cli.job_forms import job_text, job_to_json
    from dtios.cli.output import Output

    await Output(as_json).put(job_to_json(view), job_text(view, {}))
    return 0
