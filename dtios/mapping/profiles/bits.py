"""Bits of a PLC that look like trigger, busy, done and error of one skill. Only a guess: a person has to say that it is so."""

import re
from collections.abc import Iterator, Mapping
from typing import Final

__all__ = ["handshakes"]

_PARTS: Final = {
    "trigger": ("start", "trigger", "execute", "request", "req", "go", "cmd"),
    "busy": ("busy", "running", "active", "inprogress"),
    "done": ("done", "finished", "complete", "completed", "ack"),
    "error": ("error", "err", "fault", "failed", "alarm"),
    "stop": ("stop", "cancel", "halt"),
}
_BY_WORD: Final = {word: part for part, words in _PARTS.items() for word in words}
_LAST: Final = re.compile(r"(.*?)[._/ ]?([A-Z]?[a-z]+|[A-Z]+)$")
_HUNGARIAN: Final = re.compile(r"^(b|x|di|do)(?=[A-Z])")


def handshakes(names: Mapping[str, str]) -> Iterator[tuple[str, dict[str, str]]]:
    """(name of the skill, part -> path), for Boolean variables as path -> BrowseName; each with a trigger and an end."""
    found: dict[str, dict[str, str]] = {}
    for path, name in names.items():
        head, dot, last = name.replace('"', "").rpartition(".")
        match = _LAST.match(head + dot + _HUNGARIAN.sub("", last))
        part = None if match is None else _BY_WORD.get(match[2].lower())
        if match is not None and part is not None:
            found.setdefault(f"{path.rpartition('/')[0]}\n{match[1]}", {}).setdefault(part, path)
    for key, parts in found.items():
        if "trigger" in parts and parts.keys() & {"busy", "done"}:
            yield re.sub(r'[\n"/]+', " ", key).strip(" ._") or "Work", {part: parts[part] for part in _PARTS if part in parts}
