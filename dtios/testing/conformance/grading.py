"""The checks of a suite run one after the other, and the grade that comes of it."""

import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final
from unittest import SkipTest

import anyio

from dtios.model.errors import DtiosError
from dtios.sdk.adapter import Adapter
from dtios.sdk.grade import Level, sources_hash, sources_of
from dtios.testing.conformance.base import Suite
from dtios.testing.conformance.rig import Rig
from dtios.testing.conformance.rule import Rule
from dtios.testing.conformance.suite import AdapterConformance, rules_of

__all__ = ["Outcome", "Result", "form_of", "grade_of", "graded", "result_form"]

LIMIT: Final = 60.0
"""Seconds for one check; one that lasts longer has failed."""


class Outcome(StrEnum):
    PASSED = "passed"
    FAILED = "failed"
    NOT_APPLICABLE = "not applicable"


@dataclass(frozen=True, slots=True)
class Result:
    """Of one rule. `reason` is one sentence: what was wrong, why it is not applicable, or what could not be tried."""

    rule: Rule
    outcome: Outcome
    seconds: float
    reason: str = ""


Make = Callable[[], AbstractAsyncContextManager[Rig]]


async def graded(make: Make, only: Sequence[str] = (), suite: type[Suite] = AdapterConformance) -> AsyncIterator[Result]:
    """Run the checks of a suite, each on a rig of its own from `make`; `only`: those with these ids."""
    if not __debug__:
        raise RuntimeError("the checks are assertions: run Python without -O")
    for rule in rules_of(suite):
        if not only or rule.id in only:
            yield await _tried(rule, make, suite)


async def _tried(rule: Rule, make: Make, suite: type[Suite]) -> Result:
    checks = _on(suite, make)
    began = time.monotonic()
    outcome, reason = Outcome.PASSED, ""
    try:
        with anyio.move_on_after(LIMIT) as limit:
            await getattr(checks, rule.test)()
        if limit.cancelled_caught:
            outcome, reason = Outcome.FAILED, f"it was not over after {LIMIT:g} s"
    except Exception as error:  # noqa: BLE001  # whatever an adapter or a rig raises is its failure
        first = _first(error)
        outcome = Outcome.NOT_APPLICABLE if isinstance(first, SkipTest) else Outcome.FAILED
        reason = _sentence(first)
    reason = reason or "; ".join(dict.fromkeys(checks.notes))
    return Result(rule, outcome, round(time.monotonic() - began, 2), reason)


def _on(suite: type[Suite], make: Make) -> Suite:
    """The suite on these rigs."""

    def rig(_: Suite) -> AbstractAsyncContextManager[Rig]:
        return make()

    made: Suite = type("Graded", (suite,), {"rig": rig})()
    return made


def _first(error: BaseException) -> BaseException:
    """What failed, out of the groups of the tasks around it: a broken promise before what came of it."""
    leaves = list(_leaves(error))
    return next((leaf for leaf in leaves if isinstance(leaf, AssertionError | SkipTest)), leaves[0])


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from _leaves(one)
    else:
        yield error


def _sentence(error: BaseException) -> str:
    if isinstance(error, AssertionError | SkipTest):
        return " ".join(str(error).split()) or "the check gives no reason"
    if isinstance(error, NotImplementedError):
        return "the rig neither has what this rule needs nor says in `lacks` that it has not"
    if isinstance(error, DtiosError):
        return f"{type(error).__name__}: {error.message}"
    return f"{type(error).__name__}: {error}"


def grade_of(results: Iterable[Result]) -> Level | None:
    """The highest level of which a rule was passed, and of which, and of those below, none was failed. None: below bronze."""
    reached: Level | None = None
    all_of_them = list(results)
    for level in Level:
        outcomes = {result.outcome for result in all_of_them if result.rule.level is level}
        if Outcome.FAILED in outcomes:
            break
        if Outcome.PASSED in outcomes:
            reached = level
    return reached


def result_form(result: Result) -> dict[str, Any]:
    """One rule's line, as in grade.json."""
    return {
        "rule": result.rule.id, "level": result.rule.level.value, "title": result.rule.title,
        "outcome": result.outcome.value, "seconds": result.seconds, "reason": result.reason,
    }  # fmt: skip


def form_of(
    adapter: Adapter, results: Sequence[Result], endpoint: str | None, limited: bool, version: str | None
) -> dict[str, Any]:
    """grade.json without its rules. `limited`: not all rules of the suite were tried; `version` of the adapter's distribution."""
    sources = sources_of(adapter)
    grade = grade_of(results)
    return {
        "adapter": adapter.name, "version": version, "sources": None if sources is None else sources_hash(sources),
        "endpoint": endpoint, "limited": limited, "grade": None if grade is None else grade.value,
    }  # fmt: skip
