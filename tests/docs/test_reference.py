"""The reference is complete: every option, every key, and nothing that does not exist."""

import re
from collections.abc import Iterator
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from dtios.cli.entry import COMMANDS
from dtios.cli.schema import schemas
from dtios.mapping.profiles.profile import Profile
from dtios.model.gap import GapCause
from dtios.runtime.configuration.config import RuntimeConfig
from tests.docs.grade_rules import PAGE as PAGE_OF_GRADES
from tests.docs.grade_rules import with_tables
from tests.docs.help_texts import PAGE, help_texts
from tests.docs.markdown import ROOT, blocks

REFERENCE = ROOT / "docs/reference"
AGAIN = "python -m tests.docs.help_texts writes them again"


def test_help_of_every_command() -> None:
    shown = {b.options["help"]: b.text for b in blocks(PAGE) if "help" in b.options}
    real = help_texts()
    assert sorted(shown) == sorted(name for name in real if name.partition(" ")[0] in {"", *COMMANDS})
    assert [name for name in shown if shown[name] != real[name]] == [], AGAIN


def test_output_of_every_command() -> None:
    shown = {b.options["schema"] for b in blocks(PAGE) if "schema" in b.options}
    same = {"job pause", "job resume", "job stop", "job abort", "job cancel", "job resolve"}
    assert set(schemas()) - shown - same == set()


@pytest.mark.parametrize(("page", "root"), [("configuration.md", RuntimeConfig), ("profiles.md", Profile)])
def test_every_key(page: str, root: type[BaseModel]) -> None:
    """One section for each model, headed by its name in the page, with a row `| \\`key\\` | ...` for each key."""
    text = (REFERENCE / page).read_text("utf-8")
    sections = dict(re.findall(r"^## [^\n]*<!-- (\w+) -->\n(.*?)(?=^## |\Z)", text, flags=re.MULTILINE | re.DOTALL))
    models = dict(_models(root))
    assert sorted(sections) == sorted(models)
    for name, model in models.items():
        keys = {field.alias or key for key, field in model.model_fields.items()}
        rows = re.findall(r"^\| `([^`]+)` \|", sections[name], flags=re.MULTILINE)
        assert sorted(rows) == sorted(keys), f"{page}: {name}"


def _models(model: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel]]]:
    """A model and those in its fields."""
    yield model.__name__, model
    for field in model.model_fields.values():
        for inner in _classes(field.annotation):
            yield from _models(inner)


def _classes(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _classes(argument)


def test_every_cause_of_a_gap() -> None:
    text = (REFERENCE / "wire-forms.md").read_text("utf-8")
    assert [cause for cause in GapCause if f"`{cause.value}`" not in text] == []


def test_every_rule_of_a_grade() -> None:
    text = PAGE_OF_GRADES.read_text("utf-8")
    assert text == with_tables(text), "python -m tests.docs.grade_rules writes them again"
