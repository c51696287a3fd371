"""The vehicle: it drives along the edges of a graph and carries what lies on its deck."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, Final

from dtios_cell.plant.faults import Fault, Kind
from dtios_cell.plant.places import Place, Shelf
from dtios_cell.plant.station import Refused, Station, Surroundings
from dtios_cell.plant.timeline import SECOND

__all__ = ["Vehicle"]

_SPEED: Final = 0.8
"""Metres a second."""
_WATTS: Final = 140.0
_HANDLING: Final = 3.0
"""Seconds to take or put down a part."""
_CAPACITY: Final = 0.9e6
"""Joules in a full battery."""
_CHARGING: Final = 400.0
"""Watts into the battery."""


class Vehicle(Station):
    """`nodes`: metres, by name; `edges`: pairs that it may drive, both ways. `stops`: what a
    part can be taken from or put to at a node. What it draws counts when it is used."""

    kind: ClassVar[str] = "vehicle"
    standby: ClassVar[float] = 12.0
    verbs: ClassVar[frozenset[str]] = frozenset({"drive", "drop", "pick", "stop"})
    breaks: ClassVar[frozenset[Kind]] = frozenset({Kind.BLOCKED_EDGE})

    def __init__(
        self,
        name: str,
        around: Surroundings,
        nodes: Mapping[str, tuple[float, float]],
        edges: Sequence[tuple[str, str]],
        at: str,
        stops: Mapping[str, Place],
    ) -> None:
        super().__init__(name, around)
        self.deck = Shelf(f"deck of {name}")
        self.nodes = dict(nodes)
        self._stops = dict(stops)
        self.at = at
        """The node that it stands at, or comes from."""
        self.state = "Idle"
        self._edges = {frozenset(edge) for edge in edges}
        self._ahead: list[str] = []
        self._driving: tuple[int, str] | None = None
        self._stored = _CAPACITY
        self._since = around.timeline.now
        self.tell("State", "Idle")
        self.tell("Node", at)
        self.tell("Load", "")
        self.tell("Battery", 100.0)

    @property
    def position(self) -> tuple[float, float]:
        """Metres, now."""
        here = self.nodes[self.at]
        if self._driving is None:
            return here
        began, to = self._driving
        there = self.nodes[to]
        share = min(1.0, (self.timeline.now - began) / SECOND * _SPEED / math.dist(here, there))
        return here[0] + share * (there[0] - here[0]), here[1] + share * (there[1] - here[1])

    @property
    def battery(self) -> float:
        """Per cent."""
        return 100.0 * max(0.0, self._charge()) / _CAPACITY

    def drive(self, path: Sequence[str]) -> None:
        """Along these nodes, the first being one that it can go to from here. Raises Refused: no such edge, on its way, empty."""
        if self.is_busy or self.state == "Blocked":
            raise Refused(f"{self.name} is on its way to {self._ahead[-1] if self._ahead else self.at}")
        if self.battery < 5.0:
            raise Refused(f"the battery of {self.name} is empty")
        for here, there in zip([self.at, *path], path, strict=False):
            if there not in self.nodes or (here != there and frozenset((here, there)) not in self._edges):
                raise Refused(f"{self.name} cannot drive from {here} to {there}")
        self._ahead = [node for node in path if node != self.at] if len(path) == 1 else list(path)
        self._on()

    def pick(self) -> None:
        """Take the part that lies at this node. Raises Refused: no stop, nothing there, deck full, on its way."""
        self._handle(lambda stop: self.deck.load(stop.unload()), "Picking")

    def drop(self) -> None:
        """Put the part on the deck down at this node. Raises Refused likewise."""
        self._handle(lambda stop: stop.load(self.deck.unload()), "Dropping")

    def _handle(self, hand: Callable[[Place], None], state: str) -> None:
        if self.at not in self._stops or self.state == "Blocked":
            raise Refused(f"{self.name} has nothing to take from or put to at {self.at}")
        if (state == "Picking") == bool(self.deck.parts):
            raise Refused(f"the deck of {self.name} is {'full' if self.deck.parts else 'empty'}")

        def over() -> None:
            try:
                hand(self._stops[self.at])
            except Refused as why:
                self.write_down("not-handled", node=self.at, reason=str(why))
            self.tell("Load", self.deck.parts[0].serial if self.deck.parts else "")
            self._become("Idle")

        self.begin(_HANDLING, _WATTS, over)
        self._become(state)

    def stop(self) -> None:
        """At the next node the way ends. Nothing happens where it stands."""
        self._ahead = []
        if self.state == "Blocked":
            self._become("Idle")

    def mended(self, fault: Fault) -> None:
        if fault.kind is Kind.BLOCKED_EDGE and self.state == "Blocked":
            self._on()

    def _on(self) -> None:
        if not self._ahead:
            self._become("Idle")
            return
        if self.has(Kind.BLOCKED_EDGE):
            self._become("Blocked")
            return
        to = self._ahead.pop(0)
        self._charge_up_to_now()
        if to == self.at:
            self._on()
            return
        self._driving = (self.timeline.now, to)
        self._become("Driving")
        self.begin(math.dist(self.nodes[self.at], self.nodes[to]) / _SPEED, _WATTS, self._arrived)

    def _arrived(self) -> None:
        assert self._driving is not None
        self._stored -= _WATTS * (self.timeline.now - self._driving[0]) / SECOND
        self._since = self.timeline.now
        self.at, self._driving = self._driving[1], None
        self.write_down("arrived", node=self.at)
        self.tell("Node", self.at)
        self.tell("Battery", self.battery)
        self._on()

    def _charge(self) -> float:
        seconds = (self.timeline.now - self._since) / SECOND
        if self._driving is not None:
            return self._stored - _WATTS * seconds
        # At rest it stands at a charging contact.
        return min(_CAPACITY, self._stored + _CHARGING * seconds)

    def _charge_up_to_now(self) -> None:
        self._stored, self._since = self._charge(), self.timeline.now

    def _become(self, state: str) -> None:
        self.state = state
        self.tell("State", state)
