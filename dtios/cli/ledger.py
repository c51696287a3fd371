"""`dtios ledger`: what each consumer received, and what became of it."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from dtios.cli.options import json_option, place_options

if TYPE_CHECKING:
    from dtios.sdk.protocol import LedgerGap, LedgerView

__all__ = ["command", "output_schema"]

_FIGURES: Final = ("received", "delivered", "conflated", "dropped", "pending")


def output_schema() -> dict[str, Any]:
    from dtios.cli.forms import COUNT, GAP, TEXT, TIME, array, choice, line_schema, record

    figures = dict.fromkeys(_FIGURES, COUNT)
    body = GAP["properties"]["gap"]["properties"]
    gap = record({**body, "signals": array(TEXT), "of": COUNT, "noted": TIME})
    told = {"type": "object", "additionalProperties": COUNT}
    page = {
        "consumer": TEXT, "machine": TEXT, "policy": choice("block", "latest", "drop-oldest"), "open": {"type": "boolean"},
        "since": TIME, **figures, "balanced": {"type": "boolean"}, "told": told, "gaps": array(gap),
        "signals": array(record({"signal": TEXT, **figures})),
    }  # fmt: skip
    return line_schema("ledger", record(page, optional=("signals",)))


@click.command("ledger")
@click.argument("machine", required=False)
@click.option("--signals", is_flag=True, help="Show each signal's account.")
@place_options
@json_option
def command(machine: str | None, signals: bool, config: Path | None, state: Path | None, as_json: bool) -> int:
    """Show what each consumer received of MACHINE (a configured name), or of all, and what is missing.

    received = delivered + conflated + dropped + pending. Below stand the newest Gaps that the consumer was told: since when,
    until when and why values are missing. An account begins with the runtime, and goes on when its consumer comes back. The exit
    status is 1 if an account is not balanced.

    \b
    Examples:
      dtios ledger
      dtios ledger press --signals --json
    """
    from dtios.cli.output import Output
    from dtios.cli.place import find_running, with_running
    from dtios.cli.running import quiet_logging, run_async
    from dtios.sdk.client import Client

    quiet_logging()
    place = find_running(config, state)

    async def show(client: Client) -> int:
        pages = await client.ledger(machine)
        output = Output(as_json)
        if as_json:
            await output.put_all((_form(page, signals), "") for page in pages)
        else:
            await output.put(None, _text(pages, signals))
        return 0 if all(page.balanced for page in pages) else 1

    async def main() -> int:
        return await with_running(place, show)

    return run_async(main)


def _form(page: "LedgerView", signals: bool) -> dict[str, Any]:
    from dtios.model.wire_time import time_to_json

    form: dict[str, Any] = {name: getattr(page, name) for name in ("consumer", "machine", "policy", "open")}
    form["since"] = time_to_json(page.since)
    form |= {name: getattr(page, name) for name in (*_FIGURES, "balanced", "told")}
    form["gaps"] = [_gap_form(gap) for gap in page.gaps]
    if signals:
        form["signals"] = [dict(zip(("signal", *_FIGURES), row, strict=True)) for row in page.signals]
    return form


def _gap_form(noted: "LedgerGap") -> dict[str, Any]:
    from dtios.model.wire_machine import gap_to_json
    from dtios.model.wire_time import time_to_json

    body: dict[str, Any] = gap_to_json("", "", noted.gap)["gap"]
    return {**body, "signals": noted.signals, "of": noted.of, "noted": time_to_json(noted.noted)}


def _text(pages: "list[LedgerView]", signals: bool) -> str:
    from dtios.cli.output import columns

    rows = []
    for page in pages:
        state = "balanced" if page.balanced else "NOT BALANCED"
        figures = [str(getattr(page, name)) for name in _FIGURES]
        rows.append([page.consumer, page.machine, page.policy, *figures, state if page.open else f"{state}, away"])
        rows += [["", row[0], "", *map(str, row[1:]), ""] for row in page.signals if signals]
    lines = columns(("consumer", "machine", "policy", *_FIGURES, "account"), rows, indent="") or ["nobody follows a signal"]
    for page in pages:
        if page.gaps:
            lines += ["", f"gaps of {page.consumer} on {page.machine}:", *map(_gap_line, page.gaps)]
    return "\n".join(lines)


def _gap_line(noted: "LedgerGap") -> str:
    from dtios.cli.text import clock_text

    gap = noted.gap
    since, until = clock_text(gap.receive_from), clock_text(gap.receive_to)
    count = "" if gap.count is None else f", {gap.count} values" + (" each" if noted.of > 1 else "")
    named = ", ".join(noted.signals) + (f" and {noted.of - len(noted.signals)} more" if noted.of > len(noted.signals) else "")
    return f"  {since} to {until}  {gap.cause.value}{count}  {named}"
