"""A machine's own values for a state, and the standard's names."""

from collections.abc import Mapping
from enum import IntEnum
from typing import Any, Final

from dtios.model.packml import PackMLState, UnitMode

__all__ = ["INNER", "PACKML_STATES", "UNIT_MODES", "look_up"]

INNER: Final = ""
"""Stands for values of a state machine that name no state themselves: the machine nested in that state tells."""


def _known(states: type[IntEnum]) -> dict[int | str, str]:
    """By number, by name, and by name in small letters."""
    table: dict[int | str, str] = {}
    for state in states:
        table |= {int(state): state.name, state.name: state.name, state.name.lower(): state.name}
    return table


PACKML_STATES: Final = {**_known(PackMLState), "Cleared": INNER, "cleared": INNER, "Running": INNER, "running": INNER}
"""OPC 30050: Cleared is a state of the outermost machine, Running of the one in it."""
UNIT_MODES: Final = _known(UnitMode)


def look_up(states: Mapping[int | str, str], value: Any) -> str | None:
    """The name for a number, a text, or a text with a locale; None for a value that nobody named."""
    text = getattr(value, "text", value)
    if isinstance(text, str):
        text = text.strip()
        return states.get(text, states.get(text.lower()))
    return states.get(int(text)) if isinstance(text, int) and not isinstance(text, bool) else None
