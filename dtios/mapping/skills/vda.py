"""Skills of a vehicle: driving, and the actions of its factsheet (VDA 5050, 6.15)."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from dtios.mapping.bindings.vda_action import VdaActionBinding
from dtios.mapping.bindings.vda_documents import ROUTE
from dtios.mapping.bindings.vda_order import OrderPlan, Parameter, VdaOrderBinding
from dtios.mapping.facts import Node
from dtios.mapping.layout import Entry
from dtios.mapping.paths import ANY_NAMESPACE
from dtios.mapping.profiles.skills import ParameterRule, VdaOrderRule
from dtios.mapping.skills.parts import BuiltSkill, NotBuilt, Place, finish, limits
from dtios.mapping.skills.schema import schema_of
from dtios.model.datatypes import BuiltinType, ValueType
from dtios.model.values import QualifiedName

__all__ = ["vda_order_skill", "vda_rules"]

_NOT_SKILLS: Final = frozenset({"cancelOrder", "startPause", "stopPause", "stateRequest", "factsheetRequest"})
"""Verbs of a job, and questions."""
_TYPES: Final[Mapping[str, Mapping[str, Any]]] = {
    "BOOL": {"type": "boolean"},
    "NUMBER": {"type": "number"},
    "INTEGER": {"type": "integer"},
    "FLOAT": {"type": "number"},
    "STRING": {"type": "string"},
    "OBJECT": {"type": "object"},
    "ARRAY": {"type": "array"},
}


def vda_rules(rule: VdaOrderRule, place: Place) -> Sequence[VdaOrderRule]:
    """One for each action of the factsheet that is a thing to do, unless a rule of the profile names it."""
    if not rule.is_for_each:
        return (rule,)
    own = {other.action for other in place.skills if isinstance(other, VdaOrderRule)}
    made = []
    for kind, action in _factsheet(place.find(rule.at)).items():
        scopes = {str(scope).upper() for scope in action.get("actionScopes", ())}
        if kind not in own | _NOT_SKILLS and scopes & {"NODE", "INSTANT"}:
            scope = "node" if "NODE" in scopes else "instant"
            made.append(rule.model_copy(update={"action": kind, "scope": scope, "name": kind}))
    return made


def vda_order_skill(rule: VdaOrderRule, place: Place) -> BuiltSkill:
    """Raises NotBuilt for what is no vehicle, and for an action that the factsheet does not list."""
    entry = place.need(rule.at)
    told = _factsheet(entry)
    action = told.get(rule.action or "", {})
    if rule.action is not None and told and not action:
        raise NotBuilt(f"the factsheet has no action {rule.action}")
    plan = OrderPlan(
        entry.node.address,
        rule.action,
        rule.blocking or _blocking(action),
        _parameters(rule, action),
        not told or {"startPause", "stopPause"} <= told.keys(),
    )
    binding = VdaActionBinding(plan) if rule.scope == "instant" else VdaOrderBinding(plan)
    return finish(
        binding,
        rule.name or rule.action or "drive",
        capability=rule.capability,
        description=rule.description or str(action.get("actionDescription", "")),
        parameters=rule.parameters,
        results=rule.results,
        on_owner_lost=rule.on_owner_lost,
    )


def _factsheet(entry: Entry | None) -> dict[str, Mapping[str, Any]]:
    """The actions that the factsheet lists, by type; empty where it lists none."""
    folder = None if entry is None else _child(entry.node, "agvActions")
    nodes = () if folder is None else tuple(node for _, node in folder.children)
    return {node.name.name: json.loads(defined.value) for node in nodes if (defined := _child(node, "Definition")) is not None}


def _child(node: Node, name: str) -> Node | None:
    return node.child(QualifiedName(ANY_NAMESPACE, name))


def _blocking(action: Mapping[str, Any]) -> str:
    """The one that lets least happen meanwhile."""
    known = action.get("blockingTypes") or ("HARD",)
    return next((kind for kind in ("HARD", "SOFT", "NONE") if kind in known), "HARD")


def _parameters(rule: VdaOrderRule, action: Mapping[str, Any]) -> tuple[Parameter, ...]:
    """Those of the factsheet under the profile's names, and what else the profile names."""
    told = {p["key"]: p for p in action.get("actionParameters", ())}
    named = {given.id or name: (name, given) for name, given in rule.parameters.items()}
    found = [_told(key, p, *named.get(key, (key, ParameterRule()))) for key, p in told.items()]
    found += [_own(name, given) for name, given in rule.parameters.items() if (given.id or name) not in told]
    return tuple(found)


def _told(key: str, told: Mapping[str, Any], name: str, given: ParameterRule) -> Parameter:
    schema = dict(_TYPES.get(str(told.get("valueDataType", "")).upper(), {}))
    if told.get("description"):
        schema["description"] = told["description"]
    required = told.get("isOptional") is not True if given.required is None else given.required
    return Parameter(name, key, {**schema, **_typed(given), **limits(given)}, required, given.value)


def _own(name: str, given: ParameterRule) -> Parameter:
    key = given.id or name
    required = key not in ROUTE if given.required is None else given.required
    return Parameter(name, key, {**_typed(given), **limits(given)}, required, given.value)


def _typed(given: ParameterRule) -> dict[str, Any]:
    return {} if given.type is None else schema_of(ValueType(BuiltinType[given.type]))
