"""`dtios app`: make, list and test apps, and answer what they ask."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dtios.cli.group import LazyGroup
from dtios.cli.options import json_option, place_options
from dtios.model.errors import ConfigurationError

if TYPE_CHECKING:
    from dtios.sdk.client import Client

__all__ = ["command", "output_schemas"]


def output_schemas() -> dict[str, dict[str, Any]]:
    from dtios.cli.forms import TEXT, TEXT_OR_NULL, TIME, array, line_schema, record

    number = {"type": "integer"}
    plugin = {"name": TEXT, "summary": TEXT, "roles": array(TEXT), "plugin": TEXT, "distribution": TEXT, "problem": TEXT_OR_NULL}
    question = {"id": number, "app": TEXT, "text": TEXT, "choices": array(TEXT), "asked": TIME}
    forms = {
        "new": {"name": TEXT, "directory": TEXT, "files": array(TEXT)},
        "list": plugin,
        "test": {"directory": TEXT, "passed": {"type": "boolean"}},
        "questions": question,
        "answer": {"id": number, "answer": TEXT},
    }
    return {f"app {name}": line_schema(f"app {name}", record(form)) for name, form in forms.items()}


@click.group("app", cls=LazyGroup)
def command() -> None:
    """Make, list and test apps; answer their questions.

    \b
    Examples:
      dtios app new press-watch
      dtios app test dtios-press-watch
      dtios app questions
    """


@command.command("new")
@click.argument("name")
@click.option("--directory", type=click.Path(path_type=Path), help="Where to make it (default: ./dtios-NAME).")
@json_option
def new_app(name: str, directory: Path | None, as_json: bool) -> int:
    """Make a plug-in with one app and its test; both work as they are.

    \b
    Example:
      dtios app new press-watch
    """
    import json
    import re

    from dtios.cli.app_template import FILES, fill
    from dtios.sdk.manifest import NAME_PATTERN

    if not re.fullmatch(NAME_PATTERN, name):
        raise ConfigurationError(
            f"{name!r} cannot be an app's name",
            where="NAME",
            mend="take small letters, digits and -, a letter first, as press-watch",
        )
    folder = directory if directory is not None else Path(f"dtios-{name}")
    files = {folder / fill(path, name): fill(text, name) for path, text in FILES.items()}
    taken = [path for path in files if path.exists()]
    if taken:
        raise ConfigurationError("it exists already and is left as it is", where=str(taken[0]), mend="take another --directory")
    try:
        for path, text in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ConfigurationError(f"it cannot be written: {reason}", where=str(folder), mend="take another --directory") from error
    if as_json:
        click.echo(json.dumps({"name": name, "directory": str(folder), "files": [str(path) for path in files]}))
        return 0
    click.echo("\n".join(str(path) for path in files))
    click.echo(f"next: dtios app test {folder}; pip install -e {folder}; dtios run {folder / 'dtios.yaml'}")
    return 0


@command.command("list")
@json_option
def list_apps(as_json: bool) -> int:
    """List the installed apps. The exit status is 1 if one is broken.

    \b
    Example:
      dtios app list --json
    """
    from dtios.cli.output import Output, columns
    from dtios.cli.running import run_async
    from dtios.runtime.registry import AppPlugin, Registry

    async def main() -> int:
        forms = []
        for plugin in Registry().plugins("app"):
            form: dict[str, Any] = {
                "name": plugin.name, "summary": "", "roles": [], "plugin": plugin.target, "distribution": plugin.distribution,
                "problem": None,
            }  # fmt: skip
            try:
                assert isinstance(plugin, AppPlugin)
                manifest = plugin.manifest()
                form |= {"summary": manifest.summary, "roles": [need.role for need in manifest.needs]}
            except ConfigurationError as error:
                form["problem"] = error.message
            forms.append(form)
        if as_json:
            await Output(True).put_all((form, "") for form in forms)
        else:
            rows = [(f["name"], ", ".join(f["roles"]), f["plugin"], f["problem"] or f["summary"]) for f in forms]
            lines = columns(("app", "roles", "plug-in", "summary"), rows, indent="")
            await Output(False).put(None, "\n".join(lines) if lines else "no apps are installed")
        return 1 if any(form["problem"] for form in forms) else 0

    return run_async(main)


@command.command("test")
@click.argument("directory", type=click.Path(path_type=Path), default=Path())
@json_option
def test_app(directory: Path, as_json: bool) -> int:
    """Run the tests of the plug-in in DIRECTORY, which need not be installed. What they print goes to stderr.

    \b
    Example:
      dtios app test dtios-press-watch
    """
    import json

    if not directory.is_dir():
        raise ConfigurationError("there is no such directory", where=str(directory), mend="name the plug-in's folder")
    if importlib.util.find_spec("pytest") is None:
        raise ConfigurationError("pytest is not installed", where=sys.executable, mend="install it: pip install pytest")
    path = os.pathsep.join(filter(None, [str(directory.resolve()), os.environ.get("PYTHONPATH", "")]))
    # What pytest prints is for a person; stdout is for the result.
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--rootdir", str(directory.resolve()), "--import-mode=importlib"],
        cwd=directory, env={**os.environ, "PYTHONPATH": path}, stdout=sys.stderr, check=False,
    )  # fmt: skip
    if ended.returncode == 5:
        raise ConfigurationError("there are no tests", where=str(directory), mend="write one in tests/, as `dtios app new` does")
    if ended.returncode not in (0, 1):
        raise ConfigurationError("the tests could not be run", where=str(directory), mend="see what pytest said above")
    passed = ended.returncode == 0
    click.echo(json.dumps({"directory": str(directory), "passed": passed}) if as_json else "passed" if passed else "failed")
    return 0 if passed else 1


@command.command("questions")
@place_options
@json_option
def list_questions(config: Path | None, state: Path | None, as_json: bool) -> int:
    """List what apps ask a person.

    \b
    Example:
      dtios app questions
    """
    from dtios.cli.output import Output, columns
    from dtios.cli.text import clock_text
    from dtios.model.wire import time_to_json

    async def show(client: "Client") -> int:
        asked = await client.questions()
        if as_json:
            forms = [
                {"id": q.id, "app": q.app, "text": q.text, "choices": q.choices, "asked": time_to_json(q.asked)} for q in asked
            ]
            await Output(True).put_all((form, "") for form in forms)
            return 0
        rows = [
            (str(q.id), q.app, clock_text(q.asked), q.text + (f" ({' / '.join(q.choices)})" if q.choices else "")) for q in asked
        ]
        lines = columns(("id", "app", "asked", "question"), rows, indent="")
        await Output(False).put(None, "\n".join(lines) if lines else "no questions")
        return 0

    return _running(config, state, show)


@command.command("answer")
@click.argument("question", metavar="ID", type=int)
@click.argument("answer", metavar="TEXT")
@place_options
@json_option
def answer_question(question: int, answer: str, config: Path | None, state: Path | None, as_json: bool) -> int:
    """Answer a question of an app.

    \b
    Example:
      dtios app answer 3 yes
    """
    from dtios.cli.output import Output

    async def give(client: "Client") -> int:
        await client.answer(question, answer)
        await Output(as_json).put({"id": question, "answer": answer}, f"answered {question}")
        return 0

    return _running(config, state, give)


def _running(config: Path | None, state: Path | None, body: Any) -> int:
    from dtios.cli.place import find_place, with_running
    from dtios.cli.running import quiet_logging, run_async

    quiet_logging()
    place = find_place(config, state)

    async def main() -> int:
        return await with_running(place, body)

    return run_async(main)
