"""From address spaces to machines."""

import time
from dataclasses import replace
from typing import Any

import pytest
from mapping_space import DI, JOBS, MACHINERY, OWN, PACKML, UA, add, facts, method, obj, prop, value_type, var
from test_profiles import PRESS, library

from dtios.mapping.facts import BrowseFacts, Node, ReferenceKind
from dtios.mapping.mapped import MappedMachine
from dtios.mapping.matcher import map_machines
from dtios.mapping.profiles.library import ProfileLibrary
from dtios.model.datatypes import BuiltinType, ValueType
from dtios.model.job import JobIdentity, JobVerb
from dtios.model.machine import OnOwnerLost, Range
from dtios.model.values import LocalizedText

LIBRARY = ProfileLibrary.builtin()
DESCRIPTORS = ValueType(BuiltinType.ExtensionObject, "PackMLDescriptorDataType", rank=1)


def machines(*children: Any, profiles: ProfileLibrary = LIBRARY) -> dict[str, MappedMachine]:
    return {m.machine.name: m for m in map_machines(facts(*children), profiles)}


def paths(mapped: MappedMachine) -> list[str]:
    return [s.path for s in mapped.machine.signals]


def skills(mapped: MappedMachine) -> list[str]:
    return [s.path for s in mapped.machine.skills]


def identification(**values: str) -> Node:
    properties = [prop(name, value, DI) for name, value in values.items()]
    return obj("Identification", *properties, namespace=DI, types=((MACHINERY, "MachineIdentificationType"), (UA, "FolderType")))


def packml(name: str, namespace: str = PACKML, *more: Any) -> Node:
    def p(kind: Any, called: str, *children: Any, **options: Any) -> Node:
        made: Node = kind(called, *children, namespace=namespace, **options)
        return made

    text = value_type("LocalizedText")
    execute = p(
        obj, "ExecuteState",
        var("CurrentState", namespace=UA, type=text),
        *(p(method, m) for m in ("Reset", "Hold", "Unhold", "Suspend", "Unsuspend", "ToComplete")),
        p(method, "Start", {"Parameter": DESCRIPTORS}),
    )  # fmt: skip
    machine = p(
        obj, "MachineState", var("CurrentState", namespace=UA, type=text), p(method, "Reset"), p(method, "Stop"), execute
    )  # fmt: skip
    base = p(
        obj, "BaseStateMachine", var("CurrentState", namespace=UA, type=text), p(method, "Abort"), p(method, "Clear"), machine
    )  # fmt: skip
    mode = value_type("Int32", members=((1, "Produce"), (4, "Cleaning")))
    status = p(obj, "Status", p(var, "MachSpeed"), p(var, "UnitModeCurrent", type=mode))
    types = ((namespace, "PackMLBaseObjectType"), (UA, "BaseObjectType"))
    return obj(name, base, status, p(method, "SetUnitMode", {"RequestedMode": INT}), *more, types=types)


INT = value_type("Int32")


def receiver(name: str = "JobOrderControl", *names: str) -> Node:
    order = ValueType(BuiltinType.ExtensionObject, "ISA95JobOrderDataType")
    methods = [
        method(n, {"JobOrder" if "Store" in n else "JobOrderID": order if "Store" in n else value_type("String")}, namespace=JOBS)
        for n in names or ("StoreAndStart", "Pause", "Resume", "Stop", "Abort", "Clear")
    ]
    listed = ValueType(BuiltinType.ExtensionObject, "ISA95JobOrderAndStateDataType", rank=1)
    types = ((MACHINERY, "MyReceiverType"), (JOBS, "ISA95JobOrderReceiverObjectType"))
    return obj(name, var("JobOrderList", type=listed, namespace=JOBS), *methods, types=types)


def provider(name: str) -> Node:
    request = method("RequestJobResponseByJobOrderID", {"JobOrderID": value_type("String")}, namespace=JOBS)
    return obj(name, request, types=((JOBS, "ISA95JobResponseProviderObjectType"),))


# --- which nodes are machines ------------------------------------------------------------------------------------------------


def test_what_no_profile_knows_still_appears() -> None:
    found = machines(
        obj("Press", var("Force"), obj("Door", var("Closed", type=value_type("Boolean"))), method("Stamp")),
        obj("Empty", obj("Inside")),
        obj("Server", var("State"), namespace=UA),
    )
    assert list(found) == ["Press"]
    press = found["Press"].machine
    assert (press.profiles, press.path, press.identity) == (("generic",), "Press", "opc.tcp://here:4840/Press")
    assert paths(found["Press"]) == ["Force", "Door/Closed"]
    assert skills(found["Press"]) == ["Stamp"]


