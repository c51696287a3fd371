"""The ready-made machines: described by the shipped profiles, and run through the whole runtime in memory."""

from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from dtios.model.errors import RefusedError
from dtios.model.job import JobState
from dtios.model.packml import PackMLState
from dtios.model.values import Record
from dtios.runtime.configuration.config import RuntimeConfig
from dtios.runtime.core import Runtime
from dtios.runtime.registry import Registry
from dtios.runtime.state import StateDirectory
from dtios.sdk.client import open_client
from dtios.sdk.transport import memory_pair
from dtios.testing import (
    METHOD_PROFILE,
    MemoryAdapter,
    MemoryServer,
    VirtualClock,
    job_order_machine,
    method_machine,
    packml_machine,
)

PRODUCE = "urn:dtios:capability:produce"
MACHINES: dict[str, Callable[[], MemoryServer]] = {
    "packml": packml_machine,
    "job order": job_order_machine,
    "method": method_machine,
}


def runtime(server: MemoryServer, folder: Path) -> Runtime:
    profile = folder / "methods.yaml"
    profile.write_text(METHOD_PROFILE)
    config = RuntimeConfig.model_validate({"machines": {"cell": {"endpoint": server.url}}, "profiles": [str(profile)]})
    return Runtime(config, StateDirectory(folder / "state"), Registry(adapters=[MemoryAdapter(server)], installed=False))


@pytest.mark.parametrize("kind", MACHINES)
async def test_a_job_of_the_capability_runs_on_it(kind: str, tmp_path: Path) -> None:
    server = MACHINES[kind]()
    ours, theirs = memory_pair()
    with anyio.fail_after(10):
        async with server, runtime(server, tmp_path) as core, anyio.create_task_group() as tasks:
            tasks.start_soon(core.serve, theirs, "cli:anna")
            async with open_client(ours, "command") as client:
                (view,) = await client.machines()
                assert view.health == "online"
                assert view.machine.identification.manufacturer == "dtios.testing"
                (skill,) = [s for s in view.machine.skills if s.capability is not None and s.capability.satisfies(PRODUCE)]
                job = await client.start("cell", skill.path, {})
                outcome = await job.outcome()
            await ours.aclose()
        assert outcome.state is JobState.ENDED
        assert any(command.kind == "call" for command in server.commands)


async def test_a_packml_unit_holds_what_remains_and_refuses_what_its_state_forbids() -> None:
    clock = VirtualClock()
    server = packml_machine(clock=clock, execute=10, acting=1)
    state = "Machines/packml/BaseStateMachine/MachineState/ExecuteState"
    async with server:
        assert server.state is PackMLState.Idle
        with pytest.raises(RefusedError, match="Hold is not possible in Idle"):
            await call(server, f"{state}/Hold")
        await call(server, f"{state}/Start")
        await clock.advance(1 + 4)
        assert server.state is PackMLState.Execute
        await call(server, f"{state}/Hold")
        await clock.advance(100)
        assert server.state is PackMLState.Held
        await call(server, f"{state}/Unhold")
        await clock.advance(1 + 5.9)
        assert server.state is PackMLState.Execute
        await clock.advance(0.1 + 1)
        assert server.state is PackMLState.Complete
        assert server.parts == 1
        server.go(PackMLState.Aborted)
        assert server.reading(server.find(f"{state}/CurrentState").address).status_name == "BadStateNotActive"


async def call(server: MemoryServer, path: str) -> None:
    answer = server.receive_call(server.find(path.rpartition("/")[0]).address, server.find(path).address, [])
    await answer.filled.wait()
    if answer.error is not None:
        raise answer.error


async def test_job_orders_run_one_at_a_time_in_order_of_their_start() -> None:
    clock = VirtualClock()
    server = job_order_machine(clock=clock, duration=10)
    async with server:
        for job in ("a", "b"):
            assert await order(server, "StoreAndStart", Record("ISA95JobOrderDataType", {"JobOrderID": job})) == 0
        assert await order(server, "StoreAndStart", Record("ISA95JobOrderDataType", {"JobOrderID": "a"})) == 8
        await clock.advance(5)
        assert server.states() == {"a": JobState.RUNNING, "b": JobState.ALLOWED_TO_START}
        assert await order(server, "Pause", "a") == 0
        await clock.advance(100)
        assert server.states() == {"a": JobState.INTERRUPTED, "b": JobState.ALLOWED_TO_START}
        assert await order(server, "Pause", "a") == 4
        assert await order(server, "Resume", "a") == 0
        await clock.advance(4.9)
        assert server.states()["a"] is JobState.RUNNING
        await clock.advance(0.1)
        assert server.states() == {"a": JobState.ENDED, "b": JobState.RUNNING}
        assert await order(server, "Abort", "b") == 0
        assert await order(server, "Stop", "nobody") == 1
        assert await order(server, "Clear", "a") == 0
        assert server.states() == {"b": JobState.ABORTED}


async def order(server: MemoryServer, method: str, argument: object) -> int:
    at = "Machines/jobs/JobOrderControl"
    answer = server.receive_call(server.find(at).address, server.find(f"{at}/{method}").address, [argument, []])
    await answer.filled.wait()
    status: int = answer.outputs[0]
    return status


async def test_stop_ends_what_a_method_machine_makes() -> None:
    clock = VirtualClock()
    server = method_machine(clock=clock, duration=10)
    at = "Machines/methods"
    async with server:
        made = server.receive_call(server.find(at).address, server.find(f"{at}/Produce").address, [])
        await clock.advance(5)
        assert server.get(server.find(f"{at}/Running")) is True
        await call(server, f"{at}/Stop")
        assert server.get(server.find(f"{at}/Running")) is False
        await clock.advance(5)
        assert made.outputs == [0]
