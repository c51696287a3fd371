"""Promise 3: after the runtime's sudden end no job is started twice; each is found again, ended, or Unknown.

The judge is the machine's own log of the commands that reached it.
"""

import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.streams.buffered import BufferedByteReceiveStream

from dtios.model.job import JobState
from dtios.runtime.configuration.config import RuntimeConfig
from dtios.runtime.core import Runtime
from dtios.runtime.registry import Registry
from dtios.runtime.state import StateDirectory
from dtios.sdk.client import Client
from tests.brokers import Mosquitto, running_broker
from tests.machines.process import MachineProcess, python_machine, running_machine
from tests.runtimes import client_of

PROFILE = Path("simulators/dtios_packml/profile.yaml").resolve()
MACHINES = Path("tests/machines").resolve()


def die_at_every_point(folder: Path, url: str, skill: str, parameters: dict[str, Any]) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "tests.system.runtime.dying", str(folder), url, skill, json.dumps(parameters)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=150, check=False)
    assert done.returncode == 0, done.stderr
    lived = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert [c["signal"] for c in lived] == [9] * (len(lived) - 1) + [0], done.stderr
    return lived


async def settled(client: Client, job: str) -> JobState | None:
    """What the next runtime makes of it: a final state or Unknown; None if it never heard of it."""
    known = {view.job for view in await client.jobs()}
    if job not in known:
        return None
    with anyio.fail_after(20):
        while True:
            view = (await client.show_job(job)).view
            if view.final or view.state is JobState.UNKNOWN:
                return view.state
            await anyio.sleep(0.05)


async def next_start(folder: Path, url: str, skill: str, parameters: dict[str, Any], point: int) -> JobState | None:
    """Start the runtime again after each death, and ask for the same job once more: it must join, not begin anew."""
    config = RuntimeConfig.model_validate(json.loads((folder / "config.json").read_text()))
    async with Runtime(config, StateDirectory(folder / str(point)), Registry()) as runtime, client_of(runtime) as client:
        (machine, *_) = await client.open(url)
        state = await settled(client, f"point-{point}")
        if state is not None:
            again = await client.start(machine, skill, parameters, job=f"point-{point}")
            assert again.state is state
        return state


Starts = Callable[[MachineProcess, int], int]


def of_this_order(machine: MachineProcess, point: int) -> int:
    return sum(f'"point-{point}"' in json.dumps(call["args"]) for call in machine.calls("StoreAndStart"))


def in_all(method: str) -> Starts:
    return lambda machine, _: len(machine.calls(method))


@pytest.mark.parametrize(
    ("command", "config", "skill", "parameters", "starts", "counts_all"),
    [
        pytest.param(
            python_machine("tests.machines.job_order", "--limit", "100"), {}, "Orders", {"Duration": 0.3}, of_this_order, False,
            id="job-order", marks=pytest.mark.slow,
        ),
        pytest.param(
            python_machine("tests.machines.plain", "--rate", "5"), {}, "Make", {"count": 1, "speed": 20.0}, in_all("Make"), True,
            id="method", marks=pytest.mark.slow,
        ),
        pytest.param(
            python_machine("dtios_packml", "--speed", "20"), {"profiles": [str(PROFILE)]}, "Fill", {"count": 1}, in_all("Start"),
            True,
            id="packml",
        ),
        pytest.param(
            python_machine("tests.machines.program"), {"profiles": [str(MACHINES / "program.yaml")]}, "Weld", {"count": 2},
            in_all("Start"), True, id="program", marks=pytest.mark.slow,
        ),
    ],
)  # fmt: skip
async def test_no_job_is_started_twice(
    tmp_path: Path,
    command: list[str],
    config: dict[str, Any],
    skill: str,
    parameters: dict[str, Any],
    starts: Starts,
    counts_all: bool,
) -> None:
    folder = tmp_path / "states"
    folder.mkdir()
    async with running_machine(command, tmp_path / "calls.jsonl") as machine:
        named = {"machines": {"m": {"endpoint": machine.endpoint}}, **config}
        (folder / "config.json").write_text(json.dumps(named))
        run = lambda: die_at_every_point(folder, machine.endpoint, skill, parameters)  # noqa: E731  # for the thread
        lived = await anyio.to_thread.run_sync(run)
        points = [c["point"] for c in lived]
        assert len(points) > 8, "too few points to mean anything"
        before = starts(machine, 0)
        states: dict[int, JobState | None] = {}
        for point in points:
            count = starts(machine, point)
            states[point] = await next_start(folder, machine.endpoint, skill, parameters, point)
            if counts_all:  # the machine keeps no id: nothing at all may be started by coming back
                assert starts(machine, point) == before
            else:
                assert starts(machine, point) == count <= 1
                if count and states[point] is not JobState.UNKNOWN:
                    assert states[point] is JobState.ENDED
        assert states[points[0]] is None, "killed before anything was written"
        assert states[points[-1]] is JobState.ENDED
        assert JobState.ABORTED in states.values(), "killed before anything was sent"
        if counts_all:
            assert before <= len(points)
            assert JobState.UNKNOWN in states.values() or skill == "Fill", "a method that was cut off can only be Unknown"


