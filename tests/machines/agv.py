"""A vehicle that speaks VDA 5050 2.1, as exactly or as badly as a test wants: python -m tests.machines.agv --broker URL.

Its log holds each message it was sent, as `{"method": TOPIC KIND, "args": MESSAGE, "qos", "retain"}`, and what it did. stdin
takes a JSON object a line: {"do": "silent"} (no state any more), {"do": "talk"}, {"do": "deaf"} (orders are not looked at),
{"do": "raw", "kind": KIND, "text": TEXT, "retain": BOOL}, {"do": "state", "more": {...}}.
"""

import argparse
import json
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from dtios_packml.lifecycle import CallLog, announce

MAKER = "Tests"
ACTIONS = ("pick", "cancelOrder", "startPause", "stopPause", "stateRequest", "factsheetRequest")


class Agv:
    """`pace`: seconds from node to node. `interval`: seconds between states, also in its factsheet."""

    def __init__(self, broker: str, serial: str, log: CallLog, pace: float, interval: float, *, connection: bool = True) -> None:
        self.serial, self.log, self.pace, self.interval = serial, log, pace, interval
        self.says_connection = connection
        self.silent = self.deaf = False
        self.state: dict[str, Any] = {
            "orderId": "", "orderUpdateId": 0, "lastNodeId": "A", "lastNodeSequenceId": 0, "driving": False, "paused": False,
            "operatingMode": "AUTOMATIC", "nodeStates": [], "edgeStates": [], "actionStates": [], "errors": [],
            "batteryState": {"batteryCharge": 80.0, "charging": False}, "safetyState": {"eStop": "NONE", "fieldViolation": False},
        }  # fmt: skip
        self._count: dict[str, int] = {}
        self._lock = threading.RLock()
        self._ready = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id=f"agv-{serial}")
        if connection:
            self._client.will_set(
                self.topic("connection"), self.message("connection", connectionState="CONNECTIONBROKEN"), 1, True
            )
        self._client.on_connect = self._connected
        self._client.on_message = self._message
        self._client.on_subscribe = lambda *_: self._ready.set()
        at = urlsplit(broker)
        self._client.connect(at.hostname or "", at.port or 1883, keepalive=2)

    def topic(self, kind: str) -> str:
        return f"uagv/v2/{MAKER}/{self.serial}/{kind}"

    def message(self, kind: str, **body: Any) -> str:
        self._count[kind] = self._count.get(kind, -1) + 1
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        header = {"headerId": self._count[kind], "timestamp": now, "version": "2.1.0"}
        return json.dumps({**header, "manufacturer": MAKER, "serialNumber": self.serial, **body})

    def run(self) -> None:
        self._client.loop_start()
        assert self._ready.wait(10)
        if self.says_connection:
            self._client.publish(self.topic("connection"), self.message("connection", connectionState="ONLINE"), 1, True)
        threading.Thread(target=self._tell, daemon=True).start()

    def _connected(self, client: paho.Client, *_: Any) -> None:
        client.subscribe([(self.topic("order"), 0), (self.topic("instantActions"), 0)])

    def _tell(self) -> None:
        while True:
            self.show()
            time.sleep(self.interval)

    def show(self, **changed: Any) -> None:
        with self._lock:
            self.state |= changed
            if not self.silent:
                self._client.publish(self.topic("state"), self.message("state", **self.state))

    # --- what it is sent ---

    def _message(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        kind, said = message.topic.rpartition("/")[2], json.loads(message.payload)
        self.log.add(kind, said, qos=message.qos, retain=message.retain)
        if self.deaf:
            return
        if kind == "order":
            self._order(said)
        else:
            for action in said["actions"]:
                self._instant(action)

    def _order(self, order: dict[str, Any]) -> None:
        nodes = order["nodes"]
        actions = [
            {"actionId": a["actionId"], "actionType": a["actionType"], "actionStatus": "WAITING"}
            for n in nodes
            for a in n["actions"]
        ]
        states = [{"nodeId": n["nodeId"], "sequenceId": n["sequenceId"], "released": n["released"]} for n in nodes]
        edges = [{"edgeId": e["edgeId"], "sequenceId": e["sequenceId"], "released": e["released"]} for e in order["edges"]]
        ids = {"orderId": order["orderId"], "orderUpdateId": order["orderUpdateId"]}
        self.show(**ids, nodeStates=states, edgeStates=edges, actionStates=actions, driving=True)
        threading.Thread(target=self._drive, args=(order["orderId"],), daemon=True).start()

    def _drive(self, order: str) -> None:
        while True:
            time.sleep(self.pace)
            with self._lock:
                if self.state["orderId"] != order or not self.state["nodeStates"]:
                    return
                if self.state["paused"]:
                    continue
                at, *left = self.state["nodeStates"]
                self.log.add("node", at)
                over = {} if left else {"driving": False, "actionStates": self._acted("FINISHED")}
                self.show(lastNodeId=at["nodeId"], lastNodeSequenceId=at["sequenceId"], nodeStates=left,
                          edgeStates=self.state["edgeStates"][1 if at["sequenceId"] else 0 :], **over)  # fmt: skip

    def _acted(self, status: str) -> list[dict[str, Any]]:
        return [{**a, "actionStatus": status} if a["actionStatus"] == "WAITING" else a for a in self.state["actionStates"]]

    def _instant(self, action: dict[str, Any]) -> None:
        kind = action["actionType"]
        shown = {"actionId": action["actionId"], "actionType": kind, "actionStatus": "FINISHED"}
        more: dict[str, Any] = {}
        if kind == "factsheetRequest":
            self._client.publish(self.topic("factsheet"), self.message("factsheet", **self._factsheet()), 0, True)
        elif kind == "cancelOrder":
            more = {"nodeStates": [], "edgeStates": [], "driving": False}
        elif kind in ("startPause", "stopPause"):
            more = {"paused": kind == "startPause"}
        with self._lock:
            failed = self._acted("FAILED") if kind == "cancelOrder" else self.state["actionStates"]
            self.show(actionStates=[*failed, shown], **more)

    def _factsheet(self) -> dict[str, Any]:
        actions = [{"actionType": kind, "actionScopes": ["NODE" if kind == "pick" else "INSTANT"]} for kind in ACTIONS]
        return {
            "typeSpecification": {"seriesName": "Agv", "agvClass": "CARRIER"},
            "protocolLimits": {
                "timing": {"minOrderInterval": 0.1, "minStateInterval": 0.1, "defaultStateInterval": self.interval}
            },
            "protocolFeatures": {"optionalParameters": [], "agvActions": actions},
        }

    # --- what the test tells it ---

    def told(self, order: dict[str, Any]) -> None:
        match order["do"]:
            case "silent":
                self.silent = True
            case "talk":
                self.silent = False
            case "deaf":
                self.deaf = True
            case "state":
                self.show(**order["more"])
            case "raw":
                self._client.publish(self.topic(order["kind"]), order["text"].encode(), 0, order.get("retain", False))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.machines.agv")
    parser.add_argument("--broker", required=True)
    parser.add_argument("--serial", default="Agv1")
    parser.add_argument("--pace", type=float, default=0.1)
    parser.add_argument("--interval", type=float, default=1.0)
    parser.add_argument("--no-connection", action="store_true")
    parser.add_argument("--log", type=Path)
    parser.add_argument("--with-parent", action="store_true")
    options = parser.parse_args()
    with CallLog(options.log) as calls:
        agv = Agv(options.broker, options.serial, calls, options.pace, options.interval, connection=not options.no_connection)
        agv.run()
        announce(endpoint=options.broker)
        for line in sys.stdin:
            agv.told(json.loads(line))
