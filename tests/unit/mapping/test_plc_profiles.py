"""Profiles for PLCs, programs and locks: what is refused when they are read, and what they make of a machine."""

import pytest
from mapping_space import DI, UA, facts, method, obj, prop, value_type, var

from dtios.mapping.mapped import MappedMachine
from dtios.mapping.matcher import map_machines
from dtios.mapping.profiles.file import parse_profile
from dtios.mapping.profiles.library import ProfileLibrary
from dtios.model.datatypes import ValueType
from dtios.model.errors import ConfigurationError
from dtios.model.job import JobIdentity, JobVerb
from dtios.model.machine import Access

BOOL, WORD, INT = value_type("Boolean"), value_type("UInt16"), value_type("Int16")
PLC = "profile: own\nmatch: {name: PLC}\nrole: machine\nskills:\n"


def mapped(skill: str, *children: object, head: str = PLC) -> MappedMachine:
    profiles = ProfileLibrary([*(p.rules for p in ProfileLibrary.builtin()), parse_profile(head + skill, "own.yaml")])
    (machine,) = map_machines(facts(obj("PLC", *children)), profiles)
    return machine


BITS = (var("Go", type=BOOL), var("Busy", type=BOOL), var("Done", type=BOOL), var("CW", type=WORD), var("N", type=INT))


