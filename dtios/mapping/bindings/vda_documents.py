"""Orders and instant actions of VDA 5050 (6.6, 6.8), but for the header: the adapter writes that, it counts what it sends."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import uuid4

from dtios.mapping.bindings.vda_state import VehicleState
from dtios.model.errors import RefusedError

__all__ = ["ROUTE", "Action", "instant", "instant_id", "is_action_of", "is_instant_of", "order", "stops_of", "update"]

_POSITION: Final = {
    "type": "object",
    "properties": {
        "x": {"type": "number", "x-unit": "MTR"},
        "y": {"type": "number", "x-unit": "MTR"},
        "theta": {"type": "number", "minimum": -3.14159265359, "maximum": 3.14159265359, "x-unit": "C81"},
        "allowedDeviationXY": {"type": "number", "minimum": 0, "x-unit": "MTR"},
        "allowedDeviationTheta": {"type": "number", "minimum": 0, "maximum": 3.141592654, "x-unit": "C81"},
        "mapId": {"type": "string", "description": "left out: the map that the vehicle is on"},
    },
    "required": ["x", "y"],
    "additionalProperties": False,
}
_STOP: Final = {
    "type": "object",
    "properties": {
        "nodeId": {"type": "string", "minLength": 1},
        "nodePosition": _POSITION,
        "edgeId": {"type": "string", "description": "of the edge that leads there; left out: made of the two nodes"},
        "maxSpeed": {"type": "number", "exclusiveMinimum": 0, "x-unit": "MTS"},
    },
    "required": ["nodeId"],
    "additionalProperties": False,
}
ROUTE: Final[Mapping[str, Any]] = {
    "nodeId": {"type": "string", "minLength": 1, "description": "where to"},
    "nodePosition": {**_POSITION, "description": "of that node, for vehicles that have no map of nodes"},
    "maxSpeed": {"type": "number", "exclusiveMinimum": 0, "x-unit": "MTS", "description": "on the edge that leads there"},
    "nodes": {"type": "array", "items": _STOP, "minItems": 1, "description": "the nodes to pass, in order, before nodeId"},
    "horizon": {"type": "array", "items": _STOP, "description": "nodes that are planned after it and not yet released"},
}
"""JSON Schema of what says where to drive."""


@dataclass(frozen=True, slots=True)
class Action:
    """An action at the last node. `blocking` is NONE, SOFT or HARD."""

    type: str
    blocking: str = "HARD"
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def document(self, id: str) -> dict[str, Any]:
        given = [{"key": key, "value": value} for key, value in self.parameters.items()]
        return {"actionType": self.type, "actionId": id, "blockingType": self.blocking, "actionParameters": given}


def stops_of(parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The released nodes that the parameters name; none: where it stands."""
    stops = [dict(stop) for stop in parameters.get("nodes", ())]
    if "nodeId" in parameters:
        stops.append({key: parameters[key] for key in ("nodeId", "nodePosition", "maxSpeed") if key in parameters})
    return stops


def order(job: str, state: VehicleState, parameters: Mapping[str, Any], actions: Sequence[Action] = ()) -> dict[str, Any]:
    """A new order from where the vehicle stands. Raises RefusedError where that or a map is not known."""
    stops = stops_of(parameters)
    if not stops or stops[0]["nodeId"] != state.last_node:
        if not stops and not state.last_node:
            raise RefusedError("the vehicle does not say on which node it stands", mend="say the nodeId")
        if state.last_node:
            stops.insert(0, {"nodeId": state.last_node})
    nodes, edges = _route(stops, parameters.get("horizon", ()), 0, state.map)
    base = [node for node in nodes if node["released"]]
    base[-1]["actions"] = [action.document(f"{job}/0/{n}") for n, action in enumerate(actions)]
    return {"orderId": job, "orderUpdateId": 0, "nodes": nodes, "edges": edges}


def update(job: str, state: VehicleState, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """More of the same order: it begins at the last node of the base (6.6.4.1, stitching)."""
    base = next((node for node in reversed(state.nodes) if node.released), None)
    first: dict[str, Any] = {"nodeId": state.last_node if base is None else base.node}
    if base is not None and base.position is not None:
        first["nodePosition"] = _known(base.position)
    sequence = state.last_sequence if base is None else base.sequence
    nodes, edges = _route([first, *stops_of(parameters)], parameters.get("horizon", ()), sequence, state.map)
    return {"orderId": job, "orderUpdateId": state.update + 1, "nodes": nodes, "edges": edges}


def _known(position: Mapping[str, Any]) -> dict[str, Any]:
    return {key: position[key] for key in _POSITION["properties"] if key in position}  # type: ignore[attr-defined]


def _route(
    stops: Sequence[Mapping[str, Any]], horizon: Sequence[Mapping[str, Any]], sequence: int, map: str
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Nodes have even sequenceIds and edges the odd ones between them; the base is released, the horizon is not (6.6.2)."""
    nodes: list[dict[str, Any]] = []
    edges: list[dict[str, Any]] = []
    for released, stop in [*((True, stop) for stop in stops), *((False, stop) for stop in horizon)]:
        if nodes:
            edges.append(_edge(nodes[-1], stop, released))
            sequence += 2
        nodes.append(_node(stop, sequence, released, map))
    return nodes, edges


def _node(stop: Mapping[str, Any], sequence: int, released: bool, map: str) -> dict[str, Any]:
    node = {"nodeId": stop["nodeId"], "sequenceId": sequence, "released": released, "actions": []}
    if "nodePosition" in stop:
        node["nodePosition"] = position = {"mapId": map, **stop["nodePosition"]}
        if not position["mapId"]:
            raise RefusedError("the vehicle does not say on which map it is", mend="give nodePosition a mapId")
    return node


def _edge(start: Mapping[str, Any], stop: Mapping[str, Any], released: bool) -> dict[str, Any]:
    edge = {
        "edgeId": stop.get("edgeId") or f"{start['nodeId']}-{stop['nodeId']}",
        "sequenceId": start["sequenceId"] + 1,
        "released": released,
        "startNodeId": start["nodeId"],
        "endNodeId": stop["nodeId"],
        "actions": [],
    }
    return edge if "maxSpeed" not in stop else {**edge, "maxSpeed": stop["maxSpeed"]}


# --- actions -----------------------------------------------------------------------------------------------------------------


def instant(*actions: dict[str, Any]) -> bytes:
    return json.dumps({"actions": list(actions)}).encode()


def instant_id(job: str, verb: str) -> str:
    """A new id for an instant action about this job, which tells by itself what it was for."""
    return f"{job}/{verb}/{uuid4().hex[:8]}"


def is_instant_of(id: str, job: str, *verbs: str) -> bool:
    return re.fullmatch(rf"{re.escape(job)}/({'|'.join(verbs)})/[0-9a-f]{{8}}", id) is not None


def is_action_of(id: str, job: str) -> bool:
    """Whether it is an action of the order itself."""
    return re.fullmatch(rf"{re.escape(job)}/\d+/\d+", id) is not None
