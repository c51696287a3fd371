"""The plant as a Sparkplug device: PackTags for its state and commands, paced by the wall clock."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from dtios_packml.lifecycle import CallLog
from dtios_packml.plant import DESIGN_SPEED, MAX_ORDER, Plant, PlantRefusal
from dtios_packml.sparkplug.edge import EdgeNode
from dtios_packml.sparkplug.payload import Metric

__all__ = ["SparkplugFace", "on_broker"]

PERIOD: Final = 0.1
"""Seconds of wall clock between two looks at the plant."""

_COMMANDS: Final = {
    1: "Reset", 2: "Start", 3: "Stop", 4: "Hold", 5: "Unhold", 6: "Suspend", 7: "Unsuspend", 8: "Abort", 9: "Clear",
    10: "ToComplete",
}  # fmt: skip
"""Command/CntrlCmd (ISA-TR88.00.02)."""
_COMMAND: Final = "Command/CntrlCmd"

Properties = Mapping[str, tuple[str, Any]]


class SparkplugFace:
    """One plant behind one edge node. A metric that was commanded comes back at once, with the value that holds then."""

    def __init__(self, plant: Plant, url: str, group: str, node: str, name: str, factor: float, log: CallLog) -> None:
        """`factor`: simulated seconds for each second of wall clock."""
        self.plant = plant
        self.log = log
        self.edge = EdgeNode(url, group, node, name, self._picture, self._commanded)
        self._factor = factor
        self._serial = f"SP-{group}-{node}-{name}"
        self._last_command = 0

    async def pace(self) -> None:
        """Lets the plant's time follow the wall clock, for ever."""
        begun, at = time.monotonic(), self.plant.time
        while True:
            await asyncio.sleep(PERIOD)
            self.plant.advance(at + (time.monotonic() - begun) * self._factor)
            self.edge.tell()

    def _picture(self) -> list[Metric]:
        plant = self.plant
        return [
            Metric("Properties/Manufacturer", "String", "DTI-OS", _READ_ONLY),
            Metric("Properties/Model", "String", "Simulated filler", _READ_ONLY),
            Metric("Properties/SerialNumber", "String", self._serial, _READ_ONLY),
            Metric("Properties/ProductInstanceUri", "String", f"urn:dtios:packml:{self._serial}", _READ_ONLY),
            Metric("Status/StateCurrent", "Int32", plant.state.value, _READ_ONLY),
            Metric("Status/UnitModeCurrent", "Int32", plant.mode.value, _READ_ONLY),
            Metric("Status/MachSpeed", "Float", plant.set_speed, _about("1/min", 0.0, DESIGN_SPEED)),
            Metric("Status/CurMachSpeed", "Float", plant.speed, _about("1/min", 0.0, DESIGN_SPEED) | _READ_ONLY),
            Metric("Process/Temperature", "Double", round(plant.temperature, 2), _about("CEL", 0.0, 120.0) | _READ_ONLY),
            Metric("Process/PartsOrdered", "UInt32", plant.ordered, _about("", 0.0, float(MAX_ORDER))),
            Metric("Process/PartsMade", "UInt32", plant.processed, _READ_ONLY),
            Metric("Process/PartsDefective", "UInt32", plant.defective, _READ_ONLY),
            Metric("Process/Jammed", "Boolean", plant.jammed, _READ_ONLY),
            Metric(_COMMAND, "Int32", self._last_command),
        ]

    def _commanded(self, name: str, value: Any) -> None:
        acts: dict[str, Callable[[Any], None]] = {
            "Status/MachSpeed": self.plant.request_speed, "Process/PartsOrdered": self.plant.request_order,
            _COMMAND: self._control,
        }  # fmt: skip
        done = False
        if name in acts and value is not None:
            try:
                acts[name](value)
                done = True
            except (PlantRefusal, TypeError):
                pass  # Sparkplug has no word for it: the metric comes back with the value that holds
        method = _COMMANDS.get(value, str(value)) if name == _COMMAND else f"write {name}"
        self.log.add(method, [] if name == _COMMAND else [value], done=done)
        self.edge.tell(also=(name,))

    def _control(self, number: int) -> None:
        self._last_command = 0
        if number not in _COMMANDS:
            raise TypeError(f"there is no command {number}")
        self.plant.command(_COMMANDS[number])
        self._last_command = number


_READ_ONLY: Final[dict[str, tuple[str, Any]]] = {"readOnly": ("Boolean", True)}


def _about(unit: str, low: float, high: float) -> dict[str, tuple[str, Any]]:
    limits: dict[str, tuple[str, Any]] = {"engLow": ("Double", low), "engHigh": ("Double", high)}
    return limits | ({"engUnit": ("String", unit)} if unit else {})


@asynccontextmanager
async def on_broker(
    plant: Plant, url: str, group: str = "Plant", node: str = "Line1", name: str = "Filler", factor: float = 1.0,
    log: CallLog | None = None,
) -> AsyncIterator[SparkplugFace]:  # fmt: skip
    """The machine on the broker at `url`, while the block runs; where there is no broker yet, as soon as there is."""
    face = SparkplugFace(plant, url, group, node, name, factor, log or CallLog())
    face.edge.start()
    pacer = asyncio.create_task(face.pace(), name="pacer")
    try:
        yield face
    finally:
        pacer.cancel()
        await asyncio.wait([pacer])
        await asyncio.to_thread(face.edge.stop)
