"""`dtios read`: signals once, now, from the machine."""

from typing import Any

import click

from dtios.cli.options import Target, json_option, target_options

__all__ = ["command", "output_schema"]


def output_schema() -> dict[str, Any]:
    from dtios.cli.forms import READING, line_schema

    return line_schema("read", READING)


@click.command("read")
@target_options
@click.argument("signals", metavar="[SIGNAL]...", nargs=-1)
@json_option
def command(target: Target, signals: tuple[str, ...], as_json: bool) -> int:
    """Read signals of MACHINE (a configured name, or a URL): paths or patterns, all without any.

    \b
    Examples:
      dtios read opc.tcp://localhost:4840
      dtios read press 'Status/*' Temperature --json
    """
    from dtios.cli.machine_command import on_machine
    from dtios.cli.output import Output, columns
    from dtios.cli.text import clock_text, reading_text
    from dtios.model.wire_machine import reading_to_json
    from dtios.sdk.client import Client
    from dtios.sdk.protocol import MachineView

    async def read(client: Client, view: MachineView) -> int:
        machine = view.machine
        known = {signal.path: signal for signal in machine.signals}
        rows = await client.read(machine.name, signals)
        output = Output(as_json)
        forms = [reading_to_json(machine.name, known[path], reading) for path, reading in rows]
        table = [
            (path, reading_text(known[path], reading), reading.status_name, clock_text(reading.source_time))
            for path, reading in rows
        ]
        texts = columns(("signal", "value", "status", "source time"), table, indent="")
        if as_json:
            await output.put_all((form, "") for form in forms)
        elif texts:
            await output.put(None, "\n".join(texts))
        return 0

    return on_machine(target, read)
