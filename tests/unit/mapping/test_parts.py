"""What a profile says of many nodes at once: parts, `*`, optional nodes, semantic ids; states told in part, machine's units."""

from typing import Any

import pytest
from mapping_space import OWN, facts, method, obj, prop, var
from test_profiles import library

from dtios.mapping.facts import Node
from dtios.mapping.mapped import MappedMachine
from dtios.mapping.matcher import map_machines
from dtios.model.errors import ConfigurationError
from dtios.model.machine import Unit

ROBOT = """
profile: robot
namespaces: {own: "urn:maker"}
match: {type: "own:RobotType"}
role: machine
optional: true
semantics: "urn:robot#"
identification: {serial_number: [Serial, Arms/*/Serial]}
signals: [Speed, {path: Load, optional: false}, {path: Arms/*/Weight, semantic_id: "urn:weight"}]
parts:
  - type: own:AxisType
    semantics: "urn:axis#"
    signals: [own:Set/Position, {path: Set/Angle, unit: {canonical: DD}}]
    skills: [{binding: method, method: Brake, capability: "urn:x:brake"}]
  - path: Arms/*/Tool
    signals: [{path: Width, unit: {canonical: MTR}}]
"""


def axis(name: str, *more: Any, **unit: Any) -> Node:
    return obj(name, obj("Set", var("Position"), var("Angle", **unit), *more), method("Brake"), types=((OWN, "AxisType"),))


def arm(name: str, *children: Any) -> Node:
    return obj(name, prop("Serial", f"S-{name}"), var("Weight"), *children)


def robot(*arms: Node, profiles: tuple[str, ...] = (ROBOT,)) -> MappedMachine:
    node = obj("Robot", var("Load"), obj("Arms", *arms), types=((OWN, "RobotType"),))
    (mapped,) = map_machines(facts(node), library(*profiles))
    return mapped


def test_the_same_rules_for_every_part() -> None:
    mapped = robot(arm("A", axis("X"), axis("Y"), obj("Tool", var("Width", unit=Unit("MMT", "mm")))), arm("B", axis("X")))
    signals = {s.path: s for s in mapped.machine.signals}
    axes = ("Arms/A/X", "Arms/A/Y", "Arms/B/X")
    assert {p: signals[f"{p}/Set/Position"].semantic_id for p in axes} == dict.fromkeys(axes, "urn:axis#Set/Position")
    assert [signals[f"Arms/{a}/Weight"].semantic_id for a in "AB"] == ["urn:weight", "urn:weight"]
    assert signals["Load"].semantic_id == "urn:robot#Load"
    skills = {s.path: s.capability for s in mapped.machine.skills}
    assert {path: c.iri for path, c in skills.items() if c} == {f"{p}/Brake": "urn:x:brake" for p in axes}
    assert mapped.machine.notes == ()  # neither Speed nor the arm without a tool


def test_a_unit_is_converted_from_what_the_machine_tells() -> None:
    told = [Unit("C81", "rad"), None, Unit("MTR", "m"), Unit(None, "turns"), Unit("DD", "°")]
    mapped = robot(arm("A", *(axis(f"X{n}", unit=unit) for n, unit in enumerate(told))))
    angles = [
        (s.unit.code if s.unit else None, mapped.signals[s.path].conversion) for s in mapped.machine.signals if "Angle" in s.path
    ]
    assert [code for code, _ in angles] == ["DD", "DD", "MTR", None, "DD"]  # what cannot be converted stays as it is
    assert [conversion is not None for _, conversion in angles] == [True, False, False, False, False]
    assert angles[0][1] is not None
    assert angles[0][1].up(3.141592653589793) == pytest.approx(180)


def test_one_part_speaks_for_the_machine_and_two_do_not() -> None:
    assert robot(arm("A")).machine.identification.serial_number == "S-A"
    assert robot(arm("A"), arm("B")).machine.identification.serial_number is None


def test_what_is_not_optional_is_noted_and_optional_is_not_inherited() -> None:
    node = obj("Robot", types=((OWN, "RobotType"),))
    (mapped,) = map_machines(facts(node), library(ROBOT))
    assert mapped.machine.notes == ("profile robot: there is no signal Load below Robot",)
    own = "profile: mine\nextends: robot\nsignals: [Heat, {path: Speed, name: V}]\n"
    own += 'parts: [{type: "own:AxisType", signals: [Torque]}]'
    mapped = robot(arm("A", axis("X")), profiles=(ROBOT, own))
    assert mapped.machine.profiles == ("mine",)
    assert mapped.machine.notes == (
        "profile mine: there is no signal Torque below Arms/A/X",
        "profile mine: there is no signal Heat below Robot",
    )
    assert {s.path: s.semantic_id for s in mapped.machine.signals}["Arms/A/X/Set/Position"] == "urn:axis#Set/Position"


def test_a_state_told_in_part_gives_way() -> None:
    outer = "profile: outer\nmatch: {name: M}\nrole: machine\n"
    outer += "state: {packml: {paths: [Item], partial: true, states: {Busy: Execute}}}"
    inner = "profile: inner\nmatch: {name: Unit}\nstate: {packml: State}"
    (both,) = map_machines(facts(obj("M", var("Item"), obj("Unit", var("State")))), library(outer, inner))
    (alone,) = map_machines(facts(obj("M", var("Item"))), library(outer, inner))
    assert [m.state.signal if m.state else None for m in (both, alone)] == ["Unit/State", "Item"]
    assert alone.state is not None
    assert [alone.state.name_of(v) for v in ("Busy", "Waiting")] == ["Execute", None]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("parts: [{signals: [A]}]", "type of the parts"),
        ("parts: [{path: A, signals: [{path: B, name: C}]}]", "every part"),
        ("parts: [{path: A, signals: ['x:B']}]", "prefix 'x'"),
        ("parts: [{type: 'x:A'}]", "prefix 'x'"),
        ("identification: {model: [A, 'x:B']}", "prefix 'x'"),
    ],
)
def test_parts_that_cannot_be(text: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        library(f"profile: a\n{text}\n")
