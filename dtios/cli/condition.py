"""`dtios condition`: what machines complain about, and what a person does about it."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from dtios.cli.group import LazyGroup
from dtios.cli.options import Target, json_option, optional_target_options, target_options

if TYPE_CHECKING:
    from dtios.sdk.client import Client
    from dtios.sdk.protocol import MachineView

__all__ = ["command", "output_schemas"]


def output_schemas() -> dict[str, dict[str, Any]]:
    from dtios.cli.condition_forms import CONDITION
    from dtios.cli.forms import line_schema

    names = ("list", "acknowledge", "confirm", "shelve", "unshelve")
    return {f"condition {name}": line_schema(f"condition {name}", CONDITION) for name in names}


@click.group("condition", cls=LazyGroup)
def command() -> None:
    """List, acknowledge, confirm and shelve conditions (alarms).

    \b
    Examples:
      dtios condition list
      dtios condition acknowledge press LevelAlarm --comment "seen"
    """


@command.command("list")
@optional_target_options
@json_option
def list_conditions(target: Target, as_json: bool) -> int:
    """List the conditions of MACHINE (a configured name, or a URL), the most severe first; without MACHINE those of all
    machines of the running runtime.

    A state that begins with Bad is as it was last told: the connection is lost.

    \b
    Examples:
      dtios condition list
      dtios condition list opc.tcp://localhost:4840 --json
    """
    from dtios.cli.machine_command import on_machine
    from dtios.cli.place import find_place, with_running
    from dtios.cli.running import quiet_logging, run_async

    async def of_one(client: "Client", view: "MachineView") -> int:
        return await _list(client, view.machine.name, as_json)

    async def of_all(client: "Client") -> int:
        return await _list(client, None, as_json)

    if target.machine:
        return on_machine(target, of_one)
    quiet_logging()
    place = find_place(target.config, target.state)

    async def main() -> int:
        return await with_running(place, of_all)

    return run_async(main)


async def _list(client: "Client", machine: str | None, as_json: bool) -> int:
    from dtios.cli.condition_forms import condition_state
    from dtios.cli.output import Output, columns
    from dtios.cli.text import clock_text, shortened
    from dtios.model.wire import condition_to_json
    from dtios.sdk.observing import conditions

    found = sorted(await conditions(client, machine), key=lambda one: (-one.severity, one.machine, one.condition))
    if as_json:
        await Output(True).put_all((condition_to_json(one), "") for one in found)
        return 0
    rows = [
        (c.machine, c.name, c.source, str(c.severity), condition_state(c), clock_text(c.time), shortened(c.message), c.condition)
        for c in found
    ]
    header = ("machine", "name", "source", "severity", "state", "since", "message", "condition")
    await Output(False).put(None, "\n".join(columns(header, rows, indent="")) if rows else "no conditions")
    return 0


def _comment(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option("--comment", default="", help="What is to be remembered of it; it goes to the machine.")(command)


@command.command("acknowledge")
@target_options
@click.argument("condition")
@_comment
@json_option
def acknowledge(target: Target, condition: str, comment: str, as_json: bool) -> int:
    """Tell MACHINE that its CONDITION was seen: its id, or a name or source that only one has.

    \b
    Example:
      dtios condition acknowledge press LevelAlarm --comment "seen, refilling"
    """
    return _handle(target, condition, "acknowledge", as_json, comment=comment)


@command.command("confirm")
@target_options
@click.argument("condition")
@_comment
@json_option
def confirm(target: Target, condition: str, comment: str, as_json: bool) -> int:
    """Tell MACHINE that what its CONDITION called for was done.

    \b
    Example:
      dtios condition confirm press LevelAlarm --comment "refilled"
    """
    return _handle(target, condition, "confirm", as_json, comment=comment)


@command.command("shelve")
@target_options
@click.argument("condition")
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), help="For how long; without, until it is over.")
@json_option
def shelve(target: Target, condition: str, seconds: float | None, as_json: bool) -> int:
    """Have MACHINE keep back its CONDITION, for some time or until it is over.

    \b
    Example:
      dtios condition shelve press DoorAlarm --seconds 600
    """
    return _handle(target, condition, "shelve", as_json, duration=seconds)


@command.command("unshelve")
@target_options
@click.argument("condition")
@json_option
def unshelve(target: Target, condition: str, as_json: bool) -> int:
    """Have MACHINE show its CONDITION again.

    \b
    Example:
      dtios condition unshelve press DoorAlarm
    """
    return _handle(target, condition, "unshelve", as_json)


def _handle(target: Target, condition: str, verb: str, as_json: bool, *, comment: str = "", duration: float | None = None) -> int:
    from dtios.cli.condition_forms import condition_text
    from dtios.cli.machine_command import on_machine
    from dtios.cli.output import Output
    from dtios.model.condition import ConditionVerb
    from dtios.model.wire import condition_to_json
    from dtios.sdk.observing import command_condition

    async def give(client: "Client", view: "MachineView") -> int:
        machine, asked = view.machine.name, ConditionVerb(verb)
        now = await command_condition(client, machine, condition, asked, comment=comment, duration=duration)
        await Output(as_json).put(condition_to_json(now), condition_text(now))
        return 0

    return on_machine(target, give, repeatable=False)
