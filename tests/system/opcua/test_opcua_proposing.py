"""A PLC with flat names, on a real server: the proposed profile groups them, and describes the same points."""

from pathlib import Path

import pytest
from asyncua import Server, ua

from dtios.model.machine import Machine
from tests.interop.reach import runtime_of
from tests.system.opcua.opcua_server import plain, rich, serving

NAMES = [
    '"DB1"."Motor"."Speed"', '"DB1"."Motor"."Torque"', "Pump_Flow", "Pump_Level", "rTemp_1", "rTemp_2", "Level", "a/b", "x:y",
]  # fmt: skip


async def plc(server: Server, idx: int) -> None:
    machine = await server.nodes.objects.add_object(ua.NodeId("PLC", idx), ua.QualifiedName("PLC", idx))
    for name in NAMES:
        await machine.add_variable(ua.NodeId(name, idx), ua.QualifiedName(name, idx), 0.0)
    for bit in ("Job_Start", "Job_Busy", "Job_Done"):
        await machine.add_variable(ua.NodeId(bit, idx), ua.QualifiedName(bit, idx), False)


async def described(folder: Path, url: str, profile: str | None) -> tuple[Machine, str]:
    """(the machine behind the URL, its proposed profile)"""
    async with runtime_of(folder, {}) as client:
        (name,) = await client.open(url, profiles=[("proposed.yaml", profile)] if profile is not None else [])
        machine = (await client.describe(name)).machine
        return machine, (await client.propose(url, machine.path))[1]


@pytest.mark.parametrize("fill", [plc, plain, rich], ids=lambda fill: fill.__name__)
async def test_the_same_points_come_out(tmp_path: Path, fill):
    async with serving(fill) as (url, _):
        before, profile = await described(tmp_path / "before", url, None)
        after, again = await described(tmp_path / "after", url, profile)
    assert {(s.address, s.type, s.unit, s.range, s.access) for s in after.signals} == {
        (s.address, s.type, s.unit, s.range, s.access) for s in before.signals
    }
    assert [(s.path, s.binding, s.parameters) for s in after.skills] == [(s.path, s.binding, s.parameters) for s in before.skills]
    assert (len(after.profiles), after.notes) == (1, before.notes)
    assert f"extends: {after.profiles[0]}" in again  # what is known already is built upon


async def test_flat_names_are_grouped(tmp_path: Path):
    async with serving(plc) as (url, _):
        _, profile = await described(tmp_path / "before", url, None)
        after, _ = await described(tmp_path / "after", url, profile)
    paths = {s.path for s in after.signals}
    assert {"DB1/Motor/Speed", "DB1/Motor/Torque", "Pump/Flow", "Pump/Level", "rTemp_1", "rTemp_2", "Level", "a~1b"} <= paths
    assert "#   - binding: handshake" in profile
    assert after.skills == ()