def test_loose_nodes_make_a_machine_of_the_root() -> None:
    found = machines(obj("A", var("X")), var("Loose"), method("Go"))
    assert set(found) == {"Objects", "A"}
    assert (paths(found["Objects"]), skills(found["Objects"])) == (["Loose"], ["Go"])
    assert found["Objects"].machine.path == ""


def test_machinery_anywhere_and_what_is_around_it() -> None:
    plate = {
        "Manufacturer": "DTI", "SerialNumber": "7", "ProductInstanceUri": "urn:dti:7", "Model": "M", "YearOfConstruction": "",
    }  # fmt: skip
    mill = obj("Mill", identification(**plate), obj("Spindle", var("Speed")))
    found = machines(obj("Hall", obj("Line", mill, var("Counter"))))
    assert set(found) == {"Hall", "Mill"}
    machine = found["Mill"].machine
    assert (machine.identity, machine.path, machine.profiles) == ("urn:dti:7", "Hall/Line/Mill", ("machinery",))
    assert (machine.identification.manufacturer, machine.identification.serial_number) == ("DTI", "7")
    assert machine.identification.year_of_construction is None
    assert "Identification/SerialNumber" in paths(found["Mill"])
    assert paths(found["Hall"]) == ["Line/Counter"]


def test_the_machines_folder_and_the_device_set_show_one_machine_once() -> None:
    mill = obj("Mill", identification(ProductInstanceUri="urn:mill"), var("X"))
    drive = obj("Drive", var("Current"), prop("SerialNumber", "D1", DI), types=((DI, "DeviceType"), (DI, "TopologyElementType")))
    spindle = obj("Spindle", var("Speed"))
    add(mill, spindle)
    found = machines(
        obj("DeviceSet", mill, drive, spindle, obj("DeviceFeatures", namespace=DI), namespace=DI),
        obj("Machines", (ReferenceKind.ORGANIZES, mill), namespace=MACHINERY),
        obj("Plant", (ReferenceKind.ORGANIZES, mill)),
        obj("DeviceTopology", var("OnlineAccess"), namespace=DI),
    )
    assert set(found) == {"Mill", "Drive"}
    assert found["Drive"].machine.identification.serial_number == "D1"
    assert found["Drive"].machine.profiles == ("di",)


def test_the_outermost_wins() -> None:
    inner = obj("Feeder", identification(ProductInstanceUri="urn:feeder"), var("Level"))
    found = machines(obj("Cell", identification(ProductInstanceUri="urn:cell"), inner))
    assert list(found) == ["Cell"]
    assert "Feeder/Level" in paths(found["Cell"])
    assert found["Cell"].machine.identity == "urn:cell"


def test_cycles_end() -> None:
    a, b = obj("A", var("X")), obj("B", var("Y"))
    add(a, b, a)
    add(b, a)
    assert set(machines(a, b)) == {"A", "B"}
    first = obj("First", identification(ProductInstanceUri="urn:1"))
    second = obj("Second", identification(ProductInstanceUri="urn:2"))
    add(first, second)
    add(second, first)
    assert list(machines(obj("Hall", first))) == ["First"]
    root = facts(obj("A", var("X")))
    add(root.root, root.root)
    add(root.root.children[0][1], root.root)
    assert [m.machine.name for m in map_machines(root, LIBRARY)] == ["A"]


def test_names_are_made_unique_in_node_id_order() -> None:
    one, two, three = obj("Press", var("X")), obj("Press", var("X")), obj("Press#2", var("X"))
    found = map_machines(facts(two, one, three), LIBRARY)
    by_address = {m.machine.signals[0].address: m.machine.name for m in found}
    address = {n.name.name + n.address: n.children[0][1].address for n in (one, two, three)}
    assert by_address[address[one.name.name + one.address]] == "Press"
    assert by_address[address[two.name.name + two.address]] == "Press#3"
    assert by_address[address[three.name.name + three.address]] == "Press#2"


def test_two_machines_with_one_product_instance_uri() -> None:
    found = machines(
        obj("A", identification(ProductInstanceUri="urn:same")), obj("B", identification(ProductInstanceUri="urn:same"))
    )
    assert {m.machine.identity for m in found.values()} == {"opc.tcp://here:4840/A", "opc.tcp://here:4840/B"}
    assert all("ProductInstanceUri" in m.machine.notes[0] for m in found.values())


