"""The runtime of the soak, to be killed: `python -m tests.soak.runtime STATE CONFIGURATION`. A line on stdout when it runs; ends
in order when stdin does."""

import sys
from pathlib import Path

import anyio
import anyio.to_thread

from dtios.logging import configure_logging
from dtios.runtime.configuration.config import RuntimeConfig
from dtios.runtime.core import Runtime
from dtios.runtime.registry import AppPlugin, Registry
from dtios.runtime.state import StateDirectory

RECORDER = AppPlugin("app", "recorder", "tests.soak.recorder:app")


async def main(state: Path, config: RuntimeConfig) -> None:
    async with Runtime(config, StateDirectory(state), Registry(plugins=[RECORDER])):
        print("ready", flush=True)
        await anyio.to_thread.run_sync(sys.stdin.read, abandon_on_cancel=True)


if __name__ == "__main__":
    configure_logging("json")
    anyio.run(main, Path(sys.argv[1]), RuntimeConfig.model_validate_json(Path(sys.argv[2]).read_text()))
