"""Variables of skills: found by the paths that profiles give, or all that lie in one object."""

from collections.abc import Iterator, Mapping

from dtios.mapping.bindings.arguments import ASKED
from dtios.mapping.bindings.variables import CallPoint, ResultPoint, WritePoint, Written
from dtios.mapping.facts import NodeKind
from dtios.mapping.layout import Entry
from dtios.mapping.profiles.skill_base import ParameterRule, ResultRule
from dtios.mapping.skills.methods import owner_of
from dtios.mapping.skills.parts import NotBuilt, Place, limits
from dtios.model.datatypes import BuiltinType, ValueType
from dtios.model.machine import Range

__all__ = ["call_point", "method_at", "result", "results_in", "variable", "variables_in", "write_point", "written", "written_in"]


def method_at(place: Place, path: str) -> Entry | None:
    found = place.find(path)
    return found if found is not None and found.node.kind is NodeKind.METHOD else None


def variable(place: Place, path: str) -> Entry:
    """Raises NotBuilt for what is not there or no variable."""
    found = place.need(path)
    if found.node.kind is not NodeKind.VARIABLE:
        raise NotBuilt(f"{found.path} is a {found.node.kind.value}, not a variable")
    return found


def call_point(found: Entry) -> CallPoint:
    return CallPoint(owner_of(found).address, found.node.address, tuple(a.type for a in found.node.inputs))


def _type(found: Entry) -> ValueType:
    if found.node.type is None:
        raise NotBuilt(f"{found.path} does not tell its data type")
    return found.node.type


def write_point(found: Entry) -> WritePoint:
    return WritePoint(found.node.address, _type(found))


def written(name: str, rule: ParameterRule, place: Place, *, required: bool = False) -> Written:
    """A parameter that goes into the variable at its path. Raises NotBuilt."""
    if rule.path is None:
        raise NotBuilt(f"the parameter {name} needs a path to be written to")
    return _written(name, rule, variable(place, rule.path), required=required)


def _written(name: str, rule: ParameterRule, found: Entry, *, required: bool) -> Written:
    to = write_point(found)
    if rule.type is not None:
        to = WritePoint(to.address, ValueType(BuiltinType[rule.type], rule.type))
    extra = {**_range(found.node.range), **limits(rule)}
    if found.node.description and "description" not in extra:
        extra["description"] = found.node.description
    fixed = ASKED if rule.value is None else rule.value
    return Written(name, to, extra, fixed, required if rule.required is None else rule.required)


def _range(range: Range | None) -> dict[str, float]:
    """A range without width is what servers give that know none."""
    return {} if range is None or not range.low < range.high else {"minimum": range.low, "maximum": range.high}


def variables_in(place: Place, path: str) -> Iterator[tuple[str, Entry]]:
    """By name: those of the object at `path`, if it is there."""
    at = place.find(path)
    for _, node in at.node.children if at is not None else ():
        found = place.layout.entry(node)
        if node.kind is NodeKind.VARIABLE and node.type is not None and found is not None:
            yield node.name.name, found


def written_in(place: Place, path: str, rules: Mapping[str, ParameterRule]) -> list[Written]:
    """All variables of the object as parameters that must be given, with what the profile says of them (by name, or `id`)."""
    there = dict(variables_in(place, path))
    by_id = {rule.id or name: (name, rule) for name, rule in rules.items() if rule.path is None}
    own = [written(name, rule, place, required=True) for name, rule in rules.items() if rule.path is not None]
    for name in by_id.keys() - there.keys():
        raise NotBuilt(f"there is no variable {name} in {path}, there are {', '.join(there) or 'none'}")
    for label, found in there.items():
        name, rule = by_id.get(label, (label, ParameterRule()))
        own.append(_written(name, rule, found, required=True))
    return own


def result(name: str, rule: ResultRule, place: Place) -> ResultPoint:
    if rule.path is None:
        raise NotBuilt(f"the result {name} needs a path to be read from")
    found = variable(place, rule.path)
    return ResultPoint(name, found.node.address, _type(found))


def results_in(place: Place, path: str, rules: Mapping[str, ResultRule]) -> list[ResultPoint]:
    """What the profile says; without a word from it all variables of the object."""
    if rules:
        there = dict(variables_in(place, path))
        return [
            ResultPoint(name, there[name].node.address, _type(there[name]))
            if rule.path is None and name in there
            else result(name, rule, place)
            for name, rule in rules.items()
        ]
    return [ResultPoint(name, found.node.address, _type(found)) for name, found in variables_in(place, path)]
