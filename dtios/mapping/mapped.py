"""A machine as the runtime holds it: its description, and the wiring behind each signal and skill."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from dtios.mapping.bindings.base import SkillBinding
from dtios.mapping.conversion import Conversion
from dtios.mapping.observing import DeadBand, ObserveRule
from dtios.mapping.results import ResultSource
from dtios.mapping.state_names import INNER, look_up
from dtios.model.datatypes import ValueType
from dtios.model.machine import Machine

__all__ = ["MappedMachine", "MappedSignal", "MappedSkill", "StatePoint"]


@dataclass(frozen=True, slots=True)
class MappedSignal:
    """Where a signal lives and how its wire value becomes the canonical one.

    `wire` is the type on the wire; `conversion` is None for nearly all signals, and then costs nothing. `sampling` (seconds) and
    `dead_band` (in the machine's unit) are None where every change is wanted.
    """

    address: str
    wire: ValueType
    conversion: Conversion | None = None
    sampling: float | None = None
    dead_band: DeadBand | None = None

    def observed(self, rule: ObserveRule) -> "MappedSignal":
        """As the rule says; where it says nothing as before. Only numbers have a dead band."""
        band = rule.band if self.wire.is_numeric and not self.wire.is_enumeration else None
        if band is not None and self.conversion is not None:
            band = band.scaled(self.conversion.scale)
        return replace(self, sampling=rule.sampling or self.sampling, dead_band=band or self.dead_band)


@dataclass(frozen=True, slots=True)
class MappedSkill:
    """`parameters` and `results` convert named parameters between canonical (the app's) and machine units."""

    binding: SkillBinding
    parameters: dict[str, Conversion] = field(default_factory=dict)
    results: dict[str, Conversion] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StatePoint:
    """A signal that tells the machine's PackML state or UnitMode: path of the signal, and its wire value -> name.

    State machines may be nested (OPC 30050: Cleared holds MachineState, whose Running holds ExecuteState): where `states` has an
    empty name for the value of `signal`, the point of the `nested` machine tells. Use `signals` and `name_among` to see all.
    """

    signal: str
    states: dict[int | str, str]
    nested: "StatePoint | None" = None

    @property
    def signals(self) -> tuple[str, ...]:
        """All signals that must be known to tell the state, the outermost first."""
        return (self.signal, *(self.nested.signals if self.nested is not None else ()))

    def name_of(self, value: Any) -> str | None:
        """The state's name for a wire value (a number, a text, or a text with a locale); None if nobody named it."""
        return look_up(self.states, value) or None

    def name_among(self, values: Mapping[str, Any]) -> str | None:
        """The state's name, given the good values by signal path (leave out what is not Good); None where they do not tell."""
        name = look_up(self.states, values.get(self.signal))
        if name == INNER and self.nested is not None:
            return self.nested.name_among(values)
        return name or None


@dataclass(frozen=True, slots=True)
class MappedMachine:
    """Description and wiring, keyed by the description's paths. `addresses` are those of all its nodes, signals or not; `root` is
    its own."""

    machine: Machine
    signals: dict[str, MappedSignal]
    skills: dict[str, MappedSkill]
    state: StatePoint | None = None
    unit_mode: StatePoint | None = None
    results: tuple[ResultSource, ...] = ()
    addresses: frozenset[str] = frozenset()
    root: str = ""
