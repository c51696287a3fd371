"""Machines of OPC 40001-1 as integrators nest them: one machine however often it is reachable, with all that is inside it."""

from pathlib import Path

import anyio
import pytest

from dtios.model.job import JobState
from tests.interop.node_server import running_node_server
from tests.interop.reach import reached

pytestmark = pytest.mark.interop

JOBS = "MachineryBuildingBlocks/JobManagement/JobOrderControl"


async def test_nested_machines(tmp_path: Path) -> None:
    async with running_node_server(tmp_path / "log", script="nested") as server, reached(tmp_path, server.endpoint) as client:
        found = {view.machine.name: view.machine for view in await client.machines()}
        serials = {name: machine.identification.serial_number for name, machine in found.items()}
        assert serials == {"Hall": None, "Line": "L-1", "Twin": "T-1", "Twin#2": "T-2", "Silent": None}
        assert [s.path for s in found["Hall"].signals] == ["Humidity"]  # the line stands in it, and is a machine of its own
        line = found["Line"]
        assert line.profiles == ("machinery", "job-order", "packml")
        assert line.identity == "urn:interop:nested:L-1"
        paths = {s.path for s in line.signals}
        inner = {"Components/Spindle/Load", "Cell/Status/MachSpeed", f"{JOBS}/JobOrderList"}
        assert {"Identification/SerialNumber", *inner} <= paths
        (note,) = line.notes
        assert "Start" in note  # this unit has no methods to be started with
        job = await client.start("Line", JOBS, {"Count": 2, "Duration": 0.1}, job="nested-1")
        with anyio.fail_after(10):
            outcome = await job.outcome()
        assert (outcome.state, outcome.results) == (JobState.ENDED, {"Made": 2})
