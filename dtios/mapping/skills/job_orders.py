"""Job-order skills: one for each receiver, or what a profile makes of it."""

from typing import Final

from dtios.mapping.bindings.arguments import ASKED
from dtios.mapping.bindings.job_order import JobOrderBinding, ReceiverMethod, ReceiverNodes
from dtios.mapping.bindings.job_order_data import JobParameter
from dtios.mapping.bindings.job_order_follow import Responses
from dtios.mapping.facts import Node, NodeKind
from dtios.mapping.layout import Entry
from dtios.mapping.paths import ANY_NAMESPACE
from dtios.mapping.profiles.skills import JobOrderRule, ParameterRule
from dtios.mapping.skills.parts import BuiltSkill, NotBuilt, Place, finish, limits
from dtios.model.datatypes import BuiltinType, ValueType
from dtios.model.values import QualifiedName, Record

__all__ = ["job_order_skill"]

_METHODS: Final = ("StoreAndStart", "Store", "Start", "Pause", "Resume", "Stop", "Abort", "Cancel", "Update")
_REQUEST: Final = "RequestJobResponseByJobOrderID"


def job_order_skill(rule: JobOrderRule, place: Place) -> BuiltSkill:
    """Raises NotBuilt for a receiver that cannot start a job or does not list its jobs."""
    entry = place.need(rule.at)
    receiver = entry.node
    listed = _named(receiver, "JobOrderList", NodeKind.VARIABLE)
    methods = {name: node for name in _METHODS if (node := _named(receiver, name, NodeKind.METHOD)) is not None}
    if listed is None:
        raise NotBuilt(f"{entry.path or receiver.name.name} has no JobOrderList to follow a job in")
    if "StoreAndStart" not in methods and not {"Store", "Start"} <= methods.keys():
        raise NotBuilt(f"{entry.path or receiver.name.name} has neither StoreAndStart nor Store and Start")
    nodes = ReceiverNodes(
        receiver.address,
        listed.address,
        {name: ReceiverMethod(node.address, tuple(a.type for a in node.inputs)) for name, node in methods.items()},
        _responses(rule, place, entry),
    )
    known = [_parameter(name, given) for name, given in rule.parameters.items()]
    results = {name: given.id or name for name, given in rule.results.items()}
    binding = JobOrderBinding(nodes, known, rule.work_master, _work_masters(receiver), results)
    return finish(
        binding,
        rule.name or entry.path or receiver.name.name,
        capability=rule.capability,
        description=rule.description or receiver.description,
        parameters=rule.parameters,
        results=rule.results,
        on_owner_lost=rule.on_owner_lost,
        claimed=tuple(methods.values()),
    )


def _named(node: Node, name: str, kind: NodeKind) -> Node | None:
    found = node.child(QualifiedName(ANY_NAMESPACE, name))
    return found if found is not None and found.kind is kind else None


def _parameter(name: str, rule: ParameterRule) -> JobParameter:
    type = None if rule.type is None else ValueType(BuiltinType[rule.type], rule.type)
    fixed = ASKED if rule.value is None else rule.value
    unit = None if rule.unit is None else rule.unit.machine_unit
    return JobParameter(name, rule.id or name, type, limits(rule), fixed, unit, bool(rule.required))


def _work_masters(receiver: Node) -> list[str]:
    """IDs of the WorkMasters that the receiver listed when it was browsed."""
    listed = _named(receiver, "WorkMaster", NodeKind.VARIABLE)
    value = None if listed is None else listed.value
    records = [r for r in value if isinstance(r, Record)] if isinstance(value, list) else []
    return [r["ID"] for r in records if isinstance(r.get("ID"), str)]


def _responses(rule: JobOrderRule, place: Place, receiver: Entry) -> Responses | None:
    """The response provider that the profile names, else the nearest one in this machine."""
    if rule.responses is not None:
        return _asked(place.need(rule.responses))
    if rule.responses_type is None:
        return None
    wanted = place.profile.type_name(rule.responses_type)
    near = [e for e in place.layout if wanted in e.node.types and _asked(e) is not None]
    best = max(near, key=lambda e: _shared(e.path, receiver.path), default=None)
    return None if best is None else _asked(best)


def _asked(entry: Entry) -> Responses | None:
    method = _named(entry.node, _REQUEST, NodeKind.METHOD)
    return None if method is None else Responses(entry.node.address, method.address)


def _shared(a: str, b: str) -> int:
    """How many leading names two paths have in common."""
    count = 0
    for left, right in zip(a.split("/"), b.split("/"), strict=False):
        if left != right:
            break
        count += 1
    return count
