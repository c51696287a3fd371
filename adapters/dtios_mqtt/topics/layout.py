"""A profile's topics, compiled once: patterns, paths and conversions."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from dtios.mapping.json_paths import MISSING, JsonPath
from dtios.mapping.profiles.library import LoadedProfile, ProfileLibrary
from dtios.mapping.profiles.topics import MessageRule, TimeRule, TopicsRule, TopicValueRule
from dtios.mapping.topic_patterns import TopicPattern, covers
from dtios.model.values import NO_TIME
from dtios_mqtt.topics.conversion import converter, read_time

__all__ = ["QOS", "Layout", "Message", "Time", "Value", "layouts", "needed"]

QOS: Final = 1
_SHAPES: Final = 1_000
_LONGEST_SHAPE: Final = 4_000
"""Sets of field names that are remembered of a message, and the characters of one; others are looked at anew each time."""


class Time:
    """Where the time of values lies."""

    def __init__(self, rule: TimeRule) -> None:
        self._rule = rule
        self._paths = tuple(JsonPath(path) for path in rule.path)

    def read(self, document: Any) -> int:
        """ns UTC, or NO_TIME where it is not there. Raises ValueError for what is no time."""
        for path in self._paths:
            found = path.find(document)
            if found is not MISSING and found is not None:
                made = read_time(found, self._rule)
                if made >= 2**63:
                    raise ValueError("no time")
                return made
        return NO_TIME

    @property
    def fields(self) -> Iterable[str | None]:
        return (path.first_name for path in self._paths)


class Value:
    """One value of a message, or all entries of a list in it."""

    def __init__(self, rule: TopicValueRule) -> None:
        self.rule = rule
        self.name = rule.signal
        self.paths = tuple(JsonPath(path) for path in rule.path)
        self.each = None if rule.each is None else JsonPath(rule.each)
        self.name_at = None if rule.name_at is None else JsonPath(rule.name_at)
        self.time = None if rule.time is None or rule.type == "DateTime" else Time(rule.time)
        self.convert: Callable[[Any], Any] = converter(rule)
        self.find: Callable[[Any], Any] = self.paths[0].find if len(self.paths) == 1 else self._first
        """What stands there in a document, or MISSING."""

    def _first(self, document: Any) -> Any:
        for path in self.paths:
            found = path.find(document)
            if found is not MISSING:
                return found
        return MISSING

    @property
    def fields(self) -> Iterable[str | None]:
        """Names of the outermost fields that it looks at; None: any."""
        return [self.each.first_name] if self.each is not None else [path.first_name for path in self.paths]


class Message:
    """One kind of message."""

    def __init__(self, rule: MessageRule) -> None:
        self.rule = rule
        self.patterns = tuple(TopicPattern(topic) for topic in rule.topics)
        self.time = None if rule.time is None else Time(rule.time)
        self.values = tuple(Value(value) for value in rule.values)
        looked = [*(name for value in self.values for name in value.fields)]
        for time in (self.time, *(value.time for value in self.values if value.each is None)):
            looked += [] if time is None else time.fields
        self._fields = None if None in looked or not self.values else frozenset({*looked, *rule.ignore})
        self._shapes: dict[tuple[str, ...], tuple[str, ...]] = {}

    def match(self, topic: str) -> dict[str, str] | None:
        return next((levels for pattern in self.patterns if (levels := pattern.match(topic)) is not None), None)

    def unnamed(self, document: Any) -> tuple[str, ...]:
        """Outermost fields that the profile says nothing of."""
        if self._fields is None or not isinstance(document, dict):
            return ()
        shape = tuple(document)
        known = self._shapes.get(shape)
        if known is None:
            known = tuple(name for name in shape if name not in self._fields)[:20]
            if sum(map(len, shape)) <= _LONGEST_SHAPE:
                if len(self._shapes) >= _SHAPES:
                    self._shapes.clear()
                self._shapes[shape] = known
        return known


@dataclass(frozen=True, slots=True)
class Layout:
    """`types` are the profile's name and those it extends; `plate` the paths that its identification names."""

    profile: str
    types: tuple[str, ...]
    rules: TopicsRule
    messages: tuple[Message, ...]
    plate: frozenset[str]

    @property
    def filters(self) -> list[str]:
        heard = [one for message in self.messages for pattern in message.patterns for one in pattern.filters]
        return [*heard, *self.rules.listen]


def layouts(profiles: ProfileLibrary) -> dict[str, Layout]:
    """By profile. One that another extends is only a part of that one."""
    loaded: list[LoadedProfile] = [profile for profile in profiles if profile.rules.topics is not None]
    extended = {name for profile in loaded for name in profile.ancestors}
    return {profile.name: _layout(profile) for profile in loaded if profile.name not in extended}


def _layout(profile: LoadedProfile) -> Layout:
    rules = profile.rules.topics
    assert rules is not None
    messages = tuple(Message(rule) for rule in rules.messages)
    plate = frozenset(path for paths in profile.rules.identification.values() for path in paths)
    return Layout(profile.name, (profile.name, *profile.ancestors), rules, messages, plate)


def needed(some: Iterable[Layout]) -> list[str]:
    """The filters of all, without those that another one covers: a message must come once."""
    filters = list(dict.fromkeys(one for layout in some for one in layout.filters))
    return [one for one in filters if not any(other != one and covers(other, one) for other in filters)]
