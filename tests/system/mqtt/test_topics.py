"""A machine that speaks plain topics irregularly, over a broker of a third party; its own log is the judge."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from dtios.model.errors import OutcomeUnknown, RefusedError
from dtios.model.job import JobOutcome, JobState, JobSubstate
from dtios.runtime.configuration.config import RuntimeConfig
from dtios.runtime.core import Runtime
from dtios.runtime.registry import Registry
from dtios.runtime.state import StateDirectory
from dtios.sdk.client import Client
from tests.brokers import BROKERS, BrokerProcess, Mosquitto, running_broker
from tests.machines.plain_topics import PROFILE
from tests.machines.process import MachineProcess, python_machine, running_machine
from tests.runtimes import client_of


@asynccontextmanager
async def reached(folder: Path, broker: BrokerProcess, **settings: Any) -> AsyncIterator[Client]:
    config = RuntimeConfig.model_validate({
        "profiles": [str(PROFILE)],
        "machines": {"press": {"endpoint": broker.url, "identity": "north/press1", "settings": settings}},
    })  # fmt: skip
    async with Runtime(config, StateDirectory(folder / "state"), Registry()) as runtime, client_of(runtime) as client:
        yield client


def press(broker: BrokerProcess, folder: Path) -> Any:
    return running_machine(python_machine("tests.machines.plain_topics", "--broker", broker.url), folder / "log.jsonl")
