"""The grade of an adapter: what the conformance suite found, kept as `grade.json` beside the adapter's sources.

The file holds the hash of these sources: with others it is stale, and the adapter counts as not graded until it is graded anew.
"""

import hashlib
import importlib.util
import json
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

__all__ = ["GRADE_FILE", "Grade", "Level", "read_grade", "sources_hash", "sources_of"]

GRADE_FILE: Final = "grade.json"


class Level(StrEnum):
    """Each needs all rules of those before it. Compare by `rank`."""

    BRONZE = "bronze"
    SILVER = "silver"
    GOLD = "gold"
    PLATINUM = "platinum"

    @property
    def rank(self) -> int:
        """From 0, the lowest."""
        return list(Level).index(self)


@dataclass(frozen=True, slots=True)
class Grade:
    """What a grade.json says. `level` None: below bronze; `stale`: the sources are no longer those that were graded."""

    level: Level | None
    stale: bool


def sources_of(adapter: object) -> Path | None:
    """The folder of the package that an adapter comes from, or its module's file; None where there is no such thing."""
    name = type(adapter).__module__.partition(".")[0]
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        return None
    origin = Path(spec.origin)
    return origin.parent if spec.submodule_search_locations else origin


def sources_hash(sources: Path) -> str:
    """SHA-256 of all Python sources in a folder (or of one file), with their names."""
    digest = hashlib.sha256()
    files = [sources] if sources.is_file() else sorted(sources.rglob("*.py"))
    for file in files:
        digest.update(file.relative_to(sources.parent).as_posix().encode() + b"\0")
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def read_grade(adapter: object) -> Grade | None:
    """What lies beside the adapter; None: nobody has graded it, or what lies there is no grade."""
    sources = sources_of(adapter)
    if sources is None or not sources.is_dir():
        return None
    try:
        form: dict[str, Any] = json.loads((sources / GRADE_FILE).read_text("utf-8"))
        level = None if form["grade"] is None else Level(form["grade"])
        return Grade(level, form["sources"] != sources_hash(sources))
    except (OSError, ValueError, KeyError, TypeError):
        return None
