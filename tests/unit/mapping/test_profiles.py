"""Profiles: what their files may say, `extends`, and sentences for what they may not."""

from pathlib import Path

import pytest

from dtios.mapping.profiles.file import parse_profile
from dtios.mapping.profiles.library import ProfileLibrary
from dtios.mapping.profiles.skills import PackMLRule
from dtios.model.errors import ConfigurationError

PRESS = """
profile: press
match: {path: Press}
signals:
  - {path: Force, unit: {source: B47, canonical: NEW}, range: [0, 5000]}
skills:
  - name: stamp
    binding: method
    method: Commands/Stamp
    capability: {iri: "urn:x:stamp", properties: {force: {low: 0, high: 5000, unit: NEW}}}
    parameters:
      force: {argument: TargetForce, unit: {source: B47, canonical: NEW}}
"""


def library(*texts: str) -> ProfileLibrary:
    own = [parse_profile(text, f"own{i}.yaml") for i, text in enumerate(texts)]
    return ProfileLibrary([*(p.rules for p in ProfileLibrary.builtin()), *own])


def test_the_shipped_ones() -> None:
    assert ProfileLibrary.builtin().names == (
        "di-lock", "di", "energy", "energy-e3", "generic", "job-order", "machinery", "joining", "machinery-counters",
        "machinery-result", "machinetool", "machinevision", "opensmi-machine", "opensmi", "packml", "process-values", "program",
        "robotics", "sparkplug", "vda5050",
    )  # fmt: skip


def test_an_integrators_profile_is_short() -> None:
    assert library(PRESS)["press"].rules.signals[0].limits is not None
    assert len(PRESS.strip().splitlines()) <= 15


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("profile: a\nmatch: {path: B}\nsignal: []", 3, "not a known key"),
        ("match: {path: B}", 1, "missing"),
        ("profile: a\nmatch: {}", 2, "at least one of type"),
        ("profile: a\nrole: unit", 2, "machine"),
        ("profile: a\nsignals:\n  - path: X\n  - path: Y\n    unti: MTR", 5, "not a known key"),
        ("profile: a\nsignals:\n  - path: X\n    unit: parsec", 4, "UNECE"),
        ("profile: a\nsignals:\n  - path: X\n    unit: {source: MTR, canonical: SEC}", 4, "does not convert"),
        ("profile: a\nsignals:\n  - path: X\n    unit: {source: MTR, scale: 0}", 4, "scale of 0"),
        ("profile: a\nsignals:\n  - path: X\n    unit: {source: MTR, scale: .nan}", 4, "finite"),
        ("profile: a\nsignals:\n  - {path: X, range: [5, 1]}", 3, "low end"),
        ("profile: a\nskills:\n  - {binding: magic}", 3, "magic"),
        ("profile: a\nskills:\n  - binding: method\n    name: x", 3, "missing"),
        ("profile: a\nskills:\n  - binding: packml\n    state_names: {5: Flying}", 4, "no PackML state"),
        ("profile: a\nskills:\n  - binding: packml\n    commands: {Jump: X}", 4, "Reset"),
        ("profile: a\nskills:\n  - {binding: method, method: X, parameters: {a: {type: Real}}}", 3, "built-in type"),
        ("profile: a\n  b: c: d", 2, "mapping values"),
        ("- a", 1, "mapping"),
        ("", 1, "missing"),
        ("profile: 'a b'", 1, "pattern"),
        ("profile: a\nidentification: {colour: X}", 2, "colour"),
    ],
)
def test_a_wrong_profile_is_one_sentence_with_its_line(text: str, line: int, words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_profile(text, "mine.yaml")
    assert caught.value.where == f"mine.yaml:{line}"
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.mend


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (("profile: a\nextends: b",), "no profile 'b'"),
        (("profile: a\nextends: b", "profile: b\nextends: a"), "extends itself"),
        (("profile: a\nextends: a",), "extends itself"),
        (("profile: a", "profile: a"), "two profiles"),
        (("profile: a\nmatch: {type: 'x:T'}",), "prefix 'x'"),
        (("profile: a\nsignals: [{path: 'A/x:B'}]",), "prefix 'x'"),
        (("profile: a\nskills: [{binding: packml, states: S}]",), "a way to start"),
        (("profile: a\nskills: [{binding: packml, commands: {Start: S}}]",), "see its state"),
    ],
)
def test_profiles_that_do_not_fit_together(texts: tuple[str, ...], words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        library(*texts)
    assert words in str(caught.value)


def test_extends_overrides_by_name_and_keeps_the_rest() -> None:
    child = library("""
profile: filler
extends: packml
namespaces: {pml: "urn:other"}
match: {path: Filler}
role: machine
skills:
  - {binding: packml, at: "pml:BaseStateMachine", name: Fill, reset_before_start: true, commands: {Start: Go}}
""")["filler"]
    (skill,) = child.rules.skills
    assert isinstance(skill, PackMLRule)
    assert (skill.name, skill.reset_before_start, len(skill.states)) == ("Fill", True, 3)
    assert skill.commands["Start"] == "Go"
    assert skill.commands["Hold"].endswith("pml:Hold")
    assert skill.capability is not None
    assert skill.capability.iri == "urn:dtios:capability:produce"
    assert child.path(skill.states[0])[0].namespace == "urn:other"
    assert child.ancestors == ("packml",)
    assert child.is_machine
    assert not ProfileLibrary.builtin()["packml"].is_machine


def test_one_skill_of_the_parent_may_become_several() -> None:
    child = library("""
profile: cell
extends: job-order
skills:
  - {binding: job_order, name: bolt, work_master: W1}
  - {binding: job_order, name: weld, work_master: W2, capability: "urn:x:weld"}
""")["cell"]
    assert [s.name for s in child.rules.skills] == ["bolt", "weld"]
    assert all(getattr(s, "responses_type", None) for s in child.rules.skills)


def test_from_files_and_folders(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(PRESS)
    (tmp_path / "notes.txt").write_text("no profile")
    (tmp_path / "mine.yml").write_text("profile: packml\nmatch: {path: Mine}")
    loaded = ProfileLibrary.load([tmp_path])
    assert "press" in loaded.names
    assert loaded["packml"].rules.match is not None
    assert loaded["packml"].rules.match.path == "Mine"
    with pytest.raises(ConfigurationError, match="no such file"):
        ProfileLibrary.load([tmp_path / "gone.yaml"])
    (tmp_path / "bad.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigurationError, match="UTF-8"):
        ProfileLibrary.load([tmp_path])
