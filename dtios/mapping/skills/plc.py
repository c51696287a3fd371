"""Skills of a PLC: by its bits, and by set-points that are read back."""

from typing import Any

from dtios.mapping.bindings.flags import Flag, Switch
from dtios.mapping.bindings.handshake import HandshakeBinding
from dtios.mapping.bindings.handshake_points import Handshake
from dtios.mapping.bindings.variables import WritePoint
from dtios.mapping.bindings.write import Confirmed, WriteBinding
from dtios.mapping.profiles.flags import FlagRule, SwitchRule
from dtios.mapping.profiles.skills import HandshakeRule, WriteRule
from dtios.mapping.skills.parts import BuiltSkill, NotBuilt, Place, finish
from dtios.mapping.skills.variables import result, variable, write_point, written
from dtios.model.coercion import check
from dtios.model.datatypes import BuiltinType, ValueType
from dtios.model.errors import DtiosError
from dtios.model.job import JobVerb
from dtios.model.machine import Access

__all__ = ["handshake_skill", "write_skill"]


def handshake_skill(rule: HandshakeRule, place: Place) -> BuiltSkill:
    """Raises NotBuilt for bits that are not there or are no bits."""
    flags = {role: _flag(role, given, place) for role, given in rule.read.items()}
    switches = {role: _switch(role, given, place) for role, given in rule.written.items()}
    plan = Handshake(
        switches["trigger"],
        **flags,
        error_code=None if rule.error_code is None else write_point(variable(place, rule.error_code)),
        error_texts=rule.error_texts,
        acknowledge=switches.get("acknowledge"),
        reset=switches.get("reset"),
        verbs={JobVerb(role): switches[role] for role in ("stop", "abort", "pause") if role in switches},
        trigger_until=rule.trigger_until,
        start_within=rule.start_within,
        done_within=rule.done_within,
        reset_before_start=rule.reset_before_start,
        parameters=[written(name, given, place) for name, given in rule.parameters.items()],
        results=[result(name, given, place) for name, given in rule.results.items()],
    )
    return _finished(HandshakeBinding(plan), rule, rule.name or variable(place, rule.trigger.path).path)


def write_skill(rule: WriteRule, place: Place) -> BuiltSkill:
    """Raises NotBuilt for set-points or read-backs that are not there."""
    if not rule.parameters:
        raise NotBuilt("it has no set-point: give its parameters, each with a path")
    for name in rule.confirm.keys() - rule.parameters.keys():
        raise NotBuilt(f"confirm names {name}, and there is no such parameter")
    setpoints = []
    for name, given in rule.parameters.items():
        parameter, confirm = written(name, given, place), rule.confirm.get(name)
        readback = parameter.to if confirm is None else write_point(variable(place, confirm.path))
        setpoints.append(Confirmed(parameter, readback, 0.0 if confirm is None else confirm.tolerance))
    results = [result(name, given, place) for name, given in rule.results.items()]
    return _finished(WriteBinding(setpoints, results, within=rule.within), rule, rule.name)


def _finished(binding: HandshakeBinding | WriteBinding, rule: HandshakeRule | WriteRule, path: str) -> BuiltSkill:
    return finish(
        binding,
        path,
        capability=rule.capability,
        description=rule.description,
        parameters=rule.parameters,
        results=rule.results,
        on_owner_lost=rule.on_owner_lost,
    )


def _flag(role: str, rule: FlagRule, place: Place) -> Flag:
    point = write_point(variable(place, rule.path))
    equals = tuple(_meant(value, point.type) for value in rule.equals)
    _fits(role, rule.bit, point, whole=bool(equals) or rule.counts)
    return Flag(point.address, rule.bit, equals, rule.inverted, rule.counts, rule.stays)


def _meant(value: Any, type: ValueType) -> Any:
    """An enumeration is numbers on the wire, and a profile may say its names."""
    return next((number for number, name in type.members if name == value), value)


def _switch(role: str, rule: SwitchRule, place: Place) -> Switch:
    found = variable(place, rule.path)
    point = write_point(found)
    if found.node.access is Access.READ:
        raise NotBuilt(f"{found.path} cannot be written, and {role} needs that")
    _fits(role, rule.bit, point, whole=rule.up is not None)
    on, off = _levels(role, rule, point)
    if rule.bit is not None:
        return Switch(Flag(point.address, rule.bit, inverted=rule.inverted), point.type)
    return Switch(Flag(point.address), point.type, on, off)


def _levels(role: str, rule: SwitchRule, point: WritePoint) -> tuple[Any, Any]:
    """What is written for up and down, in the exact type."""
    is_boolean = point.type.builtin is BuiltinType.Boolean
    levels = (True, False) if is_boolean else (1, 0)
    on, off = levels if rule.up is None else (rule.up, rule.down)
    if rule.inverted:
        on, off = off, on
    try:
        return check(on, point.type, role), check(off, point.type, role)
    except DtiosError as error:
        raise NotBuilt(f"{role} cannot be written to {rule.path}: {error.message}") from None


def _fits(role: str, bit: int | None, point: WritePoint, *, whole: bool) -> None:
    """A bit lies in an integer that is wide enough; what is neither a bit nor compared is a Boolean or a number."""
    type = point.type
    if type.rank >= 0:
        raise NotBuilt(f"{role} is {type.label()}, and an array has no level")
    if bit is not None and bit >= _WIDTHS.get(BuiltinType(type.builtin), 0):
        raise NotBuilt(f"{role} is bit {bit} of a {type.label()}, which has none")
    if bit is None and not whole and type.builtin is not BuiltinType.Boolean and not type.is_numeric:
        raise NotBuilt(f"{role} is a {type.label()}; say which of its values count, by `equals`")


_WIDTHS = {
    BuiltinType.SByte: 8,
    BuiltinType.Byte: 8,
    BuiltinType.Int16: 16,
    BuiltinType.UInt16: 16,
    BuiltinType.Int32: 32,
    BuiltinType.UInt32: 32,
    BuiltinType.Int64: 64,
    BuiltinType.UInt64: 64,
}
