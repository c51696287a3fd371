"""PackML skills: a unit's state machine by methods, or by classic PackTags."""

from typing import Any

from dtios.mapping.bindings.arguments import ASKED
from dtios.mapping.bindings.packml import PackMLBinding
from dtios.mapping.bindings.packml_points import Commands, PackMLParameter, StateLevel
from dtios.mapping.facts import Node
from dtios.mapping.layout import Entry
from dtios.mapping.profiles.skills import PackMLRule, ParameterRule
from dtios.mapping.skills.methods import argument_names
from dtios.mapping.skills.parts import BuiltSkill, NotBuilt, Place, finish, limits
from dtios.mapping.skills.variables import call_point, method_at, result, variable, write_point
from dtios.mapping.state_names import PACKML_STATES
from dtios.model.datatypes import BuiltinType, ValueType
from dtios.model.packml import PackMLCommand

__all__ = ["packml_skill"]

_KEPT = frozenset({"Reset", "ResetStopped", "Clear"})
"""Commands that stay plain methods as well: a person gives them, this skill does so only where its profile says."""

_RESET_STOPPED = "ResetStopped"


def packml_skill(rule: PackMLRule, place: Place) -> BuiltSkill:
    """Raises NotBuilt for a unit that does not show its state or cannot be started."""
    entry = place.need(rule.at)
    states = {**(rule.state_names or PACKML_STATES)}
    levels = [StateLevel(variable(place, path).node.address, states) for path in rule.states]
    methods: dict[str, Entry] = {
        name: found for name, path in rule.commands.items() if (found := method_at(place, path)) is not None
    }
    if rule.command is None and "Start" not in methods:
        raise NotBuilt(f"there is no method {rule.commands.get('Start')} to start it with")
    binding = PackMLBinding(
        levels,
        _commands(rule, place, methods),
        [_parameter(name, given, place) for name, given in rule.parameters.items()],
        [result(name, given, place) for name, given in rule.results.items()],
        reset_before_start=rule.reset_before_start,
        takes_descriptors="Start" in methods and _takes_descriptors(methods["Start"].node),
    )
    return finish(
        binding,
        rule.name or entry.path or entry.node.name.name,
        capability=rule.capability,
        description=rule.description or entry.node.description,
        parameters=rule.parameters,
        results=rule.results,
        on_owner_lost=rule.on_owner_lost,
        claimed=tuple(method.node for name, method in methods.items() if name not in _KEPT),
    )


def _commands(rule: PackMLRule, place: Place, methods: dict[str, Entry]) -> Commands:
    calls = {name: call_point(found) for name, found in methods.items()}
    return Commands(
        {PackMLCommand(name): call for name, call in calls.items() if name != _RESET_STOPPED},
        None if rule.command is None else write_point(variable(place, rule.command)),
        None if rule.change_request is None else write_point(variable(place, rule.change_request)),
        calls.get(_RESET_STOPPED),
    )


def _takes_descriptors(start: Node) -> bool:
    return bool(start.inputs) and start.inputs[0].type.is_structure and start.inputs[0].type.rank >= 0


def _parameter(name: str, rule: ParameterRule, place: Place) -> PackMLParameter:
    """Written to `path`, or an `argument` of `call`, or a descriptor (of `call`, else of Start)."""
    more: dict[str, Any] = {
        "label": rule.id or name,
        "number": rule.number,
        "unit": None if rule.unit is None else rule.unit.machine_unit,
        "extra": limits(rule),
        "fixed": ASKED if rule.value is None else rule.value,
        "required": bool(rule.required),
    }
    own = None if rule.type is None else ValueType(BuiltinType[rule.type], rule.type)
    if rule.path is not None:
        write = write_point(variable(place, rule.path))
        return PackMLParameter(name, own or write.type, write=write, **more)
    if rule.call is None:
        return PackMLParameter(name, own or ValueType(BuiltinType.Float, "Float"), **more)
    return _called(name, rule, own, place, more)


def _called(name: str, rule: ParameterRule, own: ValueType | None, place: Place, more: dict[str, Any]) -> PackMLParameter:
    found = method_at(place, rule.call or "")
    if found is None:
        raise NotBuilt(f"there is no method {rule.call} to give the parameter {name} to")
    names = argument_names(found.node.inputs)
    if rule.argument is not None and rule.argument not in names:
        raise NotBuilt(f"{found.path} has no argument {rule.argument!r}, its arguments are {', '.join(names) or 'none'}")
    if not names:
        raise NotBuilt(f"{found.path} takes no arguments")
    index = 0 if rule.argument is None else names.index(rule.argument)
    input = found.node.inputs[index].type
    type = own or (ValueType(BuiltinType.Float, "Float") if input.is_structure else input)
    return PackMLParameter(name, type, call=call_point(found), index=index, **more)
