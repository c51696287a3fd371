"""`dtios describe`: a machine in the factory's own terms."""

from dataclasses import asdict
from typing import Any, Final

import click

from dtios.cli.options import Target, json_option, target_options

__all__ = ["command", "output_schema"]


def output_schema() -> dict[str, Any]:
    from dtios.cli.forms import MACHINE, array, line_schema, record

    return line_schema("describe", record({"machines": array(MACHINE)}))


@click.command("describe")
@target_options
@json_option
def command(target: Target, as_json: bool) -> int:
    """Describe MACHINE: a configured name, or a URL.

    \b
    Examples:
      dtios describe opc.tcp://localhost:4840
      dtios describe press --json
    """
    from dtios.cli.machine_command import on_machines
    from dtios.cli.output import Output
    from dtios.model.values import DataValue
    from dtios.model.wire_machine import clock_to_json, machine_to_json
    from dtios.sdk.client import Client
    from dtios.sdk.protocol import MachineView

    async def describe(client: Client, views: list[MachineView]) -> int:
        forms, texts = [], []
        for view in views:
            values: dict[str, DataValue] = dict(await client.read(view.machine.name))
            state = {"packml": view.packml, "unit_mode": view.unit_mode}
            form = machine_to_json(view.machine, values, state if any(state.values()) else None)
            forms.append(form if view.clock is None else {**form, "clock": clock_to_json(view.clock)})
            texts.append(_text(view, values))
        await Output(as_json).put({"machines": forms}, "\n\n".join(texts))
        return 0

    return on_machines(target, describe)


_WIDEST: Final = 36
"""Characters of a value in the table; `read` shows all of it."""
_NAMEPLATE: Final = {"product_instance_uri": "product instance"}


def _text(view: Any, values: Any) -> str:
    from dtios.cli.output import columns
    from dtios.cli.text import offset_text, range_text, reading_text, shortened, unit_text

    machine = view.machine
    lines = [machine.name, f"  at {machine.endpoint}"]
    if machine.profiles:
        lines.append(f"  described by {', '.join(machine.profiles)}")
    if view.packml is not None:
        lines.append(f"  state {view.packml}" + (f", mode {view.unit_mode}" if view.unit_mode else ""))
    if view.clock is not None:
        lines.append(f"  clock {offset_text(view.clock)}")
    plate = {k: v for k, v in asdict(machine.identification).items() if v is not None}
    if plate:
        lines += ["", "Identification"]
        lines += [f"  {_NAMEPLATE.get(name, name.replace('_', ' ')):<22}{value}" for name, value in plate.items()]
    rows = []
    for signal in machine.signals:
        reading = values.get(signal.path)
        shown = "" if reading is None else reading_text(signal, reading)
        shown = shown if len(shown) <= _WIDEST else f"{shown[: _WIDEST - 3]}..."
        status = "gone" if signal.gone else "" if reading is None else reading.status_name
        unit = unit_text(signal.unit)
        rows.append((signal.path, signal.type.label(), unit, range_text(signal.range), signal.access.value, shown, status))
    lines += ["", f"Signals ({len(rows)})", *columns(("signal", "type", "unit", "range", "access", "value", "status"), rows)]
    lines += ["", f"Skills ({len(machine.skills)})", *(line for skill in machine.skills for line in _skill(skill))]
    if machine.notes:
        lines += ["", "Notes", *(f"  {shortened(note) if len(note) > 400 else note}" for note in machine.notes)]
    return "\n".join(lines)


def _skill(skill: Any) -> list[str]:
    from dtios.model.job import JobVerb

    verbs = ", ".join(verb.value for verb in JobVerb if verb in skill.verbs)
    lines = [f"  {skill.path}    by {skill.binding}; {verbs}; owner lost: {skill.on_owner_lost.value}"]
    if skill.capability is not None:
        lines.append(f"    capability {skill.capability.iri}")
    required = set(skill.parameters.get("required", ()))
    for name, schema in dict(skill.parameters.get("properties", {})).items():
        lines.append(f"    {name}: {_schema_text(schema)}{'' if name in required else ' (optional)'}")
    for name, schema in dict(skill.results.get("properties", {})).items():
        lines.append(f"    -> {name}: {_schema_text(schema)}")
    return lines


def _schema_text(schema: Any) -> str:
    if not isinstance(schema, dict):
        return "any"
    kind = schema.get("type", "any")
    text = "/".join(map(str, kind)) if isinstance(kind, list) else str(kind)
    low, high = schema.get("minimum"), schema.get("maximum")
    if (low, high) != (None, None) and not _is_the_types_own(low, high):
        text += f" {_bound(low)}..{_bound(high)}"
    if schema.get("title"):
        text += f" ({schema['title']})"
    return text


def _bound(limit: Any) -> str:
    return "" if limit is None else f"{limit:g}" if isinstance(limit, float) else str(limit)


def _is_the_types_own(low: Any, high: Any) -> bool:
    """Limits that only say how wide the number is on the wire tell a person nothing."""
    from dtios.model.datatypes import INTEGER_RANGES

    return (low, high) in INTEGER_RANGES.values() or (isinstance(low, float) and low < -3.4e38)
