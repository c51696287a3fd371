"""`dtios write`: one value, through the gate, confirmed by reading back."""

from typing import Any

import click

from dtios.cli.options import Target, json_option, target_options

__all__ = ["command", "output_schema"]


def output_schema() -> dict[str, Any]:
    from dtios.cli.forms import STATUS, TEXT, VALUE, line_schema, record

    done = record({"machine": TEXT, "signal": TEXT, "value": VALUE, "status": STATUS, "confirmed": {"type": "boolean"}})
    return line_schema("write", done)


@click.command("write")
@target_options
@click.argument("signal")
@click.argument("value")
@json_option
def command(target: Target, signal: str, value: str, as_json: bool) -> int:
    """Write VALUE to a SIGNAL of MACHINE (a configured name, or a URL).

    VALUE is JSON or plain text, in the unit that describe shows. A negative number comes after `--`. The exit status is 1
    if the machine shows another value afterwards.

    \b
    Examples:
      dtios write opc.tcp://localhost:4840 Setpoint 12.5
      dtios write press Offset -- -3
    """
    from dtios.cli.machine_command import on_machine
    from dtios.cli.output import Output, say
    from dtios.cli.text import reading_text
    from dtios.cli.typed import value_typed
    from dtios.cli.unknown import unknown_path
    from dtios.model.status import status_name
    from dtios.model.values import DataValue
    from dtios.model.wire import to_json
    from dtios.sdk.client import Client
    from dtios.sdk.protocol import MachineView

    async def write(client: Client, view: MachineView) -> int:
        name = view.machine.name
        known = {s.path: s for s in view.machine.signals}
        found = known.get(signal)
        if found is None:
            raise unknown_path("signal", signal, known, name)
        wanted = value_typed(value, found.type, f"{name} {signal}")
        written = await client.write(name, signal, wanted)
        shown = written.value if written.value is not None else DataValue(wanted, written.status)
        status = status_name(written.status)
        form = {
            "machine": name,
            "signal": signal,
            "value": to_json(shown.value, found.type),
            "status": status,
            "confirmed": written.confirmed,
        }
        read_back = "confirmed" if written.confirmed else "not confirmed"
        await Output(as_json).put(form, f"{name} {signal} = {reading_text(found, shown)}  {status}, {read_back}")
        if written.confirmed or written.value is None:
            return 0
        say(f"dtios: {name} {signal}: the machine shows another value than was written; read it again, it may still be moving")
        return 1

    return on_machine(target, write, repeatable=False)
