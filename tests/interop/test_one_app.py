"""The counter app, unchanged, runs its job on the machines of another stack: PackML, job order and a plain method."""

from pathlib import Path

import anyio
import pytest

from dtios.model.job import JobState
from dtios.runtime.configuration.config import load_config
from dtios.runtime.core import Runtime
from dtios.runtime.registry import Registry
from dtios.runtime.state import StateDirectory
from tests.interop.reach import reached
from tests.interop.test_packml import commanded, idle
from tests.machines.process import MachineProcess
from tests.runtimes import client_of

pytestmark = pytest.mark.interop

SLOW = """\
profile: slow
namespaces: {odd: "urn:interop:strange"}
match: {path: odd:Oddball}
role: machine
skills:
  - binding: method
    method: odd:Methods/odd:Slow
    name: Make
    capability: urn:dtios:capability:produce
    parameters:
      count: {argument: seconds}
"""
STARTED = {"Unit1": "Start", "Assembler": "StoreAndStart", "Oddball": "Slow"}


@pytest.mark.parametrize("isolation", ["inline", "process"])
@pytest.mark.parametrize("machine", list(STARTED))
async def test_the_counter_app(tmp_path: Path, interop_server: MachineProcess, machine: str, isolation: str) -> None:
    (tmp_path / "slow.yaml").write_text(SLOW)
    (tmp_path / "dtios.yaml").write_text(f"""\
profiles: [slow.yaml]
machines:
  press: {{endpoint: "{interop_server.endpoint}", machine: {machine}}}
apps:
  counter:
    isolation: {isolation}
    config: {{parts: 1}}
    machines: {{press: press}}
    grants: [{{machine: press, run: ["**"]}}]
""")
    before = len(interop_server.calls(STARTED[machine]))
    config = load_config(tmp_path / "dtios.yaml")
    async with Runtime(config, StateDirectory(tmp_path / "state"), Registry()) as runtime, client_of(runtime) as client:
        with anyio.fail_after(30):
            while not (jobs := await client.jobs()) or not jobs[0].final:
                await anyio.sleep(0.05)
    (job,) = jobs
    assert (job.machine, job.principal, job.state) == ("press", "counter", JobState.ENDED), (job.error, job.outcome)
    assert len(interop_server.calls(STARTED[machine])) == before + 1
    if machine == "Unit1":
        async with reached(tmp_path / "after", interop_server.endpoint) as client:
            await commanded(client, machine, "MachineState", "ExecuteState", "Reset")
            await idle(client, machine)
    if machine == "Oddball":
        assert interop_server.calls("Slow")[-1]["args"] == [1]
