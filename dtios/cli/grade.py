"""`dtios adapters grade`: what an adapter keeps of what every adapter promises."""

import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dtios.cli.options import Target, json_option
from dtios.model.errors import ConfigurationError
from dtios.sdk.grade import Level

if TYPE_CHECKING:
    from dtios.runtime.registry import Kind, Plugin, Registry
    from dtios.sdk.adapter import Adapter
    from dtios.testing.conformance import Result, Rig

__all__ = ["command", "output_schema"]


def output_schema() -> dict[str, Any]:
    from dtios.cli.forms import TEXT, TEXT_OR_NULL, choice, line_schema, record

    level = choice(*Level)
    outcome = choice("passed", "failed", "not applicable")
    rule = record(
        {
            "rule": TEXT, "level": level, "title": TEXT, "outcome": outcome,
            "seconds": {"type": "number", "minimum": 0}, "reason": TEXT,
        }
    )  # fmt: skip
    grade = record(
        {
            "adapter": TEXT, "version": TEXT_OR_NULL, "sources": TEXT_OR_NULL, "endpoint": TEXT_OR_NULL,
            "limited": {"type": "boolean"}, "grade": {"enum": [None, *(one.value for one in Level)]},
        }
    )  # fmt: skip
    return line_schema("adapters grade", rule, grade)


@click.command("grade")
@click.argument("name", metavar="NAME")
@click.option("--endpoint", metavar="URL", help="Grade against this machine, which is only read; without it the rig's own.")
@click.option("--rig", "rig", metavar="MODULE:NAME", help="The adapter's rig, if none is installed under its name.")
@click.option("--rule", "rules", multiple=True, metavar="ID", help="Only this rule; may be given again.")
@click.option(
    "--at-least", type=click.Choice([level.value for level in Level]), default="bronze", show_default=True,
    help="The exit status is 1 below this.",
)  # fmt: skip
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="Write the grade with its rules to this file.")
@click.option("--state", type=click.Path(path_type=Path), help="State directory, for certificates (default: $DTIOS_STATE).")
@click.option("--security", help="auto, none or POLICY[:MODE], at --endpoint (default: auto).")
@click.option("--user", help="User name at --endpoint; the password comes from $DTIOS_PASSWORD or is asked for.")
@json_option
def command(
    name: str, endpoint: str | None, rig: str | None, rules: tuple[str, ...], at_least: str, output: Path | None,
    state: Path | None, security: str | None, user: str | None, as_json: bool,
) -> int:  # fmt: skip
    """Grade the adapter NAME: bronze, silver, gold or platinum. Every rule is tried on the machine of the adapter's rig, which
    is harmed for that. A machine at --endpoint is never harmed: nothing is written or called there, and only rules that read
    are tried. NAME is an installed adapter, or MODULE:NAME as its rig may be.

    \b
    Examples:
      dtios adapters grade opcua --at-least gold
      dtios adapters grade opcua --endpoint opc.tcp://192.168.0.10:4840
      dtios adapters grade mine --rig my_adapter_rig:MyBench --output grade.json
    """
    from dtios.cli.running import quiet_logging, run_async
    from dtios.runtime.registry import Registry

    if endpoint is None and (security or user):
        raise ConfigurationError("it is for a live machine", where="--security, --user", mend="give --endpoint URL as well")
    if endpoint is not None and rig is not None:
        raise ConfigurationError("a live machine needs no rig", where="--rig", mend="give either --rig or --endpoint")
    quiet_logging()
    adapter_plugin = _plugin(Registry(), "adapter", name)
    adapter = adapter_plugin.load()
    rig_plugin = None if endpoint is not None else _plugin(Registry(), "rig", rig or adapter.name)
    wanted = Target(endpoint or "", None, None, state, security, user, 10.0)

    async def main() -> int:
        from dtios.testing.conformance import AdapterConformance, LiveConformance, form_of, rules_of

        suite = AdapterConformance if endpoint is None else LiveConformance
        known = [rule.id for rule in rules_of(suite)]
        for rule in rules:
            if rule not in known:
                raise ConfigurationError(f"there is no rule {rule}", where="--rule", mend=f"there are {', '.join(known)}")
        results: list[Result] = []
        with _said(as_json, len(rules) or len(known)) as tell:
            async with _live(adapter, wanted) if rig_plugin is None else _benched(rig_plugin, adapter) as make:
                await _run(make, rules, suite, results, tell)
        form = form_of(adapter, results, endpoint, bool(rules) or endpoint is not None, _version(adapter_plugin))
        return await _end(form, results, at_least, output, as_json)

    return run_async(main)


Make = Callable[[], "AbstractAsyncContextManager[Rig]"]


