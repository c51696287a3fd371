"""Linear unit conversion between a machine's unit and the canonical one: canonical = wire * scale + offset."""

import math
from dataclasses import dataclass
from typing import Any

from dtios.model.datatypes import INTEGER_RANGES, BuiltinType, ValueType
from dtios.model.errors import RefusedError

__all__ = ["Conversion"]


@dataclass(frozen=True, slots=True)
class Conversion:
    """Applies to numbers, and to arrays of them element by element; None stays None."""

    scale: float = 1.0
    offset: float = 0.0

    def up(self, value: Any) -> Any:
        """Wire -> canonical; the result is a float."""
        if isinstance(value, list):
            return [self.up(v) for v in value]
        return None if value is None else value * self.scale + self.offset

    def down(self, value: Any, wire: ValueType) -> Any:
        """Canonical -> wire, rounded to the nearest integer for integer types. Raises RefusedError on overflow or NaN."""
        if isinstance(value, list):
            return [self.down(v, wire) for v in value]
        raw = (value - self.offset) / self.scale
        if not math.isfinite(raw):
            raise RefusedError(f"{value!r} is not a finite number", mend="give a finite number")
        limits = INTEGER_RANGES.get(BuiltinType(wire.builtin))
        if limits is None:
            return float(raw)
        whole = round(raw)
        if not limits[0] <= whole <= limits[1]:
            raise RefusedError(
                f"{value} does not fit in {wire.label()}",
                mend=f"stay within {self.up(limits[0])} and {self.up(limits[1])}",
            )
        return whole
