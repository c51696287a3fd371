"""What an app may declare; each wrong declaration is one sentence naming the app."""

from collections.abc import Callable
from typing import Any

import pytest

from dtios.model.datatypes import BuiltinType, ValueType
from dtios.model.machine import Machine, Signal
from dtios.sdk import App, AppConfig, ConfigurationError, Context, Need, Publisher
from dtios.sdk.patterns import path_matches


async def plain(ctx: Context[AppConfig]) -> None: ...


async def event(ctx: Context[AppConfig], what: object) -> None: ...


def not_async(ctx: Context[AppConfig]) -> None: ...


def two_mains(app: App[Any]) -> None:
    app.main(plain)
    app.main(plain)


def role_twice(app: App[Any]) -> None:
    app.needs("press")
    app.needs("press")


WRONG: list[tuple[str, Callable[[App[Any]], object]]] = [
    ("two mains", two_mains),
    ("declared twice", role_twice),
    ("no `async def`", lambda app: app.main(not_async)),  # type: ignore[arg-type]  # the mistake under test
    ("does not take", lambda app: app.main(event)),  # type: ignore[arg-type]  # the mistake under test
    ("does not take", lambda app: app.on_change(app.needs("a"), "S")(plain)),  # type: ignore[arg-type]  # the mistake under test
    ("names no signal", lambda app: app.on_change(app.needs("a"))),
    ("another app", lambda app: app.on_job(App("other").needs("a"))(event)),
    ("no period", lambda app: app.every(0)),
    ("no period", lambda app: app.every(float("nan"))),
    ("queue for 0", lambda app: app.on_batch(app.needs("a"), "**", capacity=0)(event)),
    ("role 'A role'", lambda app: app.needs("A role")),
    ("no handler and no main", lambda app: app.manifest()),
]


@pytest.mark.parametrize(("sentence", "declare"), WRONG, ids=[sentence for sentence, _ in WRONG])
def test_a_wrong_declaration_is_a_sentence(sentence: str, declare: Callable[[App[Any]], object]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        declare(App("mine"))
    assert sentence in str(caught.value)
    assert "app mine" in str(caught.value)
    assert caught.value.mend


def test_a_manifest_says_what_the_app_is() -> None:
    class Config(AppConfig):
        parts: int = 5

    app = App("mine", config=Config, summary="it does", version="1.2")
    app.needs("press", signals=["Speed"])

    @app.main
    async def main(ctx: Context[Config]) -> None: ...

    manifest = app.manifest()
    assert (manifest.name, manifest.kind, manifest.version, manifest.summary) == ("mine", "app", "1.2", "it does")
    assert manifest.needs[0].role == "press"
    assert manifest.config_schema["properties"]["parts"]["default"] == 5


@pytest.mark.parametrize("name", ["", "Upper", "with space", "1st", "a" * 64])
def test_a_wrong_name_is_a_sentence(name: str) -> None:
    app = App(name)
    app.main(plain)
    with pytest.raises(ConfigurationError, match="name"):
        app.manifest()


def test_a_publisher_is_declared_like_an_app() -> None:
    publisher: Publisher[AppConfig] = Publisher("cloud")
    publisher.main(plain)
    assert publisher.manifest().kind == "publisher"


def test_a_role_says_what_a_machine_lacks() -> None:
    machine = Machine("m", "memory:m", "urn:m", signals=(Signal("Status/Speed", "a", ValueType(BuiltinType.Double)),))
    assert Need(role="r", signals=("Status/Speed", "Any/*")).missing(machine) is None
    assert Need(role="r", signals=("Status/Heat",)).missing(machine) == "has no signal Status/Heat"
    assert Need(role="r", skills=("Fill",)).missing(machine) == "has no skill Fill"
    assert "urn:c" in (Need(role="r", capability="urn:c").missing(machine) or "")


@pytest.mark.parametrize(
    ("pattern", "path", "named"),
    [
        ("**", "A/B/C", True),
        ("*", "A", True),
        ("*", "A/B", False),
        ("A/*", "A/B", True),
        ("A/*", "A/B/C", False),
        ("**/Temperature", "Process/Temperature", True),
        ("**/Temperature", "Temperature", False),
        ("A.B", "AxB", False),
        ("A[1]", "A[1]", True),
        ("A[1]", "A1", False),
    ],
)
def test_patterns(pattern: str, path: str, named: bool) -> None:
    assert path_matches(path, [pattern]) is named
