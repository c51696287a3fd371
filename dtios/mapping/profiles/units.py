"""Units in profiles: what the machine means, and what the factory sees."""

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from dtios.mapping.conversion import Conversion
from dtios.model.machine import Unit
from dtios.model.units import conversion, unit_from_code

__all__ = ["UnitRule"]


class UnitRule(BaseModel):
    """`source` and `canonical` are UNECE common codes. A code alone says what unit the values are in; two are converted.

    `canonical` alone takes the machine's own unit as the source, where it tells one.

    `scale` and `offset` (canonical = value * scale + offset) are for raw numbers that have no unit themselves, and override what
    is known of the two units.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str | None = None
    canonical: str | None = None
    scale: float | None = Field(None, allow_inf_nan=False)
    offset: float | None = Field(None, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _plain_code(cls, value: object) -> object:
        return {"source": value} if isinstance(value, str) else value

    @field_validator("source", "canonical")
    @classmethod
    def _known(cls, value: str | None) -> str | None:
        if value is not None and unit_from_code(value) is None:
            raise ValueError(f"{value!r} is no UNECE common code known here, as MTR or CEL")
        return value

    @model_validator(mode="after")
    def _convertible(self) -> Self:
        if self.scale == 0:
            raise ValueError("a scale of 0 loses every value")
        if self.source is None and self.canonical is None:
            raise ValueError("give a source unit, a canonical unit or both")
        given = self.scale is not None or self.offset is not None
        if self.source and self.canonical and not given and conversion(self.source, self.canonical) is None:
            raise ValueError(f"{self.source} does not convert to {self.canonical}; give scale and offset")
        return self

    def given(self, machine: Unit | None) -> "UnitRule | None":
        """The rule for a signal whose machine tells this unit. None where that cannot be converted: it stays as it is."""
        if self.source is not None or self.scale is not None or self.offset is not None or machine is None:
            return self
        code, canonical = machine.code, self.canonical or ""
        if code is None or (code != canonical and conversion(code, canonical) is None):
            return None
        return UnitRule(source=code, canonical=canonical)

    @property
    def unit(self) -> Unit | None:
        """The unit that the factory sees."""
        return unit_from_code(self.canonical or self.source or "")

    @property
    def machine_unit(self) -> Unit | None:
        """The unit on the wire."""
        return unit_from_code(self.source or self.canonical or "")

    @property
    def conversion(self) -> Conversion | None:
        """None where values go as they are."""
        if self.scale is not None or self.offset is not None:
            return Conversion(1.0 if self.scale is None else self.scale, self.offset or 0.0)
        if not self.source or not self.canonical or self.source == self.canonical:
            return None
        factors = conversion(self.source, self.canonical)
        return None if factors is None else Conversion(*factors)
