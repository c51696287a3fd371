"""The plan is the smallest that makes one setup of another, for every key of the configuration."""

from pathlib import Path
from typing import Any

import pytest

from dtios.mapping.profiles.file import parse_profile
from dtios.mapping.profiles.library import ProfileLibrary
from dtios.model.errors import ConfigurationError
from dtios.runtime.configuration.config import AppSettings, MachineSettings, RuntimeConfig
from dtios.runtime.configuration.difference import difference
from dtios.runtime.configuration.plan import Change, Plan
from dtios.runtime.configuration.setup import LinkSetup, Setup, hosted_setups
from dtios.sdk.adapter import ConnectionSettings
from dtios.testing import METHOD_PROFILE

LIVE = frozenset({"timeout"})
PROFILES = ProfileLibrary([])


def setup(
    machines: dict[str, dict[str, Any]] | None = None,
    apps: dict[str, Any] | None = None,
    publishers: dict[str, Any] | None = None,
    *,
    profiles: ProfileLibrary = PROFILES,
    secrets: str = "",
    **other: Any,
) -> Setup:
    """As loading makes it, without files or plug-ins."""
    config = RuntimeConfig.model_validate(
        {"machines": machines or {}, "apps": apps or {}, "publishers": publishers or {}, **other}
    )
    groups: dict[tuple[str, Any], dict[str, MachineSettings]] = {}
    for name, machine in config.machines.items():
        groups.setdefault((machine.endpoint, machine.settings.get("user")), {})[name] = machine
    links = [
        LinkSetup(
            url, next(iter(group.values())).adapter or "any",
            ConnectionSettings.model_validate(next(iter(group.values())).settings), group, profiles, LIVE, secrets,
        )
        for (url, _), group in groups.items()
    ]  # fmt: skip
    return Setup(config, {link.key: link for link in links}, hosted_setups(config))


def at(endpoint: str, **more: Any) -> dict[str, Any]:
    return {"endpoint": f"x:{endpoint}", **more}


def touched(plan: Plan) -> set[str]:
    """URLs that anything is done to."""
    changed = {change.key[0] for change in plan.changed}
    return changed | {key[0] for key in plan.opened} | {key[0] for key in plan.closed}


BASE = {"a": at("1"), "b": at("2"), "c": at("3", machine="C"), "d": at("3", machine="D")}


def test_the_same_configuration_is_no_plan() -> None:
    apps = {"app": {"machines": {"role": "a"}, "grants": [{"machine": "a"}]}}
    assert difference(setup(BASE, apps), setup(BASE, apps)) == Plan()
    assert difference(setup(BASE, apps), setup(BASE, apps)).empty


def test_the_order_in_the_file_means_nothing() -> None:
    assert difference(setup(BASE), setup(dict(reversed(BASE.items())))).empty


IN_PLACE: dict[str, Any] = {
    "envelope": {"signals": {"Speed": [0, 1]}},
    "interlocks": [{"signal": "Door", "equals": True}],
    "on_owner_lost": {"Fill": "stop"},
}
OTHERS: dict[str, Any] = {
    "endpoint": "x:9", "machine": "M", "adapter": "other", "settings": {"keep_alive": 9.0}, "profiles": ["p.yaml"],
    "signals": {"Speed": {"sampling": 1.0}},
}  # fmt: skip


def test_every_key_of_a_machine_is_tried_here() -> None:
    assert set(MachineSettings.model_fields) <= {*IN_PLACE, *OTHERS}


@pytest.mark.parametrize("key", IN_PLACE)
def test_rules_change_in_place_and_nothing_else_is_touched(key: str) -> None:
    plan = difference(setup(BASE), setup(BASE | {"a": at("1", **{key: IN_PLACE[key]})}))
    assert plan.changes == (Change("machine", "a", "changed", (key,), ("at once",)),)
    assert touched(plan) == {"x:1"}
    (change,) = plan.changed
    assert not any((change.told, change.reconnects, change.profiles))


@pytest.mark.parametrize(
    ("key", "value", "effects"),
    [
        ("machine", "M", ("described anew",)),
        ("settings", {"keep_alive": 9.0}, ("connection made anew",)),
        ("settings", {"security": "none"}, ("connection made anew",)),
        ("settings", {"timeout": 9.0}, ("at once",)),
    ],
)
def test_what_a_key_touches(key: str, value: Any, effects: tuple[Any, ...]) -> None:
    plan = difference(setup(BASE), setup(BASE | {"a": at("1", **{key: value})}))
    assert plan.changes == (Change("machine", "a", "changed", (key,), effects),)
    assert touched(plan) == {"x:1"}
    assert plan.changed[0].reconnects is ("connection made anew" in effects)


