"""Values and times as a person reads them."""

import json
from typing import Any

from dtios.model.machine import Range, Signal, Unit
from dtios.model.values import DataValue
from dtios.model.wire import time_to_json, to_json
from dtios.sdk.protocol import ClockView

__all__ = ["clock_text", "offset_text", "range_text", "reading_text", "shortened", "unit_text", "value_text"]

_LONGEST = 60


def value_text(value: Any) -> str:
    """The JSON form, with the short word for what has one."""
    form = to_json(value) if not isinstance(value, dict) else value
    if isinstance(form, dict) and form.keys() == {"value", "name"}:
        return f"{form['name']} ({form['value']})" if form["name"] else str(form["value"])
    if isinstance(form, dict) and form.keys() == {"text", "locale"}:
        return str(form["text"])
    if isinstance(form, str):
        return form
    return json.dumps(form, ensure_ascii=False)


def offset_text(clock: ClockView | None) -> str:
    """How far a machine's clock is from ours: `12 ms ahead`, `-` where it was not measured, `ours` where no difference shows."""
    if clock is None:
        return "-"
    if abs(clock.offset) <= clock.error:
        return f"ours (within {_span(clock.error)})"
    return f"{_span(abs(clock.offset))} {'ahead' if clock.offset > 0 else 'behind'} (within {_span(clock.error)})"


def _span(nanoseconds: int) -> str:
    seconds = nanoseconds / 1e9
    return f"{seconds * 1e3:.3g} ms" if seconds < 1 else f"{seconds:,.1f} s"


def shortened(text: str) -> str:
    """One line of a table."""
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."


def unit_text(unit: Unit | None) -> str:
    return "" if unit is None else unit.symbol or unit.code or ""


def range_text(limits: Range | None) -> str:
    return "" if limits is None else f"{limits.low:g}..{limits.high:g}"


def clock_text(time: int | None) -> str:
    """RFC 3339 to the millisecond, or `-`."""
    text = time_to_json(time) if time is not None else None
    if text is None:
        return "-"
    moment, _, fraction = text.removesuffix("Z").partition(".")
    return f"{moment}.{fraction[:3]:0<3}Z"


def reading_text(signal: Signal, reading: DataValue) -> str:
    """`12.5 m/min`, or the status of a value that is not there."""
    value = "-" if reading.value is None else shortened(value_text(to_json(reading.value, signal.type)))
    unit = unit_text(signal.unit)
    return f"{value} {unit}" if unit and reading.value is not None else value
