"""`dtios check`: is a configuration right? All mistakes at once, each with its mend."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dtios.cli.options import json_option

if TYPE_CHECKING:
    from dtios.cli.place import Place
    from dtios.runtime.configuration.config import MachineSettings
    from dtios.runtime.configuration.setup import HostedSetup
    from dtios.runtime.registry import Registry

__all__ = ["command", "output_schema"]

Problems = list[dict[str, Any]]


def output_schema() -> dict[str, Any]:
    from dtios.cli.forms import ERROR_BODY, TEXT, TEXT_OR_NULL, array, line_schema, record

    problems = array(ERROR_BODY)
    machine = record(
        {
            "name": TEXT, "endpoint": TEXT, "adapter": TEXT_OR_NULL, "reached": {"type": ["boolean", "null"]},
            "problems": problems,
        }
    )  # fmt: skip
    plugin = record({"name": TEXT, "plugin": TEXT, "problems": problems})
    whole = {"config": TEXT, "machines": array(machine), "apps": array(plugin), "publishers": array(plugin), "problems": problems}
    return line_schema("check", record(whole))


@click.command("check")
@click.argument("file", metavar="[dtios.yaml]", type=click.Path(path_type=Path), required=False)
@click.option("--online", is_flag=True, help="Connect to the machines, and compare envelopes and interlocks with them.")
@click.option("--state", type=click.Path(path_type=Path), help="State directory, for --online.")
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), default=10.0, help="Seconds for each machine.")
@json_option
def command(file: Path | None, online: bool, state: Path | None, timeout: float, as_json: bool) -> int:
    """Check a configuration (./dtios.yaml): keys, adapters, settings, profiles, plug-ins, roles and grants.

    Nothing is connected to without --online. The exit status is 2 if something is wrong in the file, 1 if only a machine
    could not be reached.

    \b
    Examples:
      dtios check
      dtios check line.yaml --online --json
    """
    from dtios.cli.output import Output
    from dtios.cli.place import find_place
    from dtios.cli.running import quiet_logging, run_async
    from dtios.cli.unknown import DEFAULT_CONFIG
    from dtios.runtime.registry import Registry

    quiet_logging()
    place = find_place(file or DEFAULT_CONFIG, state)

    async def main() -> int:
        report = _offline(place, Registry())
        if online:
            await _online(place, report, timeout)
        problems = list(_all(report))
        await Output(as_json).put(report, _text(report, problems))
        kinds = {problem["kind"] for problem in problems}
        return 2 if "configuration" in kinds else 1 if kinds else 0

    return run_async(main)


@contextmanager
def _collected(problems: Problems, where: str) -> Iterator[None]:
    from dtios.cli.failure import error_to_json
    from dtios.model.errors import DtiosError

    try:
        yield
    except DtiosError as error:
        body = error_to_json(error)["error"]
        found = body["where"]
        problems.append(body | {"where": where if not found or found in where else f"{where}: {found}"})


def _offline(place: "Place", registry: "Registry") -> dict[str, Any]:
    from dtios.mapping.profiles.library import ProfileLibrary
    from dtios.runtime.configuration.setup import hosted_setups

    config, file = place.config, str(place.file)
    report: dict[str, Any] = {"config": file, "machines": [], "apps": [], "publishers": [], "problems": []}
    with _collected(report["problems"], f"{file} profiles"):
        ProfileLibrary.load(config.profiles)
    for name, machine in config.machines.items():
        report["machines"].append(_machine(name, machine, registry, place, f"{file} machines.{name}"))
    for name, setup in hosted_setups(config).items():
        group = f"{setup.kind}s"
        report[group].append(_plugin(name, setup, registry, f"{file} {group}.{name}"))
    return report


def _machine(name: str, machine: "MachineSettings", registry: "Registry", place: "Place", where: str) -> dict[str, Any]:
    from dtios.mapping.profiles.library import ProfileLibrary
    from dtios.runtime.broker.names import stand_in
    from dtios.runtime.configuration.checking import check_connection

    problems: Problems = []
    form = {"name": name, "endpoint": machine.endpoint, "adapter": machine.adapter, "reached": None, "problems": problems}
    with _collected(problems, where):
        url = stand_in(machine.endpoint, embedded=place.config.broker is not None)
        adapter, _ = check_connection(registry, machine.adapter, url, machine.settings, place.state.path)
        form["adapter"] = adapter.name
    with _collected(problems, where):
        ProfileLibrary.load(machine.profiles)
    return form


def _plugin(name: str, setup: "HostedSetup", registry: "Registry", where: str) -> dict[str, Any]:
    from dtios.runtime.configuration.checking import check_hosted
    from dtios.runtime.configuration.loading import hosted_plugin

    problems: Problems = []
    with _collected(problems, where):
        check_hosted(hosted_plugin(registry, setup), setup.settings.config, setup.roles)
    return {"name": name, "plugin": setup.plugin, "problems": problems}


async def _online(place: "Place", report: dict[str, Any], timeout: float) -> None:
    """Reach each machine whose configuration is right."""
    import anyio

    from dtios.cli.options import Target
    from dtios.cli.place import through_runtime
    from dtios.cli.progress import shown_progress
    from dtios.cli.reach import reach
    from dtios.runtime.configuration.config import RuntimeConfig
    from dtios.sdk.client import Client

    sound = {m["name"]: m for m in report["machines"] if not m["problems"]}
    machines = {name: machine for name, machine in place.config.machines.items() if name in sound}
    if not machines or report["problems"]:
        return

    async def body(client: Client, hosting: bool) -> None:
        async def one(name: str) -> None:
            target = Target(name, None, place.file, None, None, None, timeout)
            sound[name]["reached"] = False
            with _collected(sound[name]["problems"], f"{place.file} machines.{name}"):
                await reach(client, place, target, {}, progress)
                sound[name]["reached"] = True

        async with anyio.create_task_group() as tasks:
            for name in machines:
                tasks.start_soon(one, name, name=f"check {name}")

    with shown_progress("connecting") as (progress, _):
        await through_runtime(place, RuntimeConfig(machines=machines, profiles=place.config.profiles), body)


def _all(report: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from report["problems"]
    for group in ("machines", "apps", "publishers"):
        for item in report[group]:
            yield from item["problems"]


def _text(report: dict[str, Any], problems: Problems) -> str:
    lines = []
    for problem in problems:
        mend = f"; {problem['mend']}" if problem["mend"] else ""
        lines.append(f"{problem['where']}: {problem['message']}{mend}")
    counted = ", ".join(f"{len(report[group])} {group}" for group in ("machines", "apps", "publishers"))
    reached = [m for m in report["machines"] if m["reached"]]
    online = f", {len(reached)} reached" if any(m["reached"] is not None for m in report["machines"]) else ""
    verdict = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}" if problems else "all right"
    return "\n".join([*lines, f"{report['config']}: {counted}{online}: {verdict}"])
