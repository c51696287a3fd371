"""A runtime with three consumers that write down what they are told, to be killed. Run as a program by `test_ledger`.

    python -m tests.system.runtime.recorders STATE CONFIGURATION FOLDER

CONFIGURATION is a file of JSON that names the machine `m`. One consumer for each policy, each with a name of its own; a line in
FOLDER/POLICY for each value and Gap, written before the delivery is acknowledged. A line on stdout when all are subscribed; ends
when stdin does. FOLDER/ledger has the pages then.
"""

import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final, get_args

import anyio
import anyio.to_thread
import msgspec
import structlog

from dtios.model.errors import TemporaryError
from dtios.runtime.configuration.config import RuntimeConfig
from dtios.runtime.core import Runtime
from dtios.runtime.registry import Registry
from dtios.runtime.state import StateDirectory
from dtios.sdk.client import Client
from dtios.sdk.delivery import Delivery
from dtios.sdk.protocol import Policy
from tests.runtimes import client_of

__all__ = ["POLICIES"]

POLICIES: Final[tuple[Policy, ...]] = get_args(Policy)


def lines(delivery: Delivery) -> str:
    gaps = [[signal, msgspec.to_builtins(gap)] for signal, gap in delivery.gaps]
    rows = delivery.batch.rows() if delivery.batch is not None else ()
    values = [[delivery.paths[handle], [r.value, r.status, r.receive_time]] for handle, r in rows]
    return "".join(json.dumps(line) + "\n" for line in (*gaps, *values))


async def described(client: Client) -> None:
    """A machine that only talks has signals when it was heard."""
    async with client.follow_machines() as changes:
        async for change in changes:
            if any(signal.path.startswith("Counter") for signal in change.view.machine.signals):
                return


async def record(runtime: Runtime, policy: Policy, folder: Path, *, task_status: anyio.abc.TaskStatus[None]) -> None:
    """Until the runtime ends."""
    with (folder / policy).open("a") as log, suppress(TemporaryError):
        async with client_of(runtime, "cli:recorder") as client:
            await described(client)
            async with client.subscribe("m", ["Counter*"], policy, 1_000, f"recorder-{policy}") as stream:
                task_status.started()
                async for delivery in stream:
                    log.write(lines(delivery))
                    log.flush()


async def main(state: Path, config: RuntimeConfig, folder: Path) -> None:
    async with anyio.create_task_group() as tasks, Runtime(config, StateDirectory(state), Registry()) as runtime:
        for policy in POLICIES:
            await tasks.start(record, runtime, policy, folder)
        print("ready", flush=True)
        await anyio.to_thread.run_sync(sys.stdin.read, abandon_on_cancel=True)
        async with client_of(runtime) as client:
            pages = msgspec.to_builtins(await client.ledger("m"))
        (folder / "ledger").write_text(json.dumps(pages))


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    given = RuntimeConfig.model_validate_json(Path(sys.argv[2]).read_text())
    anyio.run(main, Path(sys.argv[1]), given, Path(sys.argv[3]))
