"""`dtios adapters`: which protocols are understood here."""

from typing import TYPE_CHECKING, Any

import click

from dtios.cli.group import LazyGroup
from dtios.cli.options import json_option

if TYPE_CHECKING:
    from dtios.sdk.grade import Grade

__all__ = ["command", "output_schemas"]


def output_schemas() -> dict[str, dict[str, Any]]:
    from dtios.cli import grade
    from dtios.cli.forms import TEXT, TEXT_OR_NULL, array, line_schema, record

    line = record(
        {
            "name": TEXT, "schemes": array(TEXT), "summary": TEXT, "grade": TEXT_OR_NULL,
            "stale": {"type": "boolean"}, "plugin": TEXT, "distribution": TEXT, "problem": TEXT_OR_NULL,
        }
    )  # fmt: skip
    return {"adapters list": line_schema("adapters list", line), "adapters grade": grade.output_schema()}


_GRADE = ("dtios.cli.grade", "Grade an adapter by the conformance suite.")


@click.group("adapters", cls=LazyGroup, commands_by_name={"grade": _GRADE})
def command() -> None:
    """The installed adapters, and what they are worth.

    \b
    Examples:
      dtios adapters list
      dtios adapters grade opcua
    """


def _grade(grade: "Grade | None") -> dict[str, Any]:
    """A grade that was computed for other sources than those that are installed is none."""
    stale = grade is not None and grade.stale
    level = None if grade is None or stale or grade.level is None else grade.level.value
    return {"grade": level, "stale": stale}


@command.command("list")
@json_option
def list_adapters(as_json: bool) -> int:
    """List the installed adapters, with the URL schemes they answer to. The exit status is 1 if one is broken.

    \b
    Example:
      dtios adapters list --json
    """
    from dtios.cli.output import Output, columns
    from dtios.cli.running import quiet_logging, run_async
    from dtios.model.errors import ConfigurationError
    from dtios.runtime.registry import Registry
    from dtios.sdk.grade import read_grade

    quiet_logging()

    async def main() -> int:
        forms = []
        for plugin in Registry().plugins("adapter"):
            form: dict[str, Any] = {
                "name": plugin.name, "schemes": list(plugin.schemes), "summary": "", "grade": None, "stale": False,
                "plugin": plugin.target,
                "distribution": plugin.distribution, "problem": None,
            }  # fmt: skip
            try:
                adapter = plugin.load()
                form |= {"schemes": list(adapter.schemes), "summary": adapter.summary, **_grade(read_grade(adapter))}
            except ConfigurationError as error:
                form["problem"] = error.message
            forms.append(form)
        if as_json:
            await Output(True).put_all((form, "") for form in forms)
        else:
            rows = [
                (
                    f["name"],
                    ", ".join(f["schemes"]),
                    f["grade"] or ("of other sources" if f["stale"] else "not graded"),
                    f["problem"] or f["summary"],
                    f["plugin"],
                )
                for f in forms
            ]
            lines = columns(("name", "schemes", "grade", "summary", "plug-in"), rows, indent="")
            await Output(False).put(None, "\n".join(lines) if lines else "no adapters are installed")
        return 1 if any(form["problem"] for form in forms) else 0

    return run_async(main)
