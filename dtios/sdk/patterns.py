"""Patterns of signal paths: `*` stays within one level, `**` crosses levels; anything else is the path itself."""

import re
from collections.abc import Iterable
from functools import lru_cache

__all__ = ["is_pattern", "path_matches"]


def is_pattern(path: str) -> bool:
    return "*" in path


def path_matches(path: str, patterns: Iterable[str]) -> bool:
    """True if one of the patterns names the path."""
    return any(_compiled(pattern).fullmatch(path) if is_pattern(pattern) else pattern == path for pattern in patterns)


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    parts = re.split(r"(\*\*|\*)", pattern)
    return re.compile("".join({"**": ".*", "*": "[^/]*"}.get(part, re.escape(part)) for part in parts), re.DOTALL)
