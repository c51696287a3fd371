"""The same app, unchanged, runs its job over every binding and protocol: PackML, job order, method, program, OpenSMI skill,
bits, written set-point, with a lock and without, by OPC UA; on a Sparkplug device, a VDA 5050 vehicle and a
machine that speaks plain MQTT topics.

Over real sockets, inline and in a process of its own; and once more in memory. The machine's own log is the judge.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
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
from tests.brokers import IotCore, running_broker
from tests.interop.node_server import node_command, require_node
from tests.machines.plain_topics import PROFILE as PLAIN_TOPICS
from tests.machines.process import MachineProcess, python_machine, running_machine
from tests.runtimes import client_of

PRODUCE = "urn:dtios:capability:produce"
SIMULATED = Path(__file__).parents[3] / "simulators/dtios_packml"
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

DRIVE = """\
profile: drive
match: {name: PLC_1}
role: machine
skills:
  - binding: write
    name: Drive
    capability: urn:dtios:capability:produce
    parameters:
      count: {path: Drv.nSet, required: true}
    confirm:
      count: {path: Drv.nAct, tolerance: 0.5}
"""
SMART = """\
profile: our-press
extends: opensmi
namespaces: {own: "urn:smartfactory.de:machine:XYZ"}
match: {name: Stamp, type: skill:BaseSkillType}
skills:
  - binding: opensmi
    capability: urn:dtios:capability:produce
"""
VEHICLE = """\
profile: our-cart
extends: vda5050
namespaces: {vda: "urn:dtios:mqtt:vda5050"}
match: {type: vda:Vehicle}
skills:
  - binding: vda_order
    action: pick
    name: Fetch
    capability: urn:dtios:capability:produce
    parameters:
      node: {id: nodeId, value: B}
      place: {id: nodePosition, value: {x: 2, y: 0}}
      station: {id: stationType, value: floor}
      load: {id: loadType, value: EPAL}
"""
HERE = Path(__file__).parents[2] / "machines"
LOCKED = (HERE / "plc.yaml").read_text().replace("    name: Station1\n", "    name: Station1\n    lock: Lock\n")


@dataclass(frozen=True)
class Kind:
    """A machine, the profile for it, what in its log starts a job, and what in it says `parts: 3`. `named`: which one it is
    behind a broker, whose URL is its command's last word."""

    command: list[str]
    profile: str
    started_by: str
    told: Callable[[MachineProcess], bool] = lambda machine: True
    named: str | None = None


def _fetched(vehicle: MachineProcess) -> bool:
    return any(call["load"] for call in vehicle.calls("state"))


def _told(method: str, value: Any = 3) -> Callable[[MachineProcess], bool]:
    return lambda machine: any(call["args"][:1] == [value] for call in machine.calls() if method in call["method"])


MACHINES = {
    "packml": Kind(
        python_machine("dtios_packml", "--speed", "20"), (SIMULATED / "profile.yaml").read_text(), "Start", _told("PartsOrdered")
    ),
    # this receiver's schema names no parameter `count`; an order has no quantity of its own
    "job_order": Kind(python_machine("tests.machines.job_order"), "", "StoreAndStart"),
    "method": Kind(python_machine("tests.machines.plain"), PLAIN, "Make", _told("Make")),
    "program": Kind(python_machine("tests.machines.program"), (HERE / "program.yaml").read_text(), "Start", _told("welded")),
    "handshake": Kind(python_machine("tests.machines.plc"), (HERE / "plc.yaml").read_text(), "started 1", _told("made 1")),
    "handshake, locked": Kind(python_machine("tests.machines.plc", "--lock"), LOCKED, "started 1", _told("made 1")),
    "opensmi, locked": Kind(python_machine("tests.machines.smart"), SMART, "Start", _told("stamped")),
    "sparkplug": Kind(
        python_machine("dtios_packml", "--speed", "20", "--sparkplug"),
        (SIMULATED / "sparkplug.yaml").read_text(),
        "Start",
        _told("PartsOrdered"),
        named="Filler",
    ),
    "vda 5050": Kind(node_command("vehicle", "--broker"), VEHICLE, "order", _fetched, named="Cart1"),
    "topics": Kind(
        python_machine("tests.machines.plain_topics", "--version", "3.1.1", "--broker"),
        PLAIN_TOPICS.read_text(),
        "cmd make",
        lambda machine: [call["args"][0]["count"] for call in machine.calls("cmd make")] == [3],
        named="north/press1",
    ),
    "write": Kind(python_machine("tests.machines.plc"), DRIVE, "write Drv.nSet", _told("write Drv.nSet", 3.0)),
}


@asynccontextmanager
async def running(kind: Kind, folder: Path) -> AsyncIterator[MachineProcess]:
    async with AsyncExitStack() as stack:
        command = kind.command
        if kind.named is not None:
            broker = await stack.enter_async_context(running_broker(IotCore(folder)))
            command = [*command, broker.url]
        yield await stack.enter_async_context(running_machine(command, folder / "log"))


def configuration(folder: Path, endpoint: str, isolation: str, kind: Kind) -> RuntimeConfig:
    (folder / "own.yaml").write_text(kind.profile)
    (folder / "dtios.yaml").write_text(f"""\
profiles: {["own.yaml"] if kind.profile else []}
machines:
  press: {{endpoint: "{endpoint}"{f", machine: {kind.named}" if kind.named else ""}}}
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
    one = MACHINES[kind]
    if kind.startswith("opensmi"):
        pytest.importorskip("opensmi.core", reason="opensmi-server is not installed")
    if one.command[0] == "node":
        require_node()
    async with running(one, tmp_path) as machine:
        config = configuration(tmp_path, machine.endpoint, isolation, one)
        async with Runtime(config, StateDirectory(tmp_path / "state"), Registry()) as runtime, finished(runtime) as states:
            events = [event for event, _ in states]
            assert events[0] == "created"
            assert "Running" in events
            assert events[-1] == "Ended"
        assert len(machine.calls(one.started_by)) == 1
        assert one.told(machine)


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
