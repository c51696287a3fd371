"""Messages as machines send them, and some as they must not: what a hunt through the MQTT adapter begins with."""

import json
from typing import Any, Final

from dtios_mqtt.sparkplug.encoding import encode
from dtios_mqtt.sparkplug.mark import MARK
from dtios_mqtt.sparkplug.metric import DataSet, Metric, Payload, Template
from dtios_mqtt.sparkplug.schema import PayloadMessage
from tests.fuzz.mqtt import OWN, Flag, made

__all__ = ["DEEP", "seeds", "state"]

_MS: Final = 1_767_225_600_000
DEEP: Final = 950
"""Levels that the decoders read, and that whoever walks over them by recursion may not."""


# --- Sparkplug ---------------------------------------------------------------------------------------------------------------


def _spb(seq: int | None, *metrics: Metric) -> bytes:
    return encode(Payload(_MS, seq, list(metrics)))


def _motor(speed: float | None) -> Template:
    members = [Metric("speed", datatype=10, value=speed), Metric("on", datatype=11, value=True)]
    inner = Template("Inner", "1", False, [Metric("x", datatype=3, value=-1)])
    return Template("Motor", "1", False, [*members, Metric("inner", datatype=19, value=inner)], {"maker": "us", "poles": 4})


_PROPERTIES: Final = {"engUnit": "mm", "engLow": 0, "engHigh": 10.5, "readOnly": True, "Quality": 192, "more": {"x": None}}
_BIRTH: Final = (
    Metric("bdSeq", datatype=4, value=3),
    Metric("Node Control/Rebirth", datatype=11, value=False),
    Metric("Properties/Maker", 1, _MS, 12, "us"),
    Metric("Line/Speed", 2, _MS, 10, 1.5, properties=_PROPERTIES),
    Metric("Line/Count", 3, _MS, 3, -5),
    Metric("When", 4, _MS, 13, _MS),
    Metric("Id", 5, _MS, 15, "5b0a7c6e-0b0c-4b5c-8a8e-5d1c2f3a4b5c"),
    Metric("Table", 6, _MS, 16, DataSet(("n", "s"), (3, 12), [(-1, "a"), (2, "b")])),
    Metric("Motor", 7, _MS, 19, _motor(1.0)),
    Metric("Motor definition", None, _MS, 19, Template("", "1", True, [Metric("speed", datatype=10)])),
    Metric("Numbers", 8, _MS, 24, [1, -2, 3]),
    Metric("Bits", 9, _MS, 32, [True, False] * 9),
    Metric("Texts", 10, _MS, 33, ["a", "", "ü"]),
    Metric("None", 11, _MS, 7, is_null=True),
    Metric("File", 12, _MS, 18, b"\0\xff"),
)
_DEVICE: Final = (
    Metric("Temperature", 20, _MS, 9, 20.5),
    Metric("Mode", 21, _MS, 12, "auto"),
    Metric("Big", 22, _MS, 8, 2**64 - 1),
)


def _spb_topic(kind: str, device: str = "", node: str = "edge") -> str:
    return f"spBv1.0/plant/{kind}/{node}" + (f"/{device}" if device else "")


