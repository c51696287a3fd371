"""A grade holds for the sources it was computed for, and for no others."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dtios.sdk.grade import GRADE_FILE, Grade, Level, read_grade, sources_hash, sources_of

SOURCE = "from dtios.testing import MemoryAdapter\n\n\nclass Adapter(MemoryAdapter):\n    name = 'graded'\n"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "graded_adapter"
    folder.mkdir()
    (folder / "__init__.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield folder
    sys.modules.pop("graded_adapter", None)


def test_a_grade_is_stale_when_a_source_changes(package: Path) -> None:
    from graded_adapter import Adapter  # type: ignore[import-not-found]

    adapter = Adapter()
    assert sources_of(adapter) == package
    assert read_grade(adapter) is None
    (package / GRADE_FILE).write_text(json.dumps({"grade": "gold", "sources": sources_hash(package)}))
    assert read_grade(adapter) == Grade(Level.GOLD, stale=False)
    (package / "more.py").write_text("X = 1\n")
    assert read_grade(adapter) == Grade(Level.GOLD, stale=True)
    (package / "more.py").unlink()
    assert read_grade(adapter) == Grade(Level.GOLD, stale=False)
    (package / "__init__.py").write_text(SOURCE + "# changed\n")
    assert read_grade(adapter) == Grade(Level.GOLD, stale=True)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"grade": "tin", "sources": ""}'])
def test_what_is_no_grade_is_none(package: Path, text: str) -> None:
    from graded_adapter import Adapter

    (package / GRADE_FILE).write_text(text)
    assert read_grade(Adapter()) is None
