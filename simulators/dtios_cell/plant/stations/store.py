"""The high-bay store: carriers in slots, one at a time at the counter."""

from collections.abc import Callable, Mapping
from typing import ClassVar, Final

from dtios_cell.plant.faults import Kind
from dtios_cell.plant.housing import Housing
from dtios_cell.plant.places import Shelf
from dtios_cell.plant.station import Refused, Station, Surroundings

__all__ = ["Store"]

_PER_STEP: Final = 1.2
"""Seconds for one column or row."""
_HANDLED: Final = 4.0
_WATTS: Final = 520.0


class Store(Station):
    """`slots`: what lies in each, by a name like `B3`; None where it is empty. A carrier's id is its part's serial number."""

    kind: ClassVar[str] = "store"
    standby: ClassVar[float] = 80.0
    verbs: ClassVar[frozenset[str]] = frozenset({"fetch", "put_away"})
    breaks: ClassVar[frozenset[Kind]] = frozenset({Kind.WRONG_CARRIER})

    def __init__(self, name: str, around: Surroundings, slots: Mapping[str, Housing | None]) -> None:
        super().__init__(name, around)
        self.slots = dict(slots)
        self.counter = Shelf(f"counter of {name}")
        self.tell("State", "Idle")
        self.tell("Counter/Carrier", "")
        for slot, part in self.slots.items():
            self.tell(f"Slots/{slot}", part.serial if part else "")

    def fetch(self, slot: str) -> None:
        """Bring what lies in a slot to the counter. Raises Refused: no such slot, empty, counter full, at work."""
        if self._known(slot) is None:
            raise Refused(f"slot {slot} of {self.name} is empty")
        if self.counter.parts:
            raise Refused(f"the counter of {self.name} is full")
        self._work(slot, lambda: self._fetched(slot))

    def put_away(self, slot: str) -> None:
        """Bring what lies at the counter to a slot. Raises Refused likewise."""
        if self._known(slot) is not None:
            raise Refused(f"slot {slot} of {self.name} is taken")
        if not self.counter.parts:
            raise Refused(f"the counter of {self.name} is empty")
        self._work(slot, lambda: self._put(slot))

    def _known(self, slot: str) -> Housing | None:
        if slot not in self.slots:
            raise Refused(f"{self.name} has no slot {slot}; there are {', '.join(self.slots)}")
        return self.slots[slot]

    def _work(self, slot: str, then: Callable[[], None]) -> None:
        steps = max(ord(slot[0].upper()) - ord("A"), int(slot[1:]) - 1)
        self.begin(_HANDLED + _PER_STEP * steps, _WATTS, then)
        self.tell("State", "Execute")

    def _fetched(self, slot: str) -> None:
        taken = slot
        if self.has(Kind.WRONG_CARRIER):
            # The crane is one slot off, and reads nobody's id.
            others = [name for name, part in self.slots.items() if part is not None and name != slot]
            taken = self.chance.choice(others) if others else slot
        part = self.slots[taken]
        if part is not None:
            self.slots[taken] = None
            self.counter.load(part)
            self.write_down("fetched", slot=slot, taken=taken, serial=part.serial)
            self._say(taken)
        self.tell("State", "Idle")

    def _put(self, slot: str) -> None:
        part = self.slots[slot] = self.counter.unload()
        self.write_down("put", slot=slot, serial=part.serial)
        self._say(slot)
        self.tell("State", "Idle")

    def _say(self, slot: str) -> None:
        part = self.slots[slot]
        self.tell(f"Slots/{slot}", part.serial if part else "")
        self.tell("Counter/Carrier", self.counter.parts[0].serial if self.counter.parts else "")