def _sparkplug() -> list[bytes]:
    birth = (0, _spb_topic("NBIRTH"), _spb(0, *_BIRTH))
    device = (0, _spb_topic("DBIRTH", "press"), _spb(1, *_DEVICE))
    data = (
        0,
        _spb_topic("NDATA"),
        _spb(2, Metric(alias=2, timestamp=_MS, value=2.5, datatype=10), Metric(alias=3, datatype=3, value=7)),
    )
    more = (
        0,
        _spb_topic("DDATA", "press"),
        _spb(3, Metric(alias=20, value=21.5, datatype=9), Metric("Mode", datatype=12, value="manual")),
    )
    part = (
        0,
        _spb_topic("NDATA"),
        _spb(2, Metric(alias=7, datatype=19, value=Template(metrics=[Metric("speed", datatype=10, value=3.0)]))),
    )
    gone = (0, _spb_topic("DDEATH", "press"), _spb(4))
    death = (0, _spb_topic("NDEATH"), _spb(None, Metric("bdSeq", datatype=4, value=3)))
    own = Metric(MARK, datatype=12, value=OWN)
    nan = Metric("Line/Speed", 2, 2**64 - 1, 10, float("nan"))
    strange = [
        Metric("When", 4, 2**63, 13, 2**64 - 1),
        nan,
        Metric("Line/Count", 3, _MS, 3, 5, properties={"Quality": 500}),
    ]
    wrong = [Metric("Line/Count", 3, _MS, 12, "no number"), Metric("a", 3, _MS, 3, 1), Metric("a", 4, _MS, 3, 2)]
    again = (0, birth[1], _spb(0, *_BIRTH[:4], Metric("New", 3, _MS, 3, 1)))
    huge = PayloadMessage(timestamp=_MS, seq=0)
    for _ in range(300):
        huge.metrics.add()
    many = [Metric("bdSeq", datatype=4, value=1), *(Metric(f"m/{n}", n, _MS, 3, n) for n in range(60))]
    deep = Metric("x", datatype=3, value=1)
    for n in range(14):
        deep = Metric(f"t{n}", datatype=19, value=Template("T", metrics=[deep]))
    late = [(0, _spb_topic("NDATA"), _spb(seq, Metric(alias=3, datatype=3, value=seq))) for seq in (3, 5, 5, 4)]
    ahead = [(0, _spb_topic("NDATA"), _spb(seq, Metric(alias=3, datatype=3, value=seq))) for seq in (9, 8)]
    no_text = _spb(0, _BIRTH[0], Metric("???", 30, _MS, 12, "!!!")).replace(b"???", b"\xff\xc3?").replace(b"!!!", b"\xed\xa0\x80")
    return [
        made(birth, *ahead, death, (Flag.SOON, data[1], data[2])),
        made(birth, *ahead, (Flag.LOST | Flag.SOON, data[1], data[2])),
        made((0, birth[1], no_text), data),
        made(birth, device, data, more, gone, death),
        made(birth, device, part),
        made(birth, device, *late, (Flag.SOON, data[1], data[2])),
        made(birth, device, death, again, (Flag.LATE, device[1], device[2]), data),
        made(birth, device, (Flag.LOST, data[1], data[2]), birth),
        made((Flag.COMPRESSED, birth[1], birth[2]), (Flag.COMPRESSED, device[1], device[2]), data),
        made(data, (Flag.SOON, more[1], more[2]), birth, (Flag.RETAINED, birth[1], birth[2])),
        made((0, birth[1], _spb(0, *_BIRTH[:3], *strange)), data),
        made((0, birth[1], _spb(0, *_BIRTH, *wrong)), birth, (0, data[1], _spb(1, *wrong))),
        made((0, birth[1], _spb(0, *_BIRTH, own)), data, birth),
        made((Flag.AGAIN, _spb_topic("NBIRTH", node="e@"), birth[2]), (Flag.AGAIN, _spb_topic("NDATA", node="n@"), data[2])),
        made(birth, (Flag.AGAIN, _spb_topic("DBIRTH", "d@"), device[2]), (Flag.AGAIN, _spb_topic("DDATA", "x@"), data[2])),
        made((0, birth[1], _spb(0, *many)), (0, birth[1], _spb(0, *many[:9])), data),
        made((0, birth[1], _spb(0, _BIRTH[0], deep)), (Flag.COMPRESSED, birth[1], huge.SerializeToString())),
        made((0, birth[1], _spb(0, _BIRTH[0], Metric("a/" * 400 + "b", datatype=3, value=1)))),
        made((0, "spBv1.0/STATE/dtios", b'{"online": false, "timestamp": 1}'), (0, "spBv1.0/STATE/dtios", b"[" * DEEP)),
        made((0, "spBv1.0/STATE/other", b"no"), (0, "spBv1.0/plant/NCMD/edge", birth[2]), (0, "spBv1.0/a/b", b"")),
    ]


# --- VDA 5050 ----------------------------------------------------------------------------------------------------------------


