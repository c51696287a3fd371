"""Method skills: the plain ones that every method is, and those that a profile names."""

from collections.abc import Iterable, Mapping, Sequence

from dtios.mapping.bindings.arguments import ASKED, Input, Output
from dtios.mapping.bindings.method import MethodBinding
from dtios.mapping.facts import Argument, Node, NodeKind
from dtios.mapping.layout import Entry
from dtios.mapping.profiles.skills import MethodRule, ParameterRule, ResultRule
from dtios.mapping.skills.parts import BuiltSkill, NotBuilt, Place, finish, limits

__all__ = ["argument_names", "inputs_of", "method_skill", "owner_of", "plain_method_skill"]


def owner_of(entry: Entry) -> Node:
    """The object a method is called on: the one it was found under."""
    assert entry.owner is not None, "a machine's own node is no method"
    return entry.owner.node


def argument_names(given: Sequence[Argument]) -> list[str]:
    """Argument names, made unique; an argument without one is named by its place."""
    names: list[str] = []
    for number, argument in enumerate(given, 1):
        name = wanted = argument.name or f"argument{number}"
        count = 1
        while name in names:
            count += 1
            name = f"{wanted}#{count}"
        names.append(name)
    return names


def plain_method_skill(entry: Entry) -> BuiltSkill:
    """A method that no profile knows."""
    node = entry.node
    binding = MethodBinding(
        owner_of(entry).address, node.address, inputs_of(node.inputs, {}), _outputs(node.outputs, {}, entry.path)
    )
    return finish(binding, entry.path, description=node.description)


def method_skill(rule: MethodRule, place: Place) -> BuiltSkill:
    """A method that a profile names. Raises NotBuilt."""
    entry = place.need(rule.method)
    node = entry.node
    if node.kind is not NodeKind.METHOD:
        raise NotBuilt(f"{entry.path} is a {node.kind.value}, not a method")
    binding = MethodBinding(
        owner_of(entry).address,
        node.address,
        inputs_of(node.inputs, rule.parameters),
        _outputs(node.outputs, rule.results, entry.path),
    )
    return finish(
        binding,
        rule.name or entry.path,
        capability=rule.capability,
        description=rule.description or node.description,
        parameters=rule.parameters,
        results=rule.results,
        on_owner_lost=rule.on_owner_lost,
        claimed=(node,),
    )


def inputs_of(given: Sequence[Argument], rules: Mapping[str, ParameterRule]) -> list[Input]:
    """A rule's parameter stands for the argument it names (by itself, if it says no `argument`). Raises NotBuilt."""
    names = argument_names(given)
    by_argument = {rule.argument or name: (name, rule) for name, rule in rules.items()}
    _all_there(by_argument, names)
    made: list[Input] = []
    for name, argument in zip(names, given, strict=True):
        shown, rule = by_argument.get(name, (name, None))
        extra = {"description": argument.description} if argument.description else {}
        if rule is None:
            made.append(Input(shown, argument.type, extra))
        else:
            fixed = ASKED if rule.value is None else rule.value
            made.append(Input(shown, argument.type, {**extra, **limits(rule)}, fixed))
    return made


def _outputs(given: Sequence[Argument], rules: Mapping[str, ResultRule], path: str) -> list[Output]:
    names = argument_names(given)
    by_argument = {rule.argument or name: name for name, rule in rules.items()}
    _all_there(by_argument, names)
    return [Output(by_argument.get(name, name), a.type, a.description) for name, a in zip(names, given, strict=True)]


def _all_there(wanted: Iterable[str], names: Sequence[str]) -> None:
    for name in wanted:
        if name not in names:
            have = f"its arguments are {', '.join(names)}" if names else "it has none"
            raise NotBuilt(f"the method has no argument {name!r} ({have})")
