"""From a profile's rule for an event type to a `ResultSource`."""

from typing import Final

from dtios.mapping.profiles.library import LoadedProfile
from dtios.mapping.profiles.results import ResultEventRule
from dtios.mapping.results import ResultSource, ValuePath
from dtios.model.event import EventPath
from dtios.model.result import ResultEvaluation

__all__ = ["result_source"]

_NAMED: Final = ("result", "part", "job", "step", "partial", "created")


def result_source(rule: ResultEventRule, profile: LoadedProfile) -> ResultSource:
    """What is asked for is the first name of each path, or the longest of the rule's `fields` that it begins with."""
    deeper = [profile.path(text) for text in rule.fields]
    paths = {name: _way(profile.path(text), deeper) for name in _NAMED if (text := getattr(rule, name)) is not None}
    evaluations: dict[bool | int | str, ResultEvaluation] = {}
    if rule.evaluation is not None:
        paths["evaluation"] = _way(profile.path(rule.evaluation.path), deeper)
        evaluations = {value: ResultEvaluation[name] for value, name in rule.evaluation.values.items()}
    content = {name: _way(profile.path(text), deeper) for name, text in rule.content.items()}
    asked = dict.fromkeys(way.field for way in (*paths.values(), *content.values()))
    return ResultSource(profile.type_name(rule.event), tuple(asked), paths, evaluations, content)


def _way(path: EventPath, deeper: list[EventPath]) -> ValuePath:
    fits = [field for field in deeper if path[: len(field)] == field]
    count = max((len(field) for field in fits), default=1)
    return ValuePath(path[:count], tuple(name.name for name in path[count:]))
