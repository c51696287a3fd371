"""What all stations have in common: what they tell, what they draw, what they are asked, and what can be broken."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar, Final

from dtios_cell.plant.chance import stream
from dtios_cell.plant.faults import CONNECTION, SENSOR, Fault, Kind, Reading, distorted
from dtios_cell.plant.power import Power
from dtios_cell.plant.timeline import Timeline, Timer
from dtios_cell.plant.truth import Figure, Truth

__all__ = ["Refused", "Station", "Surroundings"]


class Refused(Exception):
    """The station did not do what it was asked; nothing changed. The message says why."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a station lives in."""

    seed: int
    timeline: Timeline = field(default_factory=Timeline)
    truth: Truth = field(default_factory=Truth)


class Station:
    """One machine. A face (whoever speaks for it) listens with `heard` and asks by the methods of the subclass."""

    kind: ClassVar[str]
    standby: ClassVar[float]
    """Watts while it does nothing."""
    breaks: ClassVar[frozenset[Kind]] = frozenset()
    """Faults of the process that it knows; those of sensors and of the connection each station knows."""
    verbs: ClassVar[frozenset[str]] = frozenset()
    """Methods that may be asked for over the control endpoint."""
    levers: ClassVar[frozenset[str]] = frozenset()
    """Names under which `step` and `ramp` change the process itself."""

    def __init__(self, name: str, around: Surroundings) -> None:
        self.name = name
        self.timeline = around.timeline
        self.chance = stream(around.seed, name)
        self.power = Power(around.timeline, self.standby)
        self.image: dict[str, Reading] = {}
        self.heard: list[Callable[[Reading], None]] = []
        self.hurt: list[Callable[[Fault, bool], None]] = []
        """Told of each fault as it begins (True) and as it is mended (False)."""
        self.faults: list[Fault] = []
        self._truth = around.truth
        # A stream apart: a noisy sensor must not change what chance brings to the process.
        self._mischief = stream(around.seed, f"{name}/faults")
        self._busy: Timer | None = None

    # --- what it tells ---

    def tell(self, path: str, value: object) -> None:
        """A signal has this value now; what goes out is as the faults of its sensor make it."""
        reading = Reading(self.timeline.now, path, value)
        last = self.image[path].value if path in self.image else value
        faults = [one for one in self._active() if one.signal == path]
        for told in distorted(reading, faults, last, self._mischief):
            if told.late:
                self.timeline.after(told.late, lambda late=told.reading: self._out(late))  # type: ignore[misc]
            else:
                self._out(told.reading)

    def _out(self, reading: Reading) -> None:
        self.image[reading.path] = reading
        for listener in self.heard:
            listener(reading)

    def write_down(self, what: str, **figures: Figure) -> None:
        """Into the ground truth."""
        self._truth.write(self.timeline.now, self.name, what, **figures)

    # --- what it does ---

    def begin(self, seconds: float, watts: float, then: Callable[[], None]) -> None:
        """Be busy for so long, and draw so much. Raises Refused while it is."""
        if self._busy is not None:
            raise Refused(f"{self.name} is busy")
        self.power.watts = watts

        def over() -> None:
            self._busy = None
            self.power.watts = self.standby
            then()

        self._busy = self.timeline.after(seconds, over)

    def break_off(self) -> bool:
        """What it was busy with is not finished. False if it was not."""
        if self._busy is None:
            return False
        self._busy.cancel()
        self._busy = None
        self.power.watts = self.standby
        return True

    @property
    def is_busy(self) -> bool:
        return self._busy is not None

    # --- what is broken ---

    def inject(self, kind: Kind, *, signal: str = "", value: float | None = None, seconds: float | None = None) -> Fault:
        """Break something now. Raises Refused for what this station cannot have."""
        fault = Fault(kind, signal, value, self.timeline.now, seconds)
        self._check(fault)
        self.faults.append(fault)
        self.write_down("fault", kind=kind.value, signal=signal, value=value, seconds=seconds)
        for listener in self.hurt:
            listener(fault, True)
        self.broken(fault)
        if seconds is not None:
            self.timeline.after(seconds, lambda: self.clear(fault))
        return fault

    def clear(self, fault: Fault) -> None:
        """Mend it; what is mended already stays so."""
        if fault in self.faults:
            self.faults.remove(fault)
            self.write_down("mended", kind=fault.kind.value, signal=fault.signal)
            for listener in self.hurt:
                listener(fault, False)
            self.mended(fault)

    def broken(self, fault: Fault) -> None:
        """A fault of the process or on a lever began."""

    def mended(self, fault: Fault) -> None:
        """It is over."""

    def has(self, kind: Kind) -> bool:
        return any(one.kind is kind for one in self.faults)

    def lever(self, name: str) -> float:
        """What the faults on a lever add now, in its unit."""
        minutes = 60e9
        steps = sum(f.value or 0.0 for f in self.faults if f.signal == name and f.kind is Kind.STEP)
        ramps = (
            (f.value or 0.0) * (self.timeline.now - f.since) / minutes
            for f in self.faults
            if f.signal == name and f.kind is Kind.RAMP
        )
        return steps + sum(ramps)

    def _active(self) -> list[Fault]:
        return [one for one in self.faults if one.kind in SENSOR]

    def _check(self, fault: Fault) -> None:
        if fault.kind in CONNECTION or fault.kind in self.breaks:
            return
        if fault.kind not in SENSOR:
            able = ", ".join(sorted({*self.breaks, *SENSOR, *CONNECTION}))
            raise Refused(f"{self.name} ({self.kind}) has no {fault.kind.value}; it can have {able}")
        if fault.signal in self.levers and fault.kind in _ON_LEVERS:
            return
        if fault.signal not in self.image:
            known = ", ".join(sorted({*self.image, *self.levers}))
            raise Refused(f"{self.name} tells no {fault.signal or 'signal of that name'}; there are {known}")


_ON_LEVERS: Final = frozenset({Kind.STEP, Kind.RAMP})
