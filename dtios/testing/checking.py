"""What the checks of the conformance suite have in common."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from dtios.model.errors import DtiosError

__all__ = ["Rule", "allow", "check", "raises"]

T = TypeVar("T", bound=Callable[..., Awaitable[None]])
E = TypeVar("E", bound=DtiosError)


@dataclass(frozen=True, slots=True)
class Rule:
    """What one check holds an adapter to."""

    id: str
    name: str
    test: str


def check(id: str, name: str) -> Callable[[T], T]:
    """Make a method a check of the suite."""

    def mark(test: T) -> T:
        test.rule = Rule(id, name, test.__name__)  # type: ignore[attr-defined]  # a function takes attributes
        return test

    return mark


def allow() -> None:
    """A last check with nothing against it."""


async def raises(kind: type[E] | tuple[type[E], ...], doing: Awaitable[Any]) -> E:
    """The error that was to be raised. Raises AssertionError if it was not."""
    try:
        found = await doing
    except kind as error:
        return error
    raise AssertionError(f"{kind} was to be raised, but the answer was {found!r}")
