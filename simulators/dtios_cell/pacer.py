"""What moves the plant's time beside the wall's: `speed` times as fast, and never by jumps that somebody could see."""

import time
from collections.abc import Callable
from typing import Final

import anyio

from dtios_cell.plant.cell import Plant
from dtios_cell.plant.timeline import SECOND

__all__ = ["FASTEST", "paced"]

FASTEST: Final = 20.0
_STEP: Final = 0.02
"""Seconds of the wall between two looks at the clock."""
_BEHIND: Final = 5.0
"""Seconds of plant time that are caught up at most at once: a computer that slept does not make the cell run wild."""


async def paced(plant: Plant, speed: float = 1.0, clock: Callable[[], int] = time.monotonic_ns) -> None:
    """Until cancelled. Raises ValueError for a speed out of 1 to 20."""
    if not 1.0 <= speed <= FASTEST:
        raise ValueError(f"a cell runs 1 to {FASTEST:g} times as fast as the wall's clock, not {speed:g}")
    last = clock()
    while True:
        await anyio.sleep(_STEP)
        now = clock()
        passed = min(round((now - last) * speed), round(_BEHIND * SECOND))
        last = now
        plant.advance(plant.timeline.now + passed)
