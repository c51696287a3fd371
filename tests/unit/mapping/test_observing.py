"""Sampling and dead bands: what may be written, and what becomes of it on the way to the machine."""

import pytest
from pydantic import ValidationError

from dtios.mapping.conversion import Conversion
from dtios.mapping.mapped import MappedMachine, MappedSignal, StatePoint
from dtios.mapping.observing import DeadBand, ObserveRule
from dtios.mapping.profiles.file import parse_profile
from dtios.model.datatypes import BuiltinType, ValueType
from dtios.model.machine import Machine
from dtios.runtime.configuration.config import MachineSettings
from dtios.runtime.links.observing import observed

DOUBLE = ValueType(BuiltinType.Double, "Double")
TEXT = ValueType(BuiltinType.String, "String")
PHASE = ValueType(BuiltinType.Int32, "Phase", members=((0, "Off"), (1, "On")))


@pytest.mark.parametrize(
    ("text", "band"), [(0.5, DeadBand(0.5)), ("2%", DeadBand(2, True)), ("0.5 %", DeadBand(0.5, True)), (None, None)]
)
def test_a_dead_band_is_a_number_or_percent(text, band):
    assert ObserveRule(dead_band=text).band == band


@pytest.mark.parametrize("text", [0, -1, "%", "0%", "101%", "lots", float("nan"), float("inf")])
def test_anything_else_is_refused(text):
    with pytest.raises(ValidationError):
        ObserveRule(dead_band=text)


def test_a_rule_survives_being_written_and_read_again():
    rule = ObserveRule(sampling=2, dead_band="2%")
    assert ObserveRule.model_validate(rule.model_dump(mode="json")) == rule


def test_canonical_units_become_the_machines():
    signal = MappedSignal("a", DOUBLE, Conversion(-0.001, 5.0)).observed(ObserveRule(dead_band=0.5))
    assert signal.dead_band == DeadBand(500.0)
    assert MappedSignal("a", DOUBLE, Conversion(0.001)).observed(ObserveRule(dead_band="2%")).dead_band == DeadBand(2, True)


@pytest.mark.parametrize("wire", [TEXT, PHASE, ValueType(BuiltinType.Boolean, "Boolean")])
def test_only_numbers_have_a_dead_band(wire):
    signal = MappedSignal("a", wire).observed(ObserveRule(sampling=3, dead_band=1))
    assert (signal.sampling, signal.dead_band) == (3, None)


def test_a_profile_says_it_of_a_signal():
    profile = parse_profile("profile: p\nmatch: {name: M}\nsignals:\n  - {path: Level, sampling: 1.5, dead_band: 2%}\n", "p.yaml")
    assert (profile.signals[0].sampling, profile.signals[0].band) == (1.5, DeadBand(2, True))


def machine(*paths: str, state: str | None = None) -> MappedMachine:
    point = None if state is None else StatePoint(state, {})
    return MappedMachine(Machine("m", "e", "i"), {p: MappedSignal(p, DOUBLE) for p in paths}, {}, point)


def settings(**more) -> MachineSettings:
    return MachineSettings.model_validate({"endpoint": "memory:m", **more})


def test_a_path_goes_before_patterns_and_the_first_pattern_that_fits_counts():
    rules = {"Oven/*": {"sampling": 1}, "**": {"sampling": 9, "dead_band": 3}, "Oven/Door": {"sampling": 0.1}}
    found = observed(machine("Oven/Heat", "Oven/Door", "Level"), settings(signals=rules)).signals
    assert {path: one.sampling for path, one in found.items()} == {"Oven/Heat": 1, "Oven/Door": 0.1, "Level": 9}
    assert found["Oven/Heat"].dead_band is None
    assert found["Level"].dead_band == DeadBand(3)


def test_what_guards_a_command_is_told_whole_and_a_note_says_so():
    wanted = settings(
        signals={"**": {"sampling": 5, "dead_band": 1}},
        interlocks=[{"signal": "Heat", "below": 60}, {"signal": "Gone", "above": 1}],
    )
    found = observed(machine("Heat", "Level", "State", state="State"), wanted)
    for path in ("Heat", "State"):
        assert (found.signals[path].sampling, found.signals[path].dead_band) == (None, None)
    assert found.signals["Level"].dead_band == DeadBand(1)
    assert [note.partition(" guards")[0] for note in found.machine.notes] == ["Heat", "State"]
    assert "sampling and dead band left out" in found.machine.notes[0]


def test_also_where_a_profile_set_it():
    coarse = MappedSignal("Heat", DOUBLE, None, 10.0, DeadBand(4))
    mapped = MappedMachine(Machine("m", "e", "i"), {"Heat": coarse}, {})
    found = observed(mapped, settings(interlocks=[{"signal": "Heat", "below": 60}]))
    assert found.signals["Heat"] == MappedSignal("Heat", DOUBLE)
    assert len(found.machine.notes) == 1


def test_what_fits_nothing_is_a_note():
    found = observed(machine("Level"), settings(signals={"Lefel": {"sampling": 1}}))
    assert found.machine.notes == ("dtios.yaml observes Lefel, and no signal here fits, did you mean Level?",)
