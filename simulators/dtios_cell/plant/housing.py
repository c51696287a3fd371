"""The product: a sensor housing as ordered, and as it really came out."""

from dataclasses import dataclass, field
from typing import Final

__all__ = ["BORES", "COLOURS", "Housing"]

BORES: Final = (12.0, 16.0, 20.0)
"""Diameters that can be ordered, in millimetres."""
COLOURS: Final = ("black", "grey", "orange")


@dataclass(slots=True)
class Housing:
    """`bore` in millimetres, `bead` one of the patterns, `screws` 2 or 4. What is true of it is None until it was made."""

    serial: str
    bore: float
    bead: str
    screws: int
    colour: str
    text: str = ""
    bore_error: float | None = None
    """Micrometres too big."""
    bead_mass: float | None = None
    """Milligrams."""
    preloads: list[float] = field(default_factory=list)
    """Newtons, of each screw."""
    scrapped: str = ""
    """Why it can never be good."""
