"""What a vehicle says of itself, as the adapter hands it on: the checked state message of VDA 5050 (6.10) as JSON text."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["OVER", "ActionState", "NodeState", "VehicleError", "VehicleState", "rejection"]

OVER: Final = frozenset({"FINISHED", "FAILED"})
_REJECTIONS: Final = frozenset({"orderError", "orderUpdateError", "noRouteError", "validationError", "unsupportedParameter"})
"""6.6.4.4 and 6.14: errors by which an order is refused. Spelled in several ways in the field: compared without case."""

_BESIDE: Final = frozenset({"stateRequest", "factsheetRequest", "logReport", "startPause", "stopPause"})
"""Instant actions that keep no order from being taken."""


@dataclass(frozen=True, slots=True)
class NodeState:
    node: str
    sequence: int
    released: bool
    position: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class ActionState:
    """`status` is WAITING, INITIALIZING, RUNNING, PAUSED, FINISHED or FAILED."""

    id: str
    type: str
    status: str
    result: str

    @property
    def is_over(self) -> bool:
        return self.status in OVER


@dataclass(frozen=True, slots=True)
class VehicleError:
    type: str
    level: str
    description: str
    references: tuple[tuple[str, str], ...]

    @property
    def shown(self) -> str:
        """In the vehicle's words."""
        return f"{self.type}: {self.description}" if self.description else self.type

    @property
    def is_rejection(self) -> bool:
        return self.type.lower() in {kind.lower() for kind in _REJECTIONS}

    def names(self, key: str, value: str) -> bool:
        return (key, value) in self.references

    def names_another(self, key: str, value: str) -> bool:
        return any(k == key and v != value for k, v in self.references)


@dataclass(frozen=True, slots=True)
class VehicleState:
    """`order` is empty where it has had none since it was switched on."""

    order: str
    update: int
    last_node: str
    last_sequence: int
    nodes: tuple[NodeState, ...]
    edges: int
    actions: tuple[ActionState, ...]
    errors: tuple[VehicleError, ...]
    paused: bool | None
    map: str

    @classmethod
    def parse(cls, text: str) -> "VehicleState":
        """`text` was checked by the adapter: names and types are those of the standard."""
        said = json.loads(text)
        return cls(
            said["orderId"],
            said["orderUpdateId"],
            said["lastNodeId"],
            said["lastNodeSequenceId"],
            tuple(NodeState(n["nodeId"], n["sequenceId"], n["released"], n.get("nodePosition")) for n in said["nodeStates"]),
            len(said["edgeStates"]),
            tuple(
                ActionState(a["actionId"], a.get("actionType", ""), a["actionStatus"], a.get("resultDescription", ""))
                for a in said["actionStates"]
            ),
            tuple(_error(e) for e in said["errors"]),
            said.get("paused"),
            said.get("agvPosition", {}).get("mapId", ""),
        )

    @property
    def is_busy(self) -> bool:
        """It has an order that is not over (6.6.5: node and edge states empty, all actions FINISHED or FAILED)."""
        open_ = any(not action.is_over and action.type not in _BESIDE for action in self.actions)
        return bool(self.nodes or self.edges) or open_

    def action(self, id: str) -> ActionState | None:
        return next((action for action in self.actions if action.id == id), None)

    def why(self, key: str, value: str) -> str:
        """What the errors that name this say."""
        return "; ".join(error.shown for error in self.errors if error.names(key, value))


def _error(said: Mapping[str, Any]) -> VehicleError:
    references = said.get("errorReferences", ())
    return VehicleError(
        said["errorType"],
        said["errorLevel"],
        said.get("errorDescription", ""),
        tuple((r["referenceKey"], r["referenceValue"]) for r in references),
    )


def rejection(state: VehicleState, job: str, update: int, before: VehicleState | None) -> VehicleError | None:
    """The error by which the vehicle refuses this order or update of it: one that names it, or one that came since `before`
    and names no other."""
    for error in state.errors:
        if not error.is_rejection or error.names_another("orderId", job) or error.names_another("orderUpdateId", str(update)):
            continue
        if error.names("orderId", job) and (update == 0 or error.names("orderUpdateId", str(update))):
            return error
        if before is not None and error not in before.errors:
            return error
    return None
