"""One stream of chance for each station, so that what one station does never changes what chance brings to another."""

import random

__all__ = ["stream"]


def stream(seed: int, station: str) -> random.Random:
    """The same for the same seed and station, on every machine and version of Python that has the Mersenne Twister."""
    return random.Random(f"{seed}/{station}")
