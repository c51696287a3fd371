"""Proposed profiles: they load, say what a person has to add, and describe the same machine."""

from typing import Any

import pytest

from dtios.mapping.facts import BrowseFacts
from dtios.mapping.matcher import map_machines
from dtios.mapping.profiles.file import parse_profile
from dtios.mapping.profiles.grouping import grouped_names
from dtios.mapping.profiles.library import ProfileLibrary
from dtios.mapping.profiles.propose import propose
from dtios.model.errors import ConfigurationError
from dtios.model.machine import Machine, Range, Unit
from tests.unit.mapping.mapping_space import DI, JOBS, MACHINERY, OWN, PACKML, UA, add, facts, method, obj, prop, value_type, var

BUILTIN = ProfileLibrary.builtin()
MILL = (OWN, "MillType"), (UA, "BaseObjectType")


def again(space: BrowseFacts, path: str) -> tuple[str, Machine, Machine]:
    """(the proposed YAML, the machine without it, the machine with it)"""
    text = propose(space, BUILTIN, path).yaml()
    library = ProfileLibrary.load(texts=[("proposed.yaml", text)])
    before = {m.machine.path: m.machine for m in map_machines(space, BUILTIN)}
    after = {m.machine.path: m.machine for m in map_machines(space, library)}
    assert before.keys() == after.keys()
    return text, before[path], after[path]


def same(before: Machine, after: Machine) -> None:
    assert {(s.path, s.address, s.type, s.unit, s.range) for s in after.signals} == {
        (s.path, s.address, s.type, s.unit, s.range) for s in before.signals
    }
    assert {(s.path, s.binding, str(s.parameters), str(s.results)) for s in after.skills} == {
        (s.path, s.binding, str(s.parameters), str(s.results)) for s in before.skills
    }
    assert set(after.notes) <= set(before.notes)


def test_a_type_of_its_own_is_matched_with_its_namespace() -> None:
    drill = method("Drill", {"depth": value_type(), "name": value_type("String")}, {"time": value_type()})
    speed = var("Speed", unit=Unit("MTS", "m/s"), range=Range(0, 2))
    text, before, after = again(facts(obj("Mill", var("Level"), speed, drill, types=MILL)), "Mill")
    same(before, after)
    assert after.profiles == ("mill",)
    profile = parse_profile(text, "p")
    assert profile.match is not None
    assert (profile.match.type, profile.match.namespace) == ("maker:MillType", OWN)
    assert profile.role == "machine"
    assert text.count("# range: [LOW, HIGH]") == 1  # of Level; Speed says its own
    assert "path: Speed  # Double, m/s, 0..2" in text
    assert list(profile.skills[0].parameters) == ["depth", "name"]


def test_every_blank_has_to_be_filled_in_to_count() -> None:
    text = propose(facts(obj("Mill", var("Level"), types=MILL)), BUILTIN, "Mill").yaml()
    for blank in ("# unit: CODE", "# range: [LOW, HIGH]"):
        with pytest.raises(ConfigurationError):
            parse_profile(text.replace(blank, blank.removeprefix("# ")), "p")
    filled = text.replace("# unit: CODE", "unit: MTR").replace("# range: [LOW, HIGH]", "range: [0, 5]")
    (signal,) = parse_profile(filled, "p").signals
    assert signal.unit is not None
    assert (signal.unit.source, signal.range) == ("MTR", (0, 5))


def test_without_a_type_the_place_is_matched() -> None:
    text, before, after = again(facts(obj("Press", var("Force"))), "Press")
    same(before, after)
    assert "path: Press\n" in text
    assert "type:" not in text


def test_two_machines_of_one_type_stay_two() -> None:
    space = facts(obj("A", var("X"), types=MILL), obj("B", var("X"), types=MILL))
    for path in ("A", "B"):
        _, before, after = again(space, path)
        same(before, after)


def test_a_type_that_stands_inside_other_machines_is_matched_by_place() -> None:
    inner = obj("Spindle", var("Speed"), types=((OWN, "UnitType"),))
    space = facts(obj("Cell", inner, var("State")), obj("Single", var("Speed"), types=((OWN, "UnitType"),)))
    text, before, after = again(space, "Single")
    same(before, after)
    assert "path: Single" in text


def test_a_shipped_profile_that_matches_is_extended() -> None:
    plate = obj(
        "Identification",
        prop("Manufacturer", "Maker", DI),
        prop("SerialNumber", "17", DI),
        types=((MACHINERY, "MachineIdentificationType"),),
        namespace=DI,
    )
    text, before, after = again(facts(obj("Machines", obj("Lathe", plate, var("Load")), namespace=MACHINERY)), "Machines/Lathe")
    same(before, after)
    assert "extends: machinery" in text
    assert "identification" not in text  # inherited
    assert after.identification == before.identification
    assert after.identification.serial_number == "17"
    assert after.profiles == ("lathe",)


def test_an_inner_facet_goes_on_matching() -> None:
    machine = obj("BaseStateMachine", namespace=PACKML)
    unit = obj("Unit", machine, var("Speed"), types=((PACKML, "PackMLBaseObjectType"),))
    text, before, after = again(facts(obj("Line", unit, var("Count"))), "Line")
    same(before, after)
    assert set(after.profiles) == {"line", "packml"}
    assert "extends" not in text


