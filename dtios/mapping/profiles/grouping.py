"""Names for the flat variables of a PLC: `Motor1_Speed` and `Motor1_Current` become `Motor1/Speed` and `Motor1/Current`."""

import re
from collections.abc import Iterable, Sequence
from typing import Final

from dtios.mapping.paths import escape

__all__ = ["grouped_names"]

_DEEPEST: Final = 3
_QUOTED: Final = re.compile(r'"([^"]*)"')
_SEPARATORS: Final = re.compile(r"[.:|\\]+")


def grouped_names(names: Sequence[str]) -> dict[str, str]:
    """BrowseName -> path, for the names that share their beginning with a sibling; the others are left out.

    Parts are what `.` separates (`DB1.Motor.Speed`, S7's `"DB1"."Motor"`), and `_` in the last one of these.
    """
    words = {name: _words(name) for name in dict.fromkeys(names)}
    paths = {name: path for name, path in _grouped(words, 1).items() if len(path) > 1}
    written = {name: "/".join(escape(word) for word in path) for name, path in paths.items()}
    every = [*written.values(), *(name for name in words if name not in written)]
    return {name: path for name, path in written.items() if every.count(path) == 1}


def _words(name: str) -> tuple[tuple[str, str], ...]:
    """(what stands before the word, word) each."""
    parts = [part for part in _SEPARATORS.split(_QUOTED.sub(r"\1", name)) if part]
    *before, last = parts or [name]
    pieces = [piece for piece in last.split("_") if piece] or [last]
    return (*((".", part) for part in before), (".", pieces[0]), *(("_", piece) for piece in pieces[1:]))


def _grouped(words: dict[str, tuple[tuple[str, str], ...]], depth: int) -> dict[str, tuple[str, ...]]:
    """name -> the parts of its path."""
    firsts: dict[str, list[str]] = {}
    for name, some in words.items():
        firsts.setdefault(some[0][1], []).append(name)
    paths: dict[str, tuple[str, ...]] = {}
    for first, same in firsts.items():
        inner = {name: words[name][1:] for name in same if len(words[name]) > 1}
        is_group = len(inner) > 1 and not _numbered(inner.values())
        below = _grouped(inner, depth + 1) if is_group and depth < _DEEPEST else {n: (_joined(r),) for n, r in inner.items()}
        for name in same:
            if name not in inner:
                paths[name] = (first,)
            elif is_group:
                paths[name] = (first, *below[name])
            else:
                paths[name] = (_joined(words[name]),)
    return paths


def _numbered(rests: Iterable[tuple[tuple[str, str], ...]]) -> bool:
    """`Temp_1`, `Temp_2`: several of one kind, not parts of one thing."""
    return all(len(rest) == 1 and rest[0][1].isdigit() for rest in rests)


def _joined(words: Sequence[tuple[str, str]]) -> str:
    return words[0][1] + "".join(before + word for before, word in words[1:])