def test_names_of_the_configuration() -> None:
    space = facts(obj("A", identification(ProductInstanceUri="urn:a")), obj("Hall", obj("B", identification(SerialNumber="1"))))
    found = map_machines(space, LIBRARY, {"urn:a": "mill", "Hall/B": "lathe"})
    assert {m.machine.name for m in found} == {"mill", "lathe"}


# --- signals -----------------------------------------------------------------------------------------------------------------


def test_paths_are_escaped_and_unique() -> None:
    same = [var("T"), var("T"), var("T")]
    found = machines(obj("M", *same, var("a/b~c"), obj("O", var("x")), obj("O", var("x"))))
    assert paths(found["M"]) == ["T", "T#2", "T#3", "a~1b~0c", "O/x", "O#2/x"]
    assert [s.address for s in found["M"].machine.signals[:3]] == [n.address for n in same]


def test_a_node_in_several_places_is_one_signal_by_its_shortest_path() -> None:
    shared = var("Speed")
    found = machines(obj("M", obj("Deep", obj("Deeper", shared)), obj("Near", shared)))
    assert paths(found["M"]) == ["Near/Speed"]


def test_metadata_is_no_signal_but_a_vendors_property_is() -> None:
    speed = var("Speed", 1.0, prop("EURange", None, UA), prop("EngineeringUnits", None, UA), prop("Definition", "x", UA),
                prop("EURange", None, OWN), prop("Setpoint"))  # fmt: skip
    speed.range = Range(0, 10)
    found = machines(obj("M", speed))
    assert paths(found["M"]) == ["Speed", "Speed/EURange", "Speed/Setpoint"]
    assert found["M"].machine.signals[0].range == Range(0, 10)


def test_a_variable_without_a_type_is_there() -> None:
    node = var("X")
    node.type = None
    assert machines(obj("M", node))["M"].machine.signals[0].type.builtin is BuiltinType.Variant


def test_every_method_has_schemas() -> None:
    grade = value_type("Int32", members=((1, "OK"), (2, "NotOK")))
    found = machines(obj("M", method("Go", {"": INT, "grade": grade, "list": value_type("Byte", rank=1)}, {"n": INT})))
    (skill,) = found["M"].machine.skills
    assert (skill.binding, skill.identity, skill.verbs) == ("method", JobIdentity.NONE, {JobVerb.START})
    assert skill.on_owner_lost is OnOwnerLost.FINISH
    assert skill.parameters["properties"]["argument1"] == {
        "type": "integer", "minimum": -(2**31), "maximum": 2**31 - 1, "x-data-type": "Int32",
    }  # fmt: skip
    assert skill.parameters["properties"]["list"]["items"] == {"type": "integer", "minimum": 0, "maximum": 255}
    assert skill.parameters["properties"]["grade"]["anyOf"][0] == {"enum": ["OK", "NotOK", 1, 2]}
    assert skill.parameters["required"] == ["argument1", "grade", "list"]


# --- profiles ----------------------------------------------------------------------------------------------------------------


def press() -> BrowseFacts:
    force = var("Force", 1.0)
    force.range = Range(0, 10)
    stamp = method("Stamp", {"TargetForce": value_type("Float")}, {"Peak": value_type("Float")})
    return facts(obj("Press", force, obj("Commands", stamp)))


def test_an_integrators_press() -> None:
    (mapped,) = map_machines(press(), library(PRESS))
    machine = mapped.machine
    assert machine.profiles == ("press",)
    (force,) = machine.signals
    assert force.unit is not None
    assert (force.unit.code, force.range, force.type.name) == ("NEW", Range(0, 5000), "Double")
    assert mapped.signals["Force"].conversion is not None
    assert mapped.signals["Force"].conversion.up(2.0) == 2000.0
    (stamp,) = machine.skills
    assert stamp.path == "stamp"
    assert stamp.capability is not None
    assert stamp.capability.satisfies("urn:x:stamp", {"force": 100})
    assert set(stamp.parameters["properties"]) == {"force"}
    assert stamp.parameters["properties"]["force"]["x-unit"] == "NEW"
    assert stamp.parameters["properties"]["force"]["maximum"] > 1e40
    assert mapped.skills["stamp"].parameters["force"].scale == 1000.0


