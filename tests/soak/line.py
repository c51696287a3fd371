"""What takes part in the soak: two OPC UA servers, and two brokers with a Sparkplug device and a plain-topic machine each."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

__all__ = ["COUNTERS", "KEEP_ALIVE", "LIFE", "MACHINES", "PROFILE", "Sender", "configuration"]

COUNTERS: Final = tuple(f"Counter{n}" for n in range(10))
PROFILE: Final = Path(__file__).with_name("topics.yaml")
KEEP_ALIVE: Final = 3.0
"""Seconds, to servers and brokers. Longer than this computer stands still under tests that run beside."""
LIFE: Final = 1_000_000
"""Each life of a sender counts on from a number of its own, so that the order of all its values is known."""


@dataclass(frozen=True, slots=True)
class Sender:
    """`rate` steps a second, each of all counters. `behind` names what its values pass: its own server, or a broker."""

    name: str
    kind: Literal["opcua", "sparkplug", "topics"]
    rate: float
    behind: str


MACHINES: Final = {
    one.name: one
    for one in (
        Sender("server1", "opcua", 60, "server1"),
        Sender("server2", "opcua", 60, "server2"),
        Sender("device1", "sparkplug", 28, "broker1"),
        Sender("device2", "sparkplug", 28, "broker2"),
        Sender("press1", "topics", 28, "broker1"),
        Sender("press2", "topics", 28, "broker2"),
    )
}
"""2,320 values a second while all run, so that it is 2,000 with some of them down."""


def configuration(ports: Mapping[str, int], folder: Path) -> dict[str, Any]:
    """dtios.yaml as an object. `ports`: where each server and broker is reached, by name. The session of the plain topics on
    broker2 is one that the broker keeps while we are away; that on broker1 is forgotten with its connection."""
    machines: dict[str, Any] = {}
    for one in MACHINES.values():
        settings: dict[str, Any] = {"keep_alive": KEEP_ALIVE, "timeout": 3.0}
        port = ports[one.behind]
        if one.kind == "opcua":
            machines[one.name] = {"endpoint": f"opc.tcp://127.0.0.1:{port}/counting", "settings": settings}
            continue
        if one.behind == "broker2":
            settings |= {"persistent": True, "client_id": "soak"}
        machines[one.name] = {"endpoint": f"mqtt://127.0.0.1:{port}", "machine": one.name, "settings": settings}
    return {
        "profiles": [str(PROFILE)],
        "machines": machines,
        "apps": {
            "recorder": {
                "config": {"folder": str(folder)},
                "machines": {"machine": list(MACHINES)},
                "grants": [{"machine": name} for name in MACHINES],
            }
        },
    }
