"""The grades beside the first-party adapters are what the suite says, of the sources that are there, and gold at least."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from dtios.runtime.registry import Registry
from dtios.sdk.grade import GRADE_FILE, Level, read_grade, sources_of
from dtios.testing.conformance import RULES, Bench, form_of, graded, result_form

AGAIN = "make grades writes it again"
ADAPTERS = ["mqtt", "opcua"]


def kept(name: str) -> dict[str, Any]:
    sources = sources_of(Registry().adapter(name))
    assert sources is not None
    form: dict[str, Any] = json.loads((sources / GRADE_FILE).read_text("utf-8"))
    return form


@pytest.mark.parametrize("name", ADAPTERS)
def test_what_is_kept_is_gold_and_of_these_rules(name: str) -> None:
    form = kept(name)
    assert Level(form["grade"]).rank >= Level.GOLD.rank
    assert not form["limited"]
    found = [(one["rule"], one["level"], one["title"]) for one in form["rules"]]
    assert found == [(rule.id, rule.level.value, rule.title) for rule in RULES], AGAIN
    assert [one["rule"] for one in form["rules"] if one["outcome"] == "not applicable" and not one["reason"]] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ADAPTERS)
async def test_what_is_kept_is_what_the_suite_says(name: str) -> None:
    registry = Registry()
    make: Callable[[], Bench] = registry.rig(name)
    async with make() as bench:
        results = [result async for result in graded(bench.rig)]
    for result in results:
        print(f"{result.rule.id:7}{result.outcome.value:15}{result.seconds:6.2f} s  {result.reason}")
    adapter = registry.adapter(name)
    now = form_of(adapter, results, None, limited=False, version=kept(name)["version"])
    assert Level(now["grade"]).rank >= Level.GOLD.rank, [result for result in results if result.outcome == "failed"]
    old = kept(name)
    assert now["grade"] == old["grade"], AGAIN
    assert [without_time(result_form(result)) for result in results] == [without_time(one) for one in old["rules"]], AGAIN
    grade = read_grade(adapter)
    assert grade is not None
    assert not grade.stale, f"the sources are others than those that were graded: {AGAIN}"


def without_time(form: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in form.items() if key != "seconds"}
