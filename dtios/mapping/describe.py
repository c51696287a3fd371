"""One machine: the profiles that match inside it applied to what lies there."""

from dataclasses import replace
from typing import Any

from dtios.mapping.condition_parts import condition_parts
from dtios.mapping.conversion import Conversion
from dtios.mapping.discovery import Found, Matches
from dtios.mapping.facts import BrowseFacts, NodeKind
from dtios.mapping.identify import identify
from dtios.mapping.layout import Entry, Layout
from dtios.mapping.mapped import MappedMachine, MappedSignal, MappedSkill, StatePoint
from dtios.mapping.places import matched_places, part_places
from dtios.mapping.profiles.library import GENERIC, LoadedProfile
from dtios.mapping.profiles.profile import SignalRule, StateRule
from dtios.mapping.profiles.skills import SkillRule
from dtios.mapping.result_rules import result_source
from dtios.mapping.results import ResultSource
from dtios.mapping.skills.build import build_skill, rules_of
from dtios.mapping.skills.methods import plain_method_skill
from dtios.mapping.skills.parts import BuiltSkill, Missing, NotBuilt, Place
from dtios.mapping.states import packml_point, unit_mode_point
from dtios.model.datatypes import ANY_RANK, BuiltinType, ValueType
from dtios.model.machine import Identification, Machine, Range, Signal, Skill
from dtios.model.values import QualifiedName

__all__ = ["describe"]

_ANYTHING = ValueType(BuiltinType.Variant, rank=ANY_RANK)


def describe(facts: BrowseFacts, found: Found, name: str, matches: Matches) -> MappedMachine:
    """Never fails for what a machine lacks: that becomes a note."""
    return _Description(facts, found, matches).machine(name)


