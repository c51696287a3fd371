"""Messages of vehicles that follow the standard more or less: what fits is used, what does not is named."""

import json
import random
from importlib.resources import files
from typing import Any

import jsonschema
import pytest

from dtios.mapping.bindings.vda_state import VehicleState
from dtios_mqtt.vda5050 import faults
from dtios_mqtt.vda5050.messages import MisreadError, decode, factsheet_actions, timestamp, usable_errors, whole_state
from dtios_mqtt.vda5050.signals import STATE, read
from dtios_mqtt.vda5050.topics import VehicleId, parse_topic
from dtios_mqtt.vda5050.vehicle import Vehicle

ID = VehicleId("uagv", "2", "Maker", "S1")
GOOD: dict[str, Any] = {
    "headerId": 1, "timestamp": "2026-01-01T00:00:00.25Z", "version": "2.1.0", "manufacturer": "Maker", "serialNumber": "S1",
    "orderId": "o", "orderUpdateId": 0, "lastNodeId": "A", "lastNodeSequenceId": 0, "driving": False, "paused": False,
    "operatingMode": "AUTOMATIC", "nodeStates": [{"nodeId": "B", "sequenceId": 2, "released": True}], "edgeStates": [],
    "agvPosition": {"x": 1, "y": 2.5, "theta": 0, "mapId": "m", "positionInitialized": True},
    "loads": [{"loadId": "L1", "weight": 3}],
    "actionStates": [{"actionId": "a", "actionType": "pick", "actionStatus": "RUNNING"}],
    "batteryState": {"batteryCharge": 80, "charging": False}, "safetyState": {"eStop": "NONE", "fieldViolation": False},
    "errors": [{"errorType": "low", "errorLevel": "WARNING", "errorReferences": [{"referenceKey": "k", "referenceValue": "v"}]}],
}  # fmt: skip


def values(message: dict[str, Any]) -> tuple[dict[str, tuple[Any, int]], list[str]]:
    told = list(read(STATE, ID, message, 0))
    return {r[0].removeprefix(f"{ID.address}/"): (r[1], r[2]) for r, _ in told}, [wrong for _, wrong in told if wrong]


def test_a_good_state() -> None:
    told, wrong = values(GOOD)
    assert wrong == []
    assert (told["agvPosition/x"], told["agvPosition/y"]) == ((1.0, 0), (2.5, 0))
    assert told["warnings"] == (1, 0)
    assert told["loads"][0][0]["loadId"] == "L1"
    assert told["velocity/vx"] == (None, 0x809B0000), "what it leaves out has no data"
    found: list[str] = []
    state = VehicleState.parse(whole_state(GOOD, found))
    assert found == []
    assert (state.order, state.nodes[0].node, state.actions[0].status, state.map) == ("o", "B", "RUNNING", "m")
    assert state.errors[0].names("k", "v")
    assert timestamp(GOOD) == 1_767_225_600_250_000_000


def test_one_wrong_field_spoils_no_other() -> None:
    told, wrong = values({**GOOD, "driving": "yes", "agvPosition": {**GOOD["agvPosition"], "x": [1]}})
    assert wrong == ["agvPosition/x is a list", "driving is a text"]
    assert told["agvPosition/y"] == (2.5, 0)
    assert told["driving"][0] is None


def test_entries_that_do_not_fit_are_left_out_and_named() -> None:
    wrong: list[str] = []
    said = {**GOOD, "nodeStates": [*GOOD["nodeStates"], {"nodeId": 5}, "B"], "errors": None}
    state = VehicleState.parse(whole_state(said, wrong))
    assert len(state.nodes) == 1
    assert wrong == ["nodeStates has entries that do not fit", "errors is missing or no list"]


def test_action_state_in_the_singular() -> None:
    wrong: list[str] = []
    said = {k: v for k, v in GOOD.items() if k != "actionStates"} | {"actionState": GOOD["actionStates"][0]}
    assert VehicleState.parse(whole_state(said, wrong)).actions[0].id == "a"
    assert wrong == ["actionState instead of actionStates"]


@pytest.mark.parametrize(
    "payload", [b"", b"\xff\xfe", b"[]", b'"text"', b"{" * 100_000, b"[" * 100_000, b"{}" + b" " * 2**21, b'{"a":NaN}']
)
def test_what_cannot_be_read_says_why(payload: bytes) -> None:
    with pytest.raises(MisreadError):
        decode(payload)


def test_two_thousand_broken_states_are_taken() -> None:
    """Whatever stands in a message: it is used or named, nothing is raised, and orders are told with the right types."""
    chance = random.Random(5050)
    junk: list[Any] = [None, 0, -1, 1e308, 2**70, "x", [], {}, True, [1], [{}], {"a": 1}]
    for _ in range(2_000):
        said = json.loads(json.dumps(GOOD))
        for _ in range(chance.randint(1, 4)):
            place: Any = said
            while True:
                key = chance.choice(list(place) if isinstance(place, dict) else range(len(place)))
                if isinstance(place[key], dict | list) and place[key] and chance.random() < 0.6:
                    place = place[key]
                else:
                    place[key] = chance.choice(junk)
                    break
        told, _ = values(said)
        assert len(told) == len(STATE)
        document = whole_state(said, [])
        if document:
            assert isinstance(VehicleState.parse(document).is_busy, bool)
        faults.present(ID, usable_errors(said, []), said.get("safetyState"), 0)
        factsheet_actions({"protocolFeatures": {"agvActions": [said, said["errors"]]}}, [])
        timestamp(said)


def test_topics() -> None:
    assert parse_topic("uagv/v2/Maker/S1/state", ["uagv"]) == (ID, "state")
    assert parse_topic("a/b/v2/Maker/S1/order", ["uagv", "a/b"]) == (VehicleId("a/b", "2", "Maker", "S1"), "order")
    for topic in (
        "uagv/v3/Maker/S1/state",
        "uagv/v2/Maker/S1/other",
        "uagv/v2/S1/state",
        "other/v2/Maker/S1/state",
        "uagv/v2//S1/state",
    ):
        assert parse_topic(topic, ["uagv"]) is None


def test_what_is_sent_has_a_header_that_counts_by_topic() -> None:
    vehicle = Vehicle(ID)
    action = {"actionType": "stateRequest", "actionId": "1", "blockingType": "NONE", "actionParameters": []}
    sent = [json.loads(vehicle.message("instantActions", {"actions": [action]})) for _ in range(2)]
    schema = json.loads(files("vda5050.validation").joinpath("schemas/instantActions.json").read_text("utf-8"))
    for message in sent:
        jsonschema.Draft202012Validator(schema).validate(message)
    assert [message["headerId"] for message in sent] == [0, 1]
    assert sent[0]["instantActions"] == sent[0]["actions"], "the schema of 2.0 calls them so"
    vehicle.version = "2.1.0"
    assert "instantActions" not in json.loads(vehicle.message("instantActions", {"actions": [action]}))


def test_errors_are_conditions_that_come_and_go() -> None:
    first = faults.present(ID, usable_errors(GOOD, []), {"eStop": "MANUAL", "fieldViolation": True}, 1)
    assert sorted((c.name, c.severity) for c in first.values()) == [("eStop", 1000), ("fieldViolation", 1000), ("low", 500)]
    assert list(faults.changes(first, first, 2)) == []
    over = list(faults.changes(first, {}, 3))
    assert [(c.active, c.retain) for c in over] == [(False, False)] * 3
    assert len(list(faults.changes(faults.lost(first), first, 4))) == 3, "told again after a loss"
