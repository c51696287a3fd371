"""Topics of VDA 5050 (6.2): INTERFACE/vMAJOR/MANUFACTURER/SERIAL/KIND."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

__all__ = ["HEARD", "SENT", "VehicleId", "filters", "parse_topic"]

HEARD: Final = {"connection": 1, "state": 0, "visualization": 0, "factsheet": 0}
"""What a vehicle sends, with the QoS of the standard (6.1)."""
SENT: Final = ("order", "instantActions")
_MAJORS: Final = ("1", "2")


@dataclass(frozen=True, slots=True, order=True)
class VehicleId:
    interface: str
    major: str
    manufacturer: str
    serial: str

    @property
    def path(self) -> str:
        return f"{self.interface}/v{self.major}/{self.manufacturer}/{self.serial}"

    @property
    def address(self) -> str:
        return f"vda:{self.path}"

    def topic(self, kind: str) -> str:
        return f"{self.path}/{kind}"

    def point(self, path: str) -> str:
        return f"{self.address}/{path}"


def filters(interfaces: Sequence[str]) -> list[tuple[str, int]]:
    """One for each kind that is heard, so that our own orders do not come back."""
    kinds = HEARD.items()
    return [(f"{one}/v{major}/+/+/{kind}", qos) for one in interfaces for major in _MAJORS for kind, qos in kinds]


def parse_topic(topic: str, interfaces: Sequence[str]) -> tuple[VehicleId, str] | None:
    """(vehicle, kind), None for another's topic."""
    for interface in interfaces:
        if not topic.startswith(f"{interface}/v"):
            continue
        parts = topic[len(interface) + 1 :].split("/")
        if len(parts) == 4 and parts[0][1:] in _MAJORS and all(parts) and (parts[3] in HEARD or parts[3] in SENT):
            return VehicleId(interface, parts[0][1:], parts[1], parts[2]), parts[3]
    return None