async def _run(make: Make, rules: tuple[str, ...], suite: Any, results: "list[Result]", tell: Callable[..., Any]) -> None:
    from dtios.testing.conformance import graded

    async for result in graded(make, rules, suite):
        results.append(result)
        await tell(result, len(results))


def _plugin(registry: "Registry", kind: "Kind", name: str) -> "Plugin":
    """One that is installed, or MODULE:NAME, which may stand in the current folder."""
    from dtios.runtime.registry import Plugin

    if ":" not in name:
        return registry.plugin(kind, name)
    if "" not in sys.path:
        sys.path.insert(0, "")
    return Plugin(kind, "", name)


@asynccontextmanager
async def _benched(plugin: "Plugin", adapter: "Adapter") -> AsyncIterator[Make]:
    """Rigs of the adapter's own bench."""
    from dtios.testing.conformance import Bench

    found = plugin.load()
    try:
        bench = found() if callable(found) else found
    except Exception as error:
        raise plugin.wrong(f"it cannot be made: {type(error).__name__}: {error}") from error
    if not isinstance(bench, Bench):
        raise plugin.wrong(f"it is a {type(bench).__name__}, no Bench")
    async with bench:
        async with bench.rig() as first:
            if first.adapter is not adapter:
                raise plugin.wrong(f"it grades another adapter than {adapter.name}, {first.adapter.name}")
        yield bench.rig


@asynccontextmanager
async def _live(adapter: "Adapter", target: Target) -> AsyncIterator[Make]:
    """One that is there: reached once, so that what hinders that is said at once."""
    from pydantic import ValidationError

    from dtios.cli.place import find_place
    from dtios.cli.reach import target_settings
    from dtios.sdk.secrets import TYPED
    from dtios.testing.conformance import LiveMachine, connected

    try:
        settings = adapter.settings.model_validate(target_settings(target), context=TYPED)
    except ValidationError as error:
        said = "; ".join(one["msg"] for one in error.errors(include_input=False))
        raise ConfigurationError(said, where="--security, --user", mend="correct these options") from None
    home = find_place(None, target.state).state.path

    @asynccontextmanager
    async def rig() -> AsyncIterator["Rig"]:
        yield LiveMachine(adapter, target.machine, settings, home)

    async with rig() as first, connected(first):
        pass
    yield rig


@contextmanager
def _said(as_json: bool, total: int) -> Iterator[Callable[..., Any]]:
    """What takes each result as it comes: a line of JSON, or progress on the terminal."""
    from dtios.cli.output import Output
    from dtios.cli.progress import shown_progress
    from dtios.testing.conformance import result_form

    with shown_progress("making the machine ready") as (progress, _):

        async def tell(result: "Result", done: int) -> None:
            if as_json:
                await Output(True).put(result_form(result), "")
            progress(f"{result.rule.id} {result.outcome.value}, rule", done, total)

        yield tell


async def _end(form: dict[str, Any], results: "list[Result]", at_least: str, output: Path | None, as_json: bool) -> int:
    import anyio.to_thread

    from dtios.cli.output import Output
    from dtios.testing.conformance import grade_of

    if output is not None:
        await anyio.to_thread.run_sync(_write, output, form, results)
    await Output(as_json).put(form, _text(form, results))
    grade = grade_of(results)
    return 0 if grade is not None and grade.rank >= Level(at_least).rank else 1


def _write(output: Path, form: dict[str, Any], results: "list[Result]") -> None:
    import json

    from dtios.testing.conformance import result_form

    text = json.dumps({**form, "rules": [result_form(result) for result in results]}, indent=1, ensure_ascii=False)
    try:
        output.write_text(text + "\n", "utf-8")
    except OSError as error:
        reason = f"it cannot be written: {error.strerror}"
        raise ConfigurationError(reason, where=str(output), mend="take another --output") from error


def _version(plugin: "Plugin") -> str | None:
    """Of the distribution that the adapter comes from."""
    from importlib.metadata import version

    return version(plugin.distribution) if plugin.distribution else None


def _text(form: dict[str, Any], results: "list[Result]") -> str:
    from dtios.cli.output import columns

    rows = []
    for result in results:
        rule, outcome, title = result.rule, result.outcome.value, result.rule.title
        title += f" -- {result.reason}" if result.reason else ""
        rows.append((rule.id, rule.level.value, outcome, f"{result.seconds:.1f}", title))
    counts = {r.outcome.value: sum(one.outcome is r.outcome for one in results) for r in results}
    said = ", ".join(f"{count} {outcome}" for outcome, count in counts.items())
    limits = f", limited to these {len(results)} rules" if form["limited"] else ""
    table = columns(("rule", "level", "outcome", "s", "title"), rows, indent="")
    return "\n".join([*table, "", f"{form['adapter']}: {form['grade'] or 'below bronze'}{limits} ({said})"])
