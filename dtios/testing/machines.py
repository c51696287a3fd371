"""Ready-made machines in memory: one that follows PackML, one that takes job orders, one with plain methods.

Each stands in the Machines folder with an Identification (OPC 40001-1), so that it is described as a real one would be. Its
states move on the server's clock.
"""

from dtios.mapping.facts import Node
from dtios.model.datatypes import BuiltinType
from dtios.model.machine import Access, Range, Unit
from dtios.model.values import LocalizedText, QualifiedName
from dtios.sdk.clock import Clock
from dtios.testing.job_order import JOB_CONTROL, JobOrderMachine
from dtios.testing.packml import PACKML, PackMLMachine
from dtios.testing.server import UA, MemoryServer

__all__ = [
    "JOB_CONTROL",
    "MACHINERY",
    "METHODS",
    "METHOD_PROFILE",
    "PACKML",
    "job_order_machine",
    "method_machine",
    "packml_machine",
]

DI = "http://opcfoundation.org/UA/DI/"
MACHINERY = "http://opcfoundation.org/UA/Machinery/"
METHODS = "urn:dtios:testing:methods"

METHOD_PROFILE = """\
profile: testing-methods
title: The plain-method machine of dtios.testing
namespaces:
  t: urn:dtios:testing:methods
match:
  type: t:FillerType
role: machine
skills:
  - binding: method
    method: t:Produce
    name: Produce
    capability: urn:dtios:capability:produce
"""
"""What an integrator would write for `method_machine`: the text of a profile file."""


def packml_machine(
    name: str = "packml", *, clock: Clock | None = None, execute: float = 0.05, acting: float = 0.01
) -> PackMLMachine:
    """A unit of OPC 30050 in Idle. Execute lasts `execute` seconds, every other acting state `acting`."""
    server = PackMLMachine(name, clock=clock, execute=execute, acting=acting)
    unit = _machine(server, name, QualifiedName(PACKML, "PackMLBaseObjectType"), PACKML)
    server.build(unit)
    return server


def job_order_machine(name: str = "jobs", *, clock: Clock | None = None, duration: float = 0.05) -> JobOrderMachine:
    """A machine with an ISA95JobOrderReceiver and its response provider (OPC 10031-4 v2). A job runs for `duration` seconds,
    one at a time, in order of their start."""
    server = JobOrderMachine(name, clock=clock, duration=duration)
    server.build(_machine(server, name, QualifiedName(METHODS, "CellType"), METHODS))
    return server


def method_machine(name: str = "methods", *, clock: Clock | None = None, duration: float = 0.05) -> MemoryServer:
    """A machine with nothing but variables and methods. `Produce() -> Made` returns when the part is made, after `duration`
    seconds; `Fill(Volume) -> Level` too; `Stop()` ends either at once."""
    server = MemoryServer(name, clock=clock)
    filler = _machine(server, name, QualifiedName(METHODS, "FillerType"), METHODS)
    _Filler(server, duration).build(filler.address)
    return server


class _Filler:
    def __init__(self, server: MemoryServer, duration: float) -> None:
        self._server = server
        self._duration = duration
        self._stops = 0

    def build(self, at: str) -> None:
        server = self._server
        self._running = server.variable("Running", False, parent=at, access=Access.READ, namespace=METHODS)
        self._made = server.variable("Made", 0, BuiltinType.Int32, parent=at, access=Access.READ, namespace=METHODS)
        self._level = server.variable(
            "Level", 0.0, parent=at, access=Access.READ, unit=Unit("LTR", "l"), range=Range(0, 100), namespace=METHODS
        )
        server.variable("Speed", 60.0, parent=at, unit=Unit("C26", "ms"), range=Range(0, 120), namespace=METHODS)
        server.method("Produce", self._produce, parent=at, outputs=[("Made", BuiltinType.Int32)], namespace=METHODS)
        server.method(
            "Fill",
            self._fill,
            parent=at,
            inputs=[("Volume", BuiltinType.Double)],
            outputs=[("Level", BuiltinType.Double)],
            namespace=METHODS,
        )
        server.method("Stop", self._stop, parent=at, namespace=METHODS)

    async def _work(self) -> bool:
        before = self._stops
        self._server.set(self._running, True)
        await self._server.clock.sleep(self._duration)
        if self._stops == before:
            self._server.set(self._running, False)
        return self._stops == before

    async def _produce(self) -> int:
        made: int = self._server.get(self._made)
        if await self._work():
            made += 1
            self._server.set(self._made, made)
        return made

    async def _fill(self, volume: float) -> float:
        if await self._work():
            self._server.set(self._level, self._server.get(self._level) + volume)
        level: float = self._server.get(self._level)
        return level

    async def _stop(self) -> None:
        self._stops += 1
        self._server.set(self._running, False)


def _machine(server: MemoryServer, name: str, type: QualifiedName, namespace: str) -> Node:
    folder = server.object("Machines", namespace=MACHINERY, types=QualifiedName(UA, "FolderType"))
    machine = server.object(name, parent=folder, types=type, namespace=namespace)
    identification = server.object(
        "Identification", parent=machine, types=QualifiedName(MACHINERY, "MachineIdentificationType"), namespace=DI
    )
    for field, value in (
        ("Manufacturer", LocalizedText("dtios.testing", "en")),
        ("Model", LocalizedText(type.name.removesuffix("Type"), "en")),
        ("SerialNumber", f"{name}-1"),
        ("ProductInstanceUri", f"urn:dtios:testing:{name}-1"),
    ):
        kind = BuiltinType.String if isinstance(value, str) else BuiltinType.LocalizedText
        server.variable(field, value, kind, parent=identification, access=Access.READ, namespace=DI, property=True)
    return machine
