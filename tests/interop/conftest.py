"""Fixtures of the interoperability tests; all that use the servers are marked `interop`."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.node_server import node_server
from tests.machines.process import MachineProcess
from tests.system.cli.conftest import Dtios, runner


@pytest.fixture(scope="session")
def interop_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MachineProcess]:
    """One node-opcua server for the whole run: use job ids of your own, and leave its units Idle.

    A test that freezes or kills it starts one of its own: `running_node_server`.
    """
    with node_server(tmp_path_factory.mktemp("interop") / "calls.jsonl") as server:
        yield server


@pytest.fixture(scope="session")
def bare_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MachineProcess]:
    """A server without any companion namespace (bare.mjs)."""
    with node_server(tmp_path_factory.mktemp("bare") / "calls.jsonl", script="bare") as server:
        yield server


@pytest.fixture(scope="session")
def companion_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MachineProcess]:
    """A server with every companion NodeSet that the stack has (companions.mjs)."""
    with node_server(tmp_path_factory.mktemp("companions") / "calls.jsonl", script="companions") as server:
        yield server


@pytest.fixture
def dtios(tmp_path: Path) -> Dtios:
    """The real command line, in a process of its own."""
    return runner(tmp_path, tmp_path / "state")
