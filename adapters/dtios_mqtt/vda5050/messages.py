"""Messages of vehicles, checked tolerantly: what does not fit is named and left out, the rest is used."""

import datetime
import json
from collections.abc import Mapping
from typing import Any, Final

import msgspec

__all__ = ["MisreadError", "decode", "factsheet_actions", "timestamp", "usable_errors", "whole_state"]

_LARGEST: Final = 2**20
_DEEPEST: Final = 32
"""Objects and lists within each other; the standard's own have 8."""
_MOST: Final = 1_000
"""Entries of one list."""
_LONGEST_TYPE: Final = 200
"""Characters of an error's type; what is longer is cut."""
_LARGEST_ACTIONS: Final = 2**18
"""Characters that are kept of one factsheet's actions."""


class MisreadError(ValueError):
    """Why a message cannot be used at all."""


def decode(payload: bytes) -> dict[str, Any]:
    """Raises MisreadError."""
    if len(payload) > _LARGEST:
        raise MisreadError("too large")
    try:
        message = msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MisreadError("no JSON") from error
    if not isinstance(message, dict):
        raise MisreadError("no JSON object")
    if _is_deep(message):
        raise MisreadError("nested too deeply")
    return message


def _is_deep(message: dict[str, Any]) -> bool:
    """Level by level: who reads or writes the message later does so by recursion."""
    level: list[Any] = [message]
    for _ in range(_DEEPEST):
        below = [one.values() if isinstance(one, dict) else one for one in level]
        level = [value for values in below for value in values if isinstance(value, dict | list)]
        if not level:
            return False
    return True


def timestamp(message: Mapping[str, Any]) -> int | None:
    """ISO 8601 in UTC, as ns; None for what is none, and for years that no time of a reading can be in (int64)."""
    said = message.get("timestamp")
    if not isinstance(said, str):
        return None
    try:
        moment = datetime.datetime.fromisoformat(said)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    since = moment - datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    made = ((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) * 1_000
    return made if 0 <= made < 2**63 else None


_NODE: Final = {"nodeId": str, "sequenceId": int, "released": bool}
_EDGE: Final = {"edgeId": str, "sequenceId": int, "released": bool}
_ACTION: Final = {"actionId": str, "actionStatus": str}
_ERROR: Final = {"errorType": str, "errorLevel": str}
_REFERENCE: Final = {"referenceKey": str, "referenceValue": str}
_TEXTS: Final = ("actionType", "resultDescription", "errorDescription")


def whole_state(message: Mapping[str, Any], wrong: list[str]) -> str:
    """What orders are followed by, as JSON text with exactly the standard's names and types. What is missing is its empty value;
    what does not fit is added to `wrong`. Empty where the ids do not fit: then nothing can be told of orders."""
    ids = {"orderId": str, "orderUpdateId": int, "lastNodeId": str, "lastNodeSequenceId": int}
    unfit = [name for name, kind in ids.items() if not _is(message.get(name), kind)]
    if unfit:
        wrong += [f"{name} is missing or of a wrong type" for name in unfit]
        return ""
    state: dict[str, Any] = {name: message[name] for name in ids}
    state["nodeStates"] = _entries(message, "nodeStates", _NODE, wrong)
    state["edgeStates"] = _entries(message, "edgeStates", _EDGE, wrong)
    state["actionStates"] = _entries(_with_actions(message, wrong), "actionStates", _ACTION, wrong)
    state["errors"] = usable_errors(message, wrong)
    for node in state["nodeStates"]:
        if not isinstance(node.get("nodePosition"), dict):
            node.pop("nodePosition", None)
    if isinstance(message.get("paused"), bool):
        state["paused"] = message["paused"]
    position = message.get("agvPosition")
    map_id = position.get("mapId") if isinstance(position, dict) else None
    state["agvPosition"] = {"mapId": map_id if isinstance(map_id, str) else ""}
    return json.dumps(state)


def usable_errors(message: Mapping[str, Any], wrong: list[str]) -> list[dict[str, Any]]:
    """The errors, each with its references."""
    errors = _entries(message, "errors", _ERROR, wrong)
    for error in errors:
        error["errorType"] = error["errorType"][:_LONGEST_TYPE]
        error["errorReferences"] = _entries(error, "errorReferences", _REFERENCE, wrong) if "errorReferences" in error else []
    return errors


def _with_actions(message: Mapping[str, Any], wrong: list[str]) -> Mapping[str, Any]:
    """Some vehicles say `actionState`, with one or several."""
    if "actionStates" in message or "actionState" not in message:
        return message
    wrong.append("actionState instead of actionStates")
    said = message["actionState"]
    return {"actionStates": said if isinstance(said, list) else [] if said is None else [said]}


def _entries(message: Mapping[str, Any], name: str, kinds: Mapping[str, type], wrong: list[str]) -> list[dict[str, Any]]:
    said = message.get(name)
    if not isinstance(said, list):
        wrong.append(f"{name} is missing or no list")
        return []
    fitting = [dict(one) for one in said[:_MOST] if isinstance(one, dict) and all(_is(one.get(n), k) for n, k in kinds.items())]
    if len(fitting) < len(said):
        wrong.append(f"{name} has entries that do not fit")
    for one in fitting:
        for text in _TEXTS:
            if text in one and not isinstance(one[text], str):
                wrong.append(f"{name} has a {text} that is no text")
                del one[text]
    return fitting


def _is(value: Any, kind: type) -> bool:
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


def factsheet_actions(message: Mapping[str, Any], wrong: list[str]) -> dict[str, dict[str, Any]]:
    """protocolFeatures.agvActions by type, each with the members that a skill is made of."""
    features = message.get("protocolFeatures")
    said = features.get("agvActions") if isinstance(features, dict) else None
    if said is None:
        return {}
    found = {}
    for one in _entries({"agvActions": said}, "agvActions", {"actionType": str, "actionScopes": list}, wrong):
        parameters = _entries(one, "actionParameters", {"key": str}, wrong) if one.get("actionParameters") is not None else []
        made = {"actionType": one["actionType"], "actionScopes": _texts(one["actionScopes"]), "actionParameters": parameters}
        if isinstance(one.get("blockingTypes"), list):
            made["blockingTypes"] = _texts(one["blockingTypes"])
        if isinstance(one.get("actionDescription"), str):
            made["actionDescription"] = one["actionDescription"]
        found[one["actionType"]] = made
    if len(json.dumps(found)) > _LARGEST_ACTIONS:
        wrong.append("agvActions are too many")
        return {}
    return found


def _texts(said: list[Any]) -> list[str]:
    return [one for one in said if isinstance(one, str)]