def test_a_machines_range_is_converted_with_its_values() -> None:
    text = "profile: p\nmatch: {path: Press}\nsignals: [{path: Force, unit: {source: B47, canonical: NEW}}]"
    (mapped,) = map_machines(press(), library(text))
    assert mapped.machine.signals[0].range == Range(0, 10_000)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("signals: [{path: Farce}]", "no signal Farce below Press"),
        ("skills: [{binding: method, method: Commands/Stomp}]", "there is no Commands/Stomp"),
        ("skills: [{binding: method, method: Force}]", "is a variable, not a method"),
        ("skills: [{binding: method, method: Commands/Stamp, parameters: {f: {argument: F}}}]", "no argument 'F'"),
        ("skills: [{binding: job_order}]", "no JobOrderList"),
        ("skills: [{binding: packml, states: Force, commands: {Start: Go}}]", "no method Go"),
        ("skills: [{binding: packml, states: Commands, commands: {Start: Commands/Stamp}}]", "not a variable"),
        ("skills: [{binding: packml, states: Force, command: Force, results: {a: {path: B}}}]", "there is no B"),
    ],
)
def test_what_the_machine_lacks_is_a_note_and_the_rest_is_there(text: str, words: str) -> None:
    (mapped,) = map_machines(press(), library(f"profile: p\nmatch: {{path: Press}}\n{text}"))
    assert words in " ".join(mapped.machine.notes)
    assert paths(mapped) == ["Force"]
    assert skills(mapped) == ["Commands/Stamp"]


def test_better_names_do_not_collide() -> None:
    text = "profile: p\nmatch: {path: M}\nsignals: [{path: A, name: B}, {path: C, name: B}]"
    found = machines(obj("M", var("A"), var("B"), var("C")), profiles=library(text))
    assert sorted(paths(found["M"])) == ["B", "B#2", "C"]


def test_a_path_with_a_number_names_the_second_of_a_name() -> None:
    text = "profile: p\nmatch: {path: M}\nsignals: [{path: 'T#2', name: Second}]"
    first, second = var("T"), var("T")
    found = machines(obj("M", first, second), profiles=library(text))
    assert found["M"].signals["Second"].address == second.address


# --- PackML ------------------------------------------------------------------------------------------------------------------


def test_a_packml_object_at_the_top() -> None:
    mapped = machines(packml("Filler"))["Filler"]
    assert mapped.machine.profiles == ("packml",)
    skill = next(s for s in mapped.machine.skills if s.binding == "packml")
    assert (skill.path, skill.identity, skill.on_owner_lost) == ("BaseStateMachine", JobIdentity.INFERABLE, OnOwnerLost.HOLD)
    assert skill.verbs == {JobVerb.START, JobVerb.PAUSE, JobVerb.RESUME, JobVerb.STOP, JobVerb.ABORT}
    assert skill.capability is not None
    assert skill.capability.iri == "urn:dtios:capability:produce"
    assert sorted(skills(mapped)) == [
        "BaseStateMachine", "BaseStateMachine/Clear", "BaseStateMachine/MachineState/ExecuteState/Reset",
        "BaseStateMachine/MachineState/ExecuteState/ToComplete", "BaseStateMachine/MachineState/Reset", "SetUnitMode",
    ]  # fmt: skip


def test_its_state_is_told_by_three_nested_machines() -> None:
    mapped = machines(packml("Filler"))["Filler"]
    assert mapped.state is not None
    base, machine, execute = mapped.state.signals
    text = LocalizedText
    told = mapped.state.name_among
    assert told({base: text("Cleared"), machine: text("Running"), execute: text("Held")}) == "Held"
    assert told({base: text("Cleared"), machine: text("Stopped"), execute: text("Held")}) == "Stopped"
    assert told({base: text("Aborted"), machine: text("Running"), execute: text("Held")}) == "Aborted"
    assert told({base: text("Odd"), machine: text("Running"), execute: text("Held")}) is None
    assert told({machine: text("Running"), execute: text("Held")}) is None
    assert mapped.unit_mode is not None
    assert [mapped.unit_mode.name_of(n) for n in (1, 2, 4, 9)] == ["Produce", "Maintenance", "Cleaning", None]


def test_several_units_in_one_object_are_machines_of_their_own() -> None:
    found = machines(obj("Line", packml("Filler"), packml("Capper"), var("Rate")))
    assert set(found) == {"Line", "Filler", "Capper"}
    assert paths(found["Line"]) == ["Rate"]
    one = machines(obj("Line", packml("Filler"), var("Rate")))
    assert list(one) == ["Line"]
    assert "Filler/BaseStateMachine" in skills(one["Line"])