def test_another_endpoint_leaves_the_one_and_connects_the_other() -> None:
    plan = difference(setup(BASE), setup(BASE | {"a": at("9")}))
    assert (plan.closed, list(plan.opened), plan.changed) == ((("x:1", None),), [("x:9", None)], ())
    assert plan.changes == (Change("machine", "a", "changed", ("endpoint",), ("disconnected", "connected")),)


def test_another_adapter_begins_from_the_start() -> None:
    plan = difference(setup(BASE), setup(BASE | {"c": BASE["c"] | {"adapter": "other"}}))
    assert (plan.closed, [*plan.opened], plan.changed) == ((("x:3", None),), [("x:3", None)], ())
    assert {(c.name, c.keys, c.effects) for c in plan.changes} == {
        ("c", ("adapter",), ("disconnected", "connected")), ("d", (), ("disconnected", "connected")),
    }  # fmt: skip


def test_a_machine_joins_and_leaves_a_link_that_goes_on() -> None:
    more = BASE | {"e": at("3", machine="E")}
    joined = difference(setup(BASE), setup(more))
    assert (touched(joined), joined.opened, joined.closed) == ({"x:3"}, {}, ())
    assert not joined.changed[0].reconnects
    assert [(c.name, c.change) for c in joined.changes] == [("e", "added")]
    left = difference(setup(more), setup(BASE))
    assert (touched(left), left.opened, left.closed) == ({"x:3"}, {}, ())
    assert [(c.name, c.change) for c in left.changes] == [("e", "removed")]


def test_a_machine_alone_behind_its_endpoint_is_connected_and_disconnected() -> None:
    plan = difference(setup(BASE), setup({**BASE, "n": at("4")}))
    assert ([*plan.opened], plan.changes) == ([("x:4", None)], (Change("machine", "n", "added", (), ("connected",)),))
    plan = difference(setup({**BASE, "n": at("4")}), setup(BASE))
    assert (plan.closed, plan.changes) == ((("x:4", None),), (Change("machine", "n", "removed", (), ("disconnected",)),))


def test_a_renamed_machine_is_the_one_that_is_selected_or_alone() -> None:
    alone = {key: value for key, value in BASE.items() if key != "a"} | {"new": at("1")}
    plan = difference(setup(BASE), setup(alone))
    assert plan.renamed == {"a": "new"}
    assert plan.changes == (Change("machine", "new", "renamed", (), ("at once",), "it was a"),)
    assert not plan.changed[0].reconnects
    selected = {"a": BASE["a"], "b": BASE["b"], "d": BASE["d"], "new": BASE["c"] | {"on_owner_lost": {"Fill": "stop"}}}
    plan = difference(setup(BASE), setup(selected))
    assert plan.renamed == {"c": "new"}
    assert plan.changes == (Change("machine", "new", "renamed", ("on_owner_lost",), ("at once",), "it was c"),)


def test_where_several_stand_a_name_without_a_selector_is_another_machine() -> None:
    before = {"A": at("1"), "B": at("1")}
    plan = difference(setup(before), setup({"A": at("1"), "C": at("1")}))
    assert plan.renamed == {}
    assert [(c.name, c.change) for c in plan.changes] == [("B", "removed"), ("C", "added")]


def test_another_user_is_the_same_link_made_anew() -> None:
    plan = difference(setup(BASE), setup(BASE | {"a": at("1", settings={"user": "anna"})}))
    assert (plan.opened, plan.closed) == ({}, ())
    (change,) = plan.changed
    assert (change.key, change.setup.key, change.reconnects) == (("x:1", None), ("x:1", "anna"), True)
    assert plan.changes == (Change("machine", "a", "changed", ("settings",), ("connection made anew",)),)


def test_two_users_that_change_places_are_two_links() -> None:
    before = {"a": at("1", settings={"user": "anna"}), "b": at("1", settings={"user": "bert"})}
    plan = difference(setup(before), setup({"a": before["b"], "b": before["a"]}))
    assert {(change.key, change.setup.key) for change in plan.changed} == {
        (("x:1", "anna"), ("x:1", "anna")), (("x:1", "bert"), ("x:1", "bert")),
    }  # fmt: skip


def test_whoever_shares_a_connection_is_named_when_it_is_made_anew() -> None:
    settings = {"settings": {"keep_alive": 9.0}}
    plan = difference(setup(BASE), setup(BASE | {"c": BASE["c"] | settings, "d": BASE["d"]}))
    assert touched(plan) == {"x:3"}
    assert {(c.name, c.keys, c.effects, c.why) for c in plan.changes} == {
        ("c", ("settings",), ("connection made anew",), ""),
        ("d", (), ("connection made anew",), "what it shares with others"),
    }


