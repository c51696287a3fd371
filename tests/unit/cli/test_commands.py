"""What can be known of the commands without running a machine."""

import subprocess
import sys
import time
from collections.abc import Iterator

import click
import jsonschema
import pytest
from click.testing import CliRunner

from dtios.cli.app_template import FILES, fill
from dtios.cli.entry import cli
from dtios.cli.failure import error_to_json
from dtios.cli.group import did_you_mean
from dtios.cli.schema import schemas
from dtios.cli.typed import parameters_typed, value_typed
from dtios.model.datatypes import BuiltinType, ValueType
from dtios.model.errors import ConfigurationError, RefusedError


def _commands(group: click.Group, path: str = "dtios") -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield f"{path} {name}", command
        if isinstance(command, click.Group):
            yield from _commands(command, f"{path} {name}")


_ALL = dict(_commands(cli))


@pytest.mark.parametrize("path", _ALL)
def test_help_gives_an_example_that_parses(path):
    """Each example names the command, and its arguments are ones that the command takes."""
    text = CliRunner().invoke(cli, [*path.split()[1:], "--help"]).output
    examples = [line.strip() for line in text.split("Example", 1)[1].splitlines() if line.strip().startswith("dtios ")]
    assert examples
    import shlex

    for example in examples:
        words = shlex.split(example.partition(" > ")[0])
        named = [p for p in _ALL if words[: len(p.split())] == p.split()]
        assert named, example
        command = _ALL[max(named, key=len)]
        rest = words[len(max(named, key=len).split()) :]
        if not isinstance(command, click.Group):
            # click keeps the help option that it made first: it has to be the one that users see
            command.make_context(path, rest, **cli.context_settings)


def test_every_command_that_prints_json_has_a_schema():
    with_json = {
        path.removeprefix("dtios ") for path, command in _ALL.items() if any(p.name == "as_json" for p in command.params)
    }
    assert set(schemas()) == with_json - {"schema"}


@pytest.mark.parametrize("name", schemas())
def test_schema_takes_errors_and_refuses_the_rest(name):
    schema = schemas()[name]
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    validator.validate(error_to_json(RefusedError("no", where="here", mend="do not")))
    for wrong in ({}, [], {"error": {"kind": "strange", "message": "", "where": "", "mend": ""}}, {"error": {"kind": "refused"}}):
        with pytest.raises(jsonschema.ValidationError):
            validator.validate(wrong)


def test_help_is_quick_and_imports_nothing_heavy():
    begun = time.monotonic()
    code = "import sys; from dtios.cli import main; sys.argv = ['dtios', '--help']\ntry: main()\nfinally: print(*sys.modules)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(ended.stdout.split())
    assert not loaded & {"asyncio", "anyio", "pydantic", "msgspec", "rich", "structlog", "asyncua", "yaml", "dtios.runtime"}
    assert time.monotonic() - begun < 5  # a machine may be busy; that nothing heavy is imported is the promise


@pytest.mark.parametrize(
    ("typed", "known", "hint"),
    [
        ("pres", ["press", "oven"], "did you mean press?"),
        ("machspeed", ["Status/MachSpeed", "x"], "did you mean Status/MachSpeed?"),
        ("zzz", ["press", "oven"], ""),
    ],
)
def test_did_you_mean(typed, known, hint):
    assert did_you_mean(typed, known) == hint


@pytest.mark.parametrize(
    ("text", "builtin", "value"),
    [
        ("12.5", BuiltinType.Double, 12.5),
        ("5", BuiltinType.String, "5"),
        ("true", BuiltinType.String, "true"),
        ('"true"', BuiltinType.String, "true"),
        ("plain words", BuiltinType.String, "plain words"),
        ("9223372036854775807", BuiltinType.Int64, 2**63 - 1),
        ('"9223372036854775807"', BuiltinType.Int64, 2**63 - 1),
        ("null", BuiltinType.Double, None),
    ],
)
def test_value_as_typed(text, builtin, value):
    found = value_typed(text, ValueType(builtin), "m s")
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("text", ["{", "[[[", "1e999x", "9" * 5000, "[" * 100_000])
def test_value_that_is_no_number(text):
    with pytest.raises(ConfigurationError) as caught:
        value_typed(text, ValueType(BuiltinType.Double), "m s")
    assert caught.value.where == "m s"


def test_parameters_as_typed():
    schema = {"properties": {"n": {"type": "number"}, "s": {"type": "string"}, "b": {}}, "required": ["n"]}
    found = parameters_typed(("n=2", "s=07", "b=[1, 2]"), '{"n": 1}', schema, "m k")
    assert found == {"n": 2, "s": "07", "b": [1, 2]}
    with pytest.raises(ConfigurationError, match="n must be given"):
        parameters_typed((), None, schema, "m k")


def test_template_is_a_plugin_of_that_name():
    text = {fill(path, "press-watch"): fill(body, "press-watch") for path, body in FILES.items()}
    assert 'press-watch = "dtios_press_watch:app"' in text["pyproject.toml"]
    assert 'App("press-watch"' in text["dtios_press_watch/__init__.py"]
    assert not any("PACKAGE" in body or "NAME" in body or "PROJECT" in body for body in text.values())
