"""The suite's own form: every rule has an id, a title and a level, and catches an adapter that breaks it."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest

from dtios.sdk.adapter import ConnectionSettings
from dtios.testing import MemoryAdapter
from dtios.testing.conformance import (
    RULES,
    AdapterConformance,
    Level,
    Line,
    LiveConformance,
    LiveMachine,
    Need,
    Outcome,
    Result,
    Rig,
    Rule,
    grade_of,
    graded,
    rules_of,
)
from dtios.testing.memory import MemoryConnection
from tests.conformance.memory_rig import MemoryLine, MemoryRig
from tests.unit.testing.mutants import LIVE_MUTANTS, MUTANTS, Faulty

LIVE_RULES = rules_of(LiveConformance)
QUICK_LIVE_RULES = [f"LIV-{n}" for n in range(1, 8)]
PATIENCE = 0.4
"""Of a rig in memory: what does not come in this time comes never."""


@asynccontextmanager
async def rig_of(kind: type[MemoryConnection]) -> AsyncIterator[Rig]:
    rig = MemoryRig()
    rig.patience = PATIENCE
    rig.adapter = Faulty(kind, rig.server)
    async with rig.server:
        yield rig


class InMemory(LiveMachine):
    """A live machine whose network is its own."""

    patience = PATIENCE
    found_within = 1.0
    memory: MemoryRig

    @asynccontextmanager
    async def line(self) -> AsyncIterator[tuple[str, Line]]:
        yield self.url, MemoryLine(self.memory.server)


@asynccontextmanager
async def live_of(kind: type[MemoryConnection]) -> AsyncIterator[Rig]:
    async with rig_of(kind) as rig:
        assert isinstance(rig, MemoryRig)
        live = InMemory(rig.adapter, rig.url, ConnectionSettings(publishing_interval=0.02), rig.home)
        live.memory = rig
        yield live


async def the_result(kind: type[MemoryConnection], rule: str) -> Result:
    live = rule.startswith("LIV")
    suite = LiveConformance if live else AdapterConformance
    (result,) = [one async for one in graded(lambda: (live_of if live else rig_of)(kind), [rule], suite)]
    return result


def timed(rules: Iterable[str]) -> list[Any]:
    """Rules whose promise is a time take it."""
    long = {"CON-2", "CON-7", "FLT-4", "FLT-6", "FLT-7", "LIV-8", "LIV-9", "LIV-10"}
    return [pytest.param(rule, marks=pytest.mark.slow) if rule in long else rule for rule in rules]


def test_every_rule_has_its_own_id_and_title() -> None:
    tests = [name for suite in (AdapterConformance, LiveConformance) for name in dir(suite) if name.startswith("test_")]
    rules = (*RULES, *LIVE_RULES)
    assert sorted(rule.test for rule in rules) == sorted(tests)
    assert len({rule.id for rule in rules}) == len(rules) > 60
    for suite in (RULES, LIVE_RULES):
        assert len({rule.title for rule in suite}) == len(suite)


def test_every_rule_has_an_adapter_that_breaks_it() -> None:
    assert list(MUTANTS) == [rule.id for rule in RULES]
    assert list(LIVE_MUTANTS) == [rule.id for rule in LIVE_RULES]


@pytest.mark.parametrize("rule", timed([*MUTANTS, *LIVE_MUTANTS]))
async def test_an_adapter_that_breaks_a_rule_is_caught(rule: str) -> None:
    result = await the_result((MUTANTS | LIVE_MUTANTS)[rule], rule)
    assert result.outcome is Outcome.FAILED, f"{result.rule.title}: {result.reason}"
    assert result.reason
    assert not result.reason.startswith(("TypeError", "AttributeError", "NameError", "KeyError")), result.reason
    print(f"{rule}: {result.reason}")


@pytest.mark.parametrize("rule", timed(LIVE_MUTANTS))
async def test_one_that_breaks_none_is_not(rule: str) -> None:
    result = await the_result(MemoryConnection, rule)
    assert result.outcome is Outcome.PASSED, result.reason


# --- the grade ---


def results(*outcomes: tuple[Level, Outcome]) -> list[Result]:
    return [Result(Rule(str(n), "", level, (), ""), outcome, 0.0) for n, (level, outcome) in enumerate(outcomes)]


PASSED, FAILED, NOT = Outcome.PASSED, Outcome.FAILED, Outcome.NOT_APPLICABLE
BRONZE, SILVER, GOLD, PLATINUM = Level


@pytest.mark.parametrize(
    ("outcomes", "grade"),
    [
        ([(BRONZE, PASSED), (SILVER, PASSED), (GOLD, PASSED), (PLATINUM, PASSED)], PLATINUM),
        ([(BRONZE, PASSED), (SILVER, PASSED), (SILVER, FAILED), (GOLD, PASSED)], BRONZE),
        ([(BRONZE, FAILED), (SILVER, PASSED)], None),
        ([(BRONZE, PASSED), (SILVER, PASSED), (GOLD, NOT)], SILVER),
        ([(BRONZE, PASSED), (SILVER, NOT), (GOLD, PASSED)], GOLD),
        ([(BRONZE, NOT)], None),
        ([], None),
    ],
)
def test_the_grade(outcomes: list[tuple[Level, Outcome]], grade: Level | None) -> None:
    assert grade_of(results(*outcomes)) is grade


class WithoutMethods(MemoryRig):
    lacks: ClassVar = {Need.METHODS: "this machine has no methods"}
    absent: ClassVar = {"Float": "it counts in whole numbers"}


@asynccontextmanager
async def lacking() -> AsyncIterator[Rig]:
    rig = WithoutMethods()
    async with rig.server:
        yield rig


async def test_what_a_rig_has_not_is_not_applicable_and_says_why() -> None:
    found = {result.rule.id: result async for result in graded(lacking, ["CAL-2", "VAL-1"])}
    assert (found["CAL-2"].outcome, found["CAL-2"].reason) == (NOT, "this machine has no methods")
    assert (found["VAL-1"].outcome, found["VAL-1"].reason) == (PASSED, "Float was not tried: it counts in whole numbers")


async def test_a_rig_that_cannot_what_it_does_not_lack_fails() -> None:
    class Unfinished(MemoryRig):
        async def skew(self, seconds: float) -> None:
            raise NotImplementedError

    @asynccontextmanager
    async def rig() -> AsyncIterator[Rig]:
        made = Unfinished()
        async with made.server:
            yield made

    (result,) = [one async for one in graded(rig, ["FLT-7"])]
    assert result.outcome is FAILED
    assert "`lacks`" in result.reason


async def test_a_live_machine_is_never_touched() -> None:
    rig = MemoryRig()
    async with rig.server:
        live = InMemory(MemoryAdapter(rig.server), rig.url, ConnectionSettings(publishing_interval=0.02), Path("/nowhere"))
        live.memory = rig

        @asynccontextmanager
        async def make() -> AsyncIterator[Rig]:
            yield live

        outcomes = [one.outcome async for one in graded(make, QUICK_LIVE_RULES, LiveConformance)]
    assert set(outcomes) == {PASSED}
    assert rig.server.commands == []
