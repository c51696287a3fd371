"""Topic layouts with names for their levels: `factory/{area}/{line?}/{machine}/+/state`.

`{name}` is one level or a part of one, `{name?}` a level that may be missing (not the first one), `+` any level, `#` at the end
all that follows.
"""

import re
from collections.abc import Mapping
from itertools import product
from typing import Final

__all__ = ["TopicPattern", "covers"]

_NAME: Final = re.compile(r"\{(\w+)\}")
_OPTIONAL: Final = re.compile(r"\{(\w+)\?\}|\+\?")


class TopicPattern:
    """One pattern, parsed once."""

    def __init__(self, text: str) -> None:
        """Raises ValueError for what is no pattern."""
        self.text = text
        levels = text.split("/")
        for at, level in enumerate(levels):
            _check(level, at, len(levels) - 1, text)
        self._levels = levels
        self._names = [name for level in levels for name in _names(level)]
        if len(set(self._names)) != len(self._names):
            raise ValueError(f"a name is twice in the topic {text!r}")
        self._regex = re.compile("".join(_regex(level, not at) for at, level in enumerate(levels)))

    @property
    def names(self) -> frozenset[str]:
        """Of all levels, also those that may be missing."""
        return frozenset(self._names)

    @property
    def certain(self) -> frozenset[str]:
        """The names that every topic of this pattern has."""
        return frozenset(name for level in self._levels if not _OPTIONAL.fullmatch(level) for name in _names(level))

    @property
    def filters(self) -> list[str]:
        """MQTT topic filters that are needed to hear all of them."""
        ways = [[_filter(level), None] if _OPTIONAL.fullmatch(level) else [_filter(level)] for level in self._levels]
        return ["/".join(level for level in way if level is not None) for way in product(*ways)]

    def match(self, topic: str) -> dict[str, str] | None:
        """The levels by name (without those that are missing); None for a topic of another kind."""
        found = self._regex.fullmatch(topic)
        return None if found is None else {name: value for name, value in found.groupdict().items() if value is not None}

    def fill(self, levels: Mapping[str, str]) -> str | None:
        """The topic with these levels; None where one is missing or any would do."""
        made: list[str] = []
        for level in self._levels:
            optional = _OPTIONAL.fullmatch(level)
            if optional is not None:
                if optional[1] in levels:
                    made.append(levels[optional[1]])
                continue
            if level in ("+", "#") or any(name not in levels for name in _names(level)):
                return None
            made.append(_NAME.sub(lambda found: levels[found[1]], level))
        return "/".join(made)


def _check(level: str, at: int, last: int, text: str) -> None:
    if level == "+" or (level == "#" and at == last) or (_OPTIONAL.fullmatch(level) and at):
        return
    if any(sign in _NAME.sub("", level) for sign in "+#{}?\0"):
        raise ValueError(
            f"the level {level!r} of the topic {text!r} is not understood; write a name, {{name}}, {{name?}}, + or #"
        )


def _names(level: str) -> list[str]:
    optional = _OPTIONAL.fullmatch(level)
    return _NAME.findall(level) if optional is None else [optional[1]] if optional[1] else []


def _filter(level: str) -> str:
    return level if level == "#" else "+" if level == "+" or _OPTIONAL.fullmatch(level) or _NAME.search(level) else level


def _regex(level: str, first: bool) -> str:
    slash = "" if first else "/"
    optional = _OPTIONAL.fullmatch(level)
    if optional is not None:
        inner = f"(?P<{optional[1]}>[^/]+)" if optional[1] else "[^/]+"
        return f"(?:/{inner})?"
    if level == "#":
        return ".*" if first else "(?:/.*)?"
    if level == "+":
        return f"{slash}[^/]*"
    return slash + "".join(f"(?P<{part}>[^/]+)" if at % 2 else re.escape(part) for at, part in enumerate(_NAME.split(level)))


def covers(wide: str, narrow: str) -> bool:
    """Whether the topic filter `wide` hears all that `narrow` hears."""
    wider, narrower = wide.split("/"), narrow.split("/")
    for at, level in enumerate(wider):
        if level == "#":
            return True
        if at >= len(narrower) or narrower[at] == "#" or (level != "+" and level != narrower[at]):
            return False
    return len(wider) == len(narrower)
