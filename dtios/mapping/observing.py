"""How closely a signal is observed: how often it is sampled, and which changes are too small to be told."""

import re
from dataclasses import dataclass
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, field_validator

__all__ = ["DeadBand", "ObserveRule"]

_PERCENT: Final = re.compile(r"(\d+(?:\.\d+)?)\s*%")


@dataclass(frozen=True, slots=True)
class DeadBand:
    """Changes smaller than this are not told (Part 4, 7.22.2): in the machine's unit, or with `percent` in percent of the
    signal's range."""

    value: float
    percent: bool = False

    def scaled(self, scale: float) -> "DeadBand":
        """From canonical units to the machine's (canonical = wire * scale + offset)."""
        return self if self.percent else DeadBand(self.value / abs(scale))


class ObserveRule(BaseModel):
    """`sampling`: seconds between two looks at the signal, by default as fast as is published. `dead_band`: in canonical units,
    or as `2%` of the signal's range."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sampling: float | None = Field(None, gt=0, allow_inf_nan=False)
    dead_band: float | str | None = Field(None, union_mode="left_to_right")

    @field_validator("dead_band")
    @classmethod
    def _a_number_or_percent(cls, value: float | str | None) -> float | str | None:
        if value is not None and _band(value) is None:
            raise ValueError(f"{value!r} is no dead band: give a number above 0, or percent of the signal's range as '2%'")
        return value

    @property
    def band(self) -> DeadBand | None:
        return None if self.dead_band is None else _band(self.dead_band)


def _band(text: float | str) -> DeadBand | None:
    if not isinstance(text, str):
        return DeadBand(float(text)) if 0 < text < float("inf") else None
    match = _PERCENT.fullmatch(text.strip())
    return DeadBand(float(match[1]), percent=True) if match and 0 < float(match[1]) <= 100 else None
