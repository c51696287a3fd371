"""`dtios profile`: a proposed profile, to be filled in by a person."""

from typing import Any

import click

from dtios.cli.options import Target, json_option, target_options

__all__ = ["command", "output_schema"]


def output_schema() -> dict[str, Any]:
    from dtios.cli.forms import TEXT, line_schema, record

    return line_schema("profile", record({"machine": TEXT, "profile": TEXT, "yaml": TEXT}))


@click.command("profile")
@target_options
@json_option
def command(target: Target, as_json: bool) -> int:
    """Propose a profile for MACHINE (a configured name, or a URL), as YAML on stdout.

    It describes the machine as it is; what the machine does not say, as units and ranges, stands in it behind a #.

    \b
    Examples:
      dtios profile opc.tcp://localhost:4840 > filler.yaml
      dtios profile opc.tcp://localhost:4840 --machine Filler --json
    """
    from dtios.cli.machine_command import on_machine
    from dtios.cli.output import Output
    from dtios.sdk.client import Client
    from dtios.sdk.protocol import MachineView

    async def propose(client: Client, view: MachineView) -> int:
        name, text = await client.propose(view.machine.endpoint, view.machine.path)
        form = {"machine": view.machine.name, "profile": name, "yaml": text}
        await Output(as_json).put(form, text.rstrip("\n"))
        return 0

    return on_machine(target, propose)
