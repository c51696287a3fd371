"""Skills over messages: the profile's words with the addresses of this machine's topics."""

from collections.abc import Iterator

from dtios.mapping.bindings.arguments import ASKED, Input
from dtios.mapping.bindings.topic import Request, TopicBinding, TopicParts, TopicTimes
from dtios.mapping.bindings.topic_answers import MESSAGE, AnswerReader
from dtios.mapping.facts import NodeKind
from dtios.mapping.json_paths import JsonPath
from dtios.mapping.profiles.skill_base import ParameterRule
from dtios.mapping.profiles.topic_skills import AnswerRule, RequestRule, TopicRule
from dtios.mapping.skills.parts import BuiltSkill, NotBuilt, Place, finish, limits
from dtios.mapping.templates import names_in
from dtios.model.datatypes import BuiltinType, ValueType

__all__ = ["topic_skill"]

_GIVEN = frozenset({"job", "time", "time_ms"})


def topic_skill(rule: TopicRule, place: Place) -> BuiltSkill:
    """Raises NotBuilt where a topic is missing or a template asks for what nobody gives."""
    requests = [rule.request, *rule.commands.values(), *((rule.ask,) if rule.ask is not None else ())]
    for name in sorted({name for one in requests for name in names_in(one.payload)} - _GIVEN - rule.parameters.keys()):
        raise NotBuilt(f"a payload asks for {{{name}}}, which is no parameter")
    reader = _reader(rule.answer, rule)
    parts = TopicParts(
        _request(rule.request, place),
        tuple(_answers(rule.answer, place)),
        reader,
        tuple(_input(name, one) for name, one in rule.parameters.items()),
        frozenset(name for name, one in rule.parameters.items() if one.required is False),
        None if rule.ask is None else _request(rule.ask, place),
        {verb: _request(one, place) for verb, one in rule.commands.items()},
        TopicTimes(rule.start_within, rule.done_within),
    )
    return finish(
        TopicBinding(parts),
        rule.name or place.need(rule.request.path).path,
        capability=rule.capability,
        description=rule.description,
        parameters=rule.parameters,
        results=rule.results,
        on_owner_lost=rule.on_owner_lost,
    )


def _request(rule: RequestRule, place: Place) -> Request:
    found = place.need(rule.path)
    if found.node.kind is not NodeKind.OBJECT:
        raise NotBuilt(f"{rule.path} takes no messages; name one of the profile's `commands`")
    return Request(found.node.address, rule.payload)


def _answers(rule: AnswerRule, place: Place) -> Iterator[str]:
    for path in rule.path:
        found = place.need(path)
        if found.node.type != MESSAGE:
            raise NotBuilt(f"{path} is no whole message; give the message a `whole` name")
        yield found.node.address


def _reader(rule: AnswerRule, skill: TopicRule) -> AnswerReader:
    def paths(texts: tuple[str, ...]) -> tuple[JsonPath, ...]:
        return tuple(JsonPath(text) for text in texts)

    try:
        results = {name: JsonPath(one.id or name) for name, one in skill.results.items()}
    except ValueError as error:
        raise NotBuilt(str(error)) from None
    return AnswerReader(paths(rule.job), paths(rule.state), rule.states, paths(rule.error), paths(rule.reason), results)


def _input(name: str, rule: ParameterRule) -> Input:
    type = ValueType(BuiltinType.Variant) if rule.type is None else ValueType(BuiltinType[rule.type], rule.type)
    return Input(name, type, limits(rule), ASKED if rule.value is None else rule.value)