def _header(version: str) -> dict[str, Any]:
    return {
        "headerId": 1, "timestamp": "2026-01-01T00:00:00.25Z", "version": version, "manufacturer": "Maker", "serialNumber": "S1",
    }  # fmt: skip


def state(version: str = "2.1.0") -> dict[str, Any]:
    return {
        **_header(version), "orderId": "o", "orderUpdateId": 0, "lastNodeId": "A", "lastNodeSequenceId": 0, "driving": False,
        "paused": False, "operatingMode": "AUTOMATIC", "newBaseRequest": False, "distanceSinceLastNode": 0.5, "zoneSetId": "z",
        "nodeStates": [{"nodeId": "B", "sequenceId": 2, "released": True, "nodePosition": {"x": 1, "y": 2, "mapId": "m"}}],
        "edgeStates": [{"edgeId": "e", "sequenceId": 1, "released": True}],
        "agvPosition": {"x": 1, "y": 2.5, "theta": 0, "mapId": "m", "positionInitialized": True, "localizationScore": 0.9},
        "velocity": {"vx": 0.1, "vy": 0, "omega": 0}, "loads": [{"loadId": "L1", "loadType": "EPAL", "weight": 3}],
        "actionStates": [{"actionId": "a", "actionType": "pick", "actionStatus": "RUNNING", "resultDescription": ""}],
        "batteryState": {"batteryCharge": 80, "batteryVoltage": 48.5, "charging": False, "reach": 1000},
        "safetyState": {"eStop": "MANUAL", "fieldViolation": True}, "information": [],
        "errors": [
            {"errorType": "low", "errorLevel": "WARNING", "errorDescription": "x",
             "errorReferences": [{"referenceKey": "k", "referenceValue": "v"}]},
            {"errorType": "stuck", "errorLevel": "FATAL"},
        ],
    }  # fmt: skip


def _factsheet(version: str) -> dict[str, Any]:
    parameters = [{"key": "duration", "valueDataType": "FLOAT", "description": "s", "isOptional": True}]
    action = {
        "actionType": "pick", "actionDescription": "picks", "actionScopes": ["NODE", "INSTANT"], "actionParameters": parameters,
        "blockingTypes": ["HARD"],
    }  # fmt: skip
    return {
        **_header(version),
        "typeSpecification": {"seriesName": "S", "agvKinematic": "DIFF", "agvClass": "CARRIER", "maxLoadMass": 500},
        "physicalParameters": {"speedMin": 0.1, "speedMax": 2, "accelerationMax": 1, "width": 0.8, "length": 1.2},
        "protocolLimits": {"timing": {"minOrderInterval": 1, "minStateInterval": 1, "defaultStateInterval": 20}},
        "protocolFeatures": {"optionalParameters": [], "agvActions": [action, {**action, "actionType": "drop"}]},
    }  # fmt: skip


