"""What is recognised from topics and payloads: realistic and irregular ones; what is proposed is a profile that reads them."""

import json
from typing import Any

import pytest
import yaml

from dtios.mapping.profiles.file import parse_profile
from dtios.sdk.adapter import Endpoint
from dtios_mqtt.discovery import Heard, recognise
from dtios_mqtt.discovery import listening as limits
from dtios_mqtt.session.messages import Incoming
from dtios_mqtt.sparkplug.encoding import encode
from dtios_mqtt.sparkplug.metric import Metric, Payload

URL = "mqtt://broker"


def recognised(*said: tuple[str, Any]) -> list[Endpoint]:
    heard = Heard(1.0)
    for topic, payload in said:
        data = payload if isinstance(payload, bytes) else payload if isinstance(payload, str) else json.dumps(payload)
        heard.take(Incoming(topic, data if isinstance(data, bytes) else data.encode(), 0, False, 0))
    return recognise(URL, heard)


def profile(found: Endpoint) -> dict[str, Any]:
    text = found.details["profile"]
    parse_profile(text, "proposed")
    form: dict[str, Any] = yaml.safe_load(text)
    return form


def signals(found: Endpoint) -> dict[str, dict[str, Any]]:
    return {value["name"]: value for message in profile(found)["topics"]["messages"] for value in message["values"]}


def test_neighbours_that_say_the_same_are_machines() -> None:
    found = recognised(
        *((f"plant/north/{line}/{press}/{what}", value)
          for line in ("l1", "l2") for press in ("p1", "p2") for what, value in (("temperature", "21.5"), ("on", "true")))
    )  # fmt: skip
    assert [one.details["machine"] for one in found] == ["l1/p1", "l1/p2", "l2/p1", "l2/p2"]
    form = profile(found[0])
    assert form["profile"] == "plant-north"
    assert form["topics"]["identity"] == ["level3", "machine"]
    assert [one["topic"] for one in form["topics"]["messages"]] == [
        "plant/north/{level3}/{machine}/temperature", "plant/north/{level3}/{machine}/on",
    ]  # fmt: skip
    assert {name: one["type"] for name, one in signals(found[0]).items()} == {"temperature": "Double", "on": "Boolean"}


def test_documents_of_one_level() -> None:
    """As home automation gateways publish them."""
    found = recognised(
        ("zigbee2mqtt/lamp1", {"state": "ON", "brightness": 120, "linkquality": 90}),
        ("zigbee2mqtt/lamp2", {"state": "OFF", "brightness": 3, "linkquality": 80}),
        ("zigbee2mqtt/lamp2", {"state": "OFF", "brightness": None, "linkquality": 81}),
    )
    assert [one.details["machine"] for one in found] == ["lamp1", "lamp2"]
    assert profile(found[0])["topics"]["messages"][0]["topic"] == "zigbee2mqtt/{machine}"
    assert signals(found[0])["brightness"]["type"] == "Int64"


def test_the_same_machine_under_two_roots() -> None:
    found = recognised(
        ("tele/plug1/SENSOR", {"Time": "2026-01-01T10:00:00", "ENERGY": {"Power": 12, "Voltage": 231.5}}),
        ("tele/plug1/LWT", "Online"),
        ("stat/plug1/POWER", "ON"),
    )
    assert [one.details["machine"] for one in found] == ["plug1"]
    messages = {one["topic"]: one for one in profile(found[0])["topics"]["messages"]}
    assert set(messages) == {"tele/{machine}/SENSOR", "tele/{machine}/LWT", "stat/{machine}/POWER"}
    assert messages["tele/{machine}/SENSOR"]["time"] == {"path": "Time", "format": "iso"}
    assert set(signals(found[0])) == {"SENSOR/ENERGY/Power", "SENSOR/ENERGY/Voltage", "LWT", "POWER"}


def test_a_training_factory() -> None:
    found = recognised(
        ("i/bme680", {"ts": "2026-01-01T10:00:00.123Z", "t": 22.4, "h": 41.0, "p": 1013.1}),
        ("i/ldr", {"ts": "2026-01-01T10:00:00.123Z", "br": 70, "ldr": 1234}),
    )
    assert [one.details["machine"] for one in found] == ["bme680", "ldr"]
    assert set(signals(found[0])) >= {"t", "h", "p", "br"}
    assert profile(found[0])["topics"]["messages"][0]["time"] == {"path": "ts", "format": "iso"}


def test_times_units_lists_and_documents_in_texts() -> None:
    (found,) = recognised(
        ("acme/m1/state", {
            "timestamp": 1_767_225_600_123, "oil": {"value": "21,5", "unit": "°C"}, "power_W": 812.5, "payload": '{"speed": 3.5}',
            "metrics": [{"name": "a", "value": 1}, {"name": "b", "value": 2}], "odd name": 1, "since": "2026-01-01T10:00:00Z",
        }),
        ("acme/m1/other", {"x": 1}),
    )  # fmt: skip
    state = profile(found)["topics"]["messages"][0]
    assert state["time"] == {"path": "timestamp", "format": "ms"}
    got = signals(found) if "each" not in state["values"][-1] else {v["name"]: v for v in state["values"] if "name" in v}
    assert got["state/oil/value"] == {
        "path": "oil.value",
        "name": "state/oil/value",
        "type": "Double",
        "decimal": ",",
        "unit": "CEL",
    }
    assert got["state/power_W"]["unit"] == "WTT"
    assert got["state/payload/speed"]["path"] == "json($.payload).speed"
    assert got["state/odd name"]["path"] == "['odd name']" or got["state/odd name"]["path"].endswith("['odd name']")
    assert got["state/since"]["type"] == "DateTime"
    assert {"each": "$.metrics[*]", "name_at": "name", "path": "value"} in state["values"]
    assert any("°C" in one for one in found.details["evidence"])
    assert any("holds a JSON document" in one for one in found.details["evidence"])


