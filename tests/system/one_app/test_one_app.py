"""The same app, unchanged, runs its job on a PackML machine, a job-order machine and a plain-method machine.

Over real sockets, inline and in a process of its own; and once more in memory. The machine's own log is the judge.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from dtios.model.job import JobState
from dtios.runtime.configuration.config import RuntimeConfig, load_config
from dtios.runtime.core import Runtime
from dtios.runtime.registry import Registry
from dtios.runtime.state import StateDirectory
from dtios.testing import METHOD_PROFILE, MemoryAdapter, job_order_machine, method_machine, packml_machine
from dtios_counter import app as counter
from tests.machines.process import MachineProcess, python_machine, running_machine
from tests.runtimes import client_of

PRODUCE = "urn:dtios:capability:produce"
FILLER = Path(__file__).parents[3] / "simulators/dtios_packml/profile.yaml"
PLAIN = """\
profile: plain
match: {path: Plain}
role: machine
skills:
  - binding: method
    method: Make
    name: Make
    capability: urn:dtios:capability:produce
    parameters:
      count: {argument: count}
      speed: {argument: speed, value: 50.0}
"""

MACHINES = {
    "packml": (python_machine("dtios_packml", "--speed", "20"), "Start"),
    "job_order": (python_machine("tests.machines.job_order"), "StoreAndStart"),
    "method": (python_machine("tests.machines.plain"), "Make"),
}


def configuration(folder: Path, endpoint: str, isolation: str) -> RuntimeConfig:
    (folder / "plain.yaml").write_text(PLAIN)
    (folder / "dtios.yaml").write_text(f"""\
profiles: [plain.yaml, {FILLER}]
machines:
  press: {{endpoint: "{endpoint}"}}
apps:
  counter:
    isolation: {isolation}
    config: {{parts: 3}}
    grants: [{{capability: {PRODUCE}}}]
""")
    return load_config(folder / "dtios.yaml")


@asynccontextmanager
async def finished(runtime: Runtime) -> AsyncIterator[list[tuple[str, str]]]:
    """The states of the one job that the app starts, when it is over."""
    states: list[tuple[str, str]] = []
    async with client_of(runtime) as client:
        with anyio.fail_after(30):
            while not (jobs := await client.jobs()) or not jobs[0].final:
                await anyio.sleep(0.05)
        (job,) = jobs
        assert job.principal == "counter"
        record = await client.show_job(job.job)
        states += [(entry.event, entry.detail) for entry in record.history]
        assert job.state is JobState.ENDED, (job.error, job.outcome, states)
        yield states


@pytest.mark.parametrize("isolation", ["inline", "process"])
@pytest.mark.parametrize("kind", list(MACHINES))
async def test_over_sockets(tmp_path: Path, kind: str, isolation: str) -> None:
    command, started_by = MACHINES[kind]
    async with running_machine(command, tmp_path / "log") as machine:
        config = configuration(tmp_path, machine.endpoint, isolation)
        async with Runtime(config, StateDirectory(tmp_path / "state"), Registry()) as runtime, finished(runtime) as states:
            events = [event for event, _ in states]
            assert events[0] == "created"
            assert "Running" in events
            assert events[-1] == "Ended"
        assert len(machine.calls(started_by)) == 1
        assert said_three(machine, kind)


def said_three(machine: MachineProcess, kind: str) -> bool:
    """The app's `parts: 3` came to the machine in the machine's own way."""
    if kind == "packml":
        return any(call["args"] == [3] for call in machine.calls() if "PartsOrdered" in call["method"])
    if kind == "method":
        return machine.calls("Make")[0]["args"][0] == 3
    return True  # this receiver's schema names no parameter `count`; an order has no quantity of its own


@pytest.mark.parametrize("make", [packml_machine, job_order_machine, method_machine])
async def test_in_memory(tmp_path: Path, make: Any) -> None:
    (tmp_path / "methods.yaml").write_text(METHOD_PROFILE)
    async with make("press") as server:
        config = RuntimeConfig.model_validate(
            {
                "profiles": [str(tmp_path / "methods.yaml")],
                "machines": {"press": {"endpoint": server.url}},
                "apps": {"counter": {"isolation": "inline", "grants": [{"capability": PRODUCE}]}},
            }
        )
        registry = Registry(adapters=[MemoryAdapter(server)], apps=[counter], installed=False)
        async with Runtime(config, StateDirectory(tmp_path / "state"), registry) as runtime, finished(runtime) as states:
            assert [event for event, _ in states][-1] == "Ended"
