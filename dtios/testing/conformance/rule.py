"""What the checks of the conformance suite are: rules with an id, a title and a level, and what they have in common."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import wraps
from typing import Any, TypeVar
from unittest import SkipTest

from dtios.model.errors import DtiosError
from dtios.sdk.grade import Level

__all__ = ["Need", "NotApplicable", "Rule", "allow", "check", "raises"]

T = TypeVar("T", bound=Callable[..., Awaitable[None]])
E = TypeVar("E", bound=DtiosError)


class Need(StrEnum):
    """What a rule needs of a protocol or of a rig beyond variables. A rig that has it not says why (`Rig.lacks`)."""

    METHODS = "methods"
    EVENTS = "events"
    OVERFLOW = "overflow"
    UNCERTAIN = "uncertain"
    SOURCE_TIMES = "source times"
    NETWORK = "network"
    CREDENTIALS = "credentials"
    CLOCK = "clock"
    TOLD_CLOCK = "told clock"
    REMOVAL = "removal"
    TOLD_CHANGES = "told changes"
    SKILL = "skill"


@dataclass(frozen=True, slots=True)
class Rule:
    """What one check holds an adapter to. `test` is the name of the suite's method."""

    id: str
    title: str
    level: Level
    needs: tuple[Need, ...]
    test: str


class NotApplicable(SkipTest):
    """The rig has not what the rule needs; its words say why. pytest shows it as a skipped test."""


def check(id: str, title: str, level: Level, *needs: Need) -> Callable[[T], T]:
    """Make a method of a `Suite` a check. The suite refuses it with NotApplicable on a rig that lacks one of `needs`."""

    def mark(test: T) -> T:
        @wraps(test)
        async def checked(suite: Any) -> None:
            suite.needs = needs
            await test(suite)

        checked.rule = Rule(id, title, level, needs, test.__name__)  # type: ignore[attr-defined]  # a function takes attributes
        return checked  # type: ignore[return-value]  # of the same form

    return mark


def allow() -> None:
    """A last check with nothing against it."""


async def raises(kind: type[E] | tuple[type[E], ...], doing: Awaitable[Any]) -> E:
    """The error that was to be raised. Raises AssertionError if it was not."""
    names = " or ".join(k.__name__ for k in (kind if isinstance(kind, tuple) else (kind,)))
    try:
        found = await doing
    except kind as error:
        return error
    except Exception as error:
        raise AssertionError(f"{names} was to be raised, and it was {type(error).__name__}: {error}") from error
    raise AssertionError(f"{names} was to be raised, but the answer was {found!r}")