def test_a_field_that_changes_its_name() -> None:
    (found,) = recognised(
        ("cell/agv/state", {"actionState": "RUNNING", "x": 1}),
        ("cell/agv/state", {"actionStates": ["DONE"], "x": 2}),
    )
    assert signals(found)["actionState"]["path"] == ["actionState", "actionStates[0]"]
    assert any("actionStates in some messages" in one for one in found.details["evidence"])


def test_columns_texts_and_bytes() -> None:
    (found,) = recognised(
        ("m/plc/csv", "1;2.5;on"), ("m/plc/csv", "2;3.5;off"), ("m/plc/raw", b"\xff\xfe\x00"), ("m/plc/say", "hello")
    )
    messages = {one["topic"]: one for one in profile(found)["topics"]["messages"]}
    assert (messages["m/{machine}/csv"]["format"], messages["m/{machine}/csv"]["separator"]) == ("csv", ";")
    assert [one["type"] for one in messages["m/{machine}/csv"]["values"]] == ["Double", "Double", "String"]
    assert messages["m/{machine}/raw"]["values"][0]["type"] == "ByteString"
    assert messages["m/{machine}/say"]["format"] == "text"


def test_sparkplug_by_its_births_and_without_them() -> None:
    birth = encode(
        Payload(1, 0, [Metric("bdSeq", datatype=8, value=0), Metric("Node Control/Rebirth", datatype=11, value=False)])
    )
    device = encode(Payload(1, 1, [Metric("Speed", 1, 1, 10, 1.5), Metric("Count", 2, 1, 4, 1)]))
    data = encode(Payload(1, 2, [Metric("", 1, 1, 10, 2.5)]))
    found = recognised(
        ("spBv1.0/Plant/NBIRTH/Edge", birth), ("spBv1.0/Plant/DBIRTH/Edge/Press", device),
        ("spBv1.0/Plant/DDATA/Edge/Silent", data), ("spBv1.0/STATE/scada", "{}"), ("spBv1.0/Plant/DBIRTH/Edge/Bad", b"\xff\xff"),
    )  # fmt: skip
    assert [(one.name, one.details["machine"]) for one in found] == [
        ("Bad", "Plant/Edge/Bad"), ("Press", "Plant/Edge/Press"), ("Silent", "Plant/Edge/Silent"),
    ]  # fmt: skip
    said = {one.name: " ".join(one.details["evidence"]) for one in found}
    assert "2 metrics: Speed, Count" in said["Press"]
    assert "not born since" in said["Silent"]
    assert "not understood" in said["Bad"]
    assert all("profile" not in one.details for one in found)


def test_vehicles() -> None:
    (found,) = recognised(
        ("fleet/v2/acme/agv7/connection", {"version": "2.0.0", "connectionState": "ONLINE"}),
        ("fleet/v2/acme/agv7/state", {"version": "2.0.0", "driving": False}),
        ("fleet/v2/acme/ghost/order", {"orderId": "1"}),
    )
    assert (found.name, found.details["machine"], found.details["kind"]) == ("agv7", "acme/agv7", "VDA 5050")
    assert "connection says ONLINE" in found.details["evidence"]
    assert found.details["notes"] == ["it needs `vda_interfaces: [fleet]` in the settings"]


@pytest.mark.parametrize(
    "said",
    [
        ("a", b""),
        ("a/b", b"\x00"),
        ("/", "1"),
        ("a//b", "1"),
        ("a/{b}/c", "1"),
        ("a/b", "[" * 5000),
        ("a/b", '{"a": 1, "a": 2}'),
        ("a/b", {"": 1, "[": 2, "'\"": 3}),
        ("a/b", {"d": {"d": {"d": {"d": {"d": {"d": {"d": 1}}}}}}}),
        ("ü/ö/ä", {"größe": 1}),
        ("a/b/c/d/e/f/g/h/i/j", "1"),
    ],
)
def test_whatever_is_heard_is_no_crash_and_a_proposal_is_valid(said: tuple[str, Any]) -> None:
    for found in recognised(said):
        if found.details["profile"]:
            profile(found)


def test_what_is_kept_is_bounded_and_what_is_beyond_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MOST_TOPICS", 3)
    monkeypatch.setattr(limits, "SAMPLES", 2)
    heard = Heard(1.0)
    for _ in range(10):
        for topic in range(5):
            heard.take(Incoming(f"a/m{topic}/x", b"1", 0, True, 0))
    assert len(heard.topics) == 3
    assert heard.beyond == 20
    assert heard.topics["a/m0/x"].count == 10
    assert len(heard.topics["a/m0/x"].samples) == 2
    found = recognise(URL, heard)
    assert "20 messages came on topics that were not looked at" in found[0].details["notes"][0]
    assert "all of it was kept by the broker: it may be gone" in found[0].details["evidence"]
