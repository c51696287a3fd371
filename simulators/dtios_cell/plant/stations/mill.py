"""The old mill: it does one thing, in a fixed time, by a trigger and a done bit."""

from typing import ClassVar, Final

from dtios_cell.plant.faults import Kind
from dtios_cell.plant.housing import Housing
from dtios_cell.plant.station import Refused, Surroundings
from dtios_cell.plant.worker import Worker

__all__ = ["Mill"]

_SECONDS: Final = 22.0
_WATTS: Final = 1900.0


class Mill(Worker):
    """Trigger up: it works, with Busy. Then Done stays until the trigger is taken back, and so does Error."""

    kind: ClassVar[str] = "mill"
    standby: ClassVar[float] = 240.0
    verbs: ClassVar[frozenset[str]] = frozenset({"abort", "reset", "set_trigger"})
    breaks: ClassVar[frozenset[Kind]] = frozenset({Kind.TOOL_BREAK})

    def __init__(self, name: str, around: Surroundings) -> None:
        super().__init__(name, around)
        self.trigger = False
        self.made = 0
        for path in ("Trigger", "Busy", "Done", "Error", "Part/Present"):
            self.tell(path, False)
        self.tell("Count", 0)

    def set_trigger(self, up: bool) -> None:
        """Never refused: a bit can always be written. It starts on the rise."""
        rises, self.trigger = up and not self.trigger, up
        self.tell("Trigger", up)
        if not up:
            self.tell("Done", False)
            self.tell("Error", False)
        elif rises and not self.is_busy:
            self._start()

    def _start(self) -> None:
        try:
            self.run(f"{self.name}/{self.made}/{self.timeline.now}", _SECONDS, _WATTS, self._mill)
        except Refused:
            self.tell("Error", True)
        else:
            self.tell("Busy", True)

    def _mill(self, part: Housing) -> dict[str, object]:
        self.tell("Busy", False)
        if self.has(Kind.TOOL_BREAK):
            part.scrapped = f"{self.name}: tool broken"
            self.tell("Error", True)
            return {}
        self.made += 1
        self.write_down("part", serial=part.serial)
        self.tell("Count", self.made)
        self.tell("Done", True)
        return {}
