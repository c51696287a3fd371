"""The OPC UA face of the plant: its signals, methods and set points, paced by the wall clock."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from asyncua import ua
from asyncua.common.methods import uamethod
from asyncua.server.server import Server
from asyncua.ua.status_codes import StatusCodes

from dtios_packml.guard import guard_writes
from dtios_packml.hosting import hosted
from dtios_packml.lifecycle import CallLog
from dtios_packml.plant import COMMANDS, Plant, PlantRefusal, Refused, State
from dtios_packml.space import LEVELS, PIECES, Space, build_space
from dtios_packml.wire import bad, reading, status

__all__ = ["Face", "serve"]

PERIOD: Final = 0.05
"""Seconds of wall clock between two looks at the plant."""

_CODES: Final = {Refused.STATE: StatusCodes.BadInvalidState, Refused.RANGE: StatusCodes.BadOutOfRange}
_LEVEL: Final = {name: level for level, states in LEVELS.items() for name in states}


@dataclass
class Face:
    """One plant behind one server. `factor`: simulated seconds for each second of wall clock."""

    plant: Plant
    factor: float = 1.0
    log: CallLog = field(default_factory=CallLog)
    endpoint: str = ""
    _space: Space | None = None
    _shown: dict[str, Any] = field(default_factory=dict)

    @property
    def space(self) -> Space:
        if self._space is None:
            raise RuntimeError("the address space is not built")
        return self._space

    async def build(self, server: Server, name: str) -> None:
        calls: dict[str, Callable[..., Awaitable[Any]]] = {command: self._command(command) for command in COMMANDS}
        calls |= {
            "Start": self._method("Start", self._start),
            "SetMachSpeed": self._method("SetMachSpeed", self.plant.request_speed),
            "SetUnitMode": self._method("SetUnitMode", self.plant.request_mode),
            "SetParameter": self._method("SetParameter", self._parameters),
        }
        self._space = await build_space(server, name, calls)
        points = self.space.points
        guard_writes(server, {
            points["Status.MachSpeed"].nodeid: (ua.VariantType.Float, self._writer("MachSpeed", self.plant.request_speed)),
            points["Process.PartsOrdered"].nodeid: (
                ua.VariantType.UInt32, self._writer("PartsOrdered", self.plant.request_order)
            ),
        })  # fmt: skip
        await self.publish()

    async def pace(self) -> None:
        """Lets the plant's time follow the wall clock, for ever."""
        begun, at = time.monotonic(), self.plant.time
        while True:
            await asyncio.sleep(PERIOD)
            self.plant.advance(at + (time.monotonic() - begun) * self.factor)
            await self.publish()

    async def publish(self) -> None:
        """Writes what has changed since it was written last."""
        for name, variant in self._picture().items():
            if name not in self._shown or self._shown[name] != variant:
                self._shown[name] = variant
                await self._write(name, variant)

    async def _write(self, name: str, value: tuple[ua.VariantType, Any] | None) -> None:
        shown = bad(StatusCodes.BadStateNotActive) if value is None else reading(value[1], value[0])
        await self.space.server.write_attribute_value(self.space.points[name].nodeid, shown)

    def _picture(self) -> dict[str, tuple[ua.VariantType, Any] | None]:
        plant, kind = self.plant, ua.VariantType
        return {
            **self._states(),
            "Status.StateCurrent": (kind.Int32, plant.state.value),
            "Status.UnitModeCurrent": (kind.Int32, plant.mode.value),
            "Status.MachSpeed": (kind.Float, plant.set_speed),
            "Status.CurMachSpeed": (kind.Float, plant.speed),
            "Status.EquipmentBlocked": (kind.Boolean, plant.jammed),
            "Admin.ProdProcessedCount": self._count(plant.processed, plant.processed_ever),
            "Admin.ProdDefectiveCount": self._count(plant.defective, plant.defective_ever),
            "Process.Temperature": (kind.Double, round(plant.temperature, 2)),
            "Process.PartsOrdered": (kind.UInt32, plant.ordered),
            "Process.PartsMade": (kind.UInt32, plant.processed),
            "Process.PartsDefective": (kind.UInt32, plant.defective),
            "Process.Jammed": (kind.Boolean, plant.jammed),
        }

    def _count(self, count: int, ever: int) -> tuple[ua.VariantType, Any]:
        return (ua.VariantType.ExtensionObject, [self.space.make("PackMLCountDataType", 1, "Bottle", PIECES, count, ever)])

    def _states(self) -> dict[str, tuple[ua.VariantType, Any] | None]:
        """CurrentState of the three machines; an inner one that is not active is BadStateNotActive (Part 16, 4.4.4)."""
        name = self.plant.state.name
        level = _LEVEL[name]
        active = {
            "Base": name if level == "Base" else "Cleared",
            "Machine": None if level == "Base" else name if level == "Machine" else "Running",
            "Execute": name if level == "Execute" else None,
        }
        picture: dict[str, tuple[ua.VariantType, Any] | None] = {}
        for which, state in active.items():
            of = f"{which}."
            picture |= {of + "CurrentState": None, of + "Id": None, of + "Number": None}
            if state is not None:
                picture[of + "CurrentState"] = (ua.VariantType.LocalizedText, ua.LocalizedText(state))
                picture[of + "Id"] = (ua.VariantType.NodeId, self.space.states[which, state])
                picture[of + "Number"] = (ua.VariantType.UInt32, LEVELS[which][state])
        return picture

    def _command(self, name: str) -> Callable[..., Awaitable[Any]]:
        return self._method(name, lambda: self.plant.command(name))

    def _method(self, name: str, act: Callable[..., None]) -> Callable[..., Awaitable[Any]]:
        takes = 1 if name in ("Start", "SetMachSpeed", "SetUnitMode", "SetParameter") else 0

        async def call(_: ua.NodeId, *args: Any) -> Any:
            code = _arity(len(args), takes) or self._try(act, *args)
            self.log.add(name, list(args), status=code.name)
            await self.publish()
            return code

        method: Callable[..., Awaitable[Any]] = uamethod(call)
        return method

    def _writer(self, name: str, act: Callable[[Any], None]) -> Callable[[Any], ua.StatusCode]:
        def write(value: Any) -> ua.StatusCode:
            code = self._try(act, value)
            self.log.add(f"write {name}", [value], status=code.name)
            return code

        return write

    def _try(self, act: Callable[..., None], *args: Any) -> ua.StatusCode:
        try:
            act(*args)
        except PlantRefusal as refusal:
            return status(_CODES[refusal.kind])
        except (TypeError, AttributeError):
            return status(StatusCodes.BadInvalidArgument)
        return status()

    def _start(self, parameters: list[Any] | None) -> None:
        if self.plant.state is not State.Idle:
            raise PlantRefusal(Refused.STATE, f"Start is not taken in {self.plant.state.name}")
        self._parameters(parameters)
        self.plant.command("Start")

    def _parameters(self, parameters: list[Any] | None) -> None:
        """PackML descriptors by name: PartsOrdered, MachSpeed."""
        known: dict[str, Callable[[float], None]] = {
            "PartsOrdered": lambda v: self.plant.request_order(_whole(v)),
            "MachSpeed": self.plant.request_speed,
        }
        for item in parameters or []:
            if item.Name not in known:
                raise PlantRefusal(Refused.RANGE, f"there is no parameter {item.Name!r}")
        for item in parameters or []:
            known[item.Name](item.Value)


def _whole(value: float) -> int:
    if not value.is_integer():
        raise PlantRefusal(Refused.RANGE, f"{value} is no whole number of parts")
    return int(value)


def _arity(given: int, takes: int) -> ua.StatusCode | None:
    if given == takes:
        return None
    few, many = StatusCodes.BadArgumentsMissing, StatusCodes.BadTooManyArguments
    return status(few if given < takes else many)


@asynccontextmanager
async def serve(
    plant: Plant, port: int = 0, factor: float = 1.0, log: CallLog | None = None, name: str = "Filler"
) -> AsyncIterator[Face]:
    """The machine on 127.0.0.1, while the block runs; `Face.endpoint` says where. Port 0 takes a free one."""
    face = Face(plant, factor, log or CallLog())
    async with hosted("urn:dtios:packml:server", "/dtios/packml/", port, lambda server: face.build(server, name)) as endpoint:
        face.endpoint = endpoint
        pacer = asyncio.create_task(face.pace(), name="pacer")
        try:
            yield face
        finally:
            pacer.cancel()
            await asyncio.wait([pacer])
