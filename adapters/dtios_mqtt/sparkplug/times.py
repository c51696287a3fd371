"""Times of Sparkplug: milliseconds UTC on the wire, nanoseconds UTC here."""

from typing import Final

from dtios.model.values import NO_TIME

__all__ = ["LATEST", "nanoseconds"]

LATEST: Final = 2**43
"""ms: what is this or more is no time."""


def nanoseconds(timestamp: int | None) -> int:
    """NO_TIME for what cannot be a time."""
    return NO_TIME if timestamp is None or not 0 <= timestamp < LATEST else timestamp * 1_000_000