class _Description:
    def __init__(self, facts: BrowseFacts, found: Found, matches: Matches) -> None:
        self._endpoint = facts.endpoint
        self._found = found
        self._layout = Layout(found.node, found.outside, deep=found.deep)
        self._places = matched_places(self._layout, matches)
        self._parts = part_places(self._places)
        self._of_conditions = condition_parts(self._layout)
        self._notes = list(facts.notes)
        self._signals: dict[str, Signal] = {}
        self._wiring: dict[str, MappedSignal] = {}
        self._paths: dict[int, str] = {}
        self._skills: dict[str, Skill] = {}
        self._mapped: dict[str, MappedSkill] = {}
        self._claimed: set[int] = set()

    def machine(self, name: str) -> MappedMachine:
        self._add_signals()
        self._add_profile_skills()
        self._add_methods()
        identification = self._identification()
        state = self._point("packml")
        unit_mode = self._point("unit_mode")
        profiles = dict.fromkeys(place.profile.name for place in self._places)
        machine = Machine(
            name,
            self._endpoint,
            identification.product_instance_uri or f"{self._endpoint}/{self._found.path}",
            self._found.path,
            tuple(profiles) or (GENERIC,),
            identification,
            tuple(self._signals.values()),
            tuple(self._skills.values()),
            tuple(self._notes),
        )
        addresses = frozenset(entry.node.address for entry in self._layout)
        results = self._results()
        root = self._found.node.address
        return MappedMachine(machine, self._wiring, self._mapped, state, unit_mode, results, addresses, root)

    # --- signals -------------------------------------------------------------------------------------------------------------

    def _add_signals(self) -> None:
        rules = self._signal_rules()
        own_names = {r.name for _, r in rules.values() if r.name is not None}
        for entry in self._layout:
            if entry.node.kind is not NodeKind.VARIABLE:
                continue
            _, rule = rules.get(id(entry.node), (None, None))
            if rule is None and id(entry.node) in self._of_conditions:
                continue
            path = entry.path if rule is None or rule.name is None else rule.name
            if path in self._signals or (path == entry.path and path in own_names):
                path = self._free(entry.path, self._signals.keys() | own_names)
            self._add_signal(entry, path, rule)

    def _free(self, path: str, taken: Any) -> str:
        number = 1
        free = path
        while free in taken:
            number += 1
            free = f"{path}#{number}"
        return free

    def _signal_rules(self) -> dict[int, tuple[LoadedProfile, SignalRule]]:
        found: dict[int, tuple[LoadedProfile, SignalRule]] = {}
        for place in (*self._parts, *self._places):
            for rule in place.signals:
                entries = [e for e in place.find_all(rule.path) if e.node.kind is NodeKind.VARIABLE]
                if not entries and not rule.optional:
                    self._missing(place, f"no signal {rule.path}")
                found |= {id(entry.node): (place.profile, rule) for entry in entries}
        return found

    def _missing(self, place: Place, what: str) -> None:
        where = place.entry.path or place.entry.node.name.name
        self._notes.append(f"profile {place.profile.name}: there is {what} below {where}")

    def _add_signal(self, entry: Entry, path: str, rule: SignalRule | None) -> None:
        node = entry.node
        wire = node.type or _ANYTHING
        signal = Signal(path, node.address, wire, node.access, node.unit, node.range, None, node.description)
        conversion = None
        if rule is not None:
            signal, conversion = _apply(rule, signal)
        self._signals[path] = signal
        wiring = MappedSignal(node.address, wire, conversion)
        self._wiring[path] = wiring if rule is None else wiring.observed(rule)
        self._paths[id(node)] = path

    # --- skills --------------------------------------------------------------------------------------------------------------

    def _add_profile_skills(self) -> None:
        for place in (*self._places, *self._parts):
            for rule in place.skills:
                for one in rules_of(rule, place):
                    self._add_profile_skill(one, place)

    def _add_profile_skill(self, rule: SkillRule, place: Place) -> None:
        try:
            self._add_skill(build_skill(rule, place))
        except NotBuilt as reason:
            if not (rule.optional and isinstance(reason, Missing)):
                what = rule.name or rule.binding
                self._notes.append(f"profile {place.profile.name}: no skill {what}: {reason}")

    def _add_skill(self, built: BuiltSkill) -> None:
        path = self._free(built.skill.path, self._skills)
        self._skills[path] = replace(built.skill, path=path)
        self._mapped[path] = built.mapped
        self._claimed.update(id(node) for node in built.claimed)

    def _add_methods(self) -> None:
        hidden = self._claimed | self._of_conditions
        for entry in self._layout:
            if entry.node.kind is NodeKind.METHOD and id(entry.node) not in hidden:
                self._add_skill(plain_method_skill(entry))

    # --- results, identification and state -----------------------------------------------------------------------------------

    def _results(self) -> tuple[ResultSource, ...]:
        """One for each event type: of the place that is nearest to the machine's own node."""
        sources: dict[QualifiedName, ResultSource] = {}
        for place in self._places:
            for rule in place.profile.rules.results:
                source = result_source(rule, place.profile)
                sources.setdefault(source.type, source)
        return tuple(sources.values())

    def _identification(self) -> Identification:
        said: dict[str, Any] = {}
        for place in self._places:
            if place.entry is self._layout.root:
                said = {**said, **identify(place)}
        return Identification(**said)

    def _point(self, which: str) -> StatePoint | None:
        """The outermost one that tells, before all those that tell a part of it; a machine has one state."""
        make = packml_point if which == "packml" else unit_mode_point
        told = [(rule, place) for place in self._places if (rule := _state_rule(place, which)) is not None]
        ordered = sorted(told, key=lambda one: one[0].partial)
        return next((point for rule, place in ordered if (point := make(rule, place, self._paths)) is not None), None)


def _state_rule(place: Place, which: str) -> StateRule | None:
    rules = place.profile.rules.state
    return None if rules is None else rules.packml if which == "packml" else rules.unit_mode


def _apply(rule: SignalRule, signal: Signal) -> tuple[Signal, Conversion | None]:
    """What a profile says of a signal. A range that the machine tells is converted, one that the profile gives is canonical."""
    units = None if rule.unit is None else rule.unit.given(signal.unit)
    conversion = None if units is None or not _convertible(signal.type) else units.conversion
    range = rule.limits or _converted(signal.range, conversion)
    described = replace(
        signal,
        unit=signal.unit if units is None else units.unit,
        range=range,
        semantic_id=rule.semantic_id,
        description=rule.description or signal.description,
    )
    if conversion is not None:
        described = replace(described, type=replace(signal.type, builtin=BuiltinType.Double, name="Double", namespace=""))
    return described, conversion


def _convertible(type: ValueType) -> bool:
    return type.is_numeric


def _converted(range: Range | None, conversion: Conversion | None) -> Range | None:
    if range is None or conversion is None:
        return range
    low, high = sorted((conversion.up(range.low), conversion.up(range.high)))
    return Range(low, high)