def _vehicles() -> list[bytes]:
    found = []
    for version in ("2.0.0", "2.1.0", "1.1.0"):
        top = f"uagv/v{version[0]}/Maker/S1"
        connection = {**_header(version), "connectionState": "ONLINE"}
        hello, bye = (
            (Flag.RETAINED, f"{top}/connection", json.dumps({**connection, "connectionState": one}).encode())
            for one in ("ONLINE", "OFFLINE")
        )
        told = (0, f"{top}/state", json.dumps(state(version)).encode())
        seen = {**_header(version), "agvPosition": state()["agvPosition"], "velocity": {"vx": 1}}
        looked = (0, f"{top}/visualization", json.dumps(seen).encode())
        facts = (0, f"{top}/factsheet", json.dumps(_factsheet(version)).encode())
        found += [made(hello, facts, told, looked, bye), made(told, (Flag.LATE, *looked[1:]), told, (Flag.LOST, *hello[1:]))]
    top = "uagv/v2/@/S1"
    odd = {**state(), "timestamp": "0001-01-01T00:00:00+14:00", "orderUpdateId": 2**70, "lastNodeSequenceId": -1, "driving": 1}
    far = {**state(), "timestamp": "9999-12-31T23:59:59Z", "batteryState": [], "loads": [{"weight": "x", "loadId": [[{}]]}, 1]}
    nested = json.dumps({**state(), "nodeStates": []}).encode()
    deep = nested.replace(b'"nodeStates": []', b'"nodeStates": [{"nodeId":"B","sequenceId":2,"released":true,"x":%s}]')
    number = json.dumps(state()).encode().replace(b"0.5", b"1e999").replace(b"2.5", b"NaN")
    return [
        *found,
        made((Flag.AGAIN, f"{top}/state", json.dumps(state()).encode()), (Flag.AGAIN, f"{top}/connection", b"{}")),
        made((0, f"{top}/state", json.dumps(odd).encode()), (0, f"{top}/state", json.dumps(far).encode())),
        *(made((0, f"{top}/state", deep % (b"[" * depth + b"]" * depth))) for depth in (60, 800, 900, DEEP, 980)),
        made((0, f"{top}/state", number), (0, f"{top}/order", b"{}"), (0, f"{top}/state", b'{"orderId": "\\ud800"}')),
        made((0, f"{top}/factsheet", b'{"protocolFeatures": {"agvActions": [{}, 1, null]}}'), (0, f"{top}/connection", b"[]")),
        made((0, "uagv/v2//S1/state", b"{}"), (0, "uagv/v3/a/b/state", b"{}"), (0, "uagv/v2/a/b/c/state", b"{}")),
    ]


# --- plain topics ------------------------------------------------------------------------------------------------------------


def _plain() -> list[bytes]:
    told = (
        b'{"ts": 1767225600000, "temperature": "12,5", "motor": {"on": "on", "rpm": "1500"}, "nested": "{\\"pressure\\": 2}",'
        b' "actionStates": ["2"], "speed": 3, "serial": "4711"}'
    )
    names = b'{"metrics": [{"n": "cnt", "v": 1}, {"n": "mood", "v": "good", "t": "2026-01-01T00:00:00Z"}, {"n": "", "v": [1]}]}'
    odd = b'{"ts": 1e300, "temperature": NaN, "motor": {"rpm": 99999999999, "on": 2}, "speed": -1e400, "more": {}}'
    table = b"2026-07-01T12:00:00;1,5;4,25\n2026-07-01T12:00:01;x;\n"
    return [
        made((0, "plant/north/press1/state", told), (Flag.RETAINED, "plant/north/cell7/press1/state", told)),
        made((0, "plant/north/press1/metrics", names), (Flag.AGAIN, "plant/north/p@/metrics", names)),
        made((0, "plant/north/press1/table", table), (0, "plant/north/press1/table", b'a;"b\n;;;;')),
        made((0, "plant/north/press1/level", b" 3.5 "), (0, "plant/north/press1/level", b"\xff\xfe")),
        made((0, "plant/north/press1/answer", b'{"id": 1}'), (Flag.RETAINED, "plant/north/press1/reply", b"\xff")),
        made((0, "plant/north/press1/state", odd), (0, "plant/north/press1/state", b'{"serial": "\\ud800", "ts": "1"}')),
        made((0, "plant/north/press1/state", b'{"speed": ' + b"9" * 5000 + b"}"), (0, "plant/north/press1/state", b"[" * 3000)),
        made((0, "plant/north/press1/metrics", b'{"metrics": [{"n": "\\udfff", "v": 1}, {"n": "%s/b", "v": 1}]}' % (b"/a" * 90))),
        made((0, "plant/north/press1/state", b'{"nested": "{\\"pressure\\": {\\"a\\": 1}}", "speed": "1_0"}')),
        made((0, "plant//press1/state", told), (0, "plant/+/#/state", told), (0, "/", b""), (0, "", b""), (0, "$SYS/a", b"x")),
        made((0, "plant/" + "x" * 2000 + "/press1/level", b"1"), (0, "a/" * 500, b"1"), (0, "plant/\0/\u2028/level", b"1")),
        b"\0plant/\xff\xc3/press1/level" + b"\xff\xff" + b"1",
    ]


def seeds() -> list[bytes]:
    return [*_sparkplug(), *_vehicles(), *_plain()]
