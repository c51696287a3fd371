"""Where a part can lie. A robot hand knows places and nothing else."""

from typing import Protocol

from dtios_cell.plant.housing import Housing
from dtios_cell.plant.station import Refused

__all__ = ["Place", "Shelf"]


class Place(Protocol):
    def load(self, part: Housing) -> None:
        """Raises Refused where it cannot lie."""

    def unload(self) -> Housing:
        """Raises Refused where nothing can be taken."""


class Shelf:
    """A place that does nothing: the deck of a vehicle, the counter of a store, the table for finished parts."""

    def __init__(self, name: str, room: int = 1) -> None:
        self.name = name
        self.room = room
        self.parts: list[Housing] = []

    def load(self, part: Housing) -> None:
        if len(self.parts) >= self.room:
            raise Refused(f"{self.name} is full")
        self.parts.append(part)

    def unload(self) -> Housing:
        if not self.parts:
            raise Refused(f"{self.name} is empty")
        return self.parts.pop(0)
