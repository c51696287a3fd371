"""Who follows machines hears of each change, also of one back to what was told first."""

from pathlib import Path

import anyio

from dtios.sdk.clock import SystemClock
from dtios.testing import method_machine
from tests.runtimes import client_of, running


async def test_a_machine_that_comes_back_as_it_was_is_told(tmp_path: Path) -> None:
    machine = method_machine("m", clock=SystemClock())
    async with (
        machine,
        running(tmp_path / "state", machine, machines={"m": {"endpoint": machine.url}}) as runtime,
        client_of(runtime) as client,
        client.follow_machines() as changes,
    ):
        heard = []
        with anyio.fail_after(10):
            async for change in changes:
                if not heard or heard[-1] != change.view.health:
                    heard.append(change.view.health)
                if heard == ["online"]:
                    machine.drop()
                if heard[-1] == "online" and len(heard) > 1:
                    break
    assert heard[0] == heard[-1] == "online"