def test_a_profile_that_says_something_else_maps_anew_and_one_that_says_the_same_does_not() -> None:
    one, same, other = (
        ProfileLibrary([parse_profile(text, "p.yaml")])
        for text in (METHOD_PROFILE, METHOD_PROFILE + "# a remark\n", METHOD_PROFILE.replace("name: Produce", "name: Make"))
    )
    assert difference(setup(BASE, profiles=one), setup(BASE, profiles=same)).empty
    plan = difference(setup({"a": at("1")}, profiles=one), setup({"a": at("1")}, profiles=other))
    assert plan.changed[0].profiles
    assert not plan.changed[0].reconnects
    assert plan.changes == (Change("machine", "a", "changed", (), ("described anew",), "what its profile files say"),)


def test_a_secret_that_is_another_one_makes_the_connection_anew() -> None:
    plan = difference(setup({"a": at("1")}, secrets="1"), setup({"a": at("1")}, secrets="2"))
    assert plan.changed[0].reconnects
    assert plan.changes == (Change("machine", "a", "changed", (), ("connection made anew",), "what the file of a secret says"),)


def test_another_state_directory_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="start it again") as refused:
        difference(setup(BASE, state=Path("/one")), setup(BASE, state=Path("/two")))
    assert refused.value.where == "state"


# --- apps and publishers -----------------------------------------------------------------------------------------------------

APP: dict[str, Any] = {"machines": {"role": "a"}, "grants": [{"machine": "a"}]}
ADJUSTED: dict[str, Any] = {"grants": ["commission"], "memory": 99, "unresponsive_after": 9.0}
RESTARTED: dict[str, Any] = {"app": "other", "isolation": "inline", "config": {"n": 1}, "machines": {"role": "b"}}


def test_every_key_of_an_app_is_tried_here() -> None:
    assert {*ADJUSTED, *RESTARTED} == set(AppSettings.model_fields)


@pytest.mark.parametrize("key", ADJUSTED)
def test_grants_and_limits_of_an_app_change_in_place(key: str) -> None:
    plan = difference(setup(BASE, {"app": APP, "x": APP}), setup(BASE, {"app": APP | {key: ADJUSTED[key]}, "x": APP}))
    assert ([*plan.adjusted], plan.restarted, plan.started, plan.stopped) == (["app"], {}, {}, ())
    assert plan.changes == (Change("app", "app", "changed", (key,), ("at once",)),)
    assert touched(plan) == set()


@pytest.mark.parametrize("key", RESTARTED)
def test_anything_else_restarts_that_app_alone(key: str) -> None:
    plan = difference(setup(BASE, {"app": APP, "x": APP}), setup(BASE, {"app": APP | {key: RESTARTED[key]}, "x": APP}))
    assert ([*plan.restarted], plan.adjusted, plan.started, plan.stopped) == (["app"], {}, {}, ())
    assert plan.changes == (Change("app", "app", "changed", (key,), ("restarted",)),)
    assert touched(plan) == set()


def test_apps_come_and_go() -> None:
    plan = difference(setup(BASE, {"old": APP, "x": APP}), setup(BASE, {"new": APP, "x": APP}))
    assert ([*plan.started], plan.stopped) == (["new"], ("old",))
    assert {(c.name, c.change, c.effects) for c in plan.changes} == {
        ("old", "removed", ("stopped",)), ("new", "added", ("started",)),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("key", "value", "effect"),
    [
        ("machines", ["a"], "at once"),
        ("config", {"n": 1}, "restarted"),
        ("isolation", "inline", "restarted"),
        ("publisher", "other", "restarted"),
    ],
)
def test_a_publisher_changes_like_an_app(key: str, value: Any, effect: str) -> None:
    plan = difference(setup(BASE, publishers={"p": {}}), setup(BASE, publishers={"p": {key: value}}))
    assert [(c.kind, c.name, c.change, c.keys, c.effects) for c in plan.changes] == [
        ("publisher", "p", "changed", (key,), (effect,))
    ]


def test_an_app_that_becomes_a_publisher_is_restarted() -> None:
    plan = difference(setup(BASE, {"p": {}}), setup(BASE, publishers={"p": {}}))
    assert [*plan.restarted] == ["p"]


def test_there_and_back_is_as_it_was() -> None:
    one, two = (
        setup(BASE, {"app": APP}),
        setup({"a": at("1", settings={"user": "x"}), "n": at("7")}, {"app": APP | {"memory": 9}}),
    )
    there, back = difference(one, two), difference(two, one)
    assert set(there.opened) == set(back.closed)
    assert set(there.closed) == set(back.opened)
    assert {c.key: c.setup.key for c in there.changed} == {c.setup.key: c.key for c in back.changed}


def test_the_broker_stays_what_it_is() -> None:
    assert difference(setup(broker="embedded"), setup(broker={"port": 0})).empty
    with pytest.raises(ConfigurationError, match="the embedded broker cannot change while the runtime runs"):
        difference(setup(broker="embedded"), setup())
