"""Payloads made from a template: `{name}` alone is the value itself, `{name}` in a text its text, `{{` and `}}` are braces."""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

__all__ = ["encode", "fill", "names_in"]

_HOLE: Final = re.compile(r"\{\{|\}\}|\{(\w+)\}")
_ALONE: Final = re.compile(r"\{(\w+)\}")


def names_in(template: Any) -> frozenset[str]:
    """All names that a template asks for."""
    if isinstance(template, str):
        return frozenset(found[1] for found in _HOLE.finditer(template) if found[1])
    below = template.values() if isinstance(template, Mapping) else template if isinstance(template, list | tuple) else ()
    return frozenset(name for one in below for name in names_in(one))


def fill(template: Any, values: Mapping[str, Any]) -> Any:
    """With the values in it. A field of a mapping that asks for a value which was not given is left out."""
    if isinstance(template, str):
        alone = _ALONE.fullmatch(template)
        return values.get(alone[1]) if alone is not None else _HOLE.sub(lambda found: _piece(found, values), template)
    if isinstance(template, Mapping):
        return {key: fill(below, values) for key, below in template.items() if not _absent(below, values)}
    return [fill(below, values) for below in template] if isinstance(template, list | tuple) else template


def _absent(template: Any, values: Mapping[str, Any]) -> bool:
    alone = _ALONE.fullmatch(template) if isinstance(template, str) else None
    return alone is not None and alone[1] not in values


def _piece(found: re.Match[str], values: Mapping[str, Any]) -> str:
    if found[1] is None:
        return found[0][0]
    value = values.get(found[1], "")
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def encode(template: Any, values: Mapping[str, Any]) -> bytes:
    """The payload: a template that is a text makes a text, any other JSON."""
    made = fill(template, values)
    if isinstance(made, str) and isinstance(template, str):
        return made.encode("utf-8")
    return json.dumps(made, ensure_ascii=False, allow_nan=False, default=str).encode("utf-8")
