"""`dtios start`: a skill as a job, followed to its end."""

import uuid
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import click

from dtios.cli.options import Target, json_option, target_options

if TYPE_CHECKING:
    from dtios.cli.output import Output
    from dtios.model.machine import Skill
    from dtios.sdk.client import Client
    from dtios.sdk.protocol import JobView, MachineView
    from dtios.sdk.running import JobHandle

__all__ = ["command", "output_schema"]

_READ_BACK: Final = 15.0
"""Seconds in which an Unknown job may be found again before the command says that nobody knows."""


def output_schema() -> dict[str, Any]:
    from dtios.cli.forms import ERROR_BODY, JOB_STATE, TEXT, TIME, line_schema, record

    line = {"machine": TEXT, "skill": TEXT, "job": TEXT, "state": JOB_STATE, "time": TIME}
    return line_schema(
        "start", record(line), record({**line, "result": {"type": "object"}}), record({**line, "error": ERROR_BODY})
    )


@click.command("start")
@target_options
@click.argument("skill")
@click.argument("parameters", metavar="[NAME=VALUE]...", nargs=-1)
@click.option("--params", metavar="JSON", help="Parameters as one JSON object; NAME=VALUE goes over it.")
@click.option("--job", metavar="ID", help="The job's id: the same id with the same parameters is the same job.")
@click.option(
    "--on-owner-lost",
    type=click.Choice(["hold", "stop", "finish"]),
    help="What becomes of the job on Ctrl-C (default: the skill's).",
)
@json_option
def command(
    target: Target,
    skill: str,
    parameters: tuple[str, ...],
    params: str | None,
    job: str | None,
    on_owner_lost: str | None,
    as_json: bool,
) -> int:
    """Start a SKILL of MACHINE (a configured name, or a URL) as a job and follow it to its end.

    The exit status is 0 only if the job was completed. On Ctrl-C it is held, stopped or left to finish, as the skill or
    --on-owner-lost says.

    \b
    Examples:
      dtios start opc.tcp://localhost:4840 Drill depth=12.5 --timeout 20
      dtios start press Produce quantity=10 --job order-17 --json
    """
    from dtios.cli.machine_command import on_machine
    from dtios.cli.output import Output
    from dtios.cli.typed import parameters_typed
    from dtios.model.machine import OnOwnerLost

    job = job or str(uuid.uuid4())
    output = Output(as_json)
    lost = OnOwnerLost(on_owner_lost) if on_owner_lost is not None else None

    async def start(client: "Client", view: "MachineView") -> int:
        found = _skill(view, skill)
        where = f"{view.machine.name} {found.path}"
        values = parameters_typed(parameters, params, found.parameters, where)
        handle = await client.start(view.machine.name, found.path, values, job=job, on_owner_lost=lost)
        try:
            return await _follow(handle, output, client)
        finally:
            _say_what_becomes(handle, found, lost)

    return on_machine(target, start)


def _skill(view: "MachineView", wanted: str) -> "Skill":
    """By path, or by its capability's IRI."""
    from dtios.cli.unknown import unknown_path

    skills = {s.path: s for s in view.machine.skills}
    by_capability = [s for s in skills.values() if s.capability is not None and s.capability.iri == wanted]
    if wanted in skills:
        return skills[wanted]
    if len(by_capability) == 1:
        return by_capability[0]
    raise unknown_path("skill", wanted, skills, view.machine.name)


async def _follow(handle: "JobHandle", output: "Output", client: "Client") -> int:
    """A line for each state; the last one with result or error. Returns the exit status."""
    from dtios.cli.job_forms import job_line, job_text, outcome_of
    from dtios.cli.output import say
    from dtios.model.errors import TemporaryError

    last: JobView | None = None
    async for view in _states(handle):
        ending = outcome_of(view) if view.final else {}
        if last is not None and not view.final and view.state == last.state:
            last = view  # only its substate changed, which is not among what is told
            continue
        with suppress(BrokenPipeError):  # nobody reads any more: the job is followed to its end all the same
            await output.put(job_line(view) | ending, job_text(view, ending))
        last = view
    if last is not None and last.final:
        ending = outcome_of(last)
        if "result" in ending:
            return 0
        error = ending["error"]
        if output.as_json:  # a person who reads the lines has it there
            say(
                "dtios: "
                + ": ".join(filter(None, (error["where"], error["message"])))
                + (f"; {error['mend']}" if error["mend"] else "")
            )
        return 1
    view = last or handle.view
    if client.stopping.is_set():  # then somebody else can tell how it goes on
        raise TemporaryError(
            "the runtime ended while the job ran", where=f"{view.machine}, job {view.job}", mend="start it again with this --job"
        )
    ending = {
        "error": {
            "kind": "temporary",
            "message": (view.outcome.reason if view.outcome is not None else "") or "how it ended cannot be told",
            "where": f"{view.machine}, job {view.job}",
            "mend": f"look at the machine, then `dtios job resolve {view.job}`",
        }
    }
    with suppress(BrokenPipeError):
        await output.put(job_line(view) | ending, job_text(view, ending))
    say(f"dtios: {ending['error']['where']}: {ending['error']['message']}; {ending['error']['mend']}")
    return 1


async def _states(handle: "JobHandle") -> AsyncIterator["JobView"]:
    """States until the final one; without it if the job stays Unknown for longer than reading back takes."""
    import anyio

    from dtios.model.job import JobState

    states = aiter(handle)
    while True:
        with anyio.move_on_after(_READ_BACK if handle.state is JobState.UNKNOWN else None) as limit:
            try:
                view = await anext(states)
            except StopAsyncIteration:
                return
        if limit.cancelled_caught:
            return
        yield view


def _say_what_becomes(handle: "JobHandle", skill: "Skill", asked: Any) -> None:
    """The runtime does it when this command is gone; here a person is told."""
    from dtios.cli.output import say
    from dtios.model.job import JobState

    view = handle.view
    if view.final or view.state is JobState.UNKNOWN:
        return
    action = (asked or skill.on_owner_lost).value
    sentence = {
        "hold": "it is held where it can be",
        "stop": "it is stopped",
        "finish": "it is left to finish on the machine",
    }[action]
    say(f"dtios: {view.machine}: the job {view.job} was {view.state.value}; {sentence} (`dtios job show {view.job}` tells)")