LOCKED = (MACHINES / "plc.yaml").read_text("utf-8").replace("    name: Station1\n", "    name: Station1\n    lock: Lock\n")


@asynccontextmanager
async def dying_step_by_step(
    folder: Path, url: str, skill: str, parameters: dict[str, Any]
) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
    """What became of each child; the next one is let live when it is asked for."""
    command = [sys.executable, "-m", "tests.system.runtime.dying", str(folder), url, skill, json.dumps(parameters), "step"]
    async with await anyio.open_process(command, stderr=None) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        lines = BufferedByteReceiveStream(process.stdout)

        async def lived() -> AsyncIterator[dict[str, Any]]:
            while True:
                line = await lines.receive_until(b"\n", 65536)
                if not line.startswith(b"{"):
                    continue
                yield json.loads(line)
                await process.stdin.send(b"\n")  # type: ignore[union-attr]  # it is there

        try:
            yield lived()
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("options", "profile"),
    [
        pytest.param([], (MACHINES / "plc.yaml").read_text("utf-8"), id="bits"),
        pytest.param(["--lock"], LOCKED, id="locked", marks=pytest.mark.slow),
    ],
)
async def test_no_trigger_is_given_twice_or_left_up(tmp_path: Path, options: list[str], profile: str) -> None:
    """After each death the next runtime comes to the same machine: it finds the job, and takes back what was left up."""
    folder = tmp_path / "states"
    folder.mkdir()
    (folder / "own.yaml").write_text(profile)
    states: dict[int, JobState | None] = {}
    async with running_machine(python_machine("tests.machines.plc", *options), tmp_path / "calls.jsonl") as machine:
        named = {"machines": {"m": {"endpoint": machine.endpoint}}, "profiles": [str(folder / "own.yaml")]}
        (folder / "config.json").write_text(json.dumps(named))
        async with dying_step_by_step(folder, machine.endpoint, "Station1", {"count": 2}) as children:
            async for child in children:
                point, started = child["point"], len(machine.calls("started 1"))
                states[point] = await next_start(folder, machine.endpoint, "Station1", {"count": 2}, point)
                assert len(machine.calls("started 1")) == started
                assert [c["args"] for c in machine.calls("write S1_xStart")][-1:] in ([], [[False]]), f"left up at {point}"
                if not child["signal"]:
                    break
    assert len(states) > 8, "too few points to mean anything"
    assert states[1] is None, "killed before anything was written"
    assert child["state"] == "Ended"
    assert {JobState.ABORTED, JobState.ENDED} <= set(states.values())
    assert len(machine.calls("started 1")) <= len(states)


@pytest.mark.slow
async def test_no_order_is_sent_to_a_vehicle_twice(tmp_path: Path) -> None:
    """After each death the next runtime finds the order by its orderId in the vehicle's state, under way or done."""
    folder = tmp_path / "states"
    folder.mkdir()
    drive: dict[str, Any] = {"nodes": [{"nodeId": "B"}], "nodeId": "C"}
    states: dict[int, JobState | None] = {}
    async with running_broker(Mosquitto(tmp_path)) as broker:
        command = python_machine("tests.machines.agv", "--broker", broker.url, "--interval", "0.5")
        async with running_machine(command, tmp_path / "calls.jsonl") as vehicle:
            named = {"machines": {"m": {"endpoint": broker.url, "machine": "Agv1", "settings": {"listen": 0.5}}}}
            (folder / "config.json").write_text(json.dumps(named))
            async with dying_step_by_step(folder, broker.url, "drive", drive) as children:
                async for child in children:
                    point, job = child["point"], f"point-{child['point']}"
                    sent = [order["args"]["orderId"] for order in vehicle.calls("order")]
                    assert sent.count(job) <= 1
                    states[point] = await next_start(folder, broker.url, "drive", drive, point)
                    if job in sent:
                        assert states[point] is JobState.ENDED
                    assert [order["args"]["orderId"] for order in vehicle.calls("order")] == sent
                    if not child["signal"]:
                        break
    assert len(states) > 8, "too few points to mean anything"
    assert states[1] is None, "killed before anything was written"
    assert child["state"] == "Ended"
    assert {JobState.ABORTED, JobState.ENDED} <= set(states.values())
