"""Plain methods of another stack as skills, and the gate before them: envelope, range and schema, judged by the server's log."""

import time
from pathlib import Path
from typing import Any

import anyio
import pytest

from dtios.model.errors import DtiosError, RefusedError
from dtios.model.job import JobState
from dtios.sdk.client import Client
from tests.interop.reach import changes_of, reached, runtime_of
from tests.machines.process import MachineProcess

pytestmark = pytest.mark.interop


async def result(client: Client, machine: str, skill: str, parameters: dict[str, Any]) -> Any:
    job = await client.start(machine, skill, parameters)
    with anyio.fail_after(10):
        outcome = await job.outcome()
    assert outcome.state is JobState.ENDED, (outcome, job.view.error)
    return outcome.results


async def test_results_and_refusals(tmp_path: Path, interop_server: MachineProcess) -> None:
    async with reached(tmp_path, interop_server.endpoint) as client:
        assert await result(client, "Oddball", "Methods/Add", {"a": 1.5, "b": 2}) == {"sum": 3.5}
        scaled = await result(client, "Oddball", "Methods/Scale", {"values": [1, 2.5], "factor": 2})
        assert scaled == {"scaled": [2, 5], "count": 2}
        assert await result(client, "Oddball", "Methods/Scale", {"values": [], "factor": 2}) == {"scaled": [], "count": 0}
        assert await result(client, "Oddball", "Methods/Norm", {"point": {"X": 3, "Y": 4}}) == {"norm": 5}
        assert await result(client, "Oddball", "Methods/Nothing", {}) == {}
        refused = await client.start("Oddball", "Methods/Refuse")
        with anyio.fail_after(10):
            assert (await refused.outcome()).state is JobState.ABORTED
        assert refused.view.error is not None
        assert (refused.view.error[0], "BadInvalidState" in refused.view.error[1]) == ("refused", True)
        before = len(interop_server.calls("Add"))
        for wrong in ({"a": 1}, {"a": 1, "b": "2"}, {"a": 1, "b": 2, "c": 3}, {"a": 1, "b": float("nan")}, {"a": [1], "b": 2}):
            with pytest.raises(DtiosError):
                await (await client.start("Oddball", "Methods/Add", wrong)).outcome()
        assert len(interop_server.calls("Add")) == before


async def test_a_slow_one_holds_nothing_up(tmp_path: Path, interop_server: MachineProcess) -> None:
    async with reached(tmp_path, interop_server.endpoint) as client:
        begun = time.monotonic()
        slow = await client.start("Oddball", "Methods/Slow", {"seconds": 1.0})
        assert await result(client, "Oddball", "Methods/Add", {"a": 1, "b": 1}) == {"sum": 2}
        await changes_of(client, "Oddball", ["Counter"])
        assert time.monotonic() - begun < 1.0
        assert slow.state in (JobState.ALLOWED_TO_START, JobState.RUNNING)
        with anyio.fail_after(10):
            assert (await slow.outcome()).results == {"slept": 1}


async def test_the_envelope(tmp_path: Path, interop_server: MachineProcess) -> None:
    limits = {"signals": {"SetPoints/Length": [10, 50]}, "skills": {"Methods/Add": {"a": [0, 10]}}}
    hot = {"signal": "SetPoints/Temperature", "below": 60, "writes": ["SetPoints/Speed"], "message": "it is too hot"}
    settings = {"endpoint": interop_server.endpoint, "machine": "Oddball", "envelope": limits, "interlocks": [hot]}
    async with runtime_of(tmp_path, {"machines": {"odd": settings}}) as client:
        async with client.follow_machines() as machines:
            with anyio.fail_after(20):
                async for change in machines:
                    if change.view.health == "online":
                        break
        assert (await client.write("odd", "SetPoints/Length", 50)).confirmed
        assert await result(client, "odd", "Methods/Add", {"a": 10, "b": 2}) == {"sum": 12}
        calls = len(interop_server.calls())
        for beyond in (9.99, 50.01):  # both within the machine's own range
            with pytest.raises(RefusedError, match="Length"):
                await client.write("odd", "SetPoints/Length", beyond)
        with pytest.raises(RefusedError):
            await (await client.start("odd", "Methods/Add", {"a": 10.5, "b": 2})).outcome()
        assert len(interop_server.calls()) == calls
        await shown(client, 61)
        with pytest.raises(RefusedError, match="too hot"):
            await client.write("odd", "SetPoints/Speed", 200)
        await shown(client, 20)
        assert (await client.write("odd", "SetPoints/Speed", 200)).confirmed
    assert [c["args"] for c in interop_server.calls("write") if c["node"] == "Speed"][-1:] == [[200]]


async def shown(client: Client, temperature: float) -> None:
    """Set, and told by the machine: an interlock judges by what the machine has told."""
    async with client.subscribe("odd", ["SetPoints/Temperature"]) as deliveries:
        assert (await client.write("odd", "SetPoints/Temperature", temperature)).confirmed
        with anyio.fail_after(10):
            async for delivery in deliveries:
                if any(change.value == temperature for change in delivery.changes()):
                    return


async def test_loose_methods_and_variables(tmp_path: Path, bare_server: MachineProcess) -> None:
    async with reached(tmp_path, bare_server.endpoint) as client:
        names = [view.machine.name for view in await client.machines()]
        assert names == ["Objects", "Pinger", "Broad", "Deep", "Rare"]
        assert await result(client, "Objects", "Ping", {"number": 41}) == {"answer": 42}
        assert (await client.write("Objects", "Temperature", 22.5)).confirmed
        deep = (await client.describe("Deep")).machine.signals
        assert [s.path for s in deep] == ["/".join([*(f"L{n}" for n in range(1, 31)), "Bottom"])]
        broad = [s.path for s in (await client.describe("Broad")).machine.signals]
        assert len(broad) == 5000
        seen = await changes_of(client, "Broad", broad, 30)
        assert {path: value for path, (value, _) in seen.items()} == {
            f"Group{n // 100}/Value{n % 100}": float(n) for n in range(5000)
        }
