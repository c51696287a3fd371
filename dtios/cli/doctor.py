"""`dtios doctor`: what is wrong, and what mends it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from dtios.cli.options import Target, json_option, place_options

if TYPE_CHECKING:
    from dtios.cli.output import Output
    from dtios.cli.place import Place
    from dtios.sdk.adapter import Finding
    from dtios.sdk.client import Client, OnProgress

__all__ = ["command", "output_schema"]

_AT_ONCE: Final = 8
_MARKS: Final = {"good": "✓", "warning": "!", "problem": "✗"}


def output_schema() -> dict[str, Any]:
    from dtios.cli.forms import TEXT, array, choice, line_schema, record

    level = choice("good", "warning", "problem")
    finding = {"machines": array(TEXT), "check": TEXT, "level": level, "message": TEXT, "where": TEXT, "mend": TEXT}
    return line_schema("doctor", record(finding))


@click.command("doctor")
@click.argument("machine", metavar="[MACHINE]", required=False)
@click.option("--security", help="auto, none or POLICY[:MODE], at a URL (default: auto).")
@click.option("--user", help="User name at a URL; the password comes from $DTIOS_PASSWORD or is asked for.")
@click.option(
    "--timeout", type=click.FloatRange(min=0, min_open=True), default=60.0, show_default=True, help="Seconds for each machine."
)
@place_options
@json_option
def command(
    machine: str | None, security: str | None, user: str | None, timeout: float, config: Path | None, state: Path | None,
    as_json: bool,
) -> int:  # fmt: skip
    """Examine MACHINE (a configured name, or a URL), or all machines of dtios.yaml: what is wrong, and what mends it.

    Everything a connection needs is tried, with one session that is closed at the end; nothing is written to a machine. Where
    a runtime runs, it says how its machines and apps are. The exit status is 1 if there is a problem.

    \b
    Examples:
      dtios doctor
      dtios doctor opc.tcp://192.168.0.10:4840
      dtios doctor press --json
    """
    from dtios.cli.output import Output
    from dtios.cli.place import find_place, through_runtime
    from dtios.cli.progress import shown_progress
    from dtios.cli.running import quiet_logging, run_async
    from dtios.runtime.configuration.config import RuntimeConfig
    from dtios.sdk.client import Client

    quiet_logging()
    place = find_place(config, state)
    patients = _patients(place, Target(machine or "", None, config, state, security, user, timeout))

    async def main() -> int:
        with shown_progress("starting") as (progress, closing):
            doctor = _Doctor(patients, timeout, Output(as_json), progress, closing)

            async def body(client: Client, hosting: bool) -> int:
                return await doctor.run(client, ask_runtime=not hosting and machine is None)

            return await through_runtime(place, RuntimeConfig(), body)

    return run_async(main)


@dataclass(frozen=True, slots=True)
class _Patient:
    """An endpoint, and the names of the machines behind it."""

    url: str
    settings: dict[str, Any]
    names: tuple[str, ...] = ()


def _patients(place: "Place", target: Target) -> list[_Patient]:
    """Raises ConfigurationError where there is nobody to examine."""
    from dtios.cli.place import configured_machine, machines_at
    from dtios.cli.reach import target_settings
    from dtios.model.errors import ConfigurationError

    if target.is_url:
        given = target_settings(target)
        known = _grouped(machines_at(place, target.machine).machines)
        return [_Patient(target.machine, given, known[0].names if known else ())] if given or not known else known
    if target.machine:
        target_settings(target)
        return _grouped(configured_machine(place, target.machine).machines)
    if place.config.machines:
        return _grouped(place.config.machines)
    where = "no dtios.yaml is here" if place.file is None else f"{place.file} has no machines"
    mend = "name one: `dtios doctor opc.tcp://HOST:4840`; `dtios discover HOST` finds it"
    raise ConfigurationError(f"{where}, and no machine was named", where="dtios doctor", mend=mend)


def _grouped(machines: Any) -> list[_Patient]:
    """Machines that share a connection are examined once."""
    found: dict[tuple[str, str], _Patient] = {}
    for name, machine in machines.items():
        key = (machine.endpoint, str(machine.settings.get("user")))
        before = found.get(key)
        settings = dict(machine.settings) or (before.settings if before else {})
        found[key] = _Patient(machine.endpoint, settings, (*(before.names if before else ()), name))
    return list(found.values())


class _Doctor:
    def __init__(
        self, patients: Sequence[_Patient], timeout: float, output: "Output", progress: "OnProgress", closing: Any
    ) -> None:
        self._patients = patients
        self._timeout = timeout
        self._output = output
        self._progress = progress
        self._closing = closing
        self._findings: dict[int, list[Finding]] = {}

    async def run(self, client: "Client", *, ask_runtime: bool) -> int:
        import anyio

        own = await client.health() if ask_runtime else []
        at_once = anyio.CapacityLimiter(_AT_ONCE)
        async with anyio.create_task_group() as tasks:
            for number, patient in enumerate(self._patients):
                tasks.start_soon(self._examine, client, number, patient, at_once, name=f"examine {patient.url}")
        self._closing()
        if own:
            await self._tell("the runtime", (), own)
        for number, patient in enumerate(self._patients):
            await self._tell(_title(patient), patient.names, self._findings[number])
        every = [*own, *(finding for findings in self._findings.values() for finding in findings)]
        return 1 if any(finding.level == "problem" for finding in every) else 0

    async def _examine(self, client: "Client", number: int, patient: _Patient, at_once: Any) -> None:
        from dtios.model.errors import DtiosError
        from dtios.sdk.adapter import Finding

        async with at_once:
            self._progress(f"examining {patient.url}", len(self._findings), len(self._patients))
            try:
                found = await client.examine(patient.url, patient.settings, self._timeout)
            except DtiosError as error:
                if client.stopping.is_set():
                    raise
                found = [Finding("settings", "problem", error.message, error.where or patient.url, error.mend)]
            self._findings[number] = found

    async def _tell(self, title: str, names: Sequence[str], findings: Sequence["Finding"]) -> None:
        items = [(_form(finding, names), "\n".join(_lines(finding))) for finding in findings]
        if not self._output.as_json:
            items.insert(0, ({}, title))
            items.append(({}, f"  {_verdict(findings)}\n"))
        await self._output.put_all(items)


def _title(patient: _Patient) -> str:
    return f"{', '.join(patient.names)} at {patient.url}" if patient.names else patient.url


def _form(finding: "Finding", names: Sequence[str]) -> dict[str, Any]:
    return {
        "machines": list(names), "check": finding.check, "level": finding.level, "message": finding.message,
        "where": finding.where, "mend": finding.mend,
    }  # fmt: skip


def _lines(finding: "Finding") -> list[str]:
    lines = [f"  {_MARKS[finding.level]} {finding.check:<14}{finding.message}"]
    if finding.mend and finding.level != "good":
        lines.append(f"      {'':<12}-> {finding.mend}")
    return lines


def _verdict(findings: Sequence["Finding"]) -> str:
    problems = sum(finding.level == "problem" for finding in findings)
    warnings = sum(finding.level == "warning" for finding in findings)
    if not problems and not warnings:
        return "all right"
    counted = [f"{problems} problem{'s' if problems > 1 else ''}"] if problems else []
    return ", ".join([*counted, *([f"{warnings} to look at"] if warnings else [])])
