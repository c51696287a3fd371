"""`dtios profile`: a proposed profile, to be filled in by a person."""

from typing import Any

import click

from dtios.cli.options import Target, json_option, target_options

__all__ = ["command", "output_schema"]


def output_schema() -> dict[str, Any]:
    from dtios.cli.forms import TEXT, line_schema, record

    return line_schema("profile", record({"machine": TEXT, "profile": TEXT, "yaml": TEXT}))


@click.command("profile")
@click.option(
    "--seconds",
    type=click.FloatRange(0, 3600, min_open=True),
    help="Listen so long at a broker's URL, and propose what fits the topics that were heard.",
)
@target_options
@json_option
def command(target: Target, seconds: float | None, as_json: bool) -> int:  # fmt: skip
    """Propose a profile for MACHINE (a configured name, or a URL), as YAML on stdout.

    It describes the machine as it is; what the machine does not say, as units and ranges, stands in it behind a #.

    \b
    Examples:
      dtios profile opc.tcp://localhost:4840 > filler.yaml
      dtios profile opc.tcp://localhost:4840 --machine Filler --json
      dtios profile mqtt://broker.example --seconds 30 > press.yaml
    """
    if seconds is not None:
        return _listened(target, seconds, as_json)
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


def _listened(target: Target, seconds: float, as_json: bool) -> int:
    """The profile that was proposed for the machines heard; with several, for the one that --machine names."""
    from dtios.cli.output import Output
    from dtios.cli.place import find_place, through_runtime
    from dtios.cli.progress import shown_progress
    from dtios.cli.reach import url_settings
    from dtios.cli.running import quiet_logging, run_async
    from dtios.model.errors import ConfigurationError
    from dtios.runtime.configuration.config import RuntimeConfig
    from dtios.sdk.client import Client

    if not target.is_url:
        raise ConfigurationError("--seconds is for a broker's URL", where=target.machine, mend="name the URL, or leave it out")
    quiet_logging()
    place = find_place(target.config, target.state)
    settings = url_settings(place, target)

    async def body(client: Client, hosting: bool) -> int:
        found = await client.discover(target.machine, limit=target.timeout, listen=seconds, settings=settings)
        form = _proposed(found, target)
        await Output(as_json).put(form, form["yaml"].rstrip("\n"))
        return 0

    async def main() -> int:
        with shown_progress(f"listening at {target.machine}") as (_, closing):
            try:
                return await through_runtime(place, RuntimeConfig(), body)
            finally:
                closing()

    return run_async(main)


def _proposed(found: list[dict[str, Any]], target: Target) -> dict[str, str]:
    from dtios.model.errors import ConfigurationError, TemporaryError

    proposed = [one for one in found if one["details"].get("profile")]
    if not proposed:
        raise TemporaryError(
            "nothing was heard for which a profile could be proposed",
            where=target.machine,
            mend="listen longer with --seconds; machines that speak Sparkplug or VDA 5050 need no profile (see `dtios discover`)",
        )
    if target.named is not None:
        proposed = [one for one in proposed if target.named in (one["name"], one["details"]["machine"])]
    texts = {one["details"]["profile"]: one for one in proposed}
    if len(texts) != 1:
        names = ", ".join(sorted({one["details"]["machine"] for one in found if one["details"].get("profile")}))
        fault = f"{len(texts)} profiles are proposed" if proposed else f"no machine heard is called {target.named!r}"
        raise ConfigurationError(fault, where=target.machine, mend=f"name one machine with --machine, of: {names}")
    ((text, one),) = texts.items()
    name = text.partition("\nprofile: ")[2].partition("\n")[0] or text.removeprefix("profile: ").partition("\n")[0]
    return {"machine": one["details"]["machine"], "profile": name, "yaml": text}