@pytest.mark.parametrize(("rule", "words"), [
    ("trigger: {path: CW, bit: 3}, busy: Busy", "own_word"),
    ("trigger: Go", "nothing tells its end"),
    ("trigger: Go, done: Done", "done_within"),
    ("trigger: Go, done: Done, done_within: 5, trigger_until: busy", "needs `busy`"),
    ("trigger: Go, busy: {path: N, equals: 1, bit: 2}", "give one of bit, equals and counts"),
    ("trigger: Go, busy: Busy, state: N", "belong together"),
    ("trigger: Go, done_within: 5, done: {path: Done, stays: true}", "of which job"),
    ("trigger: {path: N, up: 1}, busy: Busy", "both `up` and `down`"),
])  # fmt: skip
def test_refused_when_it_is_read(rule: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        ProfileLibrary([parse_profile(f"{PLC}  - {{binding: handshake, {rule}}}\n", "own.yaml")])


@pytest.mark.parametrize(("skill", "words"), [
    ("{binding: handshake, name: S, trigger: Went, busy: Busy}", "there is no Went"),
    ("{binding: handshake, name: S, trigger: {path: CW, bit: 16, own_word: true}, busy: Busy}", "bit 16"),
    ("{binding: handshake, name: S, trigger: {path: N, up: go, down: 0}, busy: Busy}", "cannot be written"),
    ("{binding: handshake, name: S, trigger: Shown, busy: Busy}", "cannot be written"),
    ("{binding: handshake, name: S, trigger: Go, busy: Text}", "by `equals`"),
    ("{binding: handshake, name: S, trigger: Go, busy: Many}", "an array"),
    ("{binding: write, name: S}", "no set-point"),
    ("{binding: write, name: S, parameters: {a: {path: N}}, confirm: {b: {path: N}}}", "no such parameter"),
    ("{binding: program, name: S}", "no method Start"),
    ("{binding: handshake, name: S, trigger: Go, busy: Busy, lock: Lock}", "there is no Lock"),
    ("{binding: handshake, name: S, trigger: Go, busy: Busy, lock: {type: LockingServicesType}}", "no lock"),
])  # fmt: skip
def test_what_does_not_fit_is_a_note(skill: str, words: str) -> None:
    machine = mapped(
        f"  - {skill}\n",
        *BITS,
        var("Shown", type=BOOL, access=Access.READ),
        var("Text", type=value_type("String")),
        var("Many", type=ValueType(BOOL.builtin, "Boolean", rank=1)),
    )
    assert "S" not in machine.skills
    assert any("no skill S" in note and words in note for note in machine.machine.notes), machine.machine.notes


def test_a_state_stands_for_the_bits() -> None:
    machine = mapped(
        "  - {binding: handshake, name: S, trigger: Go, state: N, states: {0: idle, 1: busy, 2: paused, 3: done}}\n", *BITS
    )
    binding = machine.skills["S"].binding
    assert (binding.identity, binding.name) == (JobIdentity.INFERABLE, "handshake")
    assert not machine.machine.notes


def test_an_enumeration_by_its_names() -> None:
    phase = ValueType(value_type("Int32").builtin, "Phase", members=((0, "Rest"), (1, "Drill")))
    machine = mapped(
        "  - {binding: handshake, name: S, trigger: Go, busy: {path: Phase, equals: Drill}}\n", *BITS, var("Phase", type=phase)
    )
    assert "S" in machine.skills
    plan = machine.skills["S"].binding._plan  # type: ignore[attr-defined]  # what was made of the name
    assert plan.busy.equals == (1,)


def test_extended_key_by_key() -> None:
    parent = "{binding: handshake, name: S, trigger: Go, busy: Busy, abort: CW, parameters: {a: {path: N}}}"
    child = "{binding: handshake, trigger: Go, parameters: {b: {path: N}}, lock: Lock}"
    parent = f"profile: base\nskills:\n  - {parent}\n"
    child = f"profile: own\nextends: base\nmatch: {{name: PLC}}\nskills:\n  - {child}\n"
    library = ProfileLibrary([parse_profile(parent, "base.yaml"), parse_profile(child, "own.yaml")])
    (rule,) = library["own"].rules.skills
    assert (rule.name, sorted(rule.parameters), rule.lock is not None) == ("S", ["a", "b"], True)


@pytest.mark.parametrize("skill", [
    "{binding: handshake, trigger: x:Go, busy: Busy}", "{binding: handshake, trigger: Go, busy: {path: x:Busy}}",
    "{binding: write, name: S, parameters: {a: {path: N}}, confirm: {a: x:N}}", "{binding: program, at: x:P}",
    "{binding: opensmi, parameters_at: x:P}", "{binding: method, method: M, lock: {type: x:Lock}}",
])  # fmt: skip
def test_prefixes_are_checked_when_loaded(skill: str) -> None:
    with pytest.raises(ConfigurationError, match="prefix 'x'"):
        ProfileLibrary([parse_profile(f"{PLC}  - {skill}\n", "own.yaml")])


def test_a_program_by_its_type() -> None:
    state = var(
        "CurrentState",
        "Ready",
        prop("Id", type=value_type("NodeId"), namespace=UA),
        namespace=UA,
        type=value_type("LocalizedText"),
    )
    results = obj("FinalResultData", var("Made", type=INT), namespace=UA)
    methods = [method(name, namespace=UA) for name in ("Start", "Halt", "Reset")]
    program = obj("Job", state, results, *methods, types=((UA, "ProgramStateMachineType"),))
    machine = mapped("", program, head="profile: own\nmatch: {name: PLC}\nrole: machine\n")
    skill = next(s for s in machine.machine.skills if s.binding == "program")
    assert (skill.path, skill.verbs) == ("Job", {JobVerb.START, JobVerb.ABORT})
    assert list(skill.results["properties"]) == ["Made"]
    assert sorted(machine.skills) == ["Job", "Job/Reset"], "Reset stays, for a person"


def test_the_nearest_lock_is_taken() -> None:
    def lock(name: str) -> object:
        return obj(name, method("InitLock", namespace=DI), method("ExitLock", namespace=DI), types=((DI, "LockingServicesType"),))

    skill = "  - {binding: handshake, name: S, trigger: Station/Go, busy: Busy, lock: {type: di:LockingServicesType}}\n"
    head = f'profile: own\nmatch: {{name: PLC}}\nrole: machine\nnamespaces: {{di: "{DI}"}}\nskills:\n'
    machine = mapped(skill, *BITS, obj("Station", var("Go", type=BOOL), lock("Inner")), lock("Lock"), head=head)
    assert machine.skills["S"].binding.name == "handshake, locked"
    outer = next(s for s in machine.machine.skills if s.path == "Lock/InitLock")
    assert machine.skills["S"].binding._nodes.init == machine.skills[outer.path].binding._method  # type: ignore[attr-defined]
