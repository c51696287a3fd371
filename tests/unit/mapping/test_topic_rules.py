"""JSON paths, topic patterns, templates, and what a profile of plain topics may say."""

from pathlib import Path
from typing import Any

import pytest

from dtios.mapping.json_paths import MISSING, JsonPath, parse_json
from dtios.mapping.profiles.file import parse_profile
from dtios.mapping.profiles.library import ProfileLibrary
from dtios.mapping.templates import encode, names_in
from dtios.mapping.topic_patterns import TopicPattern, covers
from dtios.model.errors import ConfigurationError

DOCUMENT = parse_json(
    '{"a": {"b": [1, {"c": 2}]}, "odd name": 3, "text": "{\\"x\\": {\\"y\\": 4}}", "no": null,'
    ' "rows": [{"id": "T1", "value": 5}, {"id": "T2", "value": 6}]}'
)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("$.a.b[0]", 1), ("a.b[-1].c", 2), ("$['odd name']", 3), ("json($.text).x.y", 4), ("no", None),
        ("rows[?@.id=='T2'].value", 6), ("rows[*].value", 5), ("a.b[7]", MISSING), ("a.b.c", MISSING), ("text.x", MISSING),
    ],
)  # fmt: skip
def test_a_path_finds(path: str, found: Any) -> None:
    assert JsonPath(path).find(DOCUMENT) == found


@pytest.mark.parametrize("path", ["$..a", "a b", "a[", "json($.a", "a[?@.b>1]", "a[1:2]", "x" * 300])
def test_what_is_no_path(path: str) -> None:
    with pytest.raises(ValueError, match="path"):
        JsonPath(path)


@pytest.mark.parametrize(
    ("payload", "cause"),
    [
        (b"\xff\xfe", "not UTF-8"), (b'{"a": 1', "not JSON"), (b"", "not JSON"), (b'{"a": 1, "a": 2}', "a key twice"),
        (b'{"a": NaN}', "NaN is no JSON"), (b"[-Infinity]", "Infinity is no JSON"), (b"[" * 200_000, "nested too deeply"),
    ],
)  # fmt: skip
def test_what_is_no_document(payload: bytes, cause: str) -> None:
    with pytest.raises(ValueError, match=f"^{cause}$"):
        parse_json(payload)


def test_levels_with_names() -> None:
    pattern = TopicPattern("factory/{area}/{line?}/m-{machine}/+/state")
    assert sorted(pattern.filters) == ["factory/+/+/+/+/state", "factory/+/+/+/state"]
    assert pattern.match("factory/north/m-1/x/state") == {"area": "north", "machine": "1"}
    assert pattern.match("factory/north/l1/m-1/x/state") == {"area": "north", "line": "l1", "machine": "1"}
    assert pattern.match("factory/north/1/x/state") is None
    assert (pattern.certain, pattern.fill({"area": "a", "machine": "b"})) == ({"area", "machine"}, None)
    assert TopicPattern("{area}/{line?}/{machine}/cmd").fill({"area": "a", "machine": "b"}) == "a/b/cmd"
    assert TopicPattern("{a}/#").match("x/y/z") == TopicPattern("{a}/#").match("x") == {"a": "x"}


@pytest.mark.parametrize("topic", ["a/#/b", "a+/b", "{a}/{a}", "{a?}/b", "{/b", "a/{b-c}"])
def test_what_is_no_pattern(topic: str) -> None:
    with pytest.raises(ValueError, match="topic"):
        TopicPattern(topic)


def test_a_filter_that_covers_another() -> None:
    assert covers("a/#", "a/+/c")
    assert covers("a/+", "a/b")
    assert covers("a/#", "a")
    assert covers("+/+", "a/+")
    assert not covers("a/b", "a/+")
    assert not covers("a/+", "a/b/c")
    assert not covers("a/+", "a/#")
    assert not covers("a/+/c", "a/+")


def test_templates() -> None:
    template = {"id": "{job}", "text": "{{{job}}} {count}", "n": "{count}", "left out": "{absent}", "deep": [{"x": "{flag}"}]}
    assert names_in(template) == {"job", "count", "absent", "flag"}
    made = parse_json(encode(template, {"job": "j1", "count": 3, "flag": True}))
    assert made == {"id": "j1", "text": "{j1} 3", "n": 3, "deep": [{"x": True}]}
    assert encode("START {job};{count}", {"job": "j1", "count": 2.5}) == b"START j1;2.5"


TOPICS = "profile: p\ntopics:\n  identity: machine\n  messages:\n    - topic: '{machine}/s'\n      values: [temperature]\n"


def test_such_a_profile_matches_its_own_machines() -> None:
    profile = parse_profile(TOPICS, "p.yaml")
    assert profile.match is not None
    assert (profile.match.type, profile.role) == ("p", "machine")
    child = parse_profile("profile: q\nextends: p\nsignals: [{path: temperature, unit: CEL}]\n", "q.yaml")
    loaded = ProfileLibrary([profile, child])["q"].rules
    assert loaded.topics == profile.topics
    assert loaded.match == profile.match


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("    - {topic: other/s, values: [a]}\n", "does not tell 'machine'"),
        ("    - {topic: '{machine}/t', values: [{path: 'a..b'}]}\n", "is not understood"),
        ("    - {topic: '{machine}/t'}\n", "give its `values`"),
        ("    - {topic: '{machine}/t', values: [{path: a, type: Real}]}\n", "no type of a value"),
        ("    - {topic: '{machine}/t', values: [{path: a, unit: Grad}]}\n", "UNECE"),
        ("    - {topic: '{machine}/t', values: [{path: a, time: {path: t, zone: Mars}}]}\n", "no time zone"),
        ("    - {topic: '{machine}/t', format: raw, values: [a]}\n", "raw payload"),
        ("    - {topic: '{machine}/t', values: [{path: a, write: {topic: '{other}/x'}}]}\n", "no message of the machine tells"),
        ("  listen: a/{b}/c\n", "no topic filter"),
        ("  commands: {Go: '{machine}/+/go'}\n", "no message of the machine tells"),
    ],
)  # fmt: skip
def test_what_cannot_be(wrong: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said) as raised:
        parse_profile(TOPICS + wrong, "p.yaml")
    assert raised.value.where is not None
    assert raised.value.where.startswith("p.yaml:")


def test_the_profile_of_the_documentation() -> None:
    page = (Path(__file__).parents[3] / "docs/howto/plain-topics.md").read_text("utf-8")
    text = page.split("```yaml file=our-press.yaml\n", 1)[1].split("```", 1)[0]
    rules = ProfileLibrary.load(texts=[("our-press.yaml", text)])["our-press"].rules
    assert rules.topics is not None
    assert [skill.binding for skill in rules.skills] == ["topic"]
