"""The nameplate: properties that a profile names, as they were browsed."""

from dataclasses import fields
from typing import Any, Final

from dtios.mapping.skills.parts import Place
from dtios.model.machine import Identification
from dtios.model.values import DateTime, LocalizedText
from dtios.model.wire import time_to_json

__all__ = ["identify"]

_NUMBERS: Final = frozenset({"year_of_construction", "month_of_construction"})
_FIELDS: Final = frozenset(f.name for f in fields(Identification))


def identify(place: Place) -> dict[str, Any]:
    """The fields of `Identification` that the machine fills; an empty text is none."""
    said: dict[str, Any] = {}
    for name, paths in place.profile.rules.identification.items():
        values = (_told(place, name, path) for path in paths)
        value = next((v for v in values if v is not None), None)
        if value is not None and name in _FIELDS:
            said[name] = value
    return said


def _told(place: Place, name: str, path: str) -> Any:
    """Where `*` finds several nodes, one of them does not speak for all."""
    entries = place.find_all(path)
    return _plain(name, entries[0].node.value) if len(entries) == 1 else None


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, LocalizedText):
        value = value.text
    if name in _NUMBERS:
        return int(value) if isinstance(value, int) and not isinstance(value, bool) and value else None
    if isinstance(value, DateTime):
        return time_to_json(value)
    text = "" if value is None else str(value).strip()
    return text or None