def test_a_subtype_and_another_namespace() -> None:
    unit = packml("Filler")
    unit.types = (type(unit.types[0])(OWN, "FillerType"), *unit.types)
    assert machines(unit)["Filler"].machine.profiles == ("packml",)
    other = packml("Filler", "urn:other")
    assert machines(other)["Filler"].machine.profiles == ("generic",)
    own = library("profile: other\nextends: packml\nnamespaces: {pml: 'urn:other'}")
    mapped = machines(other, profiles=own)["Filler"]
    assert mapped.machine.profiles == ("other",)
    assert "BaseStateMachine" in skills(mapped)


def test_packml_in_a_machinery_machine() -> None:
    found = machines(obj("Mill", identification(ProductInstanceUri="urn:m"), packml("PackML"), receiver(), provider("Results")))
    mill = found["Mill"]
    assert mill.machine.profiles == ("machinery", "packml", "job-order")
    assert {"PackML/BaseStateMachine", "JobOrderControl"} <= set(skills(mill))
    assert mill.state is not None


def test_classic_pack_tags_by_a_profile() -> None:
    text = """
profile: tags
match: {path: Filler}
state: {packml: Status.StateCurrent}
skills:
  - binding: packml
    name: fill
    states: Status.StateCurrent
    command: Command.CntrlCmd
    change_request: Command.CmdChangeRequest
    parameters: {count: {path: Command.Count, required: true, low: 1}}
"""
    unit = obj("Filler", var("Status.StateCurrent", type=INT), var("Command.CntrlCmd", type=INT), var("Command.Count", type=INT),
               var("Command.CmdChangeRequest", type=value_type("Boolean")))  # fmt: skip
    mapped = machines(unit, profiles=library(text))["Filler"]
    (skill,) = mapped.machine.skills
    assert skill.path == "fill"
    assert skill.parameters["properties"]["count"]["minimum"] == 1
    assert skill.parameters["required"] == ["count"]
    assert mapped.state is not None
    assert mapped.state.name_among({"Status.StateCurrent": 6}) == "Execute"


# --- job orders --------------------------------------------------------------------------------------------------------------


def test_a_receiver_at_the_top_and_one_in_a_machine() -> None:
    top = machines(receiver("Orders"))["Orders"]
    skill = next(s for s in top.machine.skills if s.binding == "job_order")
    assert (skill.path, skill.identity, skill.on_owner_lost) == ("Orders", JobIdentity.NATIVE, OnOwnerLost.HOLD)
    assert skill.verbs == {JobVerb.START, JobVerb.PAUSE, JobVerb.RESUME, JobVerb.STOP, JobVerb.ABORT}
    assert skills(top) == ["Orders", "Clear"]
    inside = machines(obj("Cell", obj("Jobs", receiver(), provider("JobOrderResults")), obj("Jobs2", receiver(), provider("R"))))
    assert {"Jobs/JobOrderControl", "Jobs2/JobOrderControl"} <= set(skills(inside["Cell"]))


def test_a_receiver_that_cannot_start_is_a_note() -> None:
    mapped = machines(receiver("Orders", "Pause", "Stop"))["Orders"]
    assert "neither StoreAndStart nor Store and Start" in mapped.machine.notes[0]
    assert skills(mapped) == ["Pause", "Stop"]


# --- all of it ---------------------------------------------------------------------------------------------------------------


def test_twice_the_same() -> None:
    space = facts(packml("A"), obj("B", receiver(), var("T"), var("T")), obj("A", var("x")))
    one, two = map_machines(space, LIBRARY), map_machines(space, LIBRARY)
    assert [m.machine for m in one] == [m.machine for m in two]
    assert [replace(m.machine, notes=()) for m in one]


def test_ten_thousand_nodes_in_well_under_a_second() -> None:
    groups = [obj(f"G{g}", *(var(f"V{v}", 1.0, prop("EURange", None, UA)) for v in range(50))) for g in range(100)]
    space = facts(*(obj(f"M{i}", *groups[i * 10 : i * 10 + 10]) for i in range(10)))
    start = time.process_time()
    found = map_machines(space, LIBRARY)
    took = time.process_time() - start
    assert sum(len(m.machine.signals) for m in found) == 5000
    assert took < 0.8
