"""How long to wait before the next try: doubling, with jitter, so that a line of machines does not come back in one beat."""

import random
from typing import Final

__all__ = ["Backoff"]


class Backoff:
    """`next()` gives seconds: `first`, doubled each time up to `limit`, each drawn from its upper half."""

    FIRST: Final = 0.2
    LIMIT: Final = 10.0

    def __init__(self, first: float = FIRST, limit: float = LIMIT, chance: random.Random | None = None) -> None:
        self._first = first
        self._limit = limit
        self._chance = chance or random.Random()
        self._ceiling = first

    def next(self) -> float:
        ceiling, self._ceiling = self._ceiling, min(self._ceiling * 2, self._limit)
        return ceiling * self._chance.uniform(0.5, 1.0)

    def reset(self) -> None:
        self._ceiling = self._first