def test_a_nameplate_that_no_profile_knows_is_proposed() -> None:
    plate = obj("Nameplate", prop("Vendor_Name", "Maker"), prop("Serial No", "0815"), prop("Model", ""), prop("Other", "x"))
    text, before, after = again(facts(obj("Oven", plate, var("Heat"))), "Oven")
    same(before, after)
    assert (after.identification.manufacturer, after.identification.serial_number) == ("Maker", "0815")
    assert after.identification.model is None
    assert "model:" not in text


def test_flat_names_are_grouped_and_lead_to_the_same_nodes() -> None:
    names = ('"DB1"."Motor1"."Speed"', '"DB1"."Motor1"."On"', "Pump_Flow", "Pump_Level", "Temperature", "A/B", "x:y")
    _, before, after = again(facts(obj("PLC", *(var(name) for name in names))), "PLC")
    assert {s.address for s in after.signals} == {s.address for s in before.signals}
    assert {s.path for s in after.signals} == {
        "DB1/Motor1/Speed", "DB1/Motor1/On", "Pump/Flow", "Pump/Level", "Temperature", "A~1B", "x:y",
    }  # fmt: skip


def test_bits_that_look_like_a_skill_are_offered_and_not_taken() -> None:
    bit = value_type("Boolean")
    names = ("Job_Start", "Job_Busy", "Job_Done", "Job_Error", "Pump_Start", "Lamp", '"DB1"."bExecute"', '"DB1"."bDone"')
    text, before, after = again(facts(obj("PLC", *(var(name, type=bit) for name in names))), "PLC")
    assert before.skills == after.skills == ()
    assert parse_profile(text, "p").skills == ()
    at = text.index("# skills:")
    taken = text[:at] + "".join(line.removeprefix("# ") for line in text[at:].splitlines(keepends=True))
    with pytest.raises(ConfigurationError):
        parse_profile(taken, "p")  # nobody said how long the one without a busy bit may take
    skills = {skill.name: skill for skill in parse_profile(taken.replace("SECONDS", "10"), "p").skills}
    assert {name: (skill.binding, skill.trigger.path, skill.done.path) for name, skill in skills.items()} == {
        "Job": ("handshake", "Job_Start", "Job_Done"),
        "DB1": ("handshake", '"DB1"."bExecute"', '"DB1"."bDone"'),
    }


def test_loose_variables_and_methods_below_the_root() -> None:
    space = facts(var("Alpha"), var("Beta"), method("Go"), obj("Other", var("X")))
    text, before, after = again(space, "")
    same(before, after)
    assert "role: facet" in text
    assert len(before.signals) == 2


@pytest.mark.parametrize(
    "name",
    ["true", "a: b", "# no comment", "quo\"te'", "tab\tline\nbreak", "ümlaut – ±", "a/b~c", "packml", "1", "-", "x#2", "["],
)
def test_any_name_makes_a_file_that_loads(name: str) -> None:
    space = facts(
        obj(name, var(name), var(f"{name} 2", description=name), obj("In", var(name)), method(name + "()", {name: value_type()}))
    )
    path = map_machines(space, BUILTIN)[0].machine.path
    _, before, after = again(space, path)
    assert {s.address for s in after.signals} == {s.address for s in before.signals}
    assert {s.path for s in after.skills} == {s.path for s in before.skills}


def test_siblings_of_one_name_and_cycles() -> None:
    inner = obj("Twin", var("V"))
    top = obj("Top", inner, obj("Twin", var("V")))
    add(inner, top)
    _, before, after = again(facts(top), "Top")
    same(before, after)
    assert {"Twin/V", "Twin#2/V"} <= {s.path for s in after.signals}


def test_no_machine_there_is_one_sentence() -> None:
    with pytest.raises(ConfigurationError, match="no machine at this place"):
        propose(facts(obj("A", var("x"))), BUILTIN, "B")


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["M1_Speed", "M1_Current", "M2_Speed", "Pump_On"], {"M1_Speed": "M1/Speed", "M1_Current": "M1/Current"}),
        (["PLC_PRG.rTemp", "PLC_PRG.bOn"], {"PLC_PRG.rTemp": "PLC_PRG/rTemp", "PLC_PRG.bOn": "PLC_PRG/bOn"}),
        (["rTemp_1", "rTemp_2"], {}),
        (["A", "A_b", "A_c"], {"A_b": "A/b", "A_c": "A/c"}),
        (["", "_", ".", '""'], {}),
        (["a.b", "a_b", "a_c"], {"a_c": "a/c"}),  # two that would get one name keep theirs
        (["J_E_Code", "J_E_Text", "J_Done"], {"J_E_Code": "J/E/Code", "J_E_Text": "J/E/Text", "J_Done": "J/Done"}),
    ],
)  # fmt: skip
def test_grouping(names: list[str], expected: dict[str, Any]) -> None:
    assert grouped_names(names) == expected


def test_job_orders_are_left_to_their_profile() -> None:
    receiver = obj("JobOrderControl", method("Store"), types=((JOBS, "ISA95JobOrderReceiverObjectType"),), namespace=JOBS)
    _, before, after = again(facts(obj("Robot", receiver, var("Pos"))), "Robot")
    same(before, after)
