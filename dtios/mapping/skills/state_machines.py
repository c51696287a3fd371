"""Program and OpenSMI skills: state machines with methods."""

from dtios.mapping.bindings.base import SkillBinding
from dtios.mapping.bindings.opensmi import OpenSMIBinding
from dtios.mapping.bindings.program import ProgramBinding
from dtios.mapping.bindings.state_machine import StateMachineNodes
from dtios.mapping.bindings.variables import Written
from dtios.mapping.facts import Node, NodeKind
from dtios.mapping.layout import Entry
from dtios.mapping.paths import join
from dtios.mapping.profiles.skills import OpenSMIRule, ParameterRule, ProgramRule
from dtios.mapping.profiles.state_machines import STATE_METHODS
from dtios.mapping.skills.methods import inputs_of
from dtios.mapping.skills.parts import BuiltSkill, NotBuilt, Place, finish
from dtios.mapping.skills.variables import call_point, method_at, results_in, variable, written, written_in

__all__ = ["opensmi_skill", "program_skill"]

_KEPT = frozenset({"Reset"})
"""Stays a plain method as well: a person gives it, this skill does so only where its profile says."""


def program_skill(rule: ProgramRule, place: Place) -> BuiltSkill:
    """Raises NotBuilt for a program that does not show its state or cannot be started."""
    entry = place.need(rule.at)
    inner = Place(place.layout, entry, place.profile)
    methods = _methods(rule, place, inner, "")
    inputs = {n: r for n, r in rule.parameters.items() if r.path is None}
    nodes = StateMachineNodes(
        _states(rule, place, inner, "CurrentState"),
        {name: call_point(found) for name, found in methods.items()},
        tuple(inputs_of(methods["Start"].node.inputs, inputs)),
        tuple(written(n, r, place) for n, r in rule.parameters.items() if r.path is not None),
        tuple(results_in(inner if rule.results_at == "FinalResultData" else place, rule.results_at, rule.results)),
        rule.state_names,
    )
    binding = ProgramBinding(nodes, reset_before_start=rule.reset_before_start, ends_halted=rule.ends_halted)
    return _finished(binding, rule, entry, entry.path or entry.node.name.name, methods)


def opensmi_skill(rule: OpenSMIRule, place: Place) -> BuiltSkill:
    """`at` is the skill; its element for the execution is SkillExecution, in which its state machine lies. Raises NotBuilt."""
    entry = place.need(rule.at)
    execution = place.layout.entry(_child(entry.node, "SkillExecution")) or entry
    inner = Place(place.layout, execution, place.profile)
    methods = _methods(rule, place, inner, "StateMachine")
    nodes = StateMachineNodes(
        _states(rule, place, inner, "StateMachine/CurrentState"),
        {name: call_point(found) for name, found in methods.items()},
        parameters=tuple(_parameters(rule, inner)),
        results=tuple(results_in(inner, rule.results_at, rule.results)),
    )
    binding = OpenSMIBinding(nodes, reset_before_start=rule.reset_before_start)
    return _finished(binding, rule, entry, entry.path or entry.node.name.name, methods)


def _finished(
    binding: SkillBinding, rule: ProgramRule | OpenSMIRule, entry: Entry, path: str, methods: dict[str, Entry]
) -> BuiltSkill:
    return finish(
        binding,
        rule.name or path,
        capability=rule.capability,
        description=rule.description or entry.node.description,
        parameters=rule.parameters,
        results=rule.results,
        on_owner_lost=rule.on_owner_lost,
        claimed=tuple(method.node for name, method in methods.items() if name not in _KEPT),
    )


def _parameters(rule: OpenSMIRule, inner: Place) -> list[Written]:
    rules: dict[str, ParameterRule] = dict(rule.parameters)
    return written_in(inner, rule.parameters_at, rules)


def _methods(rule: ProgramRule | OpenSMIRule, place: Place, inner: Place, below: str) -> dict[str, Entry]:
    """By name: where the profile says, else where the standard puts them."""
    found: dict[str, Entry] = {}
    for name in STATE_METHODS:
        given = rule.methods.get(name)
        at = method_at(place, given) if given is not None else method_at(inner, join(below, name))
        if at is not None:
            found[name] = at
        elif given is not None:
            raise NotBuilt(f"there is no method {given}")
    if "Start" not in found:
        raise NotBuilt(f"{inner.entry.path or inner.entry.node.name.name} has no method Start")
    return found


def _states(rule: ProgramRule | OpenSMIRule, place: Place, inner: Place, path: str) -> tuple[str, ...]:
    if rule.states:
        return tuple(variable(place, given).node.address for given in rule.states)
    shown = variable(inner, path)
    surer = (_child(shown.node, name) for name in ("Number", "Id"))
    known = [n.address for n in surer if n is not None and n.kind is NodeKind.VARIABLE]
    return (*known, shown.node.address)


def _child(node: Node, name: str) -> Node | None:
    return next((below for _, below in node.children if below.name.name == name), None)
